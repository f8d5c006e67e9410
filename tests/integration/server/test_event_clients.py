"""The clients that ship in examples/events, against a server: the script, and the one for browsers in Node."""

import asyncio
import json
import os
import shutil
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from cluster_support import ROOT
from periodic_sync.core.outcomes import Ending
from server_support import serving
from store_contract import NOW, outcome
from turns_support import until

from .conftest import Place
from .test_events import operator_of

EXAMPLES = ROOT / "examples" / "events"
PATIENCE = 30
IN_NODE = """
import {followEvents} from "%s/events.js";
console.error("reading");
followEvents({url: process.argv[2], token: async () => process.env.TOKEN, onGap: () => console.log('{"type": "gap"}'),
              onEvent: (event) => console.log(JSON.stringify(event)),
              onEnd: (code) => { console.log(JSON.stringify({type: "end", code})); }});
"""


@asynccontextmanager
async def running(*command: str, token: str) -> AsyncIterator[Process]:
    """A client as a process, gone with the block."""
    process = await asyncio.create_subprocess_exec(
        *command, env={**os.environ, "TOKEN": token}, stdout=PIPE, stderr=PIPE
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def next_event(process: Process) -> dict[str, Any]:
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE):
        return dict(json.loads(await process.stdout.readline()))


async def test_the_script_prints_events_and_comes_back_with_the_last_id(
    place: Place, account: Path, tmp_path: Path
) -> None:
    operator, _ = await operator_of(place)
    async with serving(account, tmp_path / "log") as server:
        command = (sys.executable, str(EXAMPLES / "follow.py"), f"{server.base}{place.path}/events")
        async with running(*command, token=place.tokens["watcher"]) as script:
            assert script.stderr is not None
            async with asyncio.timeout(PATIENCE):
                assert await script.stderr.readline() == b"reading\n"
            await operator.apply([outcome("u1")])
            assert (await next_event(script))["user"] == "u1"
            await server.end()
            await operator.apply([outcome("u2", Ending.FAILED)])
            await server.start()
            assert (await next_event(script))["user"] == "u2"


async def test_the_script_ends_where_coming_back_would_not_help(place: Place) -> None:
    script = await asyncio.create_subprocess_exec(
        *(sys.executable, str(EXAMPLES / "follow.py"), f"{place.server.base}{place.path}/events"),
        env={**os.environ, "TOKEN": place.tokens["nobody"]},
        stderr=PIPE,
    )
    async with asyncio.timeout(PATIENCE):
        _, said = await script.communicate()
    assert script.returncode == 1
    assert "may not watch syncpolicies/events" in said.decode()


async def test_the_client_for_browsers_does_the_same(place: Place, account: Path, tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no Node here")
    operator, _ = await operator_of(place)
    program = tmp_path / "client.mjs"
    program.write_text(IN_NODE % EXAMPLES)
    async with serving(account, tmp_path / "log") as server:
        url = f"{server.base.replace('http', 'ws', 1)}{place.path}/events"
        command = (node, "--experimental-websocket", str(program), url)
        async with running(*command, token=place.tokens["watcher"]) as client:

            async def is_read() -> bool:
                return '"open"' in server.log.read_text()

            await until(is_read)
            await operator.apply([outcome("u1")])
            assert (await next_event(client))["user"] == "u1"
            assert server.process is not None
            server.process.kill()
            await server.process.wait()
            await operator.apply([outcome("u2", claim=NOW + 1)])
            await server.start()
            assert (await next_event(client))["user"] == "u2"
