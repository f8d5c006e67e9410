"""Importing users from the lines of a CSV or NDJSON stream: one user a line, whatever is wrong with others."""

import csv
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from periodic_sync.client.backend import Backend, Clock
from periodic_sync.client.errors import InvalidImportError, InvalidUserError
from periodic_sync.client.values import fields_of_json, record_of_fields
from periodic_sync.core.users import UserRecord

NEEDED = ("userId", "wallet", "lastActive")
COLUMNS = (*NEEDED, "interval", "timeZone", "syncRequestedAt")
_MOST_LINES = 20_000
"""After so many something is written, or at least told, however few users are on them."""
SHOWN = 1_000
"""So many bad lines a report names; more are only counted."""


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that was not imported. number: of the line in the stream, from 1."""

    number: int
    reason: str

    def __str__(self) -> str:
        return f"line {self.number}: {self.reason}"


@dataclass(slots=True)
class ImportProgress:
    """How far an import has come."""

    lines: int = 0
    """Read so far, the header and empty ones too."""
    size: int = 0
    """Bytes of these; characters where the stream is of text."""
    imported: int = 0
    """Lines whose user is stored."""
    skipped: int = 0
    """Lines that were not imported."""


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What became of a stream."""

    imported: int
    """Lines whose user is stored. Two of one user are two."""
    skipped: int
    """Lines that were not imported."""
    bad_lines: tuple[BadLine, ...]
    """The first 1,000 of these."""


async def import_lines(
    stream: Iterable[str | bytes] | AsyncIterable[str | bytes],
    backend: Backend,
    clock: Clock,
    progress: Callable[[ImportProgress], None] | None,
) -> ImportReport:
    """See `Client.import_users`. Raises: InvalidImportError; as the backend does."""
    so_far, bad, reader = ImportProgress(), list[BadLine](), LineReader()
    batch, written_at = _Batch(), 0

    async def write() -> None:
        nonlocal written_at
        if batch.records:
            await backend.register(list(batch.records.values()))
        so_far.imported += batch.lines
        batch.clear()
        written_at = so_far.lines
        if progress:
            progress(replace(so_far))

    async for line in _each(stream):
        so_far.lines += 1
        so_far.size += len(line)
        try:
            record = reader.read(line, clock.now())
        except InvalidUserError as error:
            so_far.skipped += 1
            if len(bad) < SHOWN:
                bad.append(BadLine(so_far.lines, str(error)))
            record = None
        if record is not None:
            batch.add(record)
        if len(batch.records) >= backend.import_size or so_far.lines - written_at >= _MOST_LINES:
            await write()
    await write()
    return ImportReport(so_far.imported, so_far.skipped, tuple(bad))


class LineReader:
    """Reads lines one by one. The first that is not empty decides: one that begins with a brace is NDJSON, else CSV."""

    def __init__(self) -> None:
        self._is_first = True
        self._columns: list[str] | None = None

    def read(self, line: str | bytes, now: int) -> UserRecord | None:
        """Returns: None for a header or an empty line. Raises: InvalidUserError, InvalidImportError."""
        text = _text(line)
        if self._is_first:
            text = text.removeprefix("\ufeff")
        if not text.strip():
            return None
        if self._is_first:
            self._is_first = False
            if not text.lstrip().startswith("{"):
                self._columns = _header(text)
                return None
        fields = fields_of_json(text.strip()) if self._columns is None else _row(text, self._columns)
        return record_of_fields(fields, now)


@dataclass(slots=True)
class _Batch:
    """Users to be written together. Two lines of one user come to what they would one after the other."""

    records: dict[str, UserRecord] = field(default_factory=dict)
    lines: int = 0

    def add(self, record: UserRecord) -> None:
        before = self.records.get(record.user_id)
        self.records[record.user_id] = record if before is None else _after(before, record)
        self.lines += 1

    def clear(self) -> None:
        self.records.clear()
        self.lines = 0


def _after(before: UserRecord, record: UserRecord) -> UserRecord:
    asked = [at for at in (before.sync_requested_at, record.sync_requested_at) if at is not None]
    tokens = dict(before.changed_tokens)
    for token, at in record.changed_tokens.items():
        tokens[token] = max(at, tokens.get(token, at))
    return replace(
        record,
        last_active=max(before.last_active, record.last_active),
        sync_requested_at=max(asked, default=None),
        changed_tokens=tokens,
    )


async def _each(stream: Iterable[str | bytes] | AsyncIterable[str | bytes]) -> AsyncIterator[str | bytes]:
    if isinstance(stream, AsyncIterable):
        async for line in stream:
            yield line
    else:
        for line in stream:
            yield line


def _text(line: str | bytes) -> str:
    if isinstance(line, str):
        return line
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise InvalidUserError("the line is not UTF-8") from None


def _header(text: str) -> list[str]:
    try:
        columns = [name.strip() for name in _cells(text)]
    except InvalidUserError as error:
        raise InvalidImportError(f"the first line is no header of a CSV file: {error}") from None
    if missing := [name for name in NEEDED if name not in columns]:
        raise InvalidImportError(
            f"the first line is no header of a CSV file, since it lacks {', '.join(missing)}: write for example "
            f'{",".join(NEEDED)}; or, for NDJSON, an object such as {{"userId": …}} on each line'
        )
    if repeated := sorted({name for name in COLUMNS if columns.count(name) > 1}):
        raise InvalidImportError(f"the header names {', '.join(repeated)} more than once: leave one of each")
    return columns


def _row(text: str, columns: list[str]) -> Mapping[str, Any]:
    cells = _cells(text)
    if len(cells) != len(columns):
        raise InvalidUserError(f"the line has {len(cells)} columns, and the header {len(columns)}")
    return {name: cell for name, cell in zip(columns, cells, strict=True) if name in COLUMNS}


def _cells(text: str) -> list[str]:
    try:
        rows = list(csv.reader([text.rstrip("\r\n")], strict=True))
    except csv.Error:
        rows = []
    if len(rows) != 1:
        raise InvalidUserError("the line is no row of CSV: one user a line, and quotes closed and doubled inside")
    return rows[0]
