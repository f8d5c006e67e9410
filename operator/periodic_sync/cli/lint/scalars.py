"""Plain YAML scalars as kubectl reads them: YAML 1.1, but without numbers to the base of 60 and without dates.

PyYAML's own reading would make 1020 of the time 17:00.
"""

import re

Scalar = str | int | float | bool | None

_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
}
_INTEGER = re.compile(r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|(0|[1-9][0-9]*))")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_BASES = (16, 2, 8, 10)


def plain_scalar(text: str) -> Scalar:
    if text in _WORDS:
        return _WORDS[text]
    if not text[0].isdigit() and text[0] not in "+-.":
        return text
    number = text.replace("_", "")
    if found := _INTEGER.fullmatch(number):
        sign, *digits = found.groups()
        base, written = next((base, it) for base, it in zip(_BASES, digits, strict=True) if it is not None)
        value = int(f"{sign}{written}", base)
        return value if -(2**63) <= value < 2**64 else float(value)
    return float(number) if _FLOAT.fullmatch(number) else text


def tagged_scalar(tag: str, text: str) -> Scalar:
    """A scalar with a tag of its own. Raises: ValueError where it is no such thing."""
    kind = tag.removeprefix("tag:yaml.org,2002:")
    value = plain_scalar(text)
    if kind in ("str", "binary", "timestamp"):
        return text
    if kind == "float" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    expected = {"int": int, "float": float, "bool": bool, "null": type(None)}.get(kind)
    if expected is None:
        return text
    if type(value) is not expected:
        raise ValueError(f"{text!r} is no {kind}")
    return value
