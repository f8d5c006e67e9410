"""The ledger during one turn: transitions are staged, and written together by one compare-and-swap."""

from periodic_sync.api.errors import ConflictError
from periodic_sync.core.ledger import Ledger
from periodic_sync.kube.ledgers import Ledgers, LedgerUnreadableError, Version


class OpenLedger:
    """What the turn believes to be the ledger. A lost race ends the turn, which then begins anew."""

    def __init__(self, ledgers: Ledgers, version: Version) -> None:
        self._ledgers = ledgers
        self._version = version
        self._staged = version.ledger

    @property
    def ledger(self) -> Ledger:
        """With what is staged."""
        return self._staged

    @property
    def is_written(self) -> bool:
        return self._staged == self._version.ledger

    def stage(self, ledger: Ledger) -> None:
        self._staged = ledger

    async def commit(self) -> None:
        """Write what is staged, if it changes anything. Raises: ConflictError where the race was lost, ApiError."""
        if not self.is_written:
            self._version = await self._ledgers.swap(self._version, self._staged)

    async def confirm(self) -> None:
        """Make sure that this is still the ledger. Raises: ConflictError where it is not, ApiError."""
        try:
            now = await self._ledgers.read()
        except LedgerUnreadableError as error:
            raise ConflictError(str(error)) from error
        if now is None or now.resource_version != self._version.resource_version:
            raise ConflictError("the ledger has changed since this turn read it")
