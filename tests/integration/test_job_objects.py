"""What a real API server makes of our objects: it knows every field, and sets none that matters to another value."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from cluster_support import Kubectl, KubectlError, eventually
from job_support import CASES, POLICY, batch, built_job, file_of, golden_input
from periodic_sync.core.batch_files import batch_file, read_batch_file
from periodic_sync.core.job_objects import job
from periodic_sync.core.objects import Object, PolicyRef
from periodic_sync.core.views import job_view


@pytest.fixture
def policy(kubectl: Kubectl) -> PolicyRef:
    """A policy in the test's namespace that nobody made: its garbage collection is no matter here."""
    return PolicyRef(kubectl.namespace, POLICY.name, POLICY.uid)


def dry_run(kubectl: Kubectl, body: Object) -> Object:
    """The object as the server would store it."""
    answer = kubectl("create", "--dry-run=server", "--validate=strict", "-f", "-", "-o", "json", stdin=body)
    stored: Object = json.loads(answer)
    return stored


def lost(ours: object, stored: object, path: str = "") -> list[str]:
    """Where something that we wrote is not what the server stored; what it adds is its own affair."""
    if isinstance(ours, Mapping) and isinstance(stored, Mapping):
        return [where for key in ours for where in lost(ours[key], stored.get(key), f"{path}.{key}")]
    if isinstance(ours, list) and isinstance(stored, list) and len(ours) == len(stored):
        return [where for at, each in enumerate(ours) for where in lost(each, stored[at], f"{path}[{at}]")]
    return [] if ours == stored else [path]


@pytest.mark.parametrize("case", CASES)
def test_the_server_takes_the_job_as_it_is(kubectl: Kubectl, policy: PolicyRef, case: str) -> None:
    body = built_job(case, policy)
    stored = dry_run(kubectl, body)
    assert lost(body, stored) == []
    # Set by the server where backoffLimitPerIndex is: no number of failed indexes ends the Job early.
    assert stored["spec"]["backoffLimit"] == 2**31 - 1
    assert not {"maxFailedIndexes", "ttlSecondsAfterFinished"} & stored["spec"].keys()


@pytest.mark.parametrize("case", CASES)
def test_a_template_can_come_from_the_server_with_all_its_defaults(
    kubectl: Kubectl, policy: PolicyRef, case: str
) -> None:
    spec, template = golden_input(case)
    if template is not None:
        template["metadata"]["namespace"] = kubectl.namespace
        template = dry_run(kubectl, template)
    file = file_of(batch("u1"), policy=policy)
    body = job(policy, spec, file.open_job(), worker_image="worker", pod_template=template)
    assert lost(body, dry_run(kubectl, body)) == []


def test_the_built_in_worker_runs_where_pods_are_restricted(kubectl: Kubectl, policy: PolicyRef) -> None:
    kubectl("label", "namespace", kubectl.namespace, "pod-security.kubernetes.io/enforce=restricted")
    eventually(lambda: refused(kubectl, {"containers": [{"name": "any", "image": "any"}]}))
    dry_run(kubectl, pod_of(built_job("built-in-worker-with-everything", policy)["spec"]["template"]["spec"]))


def pod_of(spec: Object) -> Object:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "any"}, "spec": spec}


def refused(kubectl: Kubectl, spec: Object) -> None:
    said = ""
    try:
        dry_run(kubectl, pod_of(spec))
    except KubectlError as error:
        said = str(error)
    assert "PodSecurity" in said


def test_a_job_of_the_most_batches_and_the_longest_name_is_taken(kubectl: Kubectl) -> None:
    policy = PolicyRef(kubectl.namespace, "p" * 40, POLICY.uid)
    spec, _ = golden_input("own-image")
    file = file_of(*(batch(f"u{number}") for number in range(1000)), policy=policy, claim=36**11 - 1)
    dry_run(kubectl, job(policy, spec, file.open_job(), worker_image="worker"))
    dry_run(kubectl, batch_file(policy, file))


def test_a_batch_file_comes_back_as_it_was_written_and_stays_so(kubectl: Kubectl, policy: PolicyRef) -> None:
    file = file_of(batch("u1", "u2", request=7), batch("u3"), policy=policy)
    body = batch_file(policy, file)
    del body["metadata"]["ownerReferences"]  # there is no such policy: garbage collection would take the file at once
    kubectl("create", "--validate=strict", "-f", "-", stdin=body)
    assert read_batch_file(kubectl.get("configmap", file.name), policy) == file
    with pytest.raises(KubectlError, match="immutable"):
        kubectl("patch", "configmap", file.name, "--type=merge", "-p", '{"data":{"0":"{}"}}')


def test_a_job_of_the_server_is_seen_as_what_it_is(kubectl: Kubectl, policy: PolicyRef) -> None:
    body = built_job("own-image", policy)
    body["spec"]["suspend"] = True
    stored: dict[str, Any] = dry_run(kubectl, body)
    view = job_view(stored)
    assert (view.name, view.owner_uid, view.policy) == (body["metadata"]["name"], policy.uid, policy.name)
    assert (view.completions, view.suspended, view.finished) == (2, True, False)
    assert view.uid
    assert view.created_at > 0
