"""The Python environment `.venv`, made from the lock in `requirements/dev.txt` and made again when the lock changes."""

import hashlib
import sys
import tomllib

from tasks.paths import REQUIREMENTS, ROOT, VENV
from tasks.steps import Progress, Step

LOCK = REQUIREMENTS / "dev.txt"
STAMP = VENV / "made-from-lock"
_COMMAND = """\
#!{python}
import sys
from {module} import {function}
sys.exit({function}())
"""


def step() -> Step:
    return Step(
        "python", "the Python environment .venv, from requirements/dev.txt", "40 s, nothing the next time", make
    )


def make(progress: Progress) -> str:
    """Bring `.venv` to what the lock says; it is left alone when its stamp says that it is."""
    wanted = f"{hashlib.sha256(LOCK.read_bytes()).hexdigest()}\n"
    if STAMP.is_file() and STAMP.read_text() == wanted and (VENV / "bin" / "python").exists():
        write_commands()
        return "it is up to date"
    if not (VENV / "bin" / "pip").exists():
        progress.run([sys.executable, "-m", "venv", VENV])
    progress.run(
        [
            VENV / "bin" / "python",
            "-m",
            "pip",
            "install",
            "--require-hashes",
            "--no-deps",
            "--progress-bar=off",
            "-r",
            LOCK,
        ]
    )
    site = next((VENV / "lib").glob("python3.*/site-packages"))
    # what an editable install would do, without a build backend: the package is imported from its source folder
    (site / "periodic_sync_source.pth").write_text(f"{ROOT / 'operator'}\n")
    write_commands()
    STAMP.write_text(wanted)
    return f"Python {sys.version_info.major}.{sys.version_info.minor} with the locked packages"


def write_commands() -> None:
    """The package's own commands, as pip would write them; kubectl finds `kubectl-syncpolicy` by its name."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    for name, target in scripts.items():
        module, _, function = target.partition(":")
        command = VENV / "bin" / name
        command.write_text(_COMMAND.format(python=VENV / "bin" / "python", module=module, function=function))
        command.chmod(0o755)
