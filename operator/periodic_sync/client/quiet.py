"""Whether a policy is at rest: disabled, acknowledged by the operator, and nothing in flight."""

from periodic_sync.api.errors import NotFoundError
from periodic_sync.core.ledger import Ledger
from periodic_sync.core.objects import PolicyRef, ledger_name, metadata
from periodic_sync.kube.client import KubeClient, Object
from periodic_sync.kube.ledgers import Ledgers, LedgerUnreadableError
from periodic_sync.kube.resources import SYNC_POLICIES
from periodic_sync.stores.base import StoreNotReady


async def why_not_quiet(client: KubeClient, namespace: str, name: str) -> str:
    """What it is busy with, and what to do, as the rest of a sentence; "" for one at rest.

    From the ledger, since results are in the store before it closes their batch; the status may be some seconds old.
    Raises: StoreNotReady where there is no such policy; ApiError.
    """
    try:
        body = await client.get(SYNC_POLICIES, namespace, name)
    except NotFoundError as error:
        raise StoreNotReady(f"There is no SyncPolicy {namespace}/{name} any more") from error
    policy = PolicyRef(namespace, name, body["metadata"]["uid"])
    try:
        version = await Ledgers(client, metadata(policy, ledger_name(name, policy.uid))).read()
    except LedgerUnreadableError as error:
        return str(error)
    return judge(body, version.ledger if version else None)


def judge(body: Object, ledger: Ledger | None) -> str:
    """As `why_not_quiet`, from the policy and its ledger."""
    name, namespace = body["metadata"]["name"], body["metadata"]["namespace"]
    status = body.get("status") or {}
    if body["spec"].get("enabled", True):
        patch = '{"spec": {"enabled": false}}'
        return (
            f"it is enabled. Say `kubectl patch --namespace {namespace} syncpolicy {name} --type merge -p '{patch}'` "
            "and run this again with --wait; or let --apply pause it for as long as it takes"
        )
    if ledger is None:
        return "" if status.get("enabled") is None else _not_acknowledged("the operator has not made its ledger again")
    if ledger.enabled or ledger.generation != body["metadata"]["generation"]:
        return _not_acknowledged("the operator has not acted on enabled: false")
    if ledger.jobs:
        jobs = "1 Job is" if len(ledger.jobs) == 1 else f"{len(ledger.jobs)} Jobs are"
        return f"{jobs} still running: wait until status.activeJobs is 0, or run this with --wait"
    return ""


def _not_acknowledged(why: str) -> str:
    return f"{why} yet. Run this again soon, or with --wait; if it takes longer than some seconds, is it running?"
