"""The shape of properties: a little language for what a type takes, with the conversions that CloudFormation makes.

    {"Timeout": INTEGER, "Environment": {"Variables": map_of(STRING)}, "Layers": [STRING], "Policy": JSON}

Templates are loose about scalars (`"128"`, `"true"`), services are not: `shaped` converts and names everything that does not
fit, in the words of CloudFormation's property validation (from memory). Values that are known only after deployment
(they contain LATER) are let through.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

LATER = "{{changeSet:KNOWN_AFTER_APPLY}}"  # how AWS's change sets show such a value

_INTEGER = re.compile(r"-?\d+")
_NUMBER = re.compile(r"-?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True, slots=True)
class Scalar:
    """A scalar kind, by CloudFormation's word for it."""

    name: str


@dataclass(frozen=True, slots=True)
class MapOf:
    """Free keys, values of one shape."""

    value: Any


STRING, INTEGER, NUMBER, BOOLEAN = Scalar("String"), Scalar("Integer"), Scalar("Number"), Scalar("Boolean")
JSON = Scalar("JSON")  # a policy or schema: object or text, kept as it is
TAGS = [{"Key": STRING, "Value": STRING}]


def map_of(value: Any) -> MapOf:
    """The shape of a map with free keys."""
    return MapOf(value)


def shaped(value: Any, shape: Any, where: str, problems: list[str]) -> Any:
    """The value in its shape. What does not fit is added to `problems`; `where` is the path of the value (`#/Timeout`)."""
    if isinstance(shape, Scalar):
        return _scalar(value, shape, where, problems)
    if isinstance(value, str) and LATER in value:
        return value
    if isinstance(shape, list):
        if not isinstance(value, list):
            value = [value] if not isinstance(value, dict) and isinstance(shape[0], Scalar) else value
        if not isinstance(value, list):
            return _misfit(value, "JSONArray", where, problems)
        return [shaped(item, shape[0], f"{where}/{index}", problems) for index, item in enumerate(value)]
    if not isinstance(value, dict):
        return _misfit(value, "JSONObject", where, problems)
    if isinstance(shape, MapOf):
        return {key: shaped(item, shape.value, f"{where}/{key}", problems) for key, item in value.items()}
    problems.extend(f"{where}: extraneous key [{key}] is not permitted" for key in value if key not in shape)
    return {key: shaped(item, shape[key], f"{where}/{key}", problems) for key, item in value.items() if key in shape}


def extraneous(value: Any, shape: Mapping[str, Any]) -> Iterator[str]:
    """Paths (`A.B`) of members of properties that their shape does not have, at any depth. Unresolved functions are skipped."""
    if not isinstance(value, dict) or is_function(value):
        return
    for key, item in value.items():
        if key not in shape:
            yield key
        else:
            yield from (f"{key}.{deeper}" for deeper in _deeper(item, shape[key]))


def is_function(value: Any) -> bool:
    """Whether a value is an intrinsic function call."""
    return isinstance(value, dict) and len(value) == 1 and next(iter(value)).startswith(("Fn::", "Ref"))


def _deeper(value: Any, shape: Any) -> Iterator[str]:
    if isinstance(shape, list) and isinstance(value, list):
        for item in value:
            yield from _deeper(item, shape[0])
    elif isinstance(shape, dict):
        yield from extraneous(value, shape)


def _scalar(value: Any, shape: Scalar, where: str, problems: list[str]) -> Any:
    if shape is JSON or (isinstance(value, str) and LATER in value):
        return value
    if isinstance(value, (dict, list)) or value is None:
        return _misfit(value, shape.name, where, problems)
    text = ("true" if value else "false") if isinstance(value, bool) else str(value)
    if shape is STRING:
        return text
    if shape is BOOLEAN and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if shape is INTEGER and _INTEGER.fullmatch(text):
        return int(text)
    if shape is INTEGER and isinstance(value, float) and value.is_integer():
        return int(value)
    if shape is NUMBER and _NUMBER.fullmatch(text):
        return float(text)
    return _misfit(value, shape.name, where, problems)


def _misfit(value: Any, expected: str, where: str, problems: list[str]) -> Any:
    found = {dict: "JSONObject", list: "JSONArray", bool: "Boolean", int: "Integer", float: "Number"}
    problems.append(
        f"{where}: expected type: {expected}, found: {found.get(type(value), 'Null' if value is None else 'String')}"
    )
    return value
