"""What can go wrong with a call, as errors that say what to do. No text of theirs ever holds a wallet."""

from collections.abc import Iterator
from contextlib import contextmanager

from periodic_sync.api.errors import ApiError, ForbiddenError, UnavailableError
from periodic_sync.stores.base import StoreNotReady

_RIGHTS = "give its account get, list, create and patch on ConfigMaps there (docs/reference/client.md shows the role)"


class InvalidUserError(ValueError):
    """A value breaks the rules of user records. Nothing was sent to the store."""


class InvalidImportError(ValueError):
    """A stream as a whole is none that can be imported: its header lacks a column."""


class UnknownUserError(LookupError):
    """There is no such user in the store: register it first."""

    def __init__(self, user_id: str) -> None:
        super().__init__(f"user {user_id} is not registered: register it first")
        self.user_id = user_id


class StoreUnavailableError(Exception):
    """The store can't be relied on now; the text says what is wrong, and what to do.

    It may not be known whether the call was carried out. Calling again with the same does no harm.
    """


@contextmanager
def store_errors() -> Iterator[None]:
    """Errors of the layers below leave as StoreUnavailableError, with the original as `__cause__`."""
    try:
        yield
    except StoreNotReady as error:
        raise StoreUnavailableError(str(error)) from error
    except ForbiddenError as error:
        raise StoreUnavailableError(f"The API server does not allow this: {error}. If need be, {_RIGHTS}") from error
    except UnavailableError as error:
        raise StoreUnavailableError(f"The API server gives no answer to rely on ({error}): call again later") from error
    except ApiError as error:
        raise StoreUnavailableError(f"The API server refuses the request: {error}") from error
