"""`python -m periodic_sync.worker` as the pod runs it: environment in; exit code, termination message and log out."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from periodic_sync.core.calls import CallOutcome, read_calls
from worker_support import Service, running_service

SOURCE = Path(__file__).parents[2] / "operator"
PATIENCE = 60  # seconds until a process that should have ended is called hung; nothing is measured by it


class Pod:
    """Stands for the pod: the batch file, the variables and the termination log."""

    def __init__(self, folder: Path, service: Service) -> None:
        self.batch = folder / "batch.json"
        self.message = folder / "termination-log"
        self.variables = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(SOURCE),
            "SYNC_BATCH_FILE": str(self.batch),
            "SYNC_TERMINATION_LOG": str(self.message),
            "SYNC_HTTP": json.dumps({"url": service.url, "attempts": 1, "concurrency": 1}),
        }

    def write_batch(self, count: int) -> list[str]:
        ids = [f"u{number}" for number in range(count)]
        users = [{"id": id, "wallet": f"0xWALLET{id}", "tokens": []} for id in ids]
        head = {"version": 1, "policy": "portfolios", "namespace": "default", "batch": "b1", "priority": "high"}
        self.batch.write_text(json.dumps({**head, "users": users}))
        return ids

    async def start(self) -> Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "periodic_sync.worker", env=self.variables, stdout=PIPE, stderr=PIPE
        )

    async def finish(self, process: Process) -> tuple[int, str, str]:
        async with asyncio.timeout(PATIENCE):
            out, err = await process.communicate()
        assert process.returncode is not None
        assert "WALLET" not in out.decode() + err.decode()
        return process.returncode, out.decode(), err.decode()

    async def run(self) -> tuple[int, str, str]:
        return await self.finish(await self.start())


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with running_service(lambda: 0.0) as service:
        yield service


@pytest.fixture
def pod(tmp_path: Path, service: Service) -> Pod:
    return Pod(tmp_path, service)


async def test_all_synced_is_exit_0_and_one_summary_line(pod: Pod, service: Service) -> None:
    ids = pod.write_batch(3)
    code, out, err = await pod.run()
    assert (code, err) == (0, "")
    calls = read_calls(pod.message.read_text())
    assert calls is not None
    assert (calls.retries, sum(calls.by_outcome[CallOutcome.OK].counts)) == (0, 3)
    assert service.users == ids
    (line,) = map(json.loads, out.splitlines())
    assert (line["message"], line["users"], line["synced"], line["failed"]) == ("batch done", 3, 3, 0)
    assert (line["policy"], line["batch"], line["interrupted"]) == ("portfolios", "b1", False)


async def test_some_failed_is_exit_1_and_the_message_says_who(pod: Pod, service: Service) -> None:
    pod.write_batch(3)
    service.script("u1", 422)
    code, out, _ = await pod.run()
    assert code == 1
    message = json.loads(pod.message.read_text())
    assert list(message["failed"]) == ["u1"]
    assert message["failed"]["u1"].startswith("HTTP 422")
    assert [json.loads(line)["message"] for line in out.splitlines()] == ["user failed", "batch done"]


async def test_sigterm_lets_the_call_finish_and_reports_the_rest(pod: Pod, service: Service) -> None:
    ids = pod.write_batch(500)
    release = asyncio.Event()

    async def wait(_: web.Request) -> web.StreamResponse:
        await release.wait()
        return web.Response()

    service.script("u0", wait)
    process = await pod.start()
    async with asyncio.timeout(PATIENCE):
        await service.arrived.wait()
    process.send_signal(signal.SIGTERM)
    release.set()
    code, out, _ = await pod.finish(process)
    assert code == 1
    message = json.loads(pod.message.read_text())
    assert set(message["failed"].values()) == {"interrupted"}
    assert message["failedIndexes"].endswith("-499")
    # The signal and the answer race, so how many calls were made is open; that nobody is told wrongly is not.
    synced = len(service.calls)
    assert service.users == ids[:synced]
    assert next(iter(message["failed"])) == ids[synced]
    assert json.loads(out.splitlines()[-1])["synced"] == synced


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("SYNC_HTTP", "", "SYNC_HTTP is not set"),
        ("SYNC_HTTP", '{"url":"nowhere"}', "url: must be an http:// or https:// address"),
        ("SYNC_DEADLINE_SECONDS", "soon", "SYNC_DEADLINE_SECONDS is 'soon'"),
    ],
)
async def test_bad_settings_are_exit_2_and_fail_everyone_with_the_reason(
    pod: Pod, service: Service, variable: str, value: str, sentence: str
) -> None:
    pod.write_batch(1000)
    pod.variables[variable] = value
    code, out, err = await pod.run()
    assert (code, out) == (2, "")
    assert sentence in err
    message = json.loads(pod.message.read_text())
    assert message["failed"]["u0"].startswith("bad set-up: ")
    assert message["failedIndexes"] == f"{len(message['failed'])}-999"
    assert service.calls == []


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(None, "No such file or directory"), ("{}", "the batch file is no batch of version 1: version: Field required")],
)
async def test_an_unreadable_batch_is_exit_2_with_a_sentence_that_blames_nobody(
    pod: Pod, content: str | None, sentence: str
) -> None:
    if content is not None:
        pod.batch.write_text(content)
    code, _, err = await pod.run()
    assert code == 2
    assert sentence in err
    assert sentence in pod.message.read_text()
    assert not pod.message.read_text().startswith("{")


async def test_a_missing_batch_variable_is_exit_2(pod: Pod) -> None:
    del pod.variables["SYNC_BATCH_FILE"]
    code, _, err = await pod.run()
    assert code == 2
    assert "SYNC_BATCH_FILE is not set: it names the batch file" in err


async def test_results_that_cannot_be_written_are_said_on_standard_error(pod: Pod, service: Service) -> None:
    pod.write_batch(1)
    service.script("u0", 404)
    pod.variables["SYNC_TERMINATION_LOG"] = str(pod.message / "missing")
    code, _, err = await pod.run()
    assert code == 2
    assert "set SYNC_TERMINATION_LOG to the container's terminationMessagePath" in err


async def test_starting_loads_neither_the_operator_framework_nor_the_kubernetes_client() -> None:
    program = "import sys, periodic_sync.worker.main; print(*sys.modules)"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, env={"PYTHONPATH": str(SOURCE)}, stdout=PIPE
    )
    out, _ = await process.communicate()
    loaded = out.decode().split()
    assert "aiohttp" in loaded
    assert not {"kopf", "kubernetes", "yaml", "redis", "periodic_sync.api.spec"} & set(loaded)
