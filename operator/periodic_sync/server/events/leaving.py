"""Why a connection is ended, as WebSocket's close codes. docs/reference/live-events.md lists them."""

from enum import Enum

from periodic_sync.telemetry.api_definitions import GONE


class Leave(Enum):
    """Code, and the reason that goes with it."""

    GONE = (1000, "")
    """The other side has left, or the server ends and has said so."""
    SAID_SOMETHING = (1003, "events are only read here: send nothing")
    NOT_KNOWN = (1013, "Kubernetes does not say whether you may still read: try again later")
    TOKEN_EXPIRED = (4401, "the token is not accepted any more: come back with a new one")
    NOT_ALLOWED = (4403, "the right to read these events was withdrawn")
    NO_SUCH_POLICY = (4404, "the SyncPolicy is gone")
    TOO_SLOW = (4408, "you read too slowly: come back with the last id")
    POLICY_REPLACED = (4409, "the policy was made anew, or has another store: come back with the last id")

    @property
    def code(self) -> int:
        return self.value[0]

    @property
    def reason(self) -> str:
        return self.value[1]

    @property
    def shown(self) -> str:
        """In logs and metrics."""
        return GONE if self.has_left else str(self.code)

    @property
    def has_left(self) -> bool:
        return self is Leave.GONE
