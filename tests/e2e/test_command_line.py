"""The commands of docs/how-to/see-and-steer.md, as a reader types them: a user is registered, synced and looked at."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster_support import ROOT, Kubectl
from live.pages import Page
from live.service import SyncService
from tasks.paths import BUILD


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`periodic-sync` on the PATH, as this checkout has it."""
    program = tmp_path / "periodic-sync"
    program.write_text(
        f'#!/bin/sh\nPYTHONPATH={ROOT / "operator"} exec {sys.executable} -m periodic_sync.cli.main "$@"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def cleared(cluster: Kubectl) -> Iterator[None]:
    yield
    cluster("delete", "namespace", "desk", "--ignore-not-found", "--wait=false")


def test_every_command_of_the_page_works(cluster: Kubectl, service: SyncService, command: None, cleared: None) -> None:
    page = Page("docs/how-to/see-and-steer.md")
    said = page.run(cluster.kubeconfig, instead={"periodic-sync-demo": service.namespace})
    for words in (
        "of these the operator's",  # simulate
        "ada is registered",
        "activity of 1 user is recorded",
        "1 user synced",
        "NotDue",  # why
        "desk/portfolios  enabled, ready (Scheduling)",
        "High    0 waiting  0 in flight",
        "DueRegular",  # the plan for later
        "portfolios is paused",
        "portfolios is enabled",
        "1 removed",
        "1 lines imported, 0 skipped",
    ):
        assert words in said, said
    assert service.users()["ada"]["synced"] >= 1
    shown = json.loads((BUILD / "status.json").read_text())["policies"]
    assert [each["name"] for each in shown if each["namespace"] == "desk"] == ["portfolios"]
    assert "0xa1" not in said
