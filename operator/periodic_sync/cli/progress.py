"""A progress bar on standard error, for people; where nobody looks on, it says nothing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Show = Callable[[int, int | None, str], None]
"""How much is done, of how much (None where that isn't known), and a word on it."""


@cache
def console() -> Console:
    return Console(stderr=True)


@contextmanager
def progress_bar(title: str, *, unit: str) -> Iterator[Show]:
    """A bar for as long as the block runs. unit: `bytes`, or what else is counted."""
    counts = DownloadColumn() if unit == "bytes" else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), counts, TextColumn("{task.fields[word]}"))
    shown = console()
    with Progress(*columns, TimeRemainingColumn(), console=shown, disable=not shown.is_terminal) as progress:
        task = progress.add_task(title, total=None, word="")

        def show(done: int, total: int | None, word: str) -> None:
            progress.update(task, completed=done, total=total, word=word)

        yield show
