"""What commands print: tables for people, JSON and YAML for programs, in the field names of the API."""

import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import yaml

from periodic_sync.cli.options import Output

if TYPE_CHECKING:
    from rich.console import RenderableType


def show(output: Output, document: Any, table: Callable[[], "RenderableType"]) -> None:
    """document: what `json` and `yaml` print. table: makes what people see.

    What it shows of others' texts goes in as `rich.text.Text`, never as markup.
    """
    if output is Output.JSON:
        print(json.dumps(document, indent=2, ensure_ascii=False))
    elif output is Output.YAML:
        yaml.safe_dump(document, sys.stdout, sort_keys=False, allow_unicode=True)
    else:
        from rich.console import Console

        Console(highlight=False, markup=False).print(table())
