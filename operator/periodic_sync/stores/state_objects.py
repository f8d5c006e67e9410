"""The ConfigMaps that hold a policy's state: their names, labels and owner, and what is read from them."""

from dataclasses import dataclass

from periodic_sync.api.names import POLICY_LABEL, ROLE_LABEL, Role
from periodic_sync.core import objects as core
from periodic_sync.stores.base import Owner, StoreNotReady
from periodic_sync.stores.mirror import Object, Selection
from periodic_sync.stores.state_format import FORMAT, decode, decode_marks
from periodic_sync.stores.state_plan import Part, is_part

GONE = "gone"
"""The part that holds since when users are gone, and no states."""


@dataclass(frozen=True, slots=True)
class Marks:
    """Since when users are gone, by user id, in milliseconds; `version` as in `Part`."""

    since: dict[str, int]
    version: str | None = None


@dataclass(frozen=True, slots=True)
class StateObjects:
    """Makes and reads the state ConfigMaps of one policy."""

    namespace: str
    owner: Owner

    def name(self, part: str) -> str:
        """At most 63 characters with a policy name of 40."""
        return f"{self._prefix()}{part}"

    def selection(self) -> Selection:
        labels = f"{POLICY_LABEL}={self.owner.name},{ROLE_LABEL}={Role.STATE.value}"
        return Selection(self.namespace, labels, is_ours=self._is_ours)

    def body(self, part: str, text: str, *, version: str | None, spent: int = 0) -> Object:
        """The object to write, as a compare-and-swap where there is a version. spent: as in `Part`."""
        metadata = core.metadata(self._policy, self.name(part), role=Role.STATE)
        if version is not None:
            metadata["resourceVersion"] = version
        data = {"version": FORMAT, "users": text, **({"spent": str(spent)} if spent else {})}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}

    def read(self, body: Object, _before: Part | Marks | None = None) -> Part | Marks:
        """Raises: StoreNotReady where this release can't read it."""
        metadata, data = body["metadata"], body.get("data") or {}
        name, version = metadata["name"], metadata["resourceVersion"]
        where = f"ConfigMap {self.namespace}/{name}, which holds what the operator knows of users"
        undo = "or delete it, and users of whom nothing else is known are synced once more"
        if (found := data.get("version")) != FORMAT:
            told = "has no version" if found is None else f"is in the format {str(found)[:20]!r}"
            raise StoreNotReady(
                f"{where}, {told}, and this release reads {FORMAT!r}: run the release that wrote it, {undo}"
            )
        text = data.get("users", "")
        try:
            if self.part(name) == GONE:
                return Marks(decode_marks(text), version)
            return Part(decode(text), version, len(text), _count(data.get("spent")))
        except ValueError as error:
            raise StoreNotReady(f"{where}, was changed by hand: in data.users {error}; put it right, {undo}") from None

    def part(self, name: str) -> str:
        return name.removeprefix(self._prefix())

    def in_the_way(self, part: str) -> StoreNotReady:
        """What to say when an object of that name exists and is not seen among this policy's."""
        return StoreNotReady(
            f"ConfigMap {self.namespace}/{self.name(part)} exists, but its labels or owner are not those of the state "
            f"of SyncPolicy {self.owner.name}: delete it, or give them back to it as "
            "docs/reference/configmap-store.md shows"
        )

    @property
    def _policy(self) -> core.PolicyRef:
        return core.PolicyRef(self.namespace, self.owner.name, self.owner.uid)

    def _prefix(self) -> str:
        return f"{core.name_prefix(self.owner.name, self.owner.uid)}state-"

    def _is_ours(self, metadata: Object) -> bool:
        """Objects of a policy of the same name that was deleted are left to the garbage collector."""
        owners = metadata.get("ownerReferences") or []
        part = self.part(metadata["name"])
        return any(owner.get("uid") == self.owner.uid for owner in owners) and (part == GONE or is_part(part))


def _count(text: object) -> int:
    return int(text) if isinstance(text, str) and text.isascii() and text.isdecimal() else 0
