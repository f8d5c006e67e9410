"""Golden pairs of a SyncPolicy (with a PodTemplate, where the case has one) and the Job that is made for it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from periodic_sync.api.names import Priority
from periodic_sync.api.spec import SyncPolicySpec
from periodic_sync.core.batch_files import Batch, BatchFile, BatchUser, new_batch_file
from periodic_sync.core.job_objects import job
from periodic_sync.core.objects import Object, PolicyRef

GOLDEN = Path(__file__).parent / "unit" / "golden"
CASES = sorted(path.name.removesuffix(".policy.yaml") for path in GOLDEN.glob("*.policy.yaml"))

POLICY = PolicyRef("shop", "portfolios", "2b0c0b51-7f5c-4d0e-9a55-1f6a3b7c9d10")
CLAIM = 1_795_500_000_000
WORKER_IMAGE = "registry.example.com/periodic-sync:1.0.0"


def batch(*ids: str, priority: Priority = Priority.MEDIUM, whole: bool = False, request: int | None = None) -> Batch:
    return Batch(tuple(BatchUser(each, f"0xwallet-of-{each}", (), request) for each in ids), priority, whole)


def file_of(*batches: Batch, policy: PolicyRef = POLICY, claim: int = CLAIM, probe: bool = False) -> BatchFile:
    return new_batch_file(policy, batches, claim=claim, claimed_at=CLAIM, generation=3, probe=probe)


def golden_input(case: str) -> tuple[SyncPolicySpec, Object | None]:
    """The spec and the PodTemplate of a case, read as they come from the API server."""
    documents = list(yaml.safe_load_all((GOLDEN / f"{case}.policy.yaml").read_text()))
    template = documents[1] if len(documents) > 1 else None
    return SyncPolicySpec.model_validate(documents[0]["spec"]), template


def golden_job(case: str) -> Object:
    body: Object = yaml.safe_load((GOLDEN / f"{case}.job.yaml").read_text())
    return body


def built_job(case: str, policy: PolicyRef = POLICY) -> Object:
    """What is made of a case now: a Job of two batches, one of high and one of medium priority."""
    spec, template = golden_input(case)
    file = file_of(batch("u1", "u2"), batch("u3", priority=Priority.HIGH), policy=policy)
    return job(policy, spec, file.open_job(), worker_image=WORKER_IMAGE, pod_template=template)


def as_yaml(body: Object) -> str:
    return yaml.safe_dump(body, sort_keys=False, width=120)


def worker_of(body: Mapping[str, Any]) -> Object:
    """The container `worker` of a Job."""
    containers = body["spec"]["template"]["spec"]["containers"]
    (worker,) = [each for each in containers if each["name"] == "worker"]
    return dict(worker)


def variable(body: Mapping[str, Any], name: str) -> Object | None:
    """A variable of the container `worker`."""
    found = [each for each in worker_of(body)["env"] if each["name"] == name]
    assert len(found) <= 1
    return found[0] if found else None
