"""The HTTP side of the rest protocols: parameters in path labels, query strings and headers; results in status and headers.

Compiled once per operation: only the members that live in these places appear in the closures, with their names lowered and
their conversions chosen beforehand. An empty header counts as absent, as AWS's front ends take it.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote

import orjson

from tenantry.model.http import Request
from tenantry.protocol.model import Shape
from tenantry.protocol.query import PARAMETERS_MAX
from tenantry.protocol.scalars import (
    INTEGER_RANGES,
    Malformed,
    integer_reader,
    read_any_timestamp,
    read_boolean,
    read_float,
    timestamp_writer,
    write_boolean,
    write_float,
)

TextReader = Callable[[str], Any]
TextWriter = Callable[[Any], str]
Fill = Callable[[Request, Sequence[str], dict[str, Any]], None]
"""(request, path labels as sent, parameters to fill)."""

_LABEL = re.compile(r"\{([^}+]+)\+?\}")
_LIST_ITEM = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|([^,]*))\s*(?:,|$)')


@dataclass(frozen=True, slots=True)
class Places:
    """A structure's members by where they travel."""

    uri: dict[str, Shape]
    querystring: dict[str, Shape]
    header: dict[str, Shape]
    headers: dict[str, Shape]
    status_code: dict[str, Shape]
    body: dict[str, Shape]


def places(shape: Shape, *, answer: bool = False) -> Places:
    """Sort a structure's members by their location. An answer has no path and no query string: such members are in its body."""
    found = Places({}, {}, {}, {}, {}, {})
    by_location = {
        "uri": found.body if answer else found.uri,
        "querystring": found.body if answer else found.querystring,
        "header": found.header,
        "headers": found.headers,
        "statusCode": found.status_code,
        None: found.body,
    }
    for name, member in shape.members().items():
        by_location[member.get("location")][name] = member
    return found


def input_reader(members: Places, request_uri: str, *, lower_prefixed: bool = False) -> Fill:
    """Reads what is not in the body. `request_uri`: the operation's, as the model has it.

    lower_prefixed: whether names of prefixed headers (`x-amz-meta-`) are lowered, as S3 does.
    """
    steps: list[Fill] = []
    path, _, literals = request_uri.partition("?")
    if members.uri:
        steps.append(_label_step(members.uri, _LABEL.findall(path)))
    if members.querystring:
        steps.append(_query_step(members.querystring, {name for name, _ in parse_qsl(literals, keep_blank_values=True)}))
    if members.header:
        steps.append(_header_step(members.header))
    for name, shape in members.headers.items():
        steps.append(_prefix_step(name, str(shape.get("locationName", "")).lower(), lower=lower_prefixed))

    def fill(request: Request, values: Sequence[str], into: dict[str, Any]) -> None:
        for step in steps:
            step(request, values, into)

    return fill


def _label_step(members: dict[str, Shape], labels: Sequence[str]) -> Fill:
    names = {shape.get("locationName", name): (name, _text_reader(shape, header=False)) for name, shape in members.items()}
    rows = [(index, *names[label]) for index, label in enumerate(labels) if label in names]

    def fill(request: Request, values: Sequence[str], into: dict[str, Any]) -> None:
        for index, name, convert in rows:
            text = values[index]
            if "%" in text:
                text = unquote(text)
            into[name] = text if convert is None else convert(text)

    return fill


def _query_step(members: dict[str, Shape], literals: set[str]) -> Fill:
    rows = []
    named = set(literals)
    rest: str | None = None
    many: str | None = None
    for name, shape in members.items():
        if shape.type == "map":
            rest = name
            many = "list" if shape.value().type == "list" else None
            continue
        key = shape.get("locationName", name)
        named.add(key)
        convert = _text_reader(shape.element() if shape.type == "list" else shape, header=False)
        rows.append((key, name, shape.type == "list", convert))

    def fill(request: Request, values: Sequence[str], into: dict[str, Any]) -> None:
        if not request.query:
            return
        fields = query_fields(request.query)
        for key, name, is_list, convert in rows:
            texts = fields.get(key)
            if texts is None:
                continue
            if is_list:
                into[name] = texts if convert is None else [convert(text) for text in texts]
            else:
                into[name] = texts[0] if convert is None else convert(texts[0])
        if rest is not None:
            others = {key: texts for key, texts in fields.items() if key not in named}
            if others:
                into[rest] = others if many else {key: texts[0] for key, texts in others.items()}

    return fill


def query_fields(query: str) -> dict[str, list[str]]:
    """A query string's values by name. Raises Malformed for absurdly many."""
    try:
        return parse_qs(query, keep_blank_values=True, max_num_fields=PARAMETERS_MAX)
    except ValueError:
        raise Malformed(f"The query string has more than {PARAMETERS_MAX} parameters") from None


def _header_step(members: dict[str, Shape]) -> Fill:
    rows = [
        (shape.get("locationName", name).lower(), name, _text_reader(shape, header=True))
        for name, shape in members.items()
        if shape.type != "list"
    ]
    lists = [
        (shape.get("locationName", name).lower(), name, _header_list_reader(shape))
        for name, shape in members.items()
        if shape.type == "list"
    ]

    def fill(request: Request, values: Sequence[str], into: dict[str, Any]) -> None:
        header = request.header
        for key, name, convert in rows:
            text = header(key)
            if text:
                into[name] = text if convert is None else convert(text)
        for key, name, split in lists:
            text = ",".join(value for given, value in request.headers if given.lower() == key)
            if text:
                into[name] = split(text)

    return fill


def _prefix_step(name: str, prefix: str, *, lower: bool) -> Fill:
    length = len(prefix)

    def fill(request: Request, values: Sequence[str], into: dict[str, Any]) -> None:
        found = {
            (key[length:].lower() if lower else key[length:]): value
            for key, value in request.headers
            if key.lower().startswith(prefix)
        }
        if found:
            into[name] = found

    return fill


def _header_list_reader(shape: Shape) -> TextReader:
    element = shape.element()
    convert = _text_reader(element, header=True)
    if element.type == "timestamp" and element.get("timestampFormat", "rfc822") == "rfc822":
        # Such a date holds a comma itself.
        return lambda text: [read_any_timestamp(date.strip()) for date in re.findall(r"[^,]+,[^,]+", text)]

    def read(text: str) -> list[Any]:
        items = _split(text)
        return items if convert is None else [convert(item) for item in items]

    return read


def _split(text: str) -> list[str]:
    if '"' not in text:
        return [item.strip() for item in text.split(",")]
    items, position = [], 0
    while position < len(text):
        match = _LIST_ITEM.match(text, position)
        if match is None:
            raise Malformed("A list in a header is malformed")
        quoted, plain = match.groups()
        items.append(re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain.strip())
        position = match.end()
    return items


def _text_reader(shape: Shape, *, header: bool) -> TextReader | None:
    """The conversion from text; None where the text is the value."""
    if shape.get("jsonvalue") and header:
        return _read_json_header
    if shape.type in INTEGER_RANGES:
        return integer_reader(shape.type)
    return {
        "boolean": read_boolean,
        "float": read_float,
        "double": read_float,
        "timestamp": read_any_timestamp,
        "blob": _read_base64,
    }.get(shape.type)


def _read_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Malformed("A blob is not valid base64") from None


def _read_json_header(text: str) -> Any:
    try:
        return orjson.loads(_read_base64(text))
    except orjson.JSONDecodeError:
        raise Malformed("A header that holds JSON holds something else") from None


# Writing


def header_writer(members: Places) -> Callable[[dict[str, Any], list[tuple[str, str]]], None]:
    """Writes the members that travel in headers."""
    rows = [(name, shape.get("locationName", name), _text_writer(shape)) for name, shape in members.header.items()]
    prefixed = [(name, shape.get("locationName", "")) for name, shape in members.headers.items()]

    def write(value: dict[str, Any], headers: list[tuple[str, str]]) -> None:
        for name, key, convert in rows:
            one = value.get(name)
            if one is not None:
                headers.append((key, one if convert is None else convert(one)))
        for name, prefix in prefixed:
            for key, one in (value.get(name) or {}).items():
                headers.append((f"{prefix}{key}", str(one)))

    return write


def _text_writer(shape: Shape) -> TextWriter | None:
    if shape.type == "list":
        return _list_writer(shape.element())
    if shape.get("jsonvalue"):
        return lambda value: base64.b64encode(orjson.dumps(value)).decode("ascii")
    if shape.type == "timestamp":
        return timestamp_writer(shape.get("timestampFormat", "rfc822"))
    if shape.type in INTEGER_RANGES:
        return lambda value: str(int(value))
    if shape.type in ("float", "double"):
        return lambda value: write_float(float(value))
    if shape.type == "boolean":
        return write_boolean
    return (lambda value: base64.b64encode(value).decode("ascii")) if shape.type == "blob" else str


def _list_writer(element: Shape) -> TextWriter:
    convert = _text_writer(element) or str
    if element.type != "string":
        return lambda value: ", ".join(convert(one) for one in value)
    return lambda value: ", ".join(_quote(convert(one)) for one in value)


def _quote(text: str) -> str:
    if "," not in text and '"' not in text:
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
