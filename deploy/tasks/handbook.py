"""The handbook as pages for a browser, out of docs/ and mkdocs.yml. Warnings are errors, and nothing is fetched."""

from pathlib import Path

from tasks.paths import BUILD, ROOT, VENV, shown
from tasks.steps import Progress, Step

SITE = BUILD / "handbook"


def step() -> Step:
    return Step("handbook", "docs/ as pages", "3 s", build, after=("python",))


def build(progress: Progress) -> str:
    progress.run(command(SITE), env=ENVIRONMENT, tail=30)
    return f"{shown(SITE)}/index.html"


def command(site: Path, config: Path = ROOT / "mkdocs.yml") -> list[str | Path]:
    # without --quiet, with which mkdocs 1.6 no longer sees the warnings that --strict makes errors
    return [VENV / "bin" / "mkdocs", "build", "--strict", "--config-file", config, "--site-dir", site]


ENVIRONMENT = {"NO_MKDOCS_2_WARNING": "1"}
"""The theme's notice about its own future is not ours to print at each build."""
