"""The objects of one policy in the API server: batch files, Jobs and pods, told apart from those of its namesakes.

Every read is uncached. Objects of a policy that was deleted and made again carry the same labels but another UID; they
are not this policy's.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from periodic_sync.api.errors import NotFoundError
from periodic_sync.api.names import Role
from periodic_sync.core.objects import selector
from periodic_sync.core.reading import controller
from periodic_sync.kube.client import KubeClient, Object, Objects
from periodic_sync.kube.parallel import results
from periodic_sync.kube.resources import CONFIG_MAPS, JOBS, POD_TEMPLATES, PODS


@dataclass(frozen=True, slots=True)
class Mine:
    """Objects with the labels of this policy's own, by whether a controller owner reference names its UID."""

    own: Objects
    foreign: Objects


class Identity(NamedTuple):
    """One very object: a name alone may be another's by the time that a deletion arrives."""

    name: str
    uid: str


class PolicyObjects:
    """Everything that one policy made, except its ledger and its users' state."""

    def __init__(self, client: KubeClient, namespace: str, policy: str, uid: str) -> None:
        self._client = client
        self._namespace = namespace
        self._uid = uid
        self._label, self._batch_files = selector(policy), selector(policy, Role.BATCH)

    async def batch_file_metadata(self) -> Mine:
        return self._mine(
            await self._client.list(CONFIG_MAPS, self._namespace, labels=self._batch_files, metadata_only=True)
        )

    async def batch_file(self, name: str) -> Object | None:
        try:
            return await self._client.get(CONFIG_MAPS, self._namespace, name)
        except NotFoundError:
            return None

    async def jobs(self) -> Mine:
        return self._mine(await self._client.list(JOBS, self._namespace, labels=self._label))

    async def job(self, name: str) -> Object | None:
        """Whoever's it is."""
        try:
            return await self._client.get(JOBS, self._namespace, name)
        except NotFoundError:
            return None

    async def pods(self) -> Objects:
        """Of this policy's name: pods belong to a Job, and a Job's name tells the policy's UID."""
        return await self._client.list(PODS, self._namespace, labels=self._label)

    async def pod_template(self, name: str) -> Object:
        """Raises: NotFoundError."""
        return await self._client.get(POD_TEMPLATES, self._namespace, name)

    async def create_batch_file(self, body: Object) -> Identity:
        return identity((await self._client.create(CONFIG_MAPS, self._namespace, body))["metadata"])

    async def create_job(self, body: Object) -> None:
        await self._client.create(JOBS, self._namespace, body)

    async def delete_batch_files(self, files: Iterable[Identity]) -> None:
        await results(self._client.delete(CONFIG_MAPS, self._namespace, name, uid=uid) for name, uid in files)

    async def delete_jobs(self, jobs: Iterable[Identity]) -> None:
        await results(self._client.delete(JOBS, self._namespace, name, uid=uid) for name, uid in jobs)

    def _mine(self, objects: Objects) -> Mine:
        own = [item for item in objects if self.is_own(item)]
        return Mine(own, [item for item in objects if not self.is_own(item)])

    def is_own(self, item: Object) -> bool:
        """Whether this very policy, and no namesake, is its controller."""
        return controller(item["metadata"]).get("uid") == self._uid


def identity(metadata: Object) -> Identity:
    return Identity(metadata["name"], metadata["uid"])
