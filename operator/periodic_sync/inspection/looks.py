"""Looks at the API server for the routes that explain and count."""

from collections.abc import Callable, Mapping

from periodic_sync.api.names import ROLE_LABEL, Role
from periodic_sync.api.policy import SyncPolicy
from periodic_sync.core.batch_files import read_batch_file
from periodic_sync.core.ledger import Ledger, OpenJob
from periodic_sync.core.objects import PolicyRef, ledger_name, metadata
from periodic_sync.inspection.why import Flight
from periodic_sync.kube.answers import Answers
from periodic_sync.kube.client import KubeClient, Object, Objects
from periodic_sync.kube.ledgers import Ledgers, LedgerUnreadableError
from periodic_sync.kube.parallel import results
from periodic_sync.kube.policy_objects import PolicyObjects
from periodic_sync.kube.resources import CONFIG_MAPS, SYNC_POLICIES

MOST_FILES = 500
_NO_LEDGER = "The operator has not taken this policy up yet: is it running?"

Batches = tuple[frozenset[str], ...]
"""Who is in each index of a Job."""


class KubeLooks:
    """`Looks`, and the lists that figures are made from. namespace: the only one served; None: all."""

    def __init__(self, client: KubeClient, namespace: str | None, clock: Callable[[], float]) -> None:
        """clock: seconds, only forward."""
        self._client, self._namespace = client, namespace
        # A batch file never changes. One that is not there is asked for again.
        self._files: Answers[tuple[str, str], Batches | None] = Answers(
            seconds=lambda found: 3600.0 if found is not None else 0.0, clock=clock, most=MOST_FILES
        )

    async def read_policy(self, namespace: str, name: str) -> SyncPolicy:
        """Raises: NotFoundError, InvalidPolicyError, ApiError."""
        return SyncPolicy.parse(await self.policy(namespace, name))

    async def policy(self, namespace: str, name: str) -> Object:
        return await self._client.get(SYNC_POLICIES, namespace, name)

    async def policies(self) -> Objects:
        return await self._client.list(SYNC_POLICIES, self._namespace)

    async def ledgers(self) -> Mapping[str, Object]:
        """ConfigMaps of ledgers, by the UID of their policy."""
        found = await self._client.list(CONFIG_MAPS, self._namespace, labels=f"{ROLE_LABEL}={Role.LEDGER}")
        owners = ((item, item["metadata"].get("ownerReferences") or ()) for item in found)
        return {owner["uid"]: item for item, references in owners for owner in references if owner.get("controller")}

    async def flight(self, policy: PolicyRef) -> Flight:
        ledgers = Ledgers(self._client, metadata(policy, ledger_name(policy.name, policy.uid)))
        try:
            version = await ledgers.read()
        except LedgerUnreadableError as error:
            return Flight(Ledger(), {}, str(error))
        if version is None:
            return Flight(Ledger(), {}, _NO_LEDGER)
        ledger = version.ledger
        objects = PolicyObjects(self._client, policy.namespace, policy.name, policy.uid)
        read = await results(self._batches(objects, policy, job) for job in ledger.jobs)
        in_flight: dict[str, int] = {}
        for job, batches in zip(ledger.jobs, read, strict=True):
            for index, users in enumerate(batches or ()):
                if index in job.open:
                    in_flight |= dict.fromkeys(users, job.claimed_at)
        missing = [job.name for job, batches in zip(ledger.jobs, read, strict=True) if batches is None]
        doubt = f"Nothing is claimed until {', '.join(missing[:3])}, whose users are not known, is closed"
        return Flight(ledger, in_flight, doubt if missing else "")

    async def _batches(self, objects: PolicyObjects, policy: PolicyRef, job: OpenJob) -> Batches | None:
        async def read() -> Batches | None:
            body = await objects.batch_file(job.name)
            if body is None:
                return None
            try:
                file = read_batch_file(body, policy)
            except ValueError:
                return None
            return tuple(file.user_ids([index]) for index in range(len(file.batches)))

        return await self._files.get((policy.uid, job.name), read)
