"""Views of Jobs and pods: what is read from objects as a real cluster has them, and that nothing odd ever raises."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from periodic_sync.api.durations import SECOND
from periodic_sync.core.views import Exit, JobView, PodView, Waiting, job_view, pod_view

T0 = 1_795_500_000_000
"""2026-11-24T06:00:00Z."""


def at(seconds: int) -> str:
    """That many seconds after T0, as Kubernetes writes it."""
    return f"2026-11-24T06:{seconds // 60:02}:{seconds % 60:02}Z"


def true(kind: str, seconds: int = 50, **more: str) -> dict[str, str]:
    return {"type": kind, "status": "True", "lastTransitionTime": at(seconds), **more}


def job_object(spec: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "portfolios-03767f-mwuacao0",
            "uid": "job-uid",
            "creationTimestamp": at(0),
            "labels": {"sync.moonx.farm/policy": "portfolios"},
            "ownerReferences": [{"kind": "SyncPolicy", "name": "portfolios", "uid": "policy-uid", "controller": True}],
        },
        "spec": {"completions": 5, "activeDeadlineSeconds": 1260, **(spec or {})},
        "status": {"startTime": at(1), **status},
    }


def test_a_running_job() -> None:
    assert job_view(job_object(completedIndexes="0,2-3", failedIndexes="4")) == JobView(
        name="portfolios-03767f-mwuacao0",
        uid="job-uid",
        owner_uid="policy-uid",
        policy="portfolios",
        created_at=T0,
        started_at=T0 + 1 * SECOND,
        finished_at=None,
        deadline_at=T0 + 1261 * SECOND,
        completions=5,
        completed=frozenset({0, 2, 3}),
        failed=frozenset({4}),
        finished=False,
        succeeded=False,
        failure_target_since=None,
        suspended=False,
        deleting=False,
        failure="",
    )


JOBS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "complete": (
        job_object(conditions=[true("SuccessCriteriaMet"), true("Complete")], completionTime=at(40)),
        {"finished": True, "succeeded": True, "finished_at": T0 + 40 * SECOND, "failure": ""},
    ),
    "failed": (
        job_object(conditions=[true("FailureTarget", 40), true("Failed", reason="FailedIndexes", message="It\nhas.")]),
        {
            "finished": True,
            "succeeded": False,
            "finished_at": T0 + 50 * SECOND,
            "failure_target_since": T0 + 40 * SECOND,
            "failure": "FailedIndexes: It has.",
        },
    ),
    "failing, and held back by a pod": (
        job_object(conditions=[true("FailureTarget", 40, reason="DeadlineExceeded")]),
        {"finished": False, "failure_target_since": T0 + 40 * SECOND, "failure": "DeadlineExceeded"},
    ),
    "conditions that are not true": (
        job_object(conditions=[{**true("Complete"), "status": "False"}, {**true("Failed"), "status": "Unknown"}]),
        {"finished": False, "succeeded": False, "finished_at": None},
    ),
    "suspended: no clock runs": (
        job_object({"suspend": True}, startTime=None),
        {"suspended": True, "started_at": None, "deadline_at": None},
    ),
    "being deleted": (
        {**job_object(), "metadata": {"name": "x", "deletionTimestamp": at(5)}},
        {"deleting": True, "owner_uid": "", "policy": ""},
    ),
    "owned by something else": (
        {"metadata": {"ownerReferences": [{"kind": "CronJob", "uid": "other", "controller": True}]}},
        {"owner_uid": "", "created_at": 0, "completions": 0},
    ),
    "owned, but not controlled by a policy": (
        {"metadata": {"ownerReferences": [{"kind": "SyncPolicy", "uid": "other"}]}},
        {"owner_uid": ""},
    ),
    "indexes that are garbled": (
        job_object(completedIndexes="0-", failedIndexes="0-999999999999"),
        {"completed": frozenset(), "failed": frozenset(range(100_000))},
    ),
}


@pytest.mark.parametrize("case", JOBS)
def test_of_a_job(case: str) -> None:
    body, expected = JOBS[case]
    view = job_view(body)
    assert {name: getattr(view, name) for name in expected} == expected


def pod_object(
    metadata: dict[str, Any] | None = None, spec: dict[str, Any] | None = None, **status: Any
) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "portfolios-03767f-mwuacao0-3-x4dmf",
            "uid": "pod-uid",
            "creationTimestamp": at(1),
            "labels": {
                "batch.kubernetes.io/job-name": "portfolios-03767f-mwuacao0",
                "batch.kubernetes.io/job-completion-index": "3",
                "sync.moonx.farm/policy": "portfolios",
            },
            "ownerReferences": [
                {"kind": "Job", "name": "portfolios-03767f-mwuacao0", "uid": "job-uid", "controller": True}
            ],
            **(metadata or {}),
        },
        "spec": {
            "nodeName": "node-1",
            "activeDeadlineSeconds": 600,
            "terminationGracePeriodSeconds": 30,
            **(spec or {}),
        },
        "status": {"startTime": at(2), "phase": "Running", **status},
    }


def ended(name: str = "worker", **state: Any) -> list[dict[str, Any]]:
    return [{"name": name, "state": {"terminated": {"exitCode": 1, "reason": "Error", "finishedAt": at(9), **state}}}]


def waits(reason: str, message: str = "", name: str = "worker") -> dict[str, Any]:
    return {"name": name, "state": {"waiting": {"reason": reason, "message": message}}}


def test_a_pod_whose_worker_failed() -> None:
    assert pod_view(pod_object(phase="Failed", containerStatuses=ended(message="{}\n"))) == PodView(
        name="portfolios-03767f-mwuacao0-3-x4dmf",
        uid="pod-uid",
        policy="portfolios",
        job_name="portfolios-03767f-mwuacao0",
        job_uid="job-uid",
        index=3,
        unfinished=False,
        gone_by=None,
        created_at=T0 + 1 * SECOND,
        worker_exit=Exit(1, None, "Error", "{}\n", T0 + 9 * SECOND),
        disrupted=False,
        deleting=False,
        deadline_exceeded=False,
        waiting=None,
        node="node-1",
    )


DISRUPTED = [true("DisruptionTarget", reason="PreemptionByScheduler")]
UNSCHEDULED = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes\nare there"}

PODS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "running": (pod_object(), {"unfinished": True, "worker_exit": None, "waiting": None}),
    "pending": (pod_object(phase="Pending"), {"unfinished": True}),
    "of a phase that nobody knows": (pod_object(phase="Unknown"), {"unfinished": True}),
    "succeeded": (pod_object(phase="Succeeded", containerStatuses=ended(exitCode=0)), {"unfinished": False}),
    "only a helper ended": (pod_object(containerStatuses=ended("helper")), {"worker_exit": None}),
    "a container that was lost, not seen to end": (
        pod_object(phase="Failed", containerStatuses=ended(exitCode=137, reason="ContainerStatusUnknown")),
        {"worker_exit": None},
    ),
    "a container that a reboot ended": (
        pod_object(phase="Failed", containerStatuses=ended(exitCode=255, reason="Unknown")),
        {"worker_exit": None},
    ),
    "past its deadline": (
        pod_object(phase="Failed", reason="DeadlineExceeded"),
        {"deadline_exceeded": True, "disrupted": False},
    ),
    "evicted by its kubelet": (pod_object(phase="Failed", reason="Evicted"), {"disrupted": True}),
    "preempted": (pod_object(phase="Failed", conditions=DISRUPTED), {"disrupted": True}),
    "not disrupted after all": (
        pod_object(conditions=[{**DISRUPTED[0], "status": "False"}]),
        {"disrupted": False},
    ),
    "waiting for a Secret": (
        pod_object(phase="Pending", containerStatuses=[waits("CreateContainerConfigError", 'secret "nope" not found')]),
        {"waiting": Waiting("CreateContainerConfigError", 'secret "nope" not found')},
    ),
    "waiting for a helper's image": (
        pod_object(
            phase="Pending",
            containerStatuses=[waits("PodInitializing")],
            initContainerStatuses=[waits("ImagePullBackOff", "Back-off", "helper")],
        ),
        {"waiting": Waiting("ImagePullBackOff", "Back-off")},
    ),
    "waiting for a node": (
        pod_object(spec={"nodeName": None}, phase="Pending", conditions=[UNSCHEDULED]),
        {"waiting": Waiting("Unschedulable", "0/3 nodes are there"), "node": ""},
    ),
    "on its way": (
        pod_object(phase="Pending", containerStatuses=[waits("ContainerCreating")]),
        {"waiting": Waiting("ContainerCreating", "")},
    ),
    "ended, whatever it still says of waiting": (
        pod_object(phase="Failed", containerStatuses=[waits("ErrImagePull", "no such image")]),
        {"waiting": None},
    ),
    "with its index only as an annotation": (
        pod_object({"labels": {}, "annotations": {"batch.kubernetes.io/job-completion-index": "12"}}),
        {"index": 12, "job_name": "portfolios-03767f-mwuacao0"},
    ),
    "of no Job": (pod_object({"labels": {}, "ownerReferences": []}), {"index": None, "job_name": "", "job_uid": ""}),
    "with an index that is none": (
        pod_object({"labels": {"batch.kubernetes.io/job-completion-index": "-3"}}),
        {"index": None},
    ),
}


@pytest.mark.parametrize("case", PODS)
def test_of_a_pod(case: str) -> None:
    body, expected = PODS[case]
    view = pod_view(body)
    assert {name: getattr(view, name) for name in expected} == expected


DELETED = {"deletionTimestamp": at(100), "deletionGracePeriodSeconds": 30}

GONE_BY: dict[str, tuple[dict[str, Any], int | None]] = {
    "nobody deleted it": (pod_object(), None),
    "its own deadline, its grace and a margin": (pod_object(DELETED), 2 + 600 + 30 + 30),
    "the default grace where it has none": (
        pod_object(DELETED, {"terminationGracePeriodSeconds": None}),
        2 + 600 + 30 + 30,
    ),
    "no grace at all": (
        pod_object({**DELETED, "deletionGracePeriodSeconds": 0}, {"terminationGracePeriodSeconds": 0}),
        2 + 600 + 30,
    ),
    "a longer grace given when it was deleted": (
        pod_object({**DELETED, "deletionGracePeriodSeconds": 90}),
        2 + 600 + 90 + 30,
    ),
    "never before its deletion is due": (
        pod_object(DELETED, {"activeDeadlineSeconds": 1, "terminationGracePeriodSeconds": 1}),
        100,
    ),
    "never seen to start: its node may have started it until it was deleted": (
        pod_object(DELETED, startTime=None),
        100 + 600 + 30 + 30,
    ),
    "on no node: it gets none any more": (pod_object(DELETED, {"nodeName": ""}), 100),
    "without a deadline of its own": (pod_object(DELETED, {"activeDeadlineSeconds": None}), None),
    "seen to end": (pod_object(DELETED, phase="Failed"), None),
}


@pytest.mark.parametrize("case", GONE_BY)
def test_a_pod_that_nobody_will_see_again_is_over_by(case: str) -> None:
    body, seconds = GONE_BY[case]
    assert pod_view(body).gone_by == (None if seconds is None else T0 + seconds * SECOND)


def test_a_pod_counts_as_unfinished_until_then() -> None:
    lost = pod_view(pod_object(DELETED))
    assert lost.gone_by is not None
    assert lost.unfinished_at(lost.gone_by - 1)
    assert not lost.unfinished_at(lost.gone_by)
    assert pod_view(pod_object()).unfinished_at(T0 + 10**12)
    assert not pod_view(pod_object(phase="Failed")).unfinished_at(T0)


def keys_in(body: object) -> set[str]:
    if isinstance(body, dict):
        return set(body) | {key for value in body.values() for key in keys_in(value)}
    return {key for value in body for key in keys_in(value)} if isinstance(body, list) else set()


KEYS = sorted(keys_in([JOBS[case][0] for case in JOBS]) | keys_in([PODS[case][0] for case in PODS]))
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["", "True", "Failed", at(3), "1-3"])
)
odd = st.recursive(
    scalars | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)
odd_parts = st.dictionaries(st.sampled_from(KEYS), odd, max_size=4)


@given(st.dictionaries(st.sampled_from(["metadata", "spec", "status"]), odd))
def test_no_object_is_too_odd_for_a_view(body: dict[str, Any]) -> None:
    hash(job_view(body))
    hash(pod_view(body))
    pod_view(body).unfinished_at(T0)


@given(odd_parts, odd_parts, odd_parts)
def test_no_part_of_a_real_object_is_too_odd_for_a_view(
    metadata: dict[str, Any], spec: dict[str, Any], status: dict[str, Any]
) -> None:
    for body, view in ((pod_object(), pod_view), (job_object(), job_view)):
        for part, changes in (("metadata", metadata), ("spec", spec), ("status", status)):
            body[part] |= changes
        hash(view(body))
