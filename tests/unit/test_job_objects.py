"""Names, batch files and Jobs: what stands in the objects, and what never does."""

import json
import os
import re
from copy import deepcopy

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from job_support import (
    CASES,
    CLAIM,
    GOLDEN,
    POLICY,
    WORKER_IMAGE,
    as_yaml,
    batch,
    built_job,
    file_of,
    golden_input,
    golden_job,
    variable,
    worker_of,
)
from periodic_sync.api.names import Priority
from periodic_sync.api.spec import SyncPolicySpec
from periodic_sync.core.job_objects import job
from periodic_sync.core.objects import PolicyRef, ledger_name, name_prefix, object_name

DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")

policy_names = st.from_regex(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?", fullmatch=True)
uids = st.uuids().map(str)
claims = st.integers(min_value=0, max_value=36**11 - 1)


@given(policy=policy_names, uid=uids, claim=claims)
def test_hostnames_of_the_pods_are_labels_too(policy: str, uid: str, claim: int) -> None:
    hostname = object_name(policy, uid, claim) + "-999"
    assert len(hostname) <= 63
    assert DNS_LABEL.fullmatch(hostname)


@given(policy=policy_names, uid=uids, claim=claims)
def test_a_name_tells_its_claim(policy: str, uid: str, claim: int) -> None:
    name = object_name(policy, uid, claim)
    assert name.startswith(name_prefix(policy, uid))
    assert int(name.rpartition("-")[2], 36) == claim


@given(names=st.tuples(policy_names, policy_names), all_claims=st.tuples(claims, claims), uid=uids)
def test_no_two_claims_share_a_name(names: tuple[str, str], all_claims: tuple[int, int], uid: str) -> None:
    first, second = (object_name(policy, uid, claim) for policy, claim in zip(names, all_claims, strict=True))
    assert (first == second) == (names[0] == names[1] and all_claims[0] == all_claims[1])


def test_a_policy_made_anew_names_its_objects_anew() -> None:
    assert object_name("portfolios", "uid-1", CLAIM) != object_name("portfolios", "uid-2", CLAIM)
    assert ledger_name("portfolios", "uid-1") != ledger_name("portfolios", "uid-2")


def test_no_claim_of_our_time_is_called_like_the_ledger() -> None:
    assert int("ledger", 36) < 1_500_000_000_000


@pytest.mark.parametrize(("policy", "claim"), [("p" * 41, 1), ("", 1), ("p", -1), ("p", 36**11)])
def test_a_name_that_would_not_fit_is_refused(policy: str, claim: int) -> None:
    with pytest.raises(ValueError, match=r"at most 40 characters|is outside"):
        object_name(policy, "uid", claim)


@pytest.mark.parametrize("case", CASES)
def test_the_job_is_the_golden_one(case: str) -> None:
    """UPDATE_GOLDEN=1 writes them anew: look at the difference before it is committed."""
    built = built_job(case)
    if os.environ.get("UPDATE_GOLDEN"):
        (GOLDEN / f"{case}.job.yaml").write_text(as_yaml(built))
    assert built == golden_job(case)


@pytest.mark.parametrize("case", CASES)
def test_every_job_keeps_what_the_protocol_relies_on(case: str) -> None:
    body = built_job(case)
    spec, pod = body["spec"], body["spec"]["template"]["spec"]
    assert spec["completionMode"] == "Indexed"
    assert spec["completions"] == spec["parallelism"] == 2
    assert spec["backoffLimitPerIndex"] == 0
    assert spec["podReplacementPolicy"] == "Failed"
    assert spec["activeDeadlineSeconds"] == 2 * pod["activeDeadlineSeconds"] + 60
    assert not {"maxFailedIndexes", "ttlSecondsAfterFinished", "suspend", "podFailurePolicy"} & spec.keys()
    assert pod["restartPolicy"] == "Never"
    assert pod["automountServiceAccountToken"] is False
    assert pod["volumes"][-1] == {"name": "periodic-sync-batch", "configMap": {"name": body["metadata"]["name"]}}
    assert [volume["name"] for volume in pod["volumes"]].count("periodic-sync-batch") == 1


@pytest.mark.parametrize("case", CASES)
def test_every_worker_finds_its_batch(case: str) -> None:
    worker = worker_of(built_job(case))
    path = variable(built_job(case), "SYNC_BATCH_FILE")
    assert path is not None
    assert [mount for mount in worker["volumeMounts"] if mount["mountPath"] == path["value"]] == [
        {
            "name": "periodic-sync-batch",
            "mountPath": path["value"],
            "subPathExpr": "$(JOB_COMPLETION_INDEX)",
            "readOnly": True,
        }
    ]
    # Kubernetes sets it, and would leave one of that name as it is.
    assert variable(built_job(case), "JOB_COMPLETION_INDEX") is None
    assert worker["terminationMessagePolicy"] == "File"


@pytest.mark.parametrize("case", CASES)
def test_job_and_pods_carry_the_labels_that_others_rely_on(case: str) -> None:
    body = built_job(case)
    for labels in (body["metadata"]["labels"], body["spec"]["template"]["metadata"]["labels"]):
        ours = {key: value for key, value in labels.items() if key.startswith("sync.moonx.farm/")}
        assert ours == {"sync.moonx.farm/policy": "portfolios", "sync.moonx.farm/priority": "high"}
        assert labels["app.kubernetes.io/managed-by"] == "periodic-sync"
    (owner,) = body["metadata"]["ownerReferences"]
    assert owner["kind"], owner["uid"] == ("SyncPolicy", POLICY.uid)
    assert owner["controller"] is True
    assert "blockOwnerDeletion" not in owner


@pytest.mark.parametrize("case", CASES)
def test_building_a_job_changes_nothing_it_was_given(case: str) -> None:
    spec, template = golden_input(case)
    before = deepcopy((spec, template))
    body = job(POLICY, spec, file_of(batch("u1")).open_job(), worker_image=WORKER_IMAGE, pod_template=template)
    body["spec"]["template"]["spec"]["containers"][0]["env"].clear()
    assert (spec, template) == before


def spec_of(**worker: object) -> SyncPolicySpec:
    return SyncPolicySpec.model_validate({"store": {"configMap": {"name": "users"}}, "worker": worker})


HTTP = {"url": "http://sync/{userId}"}


def job_of(spec: SyncPolicySpec, *, image: str = WORKER_IMAGE, **pod: object) -> dict[str, object]:
    template = {"template": {"spec": pod}} if pod else None
    return job(POLICY, spec, file_of(batch("u1")).open_job(), worker_image=image, pod_template=template)


def test_a_worker_without_an_image_is_refused_with_what_to_do() -> None:
    with pytest.raises(ValueError, match=r"set worker\.image in the SyncPolicy, or WORKER_IMAGE"):
        job_of(spec_of(http=HTTP), image="")


@given(url=st.text(alphabet="ab$(){}\\\"'é", max_size=12))
def test_what_is_meant_for_the_sync_service_survives_kubernetes_variables(url: str) -> None:
    spec = spec_of(http={**HTTP, "headers": [{"name": "X-Any", "value": url}]})
    text = variable(job_of(spec), "SYNC_HTTP")
    assert text is not None
    assert "$" not in text["value"]
    assert text["value"].isascii()
    assert json.loads(text["value"])["headers"][0]["value"] == url


@pytest.mark.parametrize("body", [{"a": None}, '{"a": null}', "[1]", [1], "", None, 0])
def test_a_body_reaches_the_worker_as_the_policy_has_it(body: object) -> None:
    text = variable(job_of(spec_of(http={**HTTP, "body": body})), "SYNC_HTTP")
    assert text is not None
    assert json.loads(text["value"]).get("body") == body


SECURITY = {
    "nothing is said": ({}, {}, {"runAsNonRoot": True, "allowPrivilegeEscalation": False}),
    "the container runs as root": ({}, {"runAsUser": 0}, {"runAsNonRoot": None, "runAsUser": 0}),
    "all of the pod runs as root": ({"runAsUser": 0}, {}, {"runAsNonRoot": None, "runAsUser": None}),
    "the container doesn't, though the pod does": ({"runAsUser": 0}, {"runAsUser": 7}, {"runAsNonRoot": True}),
    "the pod allows root": ({"runAsNonRoot": False}, {}, {"runAsNonRoot": None}),
    "the pod has its own seccomp profile": (
        {"seccompProfile": {"type": "Unconfined"}},
        {},
        {"seccompProfile": None, "readOnlyRootFilesystem": True},
    ),
    "the container is privileged": (
        {},
        {"privileged": True},
        {"allowPrivilegeEscalation": None, "privileged": True, "runAsNonRoot": True},
    ),
}


@pytest.mark.parametrize("case", SECURITY)
def test_the_built_in_worker_is_as_tight_as_the_template_lets_it_be_when(case: str) -> None:
    of_pod, of_container, expected = SECURITY[case]
    worker = {"name": "worker", "image": "x", "securityContext": of_container}
    context = worker_of(job_of(spec_of(http=HTTP), securityContext=of_pod, containers=[worker]))["securityContext"]
    assert {key: context.get(key) for key in expected} == expected


def test_an_own_image_keeps_the_security_context_it_was_given() -> None:
    assert "securityContext" not in worker_of(job_of(spec_of(image="own")))


def test_a_worker_is_never_run_twice_in_one_pod() -> None:
    worker = {"name": "worker", "image": "x", "restartPolicy": "Always", "restartPolicyRules": [{"action": "Restart"}]}
    assert (
        not {"restartPolicy", "restartPolicyRules"}
        & worker_of(job_of(spec_of(image="own"), containers=[worker])).keys()
    )


@pytest.mark.parametrize(("deadline", "seconds"), [("1s", 1), ("1s1ms", 2), ("10m", 600), ("1500ms", 2)])
def test_a_deadline_is_never_cut_short(deadline: str, seconds: int) -> None:
    spec = SyncPolicySpec.model_validate(
        {"store": {"configMap": {"name": "u"}}, "worker": {"image": "own"}, "jobs": {"deadline": deadline}}
    )
    assert job_of(spec)["spec"]["template"]["spec"]["activeDeadlineSeconds"] == seconds  # type: ignore[index]


@pytest.mark.parametrize("case", CASES)
def test_no_wallet_is_in_a_job(case: str) -> None:
    assert "0xwallet-of" not in yaml.safe_dump(built_job(case))


def test_a_job_has_the_highest_priority_of_its_batches() -> None:
    file = file_of(batch("u1", priority=Priority.LOW), batch("u2", priority=Priority.MEDIUM))
    body = job(POLICY, spec_of(image="own"), file.open_job(), worker_image="")
    assert body["metadata"]["labels"]["sync.moonx.farm/priority"] == "medium"


def test_a_job_of_another_policy_of_that_name_has_another_name_and_owner() -> None:
    other = PolicyRef(POLICY.namespace, POLICY.name, "another-uid")
    assert built_job("own-image", other)["metadata"]["name"] != built_job("own-image")["metadata"]["name"]
