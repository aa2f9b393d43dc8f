"""Readers and writers of JSON-like trees: dictionaries, lists, scalars, as JSON and CBOR decode to.

`TreeCodec` compiles, once per shape, a closure that turns a decoded tree into parameters (or a result into a tree to encode).
JSON and CBOR differ only in blobs, timestamps and the floats JSON cannot write, so the codec takes those apart.

Reading: unknown keys are dropped, nulls count as absent (inside lists and maps too), a wrong type raises `Malformed` with
AWS's sentence. Writing: None is left out, keys the model does not know are dropped, a value that cannot be written raises
TypeError (an operation's mistake, not the client's).
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable
from typing import Any

from tenantry.protocol import cbor
from tenantry.protocol.model import Shape
from tenantry.protocol.scalars import (
    INTEGER_RANGES,
    NOT_NUMBERS,
    Malformed,
    Reader,
    Writer,
    checked_epoch,
    read_any_timestamp,
    timestamp_writer,
    to_epoch,
)

_INTEGERS = frozenset(INTEGER_RANGES)
_KINDS: dict[Any, str] = {dict: "structure or map", list: "list"}
_TOKENS: dict[Any, str] = {
    str: "STRING_VALUE",
    bool: "TRUE_VALUE",
    int: "NUMBER_VALUE",
    float: "DECIMAL_VALUE",
    bytes: "BINARY_VALUE",
}
_NAMES = {"integer": "Integer", "long": "Long", "boolean": "Boolean", "float": "Float", "double": "Double"}


class TreeCodec:
    """The compiler for one encoding. `binary`: True for CBOR (bytes and timestamps have their own types)."""

    def __init__(self, *, binary: bool) -> None:
        self._binary = binary
        self._readers: dict[str, Reader] = {}
        self._writers: dict[str, Writer] = {}

    def reader(self, shape: Shape) -> Reader:
        """The closure that reads a value of this shape."""
        if shape.is_document:
            return _as_is
        if shape.type == "structure":
            reader: Reader = self._structure(shape, self._readers, self._structure_reader)
            return reader
        if shape.type == "list":
            return _list_reader(self.reader(shape.element()))
        if shape.type == "map":
            return _map_reader(self.reader(shape.value()))
        if shape.type == "blob":
            return _read_bytes if self._binary else _read_base64
        if shape.type == "timestamp":
            return _read_timestamp
        if shape.type in _INTEGERS:
            return _integer_reader(shape.type)
        if shape.type in ("float", "double"):
            return _read_float
        return _read_boolean if shape.type == "boolean" else _read_string

    def writer(self, shape: Shape) -> Writer:
        """The closure that writes a value of this shape."""
        if shape.is_document:
            return _as_is
        if shape.type == "structure":
            writer: Writer = self._structure(shape, self._writers, self._structure_writer)
            return writer
        if shape.type == "list":
            item = self.writer(shape.element())
            return lambda value: [item(one) for one in value if one is not None]
        if shape.type == "map":
            item = self.writer(shape.value())
            return lambda value: {key: item(one) for key, one in value.items() if one is not None}
        return self._scalar_writer(shape)

    def members_reader(self, members: dict[str, Shape]) -> Callable[[dict[str, Any], dict[str, Any]], None]:
        """Reads some members of a structure out of a tree into a dictionary of parameters."""
        table = {shape.get("locationName", name): (name, self.reader(shape)) for name, shape in members.items()}

        def read(tree: dict[str, Any], into: dict[str, Any]) -> None:
            for key, value in tree.items():
                entry = table.get(key)
                if entry is not None and value is not None:
                    into[entry[0]] = entry[1](value)

        return read

    def members_writer(self, members: dict[str, Shape]) -> Callable[[dict[str, Any]], dict[str, Any]]:
        """Writes some members of a structure to a tree."""
        rows = [(name, shape.get("locationName", name), self.writer(shape)) for name, shape in members.items()]

        def write(value: dict[str, Any]) -> dict[str, Any]:
            tree = {}
            for name, key, item in rows:
                one = value.get(name)
                if one is not None:
                    tree[key] = item(one)
            return tree

        return write

    def _structure(self, shape: Shape, memo: dict[str, Any], build: Callable[[Shape], Any]) -> Any:
        # A structure that holds itself meets its own name while it is being compiled: that use looks the closure up at work.
        found = memo.get(shape.name, self)
        if found is None:
            return lambda value: memo[shape.name](value)
        if found is self:
            memo[shape.name] = None
            memo[shape.name] = found = build(shape)
        return found

    def _structure_reader(self, shape: Shape) -> Reader:
        fill = self.members_reader(shape.members())

        def read(value: Any) -> dict[str, Any]:
            if type(value) is not dict:
                raise _wrong(value, "structure or map")
            found: dict[str, Any] = {}
            fill(value, found)
            return found

        return read

    def _structure_writer(self, shape: Shape) -> Writer:
        return self.members_writer(shape.members())

    def _scalar_writer(self, shape: Shape) -> Writer:
        if shape.type == "blob":
            return _to_bytes if self._binary else _write_base64
        if shape.type == "timestamp":
            if self._binary:
                return lambda value: cbor.Epoch(to_epoch(value))
            style = shape.get("timestampFormat", "unixTimestamp")
            return to_epoch if style == "unixTimestamp" else timestamp_writer(style)
        if shape.type in _INTEGERS:
            return int
        if shape.type in ("float", "double"):
            return float if self._binary else _write_float
        return bool if shape.type == "boolean" else str


def _as_is(value: Any) -> Any:
    return value


def _wrong(value: Any, wanted: str) -> Malformed:
    """AWS's sentences for a value of the wrong type (from memory)."""
    found = type(value)
    if found in _KINDS:
        return Malformed(f"Start of {_KINDS[found]} found where not expected.")
    if wanted in ("list", "structure or map"):
        return Malformed("Unexpected field type")
    if found is bool and value is False:
        return Malformed(f"FALSE_VALUE can not be converted to {_article(wanted)}")
    return Malformed(f"{_TOKENS.get(found, 'VALUE')} can not be converted to {_article(wanted)}")


def _article(wanted: str) -> str:
    return f"an {wanted}" if wanted[0] in "AEIOU" else f"a {wanted}"


def _list_reader(item: Reader) -> Reader:
    def read(value: Any) -> list[Any]:
        if type(value) is not list:
            raise _wrong(value, "list")
        return [item(one) for one in value if one is not None]

    return read


def _map_reader(item: Reader) -> Reader:
    def read(value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise _wrong(value, "structure or map")
        return {key: item(one) for key, one in value.items() if one is not None}

    return read


def _read_string(value: Any) -> str:
    if type(value) is not str:
        raise _wrong(value, "String")
    return value


def _read_boolean(value: Any) -> bool:
    if type(value) is not bool:
        raise _wrong(value, "Boolean")
    return value


def _integer_reader(kind: str) -> Reader:
    low, high = INTEGER_RANGES[kind]
    name = _NAMES.get(kind, kind.title())

    def read(value: Any) -> int:
        if type(value) is float and value.is_integer():
            value = int(value)
        if type(value) is not int or not low <= value <= high:
            raise _wrong(value, name)
        return value

    return read


def _read_float(value: Any) -> float:
    if type(value) is float or type(value) is int:
        return value
    if type(value) is str and value in NOT_NUMBERS:
        return NOT_NUMBERS[value]
    raise _wrong(value, "Double")


def _read_timestamp(value: Any) -> int | float:
    if type(value) is str:
        return read_any_timestamp(value)
    if type(value) not in (int, float):
        raise _wrong(value, "Date")
    return checked_epoch(value)


def _read_bytes(value: Any) -> bytes:
    if type(value) is not bytes:
        raise _wrong(value, "Blob")
    return value


def _read_base64(value: Any) -> bytes:
    if type(value) is not str:
        raise _wrong(value, "Blob")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise Malformed("A blob is not valid base64.") from None


def _write_float(value: Any) -> float | str:
    number = float(value)
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def _to_bytes(value: Any) -> bytes:
    return value.encode() if type(value) is str else bytes(value)


def _write_base64(value: Any) -> str:
    return base64.b64encode(_to_bytes(value)).decode("ascii")
