"""What a person is told when a command can't do what was asked."""

import asyncio
from pathlib import Path

import pytest
import typer

from periodic_sync.api.errors import ForbiddenError, UnavailableError
from periodic_sync.cli import main as cli
from periodic_sync.cli.errors import CommandError, explained, told
from periodic_sync.client import UnknownUserError

FORBIDDEN = (
    'syncpolicies.sync.moonx.farm "portfolios" is forbidden: User "ann" cannot patch resource "syncpolicies" in API '
    'group "sync.moonx.farm" in the namespace "shop"'
)


def test_a_right_that_is_lacking_is_named_with_how_to_see_it() -> None:
    assert explained(ForbiddenError(FORBIDDEN)) == (
        "ann may not patch syncpolicies.sync.moonx.farm in namespace shop: it takes that right, which "
        "`kubectl auth can-i patch syncpolicies.sync.moonx.farm -n shop` asks for, and a Role with the verb patch on "
        "syncpolicies.sync.moonx.farm gives"
    )
    everywhere = 'pods is forbidden: User "ann" cannot list resource "pods" in API group "" at the cluster scope'
    assert explained(ForbiddenError(everywhere)).startswith("ann may not list pods in all namespaces: ")
    assert "`kubectl auth can-i list pods -A`" in explained(ForbiddenError(everywhere))


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (CommandError("nobody is there"), 1, "periodic-sync why: nobody is there\n"),
        (UnknownUserError("u1"), 1, "periodic-sync why: user u1 is not registered: register it first\n"),
        (UnavailableError("no answer"), 1, "periodic-sync why: no answer\n"),
        (KeyboardInterrupt(), 130, "periodic-sync why: stopped\n"),
        (asyncio.CancelledError(), 130, "periodic-sync why: stopped\n"),
        (OSError(), 1, "periodic-sync why: OSError\n"),
    ],
)
def test_an_error_is_one_line_and_an_exit_code(
    capsys: pytest.CaptureFixture[str], error: BaseException, code: int, text: str
) -> None:
    with pytest.raises(typer.Exit) as ended, told("why"):
        raise error
    assert (ended.value.exit_code, capsys.readouterr().err) == (code, text)


def test_a_kubeconfig_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert cli.main(["why", "p", "u", "--kubeconfig", str(tmp_path / "none")]) == 1
    assert (
        capsys.readouterr().err == f"periodic-sync why: There is no kubeconfig {tmp_path}/none: correct --kubeconfig\n"
    )


def test_a_context_that_is_not_there_is_told_with_those_that_are(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "config"
    cluster = "clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\nusers: [{name: u, user: {}}]\n"
    contexts = "contexts: [{name: one, context: {cluster: c, user: u}}]\ncurrent-context: one\n"
    file.write_text(f"apiVersion: v1\nkind: Config\n{cluster}{contexts}")
    assert cli.main(["status", "--kubeconfig", str(file), "--context", "two"]) == 1
    assert "The kubeconfig has no context two: choose one of one\n" in capsys.readouterr().err
