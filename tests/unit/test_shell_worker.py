"""examples/shell-worker, run by sh on real batch files."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

EXAMPLE = Path(__file__).parents[2] / "examples" / "shell-worker"
PATIENCE = 60  # seconds until a script that should have ended is called hung; nothing is measured by it

AWKWARD = """{"users" : [ {"tokens":["id",{"id":"zz","wallet":"no"}], "wallet":"0x,}]:{1", "id":"u:1@x.y_z-"},
  {"id":"u2","wallet":""},{"id": "u3" ,"extra":{"id":"no"},"wallet":"0x3"}], "more":[[{"id":"no"}]], "version": 1 }"""


class Shell:
    """A folder with a batch file and a command that stands for syncing one user."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.batch = folder / "batch.json"
        self.message = folder / "termination-log"
        self.seen = folder / "seen"
        self.command = folder / "one.sh"

    def start(self, one: str, **variables: str) -> "subprocess.Popen[str]":
        self.command.write_text(f'echo "$1|$2" >>{self.seen}\n{one}\n')
        environment = {
            "PATH": "/usr/bin:/bin",
            "SYNC_BATCH_FILE": str(self.batch),
            "SYNC_TERMINATION_LOG": str(self.message),
            "SYNC_COMMAND": f"sh {self.command}",
            **variables,
        }
        command = ["sh", str(EXAMPLE / "worker.sh")]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self, one: str, **variables: str) -> tuple[int, str]:
        process = self.start(one, **variables)
        _, err = process.communicate(timeout=PATIENCE)
        return process.returncode, err

    def calls(self) -> list[str]:
        return self.seen.read_text().splitlines() if self.seen.exists() else []

    def failed(self) -> dict[str, Any]:
        return json.loads(self.message.read_text())  # type: ignore[no-any-return]


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def batch(*users: Mapping[str, object], **separators: Any) -> str:
    return json.dumps({"version": 1, "policy": "p", "batch": "b", "priority": "high", "users": users}, **separators)


def test_every_user_is_passed_on_in_order_whatever_the_json_looks_like(shell: Shell) -> None:
    shell.batch.write_text(AWKWARD)
    assert shell.run("exit 0")[0] == 0
    assert shell.calls() == ["u:1@x.y_z-|0x,}]:{1", "u2|", "u3|0x3"]
    assert not shell.message.exists()


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_who_failed_and_why_is_in_the_termination_message(shell: Shell, separators: tuple[str, str]) -> None:
    users = [{"id": f"u{number}", "wallet": f"0xW{number}", "tokens": []} for number in range(5)]
    shell.batch.write_text(batch(*users, separators=separators))
    one = """case $1 in
    u1) echo working; echo 'rpc "timeout"'; exit 1 ;;
    u2) exit 7 ;;
    u3) echo "no balance for $2"; exit 1 ;;
    esac"""
    code, err = shell.run(one)
    assert code == 1
    assert shell.failed() == {
        "version": 1,
        "failed": {"u1": "rpc timeout", "u2": "exit status 7", "u3": "exit status 1"},
        "failedIndexes": "",
    }
    assert "0xW" not in err


def test_a_wallet_that_is_escaped_in_the_batch_fails_that_user_alone(shell: Shell) -> None:
    shell.batch.write_text(batch({"id": "u1", "wallet": 'a"b'}, {"id": "u2", "wallet": "0x2"}))
    assert shell.run("exit 0")[0] == 1
    assert shell.calls() == ["u2|0x2"]
    assert shell.failed()["failed"] == {"u1": "wallet with escaped characters"}


def test_a_batch_of_1000_that_all_fail_fits(shell: Shell) -> None:
    ids = [f"{number:04d}".rjust(128, "u") for number in range(1000)]
    shell.batch.write_text(batch(*({"id": id, "wallet": "0x1", "tokens": []} for id in ids)))
    assert shell.run("", SYNC_COMMAND="false")[0] == 1
    assert len(shell.message.read_bytes()) <= 4096
    message = shell.failed()
    told = {ids.index(id) for id in message["failed"]} | {int(each) for each in message["failedIndexes"].split(",")}
    assert told == set(range(1000))


def test_sigterm_lets_the_running_user_finish_and_reports_the_rest(shell: Shell) -> None:
    shell.batch.write_text(batch(*({"id": f"u{number}", "wallet": "0x1"} for number in range(3))))
    gate = shell.folder / "gate"
    os.mkfifo(gate)
    process = shell.start(f"echo here >{gate}; read -r _ <{gate}")
    gate.read_text()  # returns when the first user is being synced
    process.send_signal(signal.SIGTERM)
    gate.write_text("go\n")
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert shell.calls() == ["u0|0x1"]
    assert shell.failed()["failed"] == {"u1": "interrupted", "u2": "interrupted"}


def test_past_the_time_limit_nobody_is_started(shell: Shell) -> None:
    shell.batch.write_text(batch({"id": "u1", "wallet": "0x1"}))
    assert shell.run("exit 0", SYNC_DEADLINE_SECONDS="0")[0] == 1
    assert (shell.calls(), shell.failed()["failed"]) == ([], {"u1": "deadline"})


@pytest.mark.parametrize("content", [None, "", "{}", '{"version":2,"users":[]}', '{"version":1,"users":[{"id":"u1"'])
def test_a_batch_that_cannot_be_read_is_exit_2_with_a_sentence(shell: Shell, content: str | None) -> None:
    if content is not None:
        shell.batch.write_text(content)
    code, err = shell.run("exit 0")
    assert (code, shell.calls()) == (2, [])
    assert "the batch file" in err
    assert "the batch file" in shell.message.read_text()


def test_an_empty_batch_is_a_success(shell: Shell) -> None:
    shell.batch.write_text(batch())
    assert shell.run("exit 1")[0] == 0


def test_the_manifests_belong_together() -> None:
    kustomization, policy, template = (
        yaml.safe_load((EXAMPLE / name).read_text())
        for name in ("kustomization.yaml", "syncpolicy.yaml", "podtemplate.yaml")
    )
    users = yaml.safe_load((EXAMPLE / "users.yaml").read_text())
    spec, pod = policy["spec"], template["template"]["spec"]
    assert all((EXAMPLE / name).exists() for name in kustomization["resources"])
    assert spec["store"]["configMap"]["name"] == users["metadata"]["name"]
    assert spec["worker"]["podTemplate"]["name"] == template["metadata"]["name"]
    assert pod["volumes"][0]["configMap"]["name"] == kustomization["configMapGenerator"][0]["name"]
    script = Path(spec["worker"]["command"][1])
    assert str(script.parent) == pod["containers"][0]["volumeMounts"][0]["mountPath"]
    assert script.name in kustomization["configMapGenerator"][0]["files"]
    assert shutil.which(spec["worker"]["command"][0])
