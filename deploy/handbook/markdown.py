"""Pieces of Markdown that mean the same on a code host and in the handbook."""

from collections.abc import Iterable, Sequence

COMMAND = "make reference"


def made_from(source: str) -> str:
    """The first line of a page that is made from code."""
    return f"<!-- Made by `{COMMAND}` from {source}: change it there. -->\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(each)} |\n" for each in lines) + "\n"


def text(words: str) -> str:
    """Plain words, of which nothing is to be taken for markup, on one line."""
    return " ".join(words.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|").split())


def code(word: object) -> str:
    return f"`{word}`"


def listed(words: Iterable[object]) -> str:
    return ", ".join(map(code, words))
