"""Writes the locks in `requirements/` from pyproject.toml: exact versions with hashes, the same for every platform."""

from pathlib import Path

from tasks.paths import REQUIREMENTS, VENV, shown
from tasks.steps import Progress, Step

RUNTIME = REQUIREMENTS / "runtime.txt"
DEV = REQUIREMENTS / "dev.txt"


def step(upgrade: bool) -> Step:
    return Step(
        "lock", "requirements/ from pyproject.toml", "5 s", lambda progress: write(progress, upgrade), ("python",)
    )


def write(progress: Progress, upgrade: bool) -> str:
    """Lock the runtime first; the development lock then keeps to it, so that tests run what ships."""
    REQUIREMENTS.mkdir(exist_ok=True)
    _compile(progress, RUNTIME, [], upgrade)
    _compile(progress, DEV, ["--group", "dev", "--constraint", RUNTIME], upgrade)
    return f"{shown(RUNTIME)} and {shown(DEV)}"


def _compile(progress: Progress, target: Path, options: list[str | Path], upgrade: bool) -> None:
    settings = [
        "--universal",
        "--python-version=3.11",
        "--generate-hashes",
        "--no-emit-index-url",
        "--no-emit-find-links",
    ]
    progress.run(
        [
            *(VENV / "bin" / "uv", "pip", "compile", "pyproject.toml", *options, *settings),
            *(["--upgrade"] if upgrade else []),
            *("--custom-compile-command=make lock", "--output-file", target),
        ]
    )
