"""docs/reference/http-routes.md: the HTTP API's routes, out of its OpenAPI document."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import MISSING, fields
from typing import Any

from starlette.types import ASGIApp, Message

from handbook import problems
from handbook.markdown import code, listed, made_from, table, text
from periodic_sync.server.app import Parts, create_app
from periodic_sync.server.guard import RIGHT
from periodic_sync.server.user_routes import PREFIX

Schema = dict[str, Any]

_HEAD = (
    made_from("the routes in operator/periodic_sync/server")
    + f"""# Routes of the HTTP API

What `GET /openapi.json` of the server says, for people. How to install and use it is in
[The HTTP API](../how-to/http-api.md), what can be relied on in [its reference](http-api.md).

`…` stands for `{PREFIX}`. A right is a verb on a resource of group
`sync.moonx.farm`, for that policy in that namespace. Every answer but 2xx is a problem, `application/problem+json`;
[its code](#problems) is one word.

"""
)


class _Nothing:
    """In place of each part that the application would ask something of: no route is called here."""

    def __getattr__(self, name: str) -> "_Nothing":
        return self

    def __call__(self, *_: object, **__: object) -> "_Nothing":
        return self


def document() -> Schema:
    """The OpenAPI document, as the server hands it out."""
    needed = [part.name for part in fields(Parts) if part.default is MISSING and part.default_factory is MISSING]
    given: dict[str, Any] = {name: _Nothing() for name in needed}
    document: Schema = json.loads(asyncio.run(_got(create_app(Parts(**given)), "/openapi.json")))
    return document


async def _got(app: ASGIApp, path: str) -> bytes:
    """The body of an answer, asked for without a network."""
    body = bytearray()

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        body.extend(message.get("body", b""))

    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [],
    }
    await app(scope, receive, send)
    return bytes(body)


def render() -> str:
    described = document()
    schemas: Schema = described["components"]["schemas"]
    routes = [
        (method.upper(), path.replace(PREFIX, "…"), operation)
        for path, operations in described["paths"].items()
        for method, operation in operations.items()
    ]
    overview = table(
        ["route", "right"],
        [[f"[`{method} {path}`](#{_anchor(method, path)})", _right(operation)] for method, path, operation in routes],
    )
    return _HEAD + overview + "".join(_route(*each, schemas) for each in routes) + problems.section(described)


def _anchor(method: str, path: str) -> str:
    kept = "".join(char for char in f"{method} {path}".lower() if char.isalnum() or char in " -_")
    return kept.replace(" ", "-")


def _right(operation: Schema) -> str:
    needed = operation.get(RIGHT)
    return code(f"{needed['verb']} {needed['resource']}") if needed else "none: open"


def _route(method: str, path: str, operation: Schema, schemas: Schema) -> str:
    words = "\n\n".join(text(paragraph) for paragraph in operation.get("description", "").split("\n\n") if paragraph)
    parts = [f"## {method} {path}\n\n{words}\n\nRight: {_right(operation)}.\n\n"]
    asked = [each for each in operation.get("parameters", []) if each["in"] == "query"]
    if asked:
        rows = [_row(each["name"], each["schema"], schemas, each) for each in asked]
        parts.append(f"In the query:\n\n{table(_GIVEN, rows)}")
    body = _schema_of(operation.get("requestBody", {}), schemas)
    if body:
        parts.append(f"Body:\n\n{table(_GIVEN, _rows(body, schemas))}")
    parts += [_answer(status, answer, schemas) for status, answer in operation["responses"].items() if status[0] == "2"]
    return "".join(parts)


_GIVEN, _ANSWERED = ("field", "type", "", "meaning"), ("field", "type", "meaning")


def _answer(status: str, answer: Schema, schemas: Schema) -> str:
    """All fields are there at all times, so a column less."""
    answered = _schema_of(answer, schemas)
    if answered is None:
        return f"Answers {status}.\n\n"
    rows = [[name, kind, words] for name, kind, _, words in _rows(answered, schemas)]
    return f"Answers {status}:\n\n{table(_ANSWERED, rows)}"


def _schema_of(content: Schema, schemas: Schema) -> Schema | None:
    schema = content.get("content", {}).get("application/json", {}).get("schema")
    found = _resolved(schema, schemas) if schema else None
    return found if found and found.get("properties") else None


def _rows(schema: Schema, schemas: Schema, prefix: str = "") -> Iterator[list[str]]:
    for name, child in schema["properties"].items():
        yield _row(prefix + name, child, schemas, {"required": name in schema.get("required", [])})
        inner = _resolved(child, schemas)
        items = _resolved(inner.get("items", {}), schemas)
        if "properties" in inner:
            yield from _rows(inner, schemas, f"{prefix}{name}.")
        elif "properties" in items:
            yield from _rows(items, schemas, f"{prefix}{name}[].")


def _row(name: str, schema: Schema, schemas: Schema, stated: Schema) -> list[str]:
    resolved = _resolved(schema, schemas)
    given = "required" if stated.get("required") else ""
    if resolved.get("default") is not None and resolved["default"] != "":
        given = f"default {code(resolved['default'])}"
    words = text(schema.get("description") or stated.get("description") or resolved.get("description", ""))
    return [code(name), _type(schema, schemas), given, " ".join([words, *_limits(resolved)]).strip()]


def _resolved(schema: Schema, schemas: Schema) -> Schema:
    """Follow a reference, and "or null"."""
    if "$ref" in schema:
        return _resolved(schemas[schema["$ref"].rsplit("/", 1)[-1]], schemas)
    if "anyOf" in schema:
        found = [choice for choice in schema["anyOf"] if choice.get("type") != "null"]
        return {
            **_resolved(found[0], schemas),
            **({"description": schema["description"]} if "description" in schema else {}),
        }
    return schema


def _type(schema: Schema, schemas: Schema) -> str:
    resolved = _resolved(schema, schemas)
    kind = str(resolved.get("type", "any JSON"))
    if kind == "array":
        kind = f"list of {_type(resolved['items'], schemas)}"
    elif kind == "object" and isinstance(resolved.get("additionalProperties"), dict):
        kind = f"map to {_type(resolved['additionalProperties'], schemas)}"
    may_be_null = any(choice.get("type") == "null" for choice in schema.get("anyOf", ()))
    return f"{kind} or null" if may_be_null else kind


def _limits(schema: Schema) -> Iterator[str]:
    if "enum" in schema:
        yield f"One of {listed(schema['enum'])}."
    if "minimum" in schema and "maximum" in schema:
        yield f"From {schema['minimum']:,} to {schema['maximum']:,}."
    if "maxLength" in schema:
        yield f"At most {schema['maxLength']:,} characters."
    if "maxItems" in schema:
        yield f"{schema.get('minItems', 0)} to {schema['maxItems']:,} entries."
