"""The commands of the how-to pages about the command line, as a reader types them, on a real API server."""

import asyncio
import json
import re
import shutil
from pathlib import Path

import pytest

from cli_support import with_commands
from cluster_support import ROOT, Kubectl

_RUN = re.compile(r"^```sh run\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SHOWN = re.compile(r"^```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HOW_TO = ROOT / "docs" / "how-to"


async def run(page: str, folder: Path, kubectl: Kubectl, *, at_least: int) -> str:
    """All blocks of a page, one after the other, in a folder of their own. Returns: what they printed."""
    environment = with_commands(folder / "bin")
    shutil.copytree(ROOT / "examples", folder / "examples")
    text = (HOW_TO / page).read_text()
    blocks = _RUN.findall(text)
    assert len(blocks) >= at_least
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-euo",
        "pipefail",
        "-c",
        "\n".join(blocks),
        cwd=folder,
        env={**environment, "KUBECONFIG": str(kubectl.kubeconfig), "HOME": str(folder)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    for shown in _SHOWN.findall(text):
        assert shown in out.decode()
    return out.decode()


@pytest.mark.usefixtures("crd")
async def test_the_page_about_lint(tmp_path: Path, kubectl: Kubectl) -> None:
    assert "refused\n" in await run("lint.md", tmp_path, kubectl, at_least=3)


@pytest.mark.usefixtures("crd")
async def test_the_page_about_the_old_service_s_settings(tmp_path: Path, kubectl: Kubectl) -> None:
    out = await run("convert-settings.md", tmp_path, kubectl, at_least=2)
    assert "errors: 0, warnings: 0, advice: 0" in out
    assert "syncpolicy.sync.moonx.farm/portfolios created (server dry run)" in out


@pytest.mark.usefixtures("crd")
async def test_the_page_about_check(tmp_path: Path, kubectl: Kubectl) -> None:
    await run("check.md", tmp_path, kubectl, at_least=1)
    lines = json.loads((tmp_path / "check.json").read_text())
    assert {"result": "ok", "topic": "CRD"}.items() <= next(it for it in lines if it["topic"] == "CRD").items()


@pytest.mark.usefixtures("crd")
async def test_the_page_about_report(tmp_path: Path, kubectl: Kubectl) -> None:
    assert "README.txt" in await run("report.md", tmp_path, kubectl, at_least=1)


@pytest.mark.usefixtures("crd")
async def test_the_page_about_completion(tmp_path: Path, kubectl: Kubectl) -> None:
    assert "pause\t" in await run("complete.md", tmp_path, kubectl, at_least=2)
    assert (tmp_path / ".bash_completions" / "periodic-sync.sh").is_file()
