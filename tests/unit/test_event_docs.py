"""The reference of live events, and the client for browsers, name what there is."""

import re
from dataclasses import MISSING, fields

from cluster_support import ROOT
from periodic_sync.api.names import Priority
from periodic_sync.core.events import TYPES, UserFailed
from periodic_sync.server.events import hub, route, socket
from periodic_sync.server.events.entering import SUBPROTOCOL, TOKEN_SUBPROTOCOL
from periodic_sync.server.events.leaving import Leave
from periodic_sync.server.events.messages import shown
from periodic_sync.telemetry import api_definitions

REFERENCE = (ROOT / "docs/reference/live-events.md").read_text()
SCRIPT = (ROOT / "examples/events/events.js").read_text()
BY_LIBRARY = {1009, 1011, 1012}


def test_the_reference_lists_every_type_with_its_fields() -> None:
    rows = dict(re.findall(r"^\| `([a-z.]+)` \| (.*?) \|", REFERENCE, re.MULTILINE))
    assert rows.keys() == {kind.TYPE for kind in TYPES}
    for kind in TYPES:
        example = kind(*(_some(each.type) for each in fields(kind) if each.default is MISSING))  # type: ignore[call-arg]
        assert re.findall(r"`(\w+)`", rows[kind.TYPE]) == [name for name in shown(example) if name != "type"]


def _some(kind: object) -> object:
    return Priority.HIGH if kind is Priority else 1 if kind is not str else "some"


def test_a_failure_that_is_tried_again_at_once_says_so() -> None:
    assert shown(UserFailed("ada", 0, 1, None))["retryAt"] is None


def test_the_reference_lists_every_close_code() -> None:
    told = {int(code) for code in re.findall(r"^\| (\d{4}) \|", REFERENCE, re.MULTILINE)}
    assert told == {leave.code for leave in Leave if not leave.has_left} | BY_LIBRARY
    assert {leave.shown for leave in Leave} <= set(api_definitions.VALUES["code"])
    assert all(len(leave.reason.encode()) <= 123 for leave in Leave)  # more does not fit into a close frame


def test_the_client_for_browsers_has_the_server_s_words() -> None:
    assert f'"{SUBPROTOCOL}"' in SCRIPT
    assert f'"{TOKEN_SUBPROTOCOL}"' in SCRIPT
    assert f"NOT_ALLOWED = {Leave.NOT_ALLOWED.code}" in SCRIPT
    assert f"NO_SUCH_POLICY = {Leave.NO_SUCH_POLICY.code}" in SCRIPT
    page = (ROOT / "examples/events/index.html").read_text()
    assert set(re.findall(r'^    "([a-z.]+)":', page, re.MULTILINE)) == {kind.TYPE for kind in TYPES} - {
        "gap",
        "bookmark",
    }


def test_figures_of_the_reference_are_those_of_the_code() -> None:
    assert f"last {hub.RING_BYTES >> 20} MiB" in REFERENCE
    assert f"takes nothing for {route.STALL_SECONDS:g} s" in REFERENCE
    assert f"said within {socket.FLUSH_SECONDS:g} s" in REFERENCE
    assert f"{route.MOST_CATCHING_UP} readers who catch up" in REFERENCE
