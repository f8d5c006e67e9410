"""From pydantic's JSON schema to what a CRD takes: a structural OpenAPI v3 schema.

Structural means: no $ref, no anyOf, every node with a type. A default of an object is written out whole, since the API
server checks defaults against the CEL rules beside them before it fills in the defaults of their children.
"""

from typing import Any

from periodic_sync.api.durations import format_duration
from periodic_sync.api.model import Model

Schema = dict[str, Any]

_DROPPED = ("title", "$defs")


def structural_schema(model: type[Model]) -> Schema:
    """The schema of `model` as it goes into a CRD."""
    source = model.model_json_schema(by_alias=True)
    return _node(source, source.get("$defs", {}))


def _node(source: Schema, definitions: dict[str, Schema]) -> Schema:
    node = {key: value for key, value in _inlined(source, definitions).items() if key not in _DROPPED}
    if "properties" in node:
        node["properties"] = {name: _node(child, definitions) for name, child in node["properties"].items()}
    for key in ("items", "additionalProperties"):
        if key in node:
            node[key] = _node(node[key], definitions)
    if node.get("default") is None:
        node.pop("default", None)
    else:
        node["default"] = _default(node["default"], node)
    if node.get("required") == []:
        del node["required"]
    if "description" in node:
        node["description"] = _description(node)
    return node


def _inlined(source: Schema, definitions: dict[str, Schema]) -> Schema:
    """Put what $ref and "or null" point to in their place; what stands beside them (a field's description) wins."""
    beside = {key: value for key, value in source.items() if key not in ("$ref", "anyOf")}
    if "$ref" in source:
        target = definitions[source["$ref"].rsplit("/", 1)[-1]]
    elif "anyOf" in source:
        (target,) = [choice for choice in source["anyOf"] if choice.get("type") != "null"]
    else:
        return source
    return {**_inlined(target, definitions), **beside}


def _default(value: Any, node: Schema) -> Any:
    if isinstance(value, dict) and "properties" in node:
        # In the order of the properties, so that the file comes out the same every time.
        return {
            name: _default(value[name], child)
            for name, child in node["properties"].items()
            if value.get(name) is not None
        }
    if isinstance(value, int) and node.get("type") == "string":
        return format_duration(value)
    return value


def _description(node: Schema) -> str:
    """The text of the docstring on one line, with what the schema knows: the range, the default."""
    text = " ".join(node["description"].split())
    if "minimum" in node and "maximum" in node:
        text += f" From {node['minimum']} to {node['maximum']}."
    default = node.get("default")
    if isinstance(default, bool):
        text += f" Default: {str(default).lower()}."
    elif isinstance(default, int) or (isinstance(default, str) and default):
        text += f" Default: {default}."
    elif isinstance(default, list) and default:
        text += f" Default: [{', '.join(default)}]."
    return text
