"""Reading the query protocol's form bodies: `Tags.member.1.Key=a&Tags.member.1.Value=b` to nested parameters.

The flat names are first folded into a tree of dictionaries at their dots; compiled readers then walk that tree as the shapes
say. A leaf that also has branches keeps its text under the empty name (`Tags=` next to `Tags.member.1=` happens).

Lists may skip indices and come in any order; AWS sorts by index. An empty list is sent as `Tags=`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from tenantry.protocol.model import Shape
from tenantry.protocol.scalars import (
    INTEGER_RANGES,
    Malformed,
    integer_reader,
    read_any_timestamp,
    read_boolean,
    read_float,
)

PARAMETERS_MAX = 20_000
"""Form fields of one request; AWS's largest list parameters have a few hundred items of a few fields."""

DEPTH_MAX = 32
"""Dots in one name. Real shapes stay below ten."""

Tree = dict[str, Any]
TreeReader = Callable[[Any], Any]


def read_form(text: str) -> dict[str, str]:
    """The fields of a form body or query string; the last of a repeated name wins. Raises Malformed."""
    try:
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=PARAMETERS_MAX))
    except ValueError:
        raise Malformed(f"The request has more than {PARAMETERS_MAX} parameters") from None


def fold(fields: dict[str, str]) -> Tree:
    """The fields as a tree, split at the dots. Raises Malformed."""
    tree: Tree = {}
    for name, text in fields.items():
        if "." not in name:
            _leaf(tree, name, text)
            continue
        if name.count(".") > DEPTH_MAX:
            raise Malformed(f"The parameter {name[:80]}... is nested too deeply")
        *path, last = name.split(".")
        node = tree
        for part in path:
            below = node.get(part)
            if type(below) is not dict:
                below = node[part] = {} if below is None else {"": below}
            node = below
        _leaf(node, last, text)
    return tree


def _leaf(node: Tree, name: str, text: str) -> None:
    there = node.get(name)
    if type(there) is dict:
        there[""] = text
    else:
        node[name] = text


class QueryCodec:
    """The compiler of readers for one service."""

    def __init__(self) -> None:
        self._structures: dict[str, TreeReader | None] = {}

    def reader(self, shape: Shape) -> TreeReader:
        """The closure that reads a value of this shape out of a tree."""
        if shape.type == "structure":
            return self._structure(shape)
        if shape.type == "list":
            return self._list(shape)
        if shape.type == "map":
            return self._map(shape)
        return _scalar(shape)

    def _structure(self, shape: Shape) -> TreeReader:
        if shape.name in self._structures:
            known = self._structures[shape.name]
            return known or (lambda node: self._structures[shape.name](node))  # type: ignore[misc]  # it is compiled by then
        self._structures[shape.name] = None
        members = {name: (member, self.reader(member)) for name, member in shape.members().items()}
        table = {member.get("locationName", name): (name, reader) for name, (member, reader) in members.items()}
        for name, (member, reader) in members.items():
            # SDKs differ about a flattened list: some name it by what its items are called.
            if member.type == "list" and member.get("flattened") and "locationName" in member.element().traits:
                table.setdefault(member.element().get("locationName"), (name, reader))

        def read(node: Any) -> dict[str, Any]:
            if type(node) is not dict:
                if node:
                    raise Malformed("Unexpected text where a structure should be")
                return {}
            found = {}
            for key, below in node.items():
                entry = table.get(key)
                if entry is not None:
                    found[entry[0]] = entry[1](below)
            return found

        self._structures[shape.name] = read
        return read

    def _list(self, shape: Shape) -> TreeReader:
        element = shape.element()
        item = self.reader(element)
        between = None if shape.get("flattened") else element.get("locationName", "member")

        def read(node: Any) -> list[Any]:
            if type(node) is not dict:
                # `Tags=` is the empty list; a text there is a list of one, as old clients send it.
                return [item(node)] if node else []
            if between is not None:
                # Some clients write `member` where the model has another name.
                node = node.get(between, node.get("member", {}))
            return [item(below) for below in _in_order(node)]

        return read

    def _map(self, shape: Shape) -> TreeReader:
        key_name = shape.key().get("locationName", "key")
        value_name = shape.value().get("locationName", "value")
        read_value = self.reader(shape.value())
        between = None if shape.get("flattened") else "entry"

        def read(node: Any) -> dict[str, Any]:
            if type(node) is not dict:
                return {}
            found = {}
            for entry in _in_order(node.get(between, {}) if between else node):
                if type(entry) is not dict or type(entry.get(key_name)) is not str:
                    raise Malformed("A map's entry has no key")
                found[entry[key_name]] = read_value(entry.get(value_name, ""))
            return found

        return read


def _in_order(node: Any) -> list[Any]:
    if type(node) is not dict:
        raise Malformed("A list's items must be numbered")
    numbered = []
    for key, below in node.items():
        if key == "":
            continue
        if not (key.isascii() and key.isdigit() and len(key) < 10):
            raise Malformed(f"{key[:80]!r} is not the number of a list's item")
        numbered.append((int(key), below))
    return [below for _, below in sorted(numbered, key=lambda pair: pair[0])]


def _scalar(shape: Shape) -> TreeReader:
    convert: Callable[[str], Any] | None = None
    if shape.type in INTEGER_RANGES:
        convert = integer_reader(shape.type)
    elif shape.type in ("float", "double"):
        convert = read_float
    elif shape.type == "boolean":
        convert = read_boolean
    elif shape.type == "timestamp":
        convert = read_any_timestamp
    elif shape.type == "blob":
        convert = _read_base64

    def read(node: Any) -> Any:
        if type(node) is dict:
            node = node.get("")
            if node is None:
                raise Malformed("Unexpected structure where text should be")
        return convert(node) if convert is not None else node

    return read


def _read_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Malformed("A blob is not valid base64") from None
