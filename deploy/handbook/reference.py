"""The pages of docs/reference that are made from code. `python -m handbook.reference` writes them."""

import sys
from collections.abc import Callable
from pathlib import Path

from handbook import cli, http_routes, reasons, syncpolicy

ROOT = Path(__file__).resolve().parents[2]

PAGES: dict[str, Callable[[], str]] = {
    "docs/reference/cli.md": cli.render,
    "docs/reference/http-routes.md": http_routes.render,
    "docs/reference/reasons.md": reasons.render,
    "docs/reference/syncpolicy.md": syncpolicy.render,
}
"""By path. That of the metrics is the operator's own: `make metrics`."""


def main() -> None:
    for path, render in PAGES.items():
        (ROOT / path).write_text(render(), encoding="utf-8")
        print(f"wrote {path}", file=sys.stderr)


if __name__ == "__main__":
    main()
