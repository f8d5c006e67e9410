"""docs/reference/syncpolicy.md: every field of the resource, out of the CRD that the models make."""

from collections.abc import Iterator
from typing import Any

from handbook.markdown import code, listed, made_from, table, text
from periodic_sync.api.crd import build_crd
from periodic_sync.api.durations import DURATION_PATTERN
from periodic_sync.api.rules import RULES_KEY

Schema = dict[str, Any]

_HEAD = (
    made_from("the models in operator/periodic_sync/api")
    + """# SyncPolicy

Every field, as `kubectl explain syncpolicy.spec --recursive` shows it too. `store` and `worker` have to be given;
anything else has a default. What breaks a rule is refused by the API server, with the sentence that stands here.

Durations are numbers with units, `h`, `m`, `s` or `ms`: `5m`, `1h30m`, `500ms`.

"""
)

_REQUIRED = " Required."
"""Told in words where a rule requires the field, for the sake of a better sentence than the schema's own."""
_UNBOUNDED = "x-kubernetes-preserve-unknown-fields"


def render() -> str:
    (version,) = build_crd()["spec"]["versions"]
    root = version["schema"]["openAPIV3Schema"]
    spec, status = root["properties"]["spec"], root["properties"]["status"]
    name = "".join(f"- {text(rule['message'])}\n" for rule in root[RULES_KEY])
    columns = "## Columns of kubectl\n\nThose with 1 are shown by `-o wide`.\n\n" + table(
        ["column", "", "shows", "from"],
        [
            [code(each["name"].upper()), str(each["priority"]), text(each["description"]), code(each["jsonPath"])]
            for each in version["additionalPrinterColumns"]
        ],
    )
    return f"{_HEAD}{name}\n{_sections('spec', spec)}{_sections('status', status)}{columns}".rstrip("\n") + "\n"


def _sections(path: str, node: Schema) -> str:
    """The object at that path, and then the objects in it."""
    fields: Schema = node["properties"]
    required = node.get("required", [])
    rows = [
        [code(name), _type(child), _default(child, name in required), _meaning(child)] for name, child in fields.items()
    ]
    section = f"## {path}\n\n{text(node['description'])}\n\n" + table(["field", "type", "default", "meaning"], rows)
    rules = _rules(node)
    if rules:
        section += "".join(f"- {rule}\n" for rule in rules) + "\n"
    return section + "".join(_sections(f"{path}.{name}", child) for name, child in _objects(fields))


def _objects(fields: Schema) -> Iterator[tuple[str, Schema]]:
    for name, child in fields.items():
        if "properties" in child:
            yield name, child
        elif "properties" in child.get("items", {}):
            yield f"{name}[]", {"description": child["description"], **child["items"]}


def _type(node: Schema) -> str:
    if _UNBOUNDED in node:
        return "any JSON"
    if "x-kubernetes-int-or-string" in node:
        return "quantity"
    if node["type"] == "array":
        return f"list of {_type(node['items'])}"
    if "additionalProperties" in node:
        return f"map to {_type(node['additionalProperties'])}"
    if node.get("format") == "date-time":
        return "time"
    return "duration" if _is_duration(node) else str(node["type"])


def _is_duration(node: Schema) -> bool:
    return any(DURATION_PATTERN in rule["rule"] for rule in node.get(RULES_KEY, ())) and node["type"] == "string"


def _default(node: Schema, is_required: bool) -> str:
    if is_required or node["description"].endswith(_REQUIRED):
        return "required"
    default = node.get("default")
    if default is None or isinstance(default, dict) or default in ("", []):
        return ""
    if isinstance(default, list):
        return code(f"[{', '.join(map(str, default))}]")
    return code(str(default).lower() if isinstance(default, bool) else default)


def _meaning(node: Schema) -> str:
    words = node["description"]
    default = words.rfind(" Default: ")
    words = (words[:default] if default >= 0 else words).removesuffix(_REQUIRED)
    return " ".join([text(words), *_limits(node)])


def _limits(node: Schema) -> Iterator[str]:
    """What the description doesn't say already."""
    if "enum" in node.get("items", node):
        yield f"One of {listed(node.get('items', node)['enum'])}."
    if "minLength" in node or (node.get("type") == "string" and "maxLength" in node and not _is_duration(node)):
        least = f"{node['minLength']} to " if "minLength" in node else "At most "
        yield f"{least}{node['maxLength']:,} characters."
    for key in ("maxItems", "maxProperties"):
        if key in node and _UNBOUNDED not in node:
            yield f"At most {node[key]:,} entries."


def _rules(node: Schema) -> list[str]:
    """Of the object itself, and of its fields: a sentence that several have stands once."""
    own = [text(rule["message"]) for rule in node.get(RULES_KEY, ())]
    fields: dict[str, list[str]] = {}
    for name, child in node["properties"].items():
        nested = [child, child.get("items", {}), child.get("additionalProperties", {})]
        for each in nested:
            if isinstance(each, dict) and (each is child or "properties" not in each):
                for rule in each.get(RULES_KEY, ()) if "properties" not in child else ():
                    fields.setdefault(text(rule["message"]), []).append(name)
    return own + [f"{listed(dict.fromkeys(names))}: {sentence}" for sentence, names in fields.items()]
