"""The batch file: the users that this pod is to sync."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from periodic_sync.api.wallets import holds_wallet

MAX_USERS = 1000  # the contract's bound; above it the positions of all who failed might not fit the termination message


class BatchError(ValueError):
    """The batch file can't be read. Its text is a sentence that quotes nothing from the file, which holds wallets."""


class User(BaseModel):
    """One user of a batch. `tokens` is a hint: the tokens that changed, or nothing for all of them."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str = Field(min_length=1)
    wallet: str = Field(default="", repr=False)
    tokens: tuple[Any, ...] = ()

    @property
    def public_id(self) -> str | None:
        """The id where it may be shown; None for someone whose id is or holds a wallet address, which never is."""
        return None if holds_wallet(self.id, self.wallet) else self.id


class Batch(BaseModel):
    """The contents of a batch file, version 1."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Literal[1]
    policy: str = ""
    namespace: str = ""
    batch: str = ""
    priority: str = ""
    users: tuple[User, ...] = Field(max_length=MAX_USERS)


def parse_batch(content: bytes) -> Batch:
    """Read a batch file's content.

    Raises: BatchError with a sentence.
    """
    try:
        return Batch.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "content"
        raise BatchError(f"the batch file is no batch of version 1: {where}: {first['msg']}") from None
