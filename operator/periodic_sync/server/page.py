"""The OpenAPI document as one plain page, made here: nothing of it comes from elsewhere."""

import json
from collections.abc import Mapping
from html import escape
from typing import Any

from periodic_sync.server.guard import RIGHT

_STYLE = (
    "body{font:15px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "pre,code{background:#f3f3f3}pre{padding:.5rem;overflow:auto}h2{margin-top:2rem;font-size:1.1rem}"
)


def page(document: Mapping[str, Any]) -> str:
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(document['info']['title'])}</title>",
        f"<style>{_STYLE}</style><h1>{escape(document['info']['title'])}</h1>",
        '<p>All of this, for programs: <a href="openapi.json">openapi.json</a>.</p>',
    ]
    for path, operations in document["paths"].items():
        parts += [_operation(path, method, about) for method, about in operations.items()]
    parts.append("<h1>What is sent and answered</h1>")
    for name, schema in document["components"]["schemas"].items():
        parts.append(f"<h2 id={escape(name)}>{escape(name)}</h2><pre>{escape(json.dumps(schema, indent=1))}</pre>")
    return "".join(parts)


def _operation(path: str, method: str, about: Mapping[str, Any]) -> str:
    needed = about.get(RIGHT)
    access = f"needs <code>{needed['verb']} {needed['resource']}</code>" if needed else "open to all"
    parts = [
        f"<h2><code>{method.upper()} {escape(path)}</code></h2><p>{escape(about.get('description', ''))} ({access})</p>"
    ]
    queries = [it["name"] for it in about.get("parameters", ()) if it["in"] == "query"]
    if queries:
        parts.append(f"<p>Query: {', '.join(f'<code>{escape(name)}</code>' for name in queries)}</p>")
    sent = _names(about.get("requestBody", {}))
    if sent:
        parts.append(f"<p>Body: {sent}</p>")
    for status, response in about["responses"].items():
        if status.startswith("2"):
            parts.append(f"<p>Answer: {status} {_names(response)}</p>")
    return "".join(parts)


def _names(holder: Mapping[str, Any]) -> str:
    """Links to the schemas that are named in it."""
    found = json.dumps(holder).split("#/components/schemas/")[1:]
    names = [escape(text.partition('"')[0]) for text in found]
    return " or ".join(f'<a href="#{name}">{name}</a>' for name in names)
