"""Log lines: one JSON object each in production, words for people on a terminal."""

import json
import logging
import sys
from datetime import UTC, datetime

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_OF_KOPF = frozenset({"settings", "k8s_ref", "k8s_skip"})
"""What kopf hangs on its records: whole objects of its own, which no line should carry."""


def set_up(*, style: str, level: str) -> None:
    """`style`: json or text; `level`: debug, info or warning."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines() if style == "json" else Words())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for noisy in ("kopf.objects", "kopf.activities"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def extras(record: logging.LogRecord) -> dict[str, object]:
    """What the caller said beside the message."""
    return {key: value for key, value in record.__dict__.items() if key not in _STANDARD and key not in _OF_KOPF}


class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **extras(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class Words(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S")
        said = " ".join(f"{key}={value}" for key, value in extras(record).items())
        line = f"{moment} {record.levelname:7} {record.getMessage()}  {said}".rstrip()
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line
