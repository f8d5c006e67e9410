"""What a shell completes from the cluster: names of policies and of namespaces. Silent, whatever goes wrong."""

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from periodic_sync.kube.resources import Resource

PATIENCE_SECONDS = 2.0
"""Whoever presses Tab is waiting."""


def policies(context: typer.Context, incomplete: str) -> list[str]:
    from periodic_sync.kube.resources import SYNC_POLICIES

    return _names(context, SYNC_POLICIES, incomplete, inside=True)


def namespaces(context: typer.Context, incomplete: str) -> list[str]:
    from periodic_sync.kube.resources import NAMESPACES

    return _names(context, NAMESPACES, incomplete, inside=False)


def _names(context: typer.Context, resource: "Resource", incomplete: str, *, inside: bool) -> list[str]:
    given = context.params
    try:
        found = asyncio.run(_asked(given, resource, inside=inside))
    except BaseException:
        return []
    return sorted(name for name in found if name.startswith(incomplete))


async def _asked(given: dict[str, Any], resource: "Resource", *, inside: bool) -> list[str]:
    from periodic_sync.cli.session import session

    async with (
        asyncio.timeout(PATIENCE_SECONDS),
        session(given.get("kubeconfig"), given.get("context"), given.get("namespace")) as opened,
    ):
        items = await opened.client.list(resource, opened.namespace if inside else None, metadata_only=True)
    return [item["metadata"]["name"] for item in items]


FILES_TOO = 0
NO_FILES = 4
"""What kubectl may do besides, in the numbers of its completion."""


def kubectl_complete_syncpolicy() -> int:
    """`kubectl_complete-syncpolicy`, which kubectl calls to complete `kubectl syncpolicy`: with all words, the last one
    being what was typed so far."""
    words = sys.argv[1:]
    lines = completions(words)
    for line in lines:
        print(line)
    takes_files = bool(words) and words[0] in ("lint", "convert-env", "import", "export", "report")
    print(f":{FILES_TOO if takes_files and not lines else NO_FILES}")
    return 0


def completions(words: list[str]) -> list[str]:
    """Each as `value<Tab>what it is`. words: the last one is incomplete."""
    import contextlib
    import io
    import os
    import shlex

    from periodic_sync.cli.main import app

    # Fish's protocol is the one that kubectl's has the form of.
    asked = {
        "_PERIODIC_SYNC_COMPLETE": "complete_fish",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        "_TYPER_COMPLETE_ARGS": " ".join(["periodic-sync", *map(shlex.quote, words[:-1]), words[-1] if words else ""]),
    }
    before = dict(os.environ)
    printed = io.StringIO()
    try:
        os.environ.update(asked)
        with (
            contextlib.redirect_stdout(printed),
            contextlib.redirect_stderr(io.StringIO()),
            contextlib.suppress(SystemExit),
        ):
            app(args=[], prog_name="periodic-sync")
    finally:
        os.environ.clear()
        os.environ.update(before)
    return [line for line in printed.getvalue().splitlines() if line.strip()]


if __name__ == "__main__":
    sys.exit(kubectl_complete_syncpolicy())
