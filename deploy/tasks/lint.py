"""What is checked without running the product. Each tool says for itself what is wrong; this adds which ones failed."""

from pathlib import Path

from tasks.paths import ROOT, VENV
from tasks.shell import TaskError
from tasks.steps import Progress, Step

BIN = VENV / "bin"
SOURCES = ("operator", "tests", "deploy", "examples", "benchmarks")


def step() -> Step:
    return Step("lint", "ruff, mypy, import contracts, shell syntax", "20 s", check, after=("python",))


def check(progress: Progress) -> str:
    """Run all of them, so that one run tells everything.

    Raises: TaskError with what each failed one printed.
    """
    commands = _commands()
    failures = []
    for command in commands:
        try:
            progress.run(command, env={"PYTHONPATH": "operator"}, tail=100)
        except TaskError as failure:
            failures.append(str(failure))
    if failures:
        raise TaskError("\n".join(failures))
    return f"{len(commands)} checks passed"


def _commands() -> list[list[str | Path]]:
    sources = [name for name in SOURCES if (ROOT / name).is_dir()]
    shell: list[list[str | Path]] = [["bash", "-n", script] for script in shell_scripts()]
    return [
        [BIN / "ruff", "check", "--quiet", "--output-format=concise", *sources],
        [BIN / "ruff", "format", "--check", *sources],
        [BIN / "mypy", "--no-error-summary"],
        [BIN / "lint-imports"],
        *shell,
    ]


def shell_scripts() -> list[Path]:
    """Every file outside the made folders that bash or sh runs."""
    folders = [ROOT / name for name in (".ci", *SOURCES)]
    files = (path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file())
    return [path for path in files if path.suffix == ".sh" or (path.suffix == "" and _is_shell(path))]


def _is_shell(path: Path) -> bool:
    with path.open("rb") as file:
        first = file.readline(64)
    return first.startswith(b"#!") and first.rstrip().endswith((b"bash", b"/sh"))
