"""The keys of one policy's users in Redis. What each holds is told in docs/reference/redis-store.md."""

from hashlib import blake2b

LAYOUT_VERSION = 1
"""Of everything under one prefix. A store of another version is left alone."""

_TAG_BYTES = 2


class Keys:
    """Made from `spec.store.redis.keyPrefix`, with which each begins, so that ACLs and SCAN can go by it.

    In a cluster one policy's keys have to be in one slot, and those of many policies spread: they share a hash tag,
    and a prefix has no braces of its own.
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.base = f"{prefix}{{{_tag(prefix)}}}"
        self.shared = tuple(
            f"{self.base}{name}"
            for name in ("meta", "seen", "due", "retry", "asked", "queue", "classes", "broken", "events")
        )
        """What every script is given, in this order."""
        self.meta = self.shared[0]
        """A hash about the store as a whole."""
        self.events = self.shared[8]
        """A stream of what became of users."""
        self._user = f"{self.base}u:"

    def user(self, user_id: str) -> str:
        """A hash with all there is of one user."""
        return self._user + user_id


def _tag(prefix: str) -> str:
    return blake2b(prefix.encode(), digest_size=_TAG_BYTES).hexdigest()


SEEN, DUE, RETRY, ASKED, QUEUE, BROKEN = 2, 3, 4, 5, 6, 8
"""Places of sorted sets among `Keys.shared`, counted as Lua does."""
