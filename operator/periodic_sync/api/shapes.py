"""Kinds of values that fields of the resource share: durations, names, times. Each says how it is written.

The API server's own message for a pattern is the pattern itself, which helps nobody. So a shape's pattern reaches
the schema as a CEL rule with a sentence, and the models check the same pattern and say the same sentence.
"""

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from periodic_sync.api.durations import SECOND, format_duration, parse_duration
from periodic_sync.api.rules import Rule, cel_text, is_duration, rules


@dataclass(frozen=True)
class Shape:
    """A string that matches `pattern` from end to end; the pattern is one that RE2 and Python read alike.

    Past `max_length` the API server only says "Too long" and stops before the rule with the sentence. So it is roomy
    where a slip makes a value longer, and a limit that needs explaining is `longest`, a part of the rule.
    """

    pattern: str
    sentence: str
    max_length: int
    longest: int | None = None

    def check(self, text: str) -> str:
        if len(text) > (self.longest or self.max_length) or not re.fullmatch(self.pattern, text):
            raise ValueError(self.sentence)
        return text

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        limit = f"self.size() <= {self.longest} && " if self.longest else ""
        rule = Rule(f"{limit}self.matches({cel_text(f'^({self.pattern})$')})", self.sentence)
        return {**handler(schema), "maxLength": self.max_length, **rules(rule)}


@dataclass(frozen=True)
class DurationShape:
    """A duration: whole milliseconds in the models, a GEP-2257 string in the resource, and at least so long."""

    least: int
    sentence: str
    max_length: int = 64

    def read(self, value: object) -> int:
        whole = isinstance(value, int) and not isinstance(value, bool)
        try:
            milliseconds = value if whole else parse_duration(value)  # type: ignore[arg-type]
        except ValueError:
            raise ValueError(self.sentence) from None
        assert isinstance(milliseconds, int)
        if milliseconds < self.least:
            raise ValueError(self.sentence)
        return milliseconds

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        writer = core_schema.plain_serializer_function_ser_schema(
            format_duration, return_schema=core_schema.str_schema()
        )
        return core_schema.no_info_plain_validator_function(self.read, serialization=writer)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        long_enough = f'duration(self) >= duration("{format_duration(self.least)}")'
        rule = Rule(f"{is_duration('self')} && {long_enough}", self.sentence)
        return {"type": "string", "maxLength": self.max_length, **rules(rule)}


@dataclass(frozen=True)
class QuantityShape:
    """An amount of a resource as Kubernetes writes it: a string or a whole number."""

    pattern: str = r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?"
    sentence: str = "write a quantity such as 500m or 2 for cpu, 128Mi or 1Gi for memory"

    def check(self, value: object) -> object:
        if isinstance(value, bool) or not re.fullmatch(self.pattern, str(value)):
            raise ValueError(self.sentence)
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        rule = Rule(f"type(self) == int || self.matches({cel_text(f'^({self.pattern})$')})", self.sentence)
        return {"x-kubernetes-int-or-string": True, "maxLength": 64, **rules(rule)}


_SUBDOMAIN = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
_NAME_SENTENCE = (
    "write the name of an object in the policy's namespace: a-z, 0-9, '-' and '.', "
    "beginning and ending with a letter or digit"
)
_ZONE_PART = "[A-Z][A-Za-z0-9_]*(-[A-Za-z][A-Za-z_]*)*"

Interval = Annotated[
    int,
    DurationShape(SECOND, "write a duration of at least 1s, with its unit (h, m, s or ms), such as 5m, 90s or 1h30m"),
]
CallTime = Annotated[
    int,
    DurationShape(1, "write a duration longer than zero, with its unit (h, m, s or ms), such as 30s, 1m30s or 500ms"),
]
ObjectName = Annotated[str, Shape(_SUBDOMAIN, _NAME_SENTENCE, 253)]
OptionalObjectName = Annotated[str, Shape(f"|{_SUBDOMAIN}", _NAME_SENTENCE, 253)]
StoreName = Annotated[
    str,
    # Shards carry the name as a label's value, which holds 63 characters and no more.
    Shape(
        _SUBDOMAIN,
        "write the name of a ConfigMap in the policy's namespace: at most 63 characters of a-z, 0-9, '-' and '.', "
        "beginning and ending with a letter or digit",
        253,
        longest=63,
    ),
]
DataKey = Annotated[
    str, Shape(r"[-._a-zA-Z0-9]+", "write a key of the object's data: letters, digits, '-', '_' and '.'", 253)
]
TimeOfDay = Annotated[
    str,
    Shape(
        "([01][0-9]|2[0-3]):[0-5][0-9]",
        "write a time of day as HH:MM on the 24-hour clock, from 00:00 to 23:59, such as 09:00",
        32,
    ),
]
ZoneName = Annotated[
    str,
    Shape(
        rf"{_ZONE_PART}(/{_ZONE_PART}){{0,2}}|(Etc/)?GMT[+-][0-9]{{1,2}}",
        "write the name of a time zone as in the IANA database, such as Etc/UTC, Europe/Berlin or America/New_York "
        "(offsets such as +02:00 or UTC+2 are not names)",
        64,
    ),
]
KeyPrefix = Annotated[
    str,
    Shape(
        r"[A-Za-z0-9._:/@-]+",
        "write 1 to 128 letters, digits and characters of '._:/@-', such as portfolios: with a colon at its end",
        256,
        longest=128,
    ),
]
ImageName = Annotated[
    str,
    Shape(
        r"|(([a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?|\[[a-fA-F0-9:]+\])(:[0-9]+)?/)?"
        r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*"
        r"(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(@[A-Za-z0-9+._-]+:[0-9a-fA-F]{32,})?",
        "write the name of a container image, such as registry.example.com/team/sync-worker:1.4.2 "
        "(no spaces, no https://, the path in lower case)",
        512,
    ),
]
