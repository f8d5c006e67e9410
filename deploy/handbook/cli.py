"""The commands of `periodic-sync`, with their arguments and options."""

from enum import Enum
from typing import Any, get_args

import typer.main

from handbook.markdown import code, made_from, table, text
from periodic_sync.cli.main import app

_HEAD = """# Command line

`periodic-sync`, and the same as `kubectl syncpolicy` where it is on the `PATH`. `-h` after any command shows this too.
How to use it is in [its how-to](../how-to/see-and-steer.md).

Commands that look at a cluster take kubeconfig, context and namespace as kubectl does, and need no rights but those of
the account that it names. What they find they print as tables, or with `-o json` and `-o yaml` for programs, in the
field names of the SyncPolicy and the HTTP API, with instants as RFC 3339. Progress and complaints go to standard error.

| exit code | |
| --- | --- |
| 0 | it is done |
| 1 | it did not work out, or not for everybody; standard error says why |
| 2 | a mistake in what was typed, and nothing was tried; of `import` also that it could not go on |
| 130 | stopped by hand |

`$REDIS_URL`, or `--redis-url`, is the way to a policy's Redis from where you are, such as through a port-forward, in
place of the URL in its Secret, which then need not be read. For policies on ConfigMaps it means nothing.
"""


def commands() -> dict[str, Any]:
    """By name, in the order of help."""
    group: Any = typer.main.get_command(app)
    return {name: command for name, command in group.commands.items() if not command.hidden}


def render() -> str:
    pages = [made_from("operator/periodic_sync/cli"), _HEAD]
    found = commands()
    panels = dict.fromkeys(command.rich_help_panel for command in found.values())
    for panel in panels:
        pages.append(f"\n## {panel}\n")
        pages += [_command(name, each) for name, each in found.items() if each.rich_help_panel == panel]
    return "".join(pages).rstrip("\n") + "\n"


def _command(name: str, command: Any) -> str:
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    options = [each for each in command.params if each.param_type_name == "option" and not each.hidden]
    usage = " ".join(["periodic-sync", name, *(["[OPTIONS]"] if options else []), *map(_usage, arguments)])
    parts = [f"\n### {name}\n\n```text\n{usage}\n```\n\n", _prose(command.help or ""), "\n"]
    if arguments:
        parts.append(table(("argument", ""), ((code(_word(each)), text(each.help or "")) for each in arguments)))
    parts.append(table(("option", "", "by default"), map(_option, options)))
    return "".join(parts)


def _prose(words: str) -> str:
    paragraphs = (text(each) for each in words.split("\n\n"))
    return "\n\n".join(paragraphs) + "\n"


def _usage(argument: Any) -> str:
    word = _word(argument) + ("..." if argument.nargs == -1 else "")
    return word if argument.required else f"[{word}]"


def _word(param: Any) -> str:
    return str(param.metavar or param.name.upper())


def _option(option: Any) -> tuple[str, str, str]:
    value = _value(option)
    *short, name = sorted(option.opts, key=len)
    shown = ", ".join(code(each) for each in (f"{name} {value}" if value else name, *short))
    if option.secondary_opts:
        shown += ", " + ", ".join(map(code, option.secondary_opts))
    said = text(option.help or "")
    if option.envvar:
        said += f" Also {code('$' + option.envvar)}."
    return shown, said, _default(option)


def _value(option: Any) -> str:
    """What is to be written after the option; "": nothing."""
    kind = option.type_descriptor.annotation
    kinds = [each for each in (get_args(kind) or (kind,)) if each is not type(None)]
    if option.is_flag:
        return ""
    if option.metavar:
        return str(option.metavar)
    chosen = kinds[0] if kinds else str
    if isinstance(chosen, type) and issubclass(chosen, Enum):
        return "\\|".join(str(each.value) for each in chosen)
    return "N" if chosen in (int, float) else option.name.upper().replace("_", "-")


def _default(option: Any) -> str:
    default = option.default
    if default is None or default is False or default in ("", ()) or callable(default):
        return "required" if option.required else ""
    if default is True:
        return code(option.opts[0])
    return code(default.value if isinstance(default, Enum) else default)
