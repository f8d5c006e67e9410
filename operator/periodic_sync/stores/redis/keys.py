"""The keys of one policy's users in Redis. What each holds is told in docs/redis-store.md."""

from dataclasses import dataclass
from hashlib import blake2b

LAYOUT_VERSION = 1
"""Of everything under one prefix. A store of another version is left alone."""

_TAG_BYTES = 2


@dataclass(frozen=True, slots=True)
class Keys:
    """Made from `spec.store.redis.keyPrefix`, with which each begins, so that ACLs and SCAN can go by it.

    In a cluster one policy's keys have to be in one slot, and those of many policies spread: they share a hash tag,
    which is the prefix's own where it has one.
    """

    prefix: str

    @property
    def base(self) -> str:
        opened = self.prefix.find("{")
        if opened >= 0 and self.prefix.find("}", opened) > opened + 1:
            return self.prefix
        return f"{self.prefix}{{{blake2b(self.prefix.encode(), digest_size=_TAG_BYTES).hexdigest()}}}"

    @property
    def meta(self) -> str:
        """A hash about the store as a whole."""
        return f"{self.base}meta"

    @property
    def shared(self) -> tuple[str, ...]:
        """What every script is given, in this order."""
        return tuple(
            f"{self.base}{name}" for name in ("meta", "seen", "due", "retry", "asked", "queue", "classes", "broken")
        )

    def user(self, user_id: str) -> str:
        """A hash with all there is of one user."""
        return f"{self.base}u:{user_id}"


SEEN, DUE, RETRY, ASKED, QUEUE, BROKEN = 2, 3, 4, 5, 6, 8
"""Places of sorted sets among `Keys.shared`, counted as Lua does."""
