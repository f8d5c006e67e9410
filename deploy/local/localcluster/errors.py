"""What goes wrong, told to a person: the cause, where, and what to do."""

from pathlib import Path


class LocalClusterError(Exception):
    """Ends the command; its text is all a person sees."""


def last_lines(path: Path, count: int = 15) -> str:
    try:
        lines = path.read_text(errors="replace").splitlines()[-count:]
    except OSError:
        return f"(nothing was written to {path})"
    return "\n".join(f"  | {line[:400]}" for line in lines) + f"\n  in {path}"
