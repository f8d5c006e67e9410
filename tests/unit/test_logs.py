"""Log lines for machines and for people."""

import json
import logging
import sys

import pytest

from periodic_sync.controller import logs


def record(message: str = "batch done", *arguments: object, **said: object) -> logging.LogRecord:
    made = logging.makeLogRecord({"msg": message, "args": arguments, "name": "periodic_sync.test", "levelname": "INFO"})
    made.created = 1_795_608_000.25
    made.__dict__.update(said)
    return made


def line(made: logging.LogRecord) -> dict[str, object]:
    text = logs.JsonLines().format(made)
    assert "\n" not in text
    parsed: dict[str, object] = json.loads(text)
    return parsed


def failure() -> logging.LogRecord:
    try:
        raise RuntimeError("broken\nin two lines")
    except RuntimeError:
        return record("turn failed", exc_info=sys.exc_info())


def test_a_json_line_holds_when_where_what_and_what_was_said_beside() -> None:
    assert line(record("%s users", 3, policy="shop/portfolios", synced=3)) == {
        "time": "2026-11-25T12:00:00.250+00:00",
        "level": "info",
        "logger": "periodic_sync.test",
        "message": "3 users",
        "policy": "shop/portfolios",
        "synced": 3,
    }


@pytest.mark.parametrize("extra", ["settings", "k8s_ref", "k8s_skip", "taskName", "asctime"])
def test_what_others_hang_on_a_record_is_left_out(extra: str) -> None:
    assert extra not in line(record(**{extra: object()}))


def test_a_value_that_is_no_json_is_told_in_words() -> None:
    assert line(record(error=ValueError("no")))["error"] == "no"


def test_a_fault_is_told_with_its_traceback_in_one_line() -> None:
    assert "RuntimeError: broken\nin two lines" in str(line(failure())["exception"])


def test_words_for_people() -> None:
    assert logs.Words().format(record(users=3, priority="high")) == "12:00:00 INFO    batch done  users=3 priority=high"
    assert logs.Words().format(record()) == "12:00:00 INFO    batch done"
    assert "RuntimeError: broken" in logs.Words().format(failure())


@pytest.fixture
def untouched() -> object:
    """The root logger as it was, after the test."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before


@pytest.mark.usefixtures("untouched")
def test_setting_up_writes_json_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up(style="json", level="info")
    logging.getLogger("periodic_sync.test").info("hello")
    logging.getLogger("periodic_sync.test").debug("not this")
    logging.getLogger("kopf.objects").info("nor this")
    (said,) = capsys.readouterr().out.splitlines()
    assert json.loads(said)["message"] == "hello"
