"""What a reader shows at the door: a token, in either of two places, and where it wants to go on."""

import base64
import binascii
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from periodic_sync.core.event_marks import Cursor, read_id
from periodic_sync.server.problems import Problem, unavailable

SUBPROTOCOL = "events.sync.moonx.farm"
TOKEN_SUBPROTOCOL = "base64url.bearer.authorization.k8s.io."
"""Followed by the token, as browsers tell it to Kubernetes' own API server: they can't set headers."""
RETRY_SECONDS = 10


def authorization_of(header: str, subprotocols: Sequence[str]) -> str:
    """The header, or what stands for it. Raises: Problem."""
    tokens = [name.removeprefix(TOKEN_SUBPROTOCOL) for name in subprotocols if name.startswith(TOKEN_SUBPROTOCOL)]
    if header or not tokens:
        return header
    if SUBPROTOCOL not in subprotocols:
        raise Problem(400, "NoSubprotocol", f"Beside the token offer the subprotocol {SUBPROTOCOL}, which is answered")
    try:
        token = base64.b64decode(tokens[0] + "=" * (-len(tokens[0]) % 4), altchars="-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        raise Problem(
            401, "TokenNotAccepted", "The token in the subprotocol is no base64url: leave out the = at its end"
        ) from None
    return f"Bearer {token}"


def cursor_of(after: str) -> Cursor | None:
    """Of the query `after`; None: from now on. Raises: Problem."""
    if not after:
        return None
    try:
        return read_id(after)
    except ValueError:
        raise Problem(
            422, "Invalid", "`after` is the id of an event, as it was given; without it, events begin now"
        ) from None


@dataclass(slots=True)
class Readers:
    """How many there are, in all and of one account."""

    most: int
    most_of_one: int
    _of_one: Counter[str] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        return self._of_one.total()

    @contextmanager
    def one_more(self, account: str) -> Iterator[None]:
        """Raises: Problem where there are enough."""
        if self.total >= self.most:
            raise unavailable(
                "TooManyReaders", "As many read events here as may: try again later", seconds=RETRY_SECONDS
            )
        if self._of_one[account] >= self.most_of_one:
            raise Problem(
                429,
                "TooManyReaders",
                f"This account reads {self.most_of_one} times already: end one of them first",
                headers={"Retry-After": str(RETRY_SECONDS)},
            )
        self._of_one[account] += 1
        try:
            yield
        finally:
            self._of_one[account] -= 1
            if not self._of_one[account]:
                del self._of_one[account]
