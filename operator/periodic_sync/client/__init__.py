"""The library with which applications tell a policy's store about their users: docs/reference/client.md.

Whatever is named here is public: its names and meanings change only with a line in the changelog.
"""

from periodic_sync.client.client import Client
from periodic_sync.client.errors import (
    InvalidImportError,
    InvalidUserError,
    StoreUnavailableError,
    UnknownUserError,
)
from periodic_sync.client.importing import BadLine, ImportProgress, ImportReport
from periodic_sync.client.users import Removal, SyncState, User, UserPage

__all__ = [
    "BadLine",
    "Client",
    "ImportProgress",
    "ImportReport",
    "InvalidImportError",
    "InvalidUserError",
    "Removal",
    "StoreUnavailableError",
    "SyncState",
    "UnknownUserError",
    "User",
    "UserPage",
]
