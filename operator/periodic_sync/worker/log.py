"""Log lines: one JSON object each, on standard output. No wallet, URL, body or token ever gets here."""

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TextIO


class Log:
    """Writes lines that all carry the same fields (policy, namespace, batch) after time, level and message."""

    def __init__(self, wall: Callable[[], float], stream: TextIO | None = None, **fields: object) -> None:
        self._wall = wall
        self._stream = stream
        self._fields = fields

    def info(self, message: str, **fields: object) -> None:
        self._write("info", message, fields)

    def warning(self, message: str, **fields: object) -> None:
        self._write("warning", message, fields)

    def error(self, message: str, **fields: object) -> None:
        self._write("error", message, fields)

    def _write(self, level: str, message: str, fields: dict[str, object]) -> None:
        time = datetime.fromtimestamp(self._wall(), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = {"time": time, "level": level, "message": message, **self._fields, **fields}
        print(json.dumps(line, default=str), file=self._stream or sys.stdout, flush=True)
