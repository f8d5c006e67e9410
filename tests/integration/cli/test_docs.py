"""The commands of the how-to pages about the command line, as a reader types them, on a real API server."""

import asyncio
import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from cluster_support import KUBECTL, ROOT, Kubectl

_RUN = re.compile(r"^```sh run\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SHOWN = re.compile(r"^```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HOW_TO = ROOT / "docs" / "how-to"


@pytest.fixture
def commands(tmp_path: Path) -> Path:
    """A folder with both commands, and beside it the examples, from which no file is written into the checkout."""
    folder = tmp_path / "bin"
    folder.mkdir()
    assert KUBECTL
    (folder / "kubectl").symlink_to(KUBECTL)
    for name in ("periodic-sync", "kubectl-syncpolicy"):
        program = folder / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m periodic_sync.cli.main "$@"\n')
        program.chmod(0o755)
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    return folder


async def run(page: str, commands: Path, kubectl: Kubectl, *, at_least: int) -> str:
    """All blocks of a page, one after the other. Returns: what they printed."""
    text = (HOW_TO / page).read_text()
    blocks = _RUN.findall(text)
    assert len(blocks) >= at_least
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-euo",
        "pipefail",
        "-c",
        "\n".join(blocks),
        cwd=commands.parent,
        env={
            **os.environ,
            "KUBECONFIG": str(kubectl.kubeconfig),
            "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT / "operator"),
            "COLUMNS": "120",
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    for shown in _SHOWN.findall(text):
        assert shown in out.decode()
    return out.decode()


@pytest.mark.usefixtures("crd")
async def test_the_page_about_lint(commands: Path, kubectl: Kubectl) -> None:
    assert "refused\n" in await run("lint.md", commands, kubectl, at_least=3)


@pytest.mark.usefixtures("crd")
async def test_the_page_about_the_old_service_s_settings(commands: Path, kubectl: Kubectl) -> None:
    out = await run("convert-settings.md", commands, kubectl, at_least=2)
    assert "errors: 0, warnings: 0, advice: 0" in out
    assert "syncpolicy.sync.moonx.farm/portfolios created (server dry run)" in out


@pytest.mark.usefixtures("crd")
async def test_the_page_about_check(commands: Path, kubectl: Kubectl) -> None:
    await run("check.md", commands, kubectl, at_least=1)
    lines = json.loads((commands.parent / "check.json").read_text())
    assert {"result": "ok", "topic": "CRD"}.items() <= next(it for it in lines if it["topic"] == "CRD").items()


@pytest.mark.usefixtures("crd")
async def test_the_page_about_report(commands: Path, kubectl: Kubectl) -> None:
    assert "README.txt" in await run("report.md", commands, kubectl, at_least=1)
