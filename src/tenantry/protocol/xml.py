"""Readers and writers of XML elements, for rest-xml bodies and the query protocol's answers.

`XmlCodec` compiles closures per shape, as `TreeCodec` does for JSON. Readers take an ElementTree element; writers append text
to a list, which costs a tenth of building a tree and rendering it.

A client's XML is parsed as UTF-8 whatever it declares, and may hold no document type: with that, no entities can be defined,
fetched or multiplied.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from typing import Any
from xml.etree.ElementTree import Element, ParseError, XMLParser

from tenantry.protocol.model import Shape
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

ElementReader = Callable[[Element], Any]
ElementWriter = Callable[[Any, list[str]], None]
Readers = dict[str, tuple[str, ElementReader]]
"""By element name: the member, and what reads it (for a map's entries: a pair)."""

DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'

_SPECIAL = re.compile('[&<>"\r\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]')
_NAMED = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}
_PREFIXES = {"xsi": "http://www.w3.org/2001/XMLSchema-instance"}


def parse_document(body: bytes) -> Element:
    """The root of a client's document. Raises Malformed."""
    if b"<!DOCTYPE" in body or b"\0" in body:
        raise Malformed("The document has a document type or is not UTF-8")
    parser = XMLParser(encoding="utf-8")  # noqa: S314 - see above
    try:
        parser.feed(body)
        root = parser.close()
    except ParseError as error:
        raise Malformed(f"The document is not well-formed: {error}") from None
    return root


def escape(text: str) -> str:
    """Text for an element or an attribute. Characters XML cannot hold become references, as AWS sends them."""
    return _SPECIAL.sub(lambda match: _NAMED.get(match[0]) or f"&#x{ord(match[0]):x};", text)


def local_name(tag: str) -> str:
    """An element's name without its namespace."""
    return tag.rpartition("}")[2]


class XmlCodec:
    """The compiler for one service. `milliseconds`: whether timestamps always show theirs, as S3's do."""

    def __init__(self, *, milliseconds: bool = False) -> None:
        self._milliseconds = milliseconds
        self._readers: dict[str, ElementReader | None] = {}
        self._contents: dict[str, tuple[Callable[[dict[str, Any]], str], ElementWriter] | None] = {}

    # Reading

    def reader(self, shape: Shape) -> ElementReader:
        """The closure that reads an element of this shape. A flattened list or map has no element: its owner reads it."""
        if shape.type == "structure":
            return self._structure_reader(shape)
        if shape.type == "list":
            item = self.reader(shape.element())
            return lambda element: [item(child) for child in element]
        if shape.type == "map":
            entry = self._entry_reader(shape)
            return lambda element: dict(entry(child) for child in element)
        return _scalar_reader(shape)

    def members_reader(self, members: dict[str, Shape]) -> Callable[[Element, dict[str, Any]], None]:
        """Reads some members of a structure from its element into a dictionary."""
        single, repeated, entries, attributes = self._places(members)

        def read(element: Element, into: dict[str, Any]) -> None:
            for child in element:
                tag = local_name(child.tag)
                if tag in single:
                    name, reader = single[tag]
                    into[name] = reader(child)
                elif tag in repeated:
                    name, reader = repeated[tag]
                    into.setdefault(name, []).append(reader(child))
                elif tag in entries:
                    name, reader = entries[tag]
                    into.setdefault(name, {}).update((reader(child),))
            for key, name in attributes.items():
                text = element.get(key)
                if text is not None:
                    into[name] = text

        return read

    def _places(self, members: dict[str, Shape]) -> tuple[Readers, Readers, Readers, dict[str, str]]:
        """Members by what they are in their structure's element: a child, several (a flattened list or map), an attribute."""
        single: Readers = {}
        repeated: Readers = {}
        entries: Readers = {}
        attributes: dict[str, str] = {}
        aliases: Readers = {}
        for name, shape in members.items():
            wire_name = element_name(shape, name)
            if shape.get("xmlAttribute"):
                attributes[_attribute_key(wire_name)] = name
            elif shape.get("flattened") and shape.type == "list":
                repeated[wire_name] = (name, self.reader(shape.element()))
                # Clients differ about a flattened list: some name its elements as its items are called.
                aliases[element_name(shape.element(), wire_name)] = repeated[wire_name]
            elif shape.get("flattened") and shape.type == "map":
                entries[wire_name] = (name, self._entry_reader(shape))
            else:
                single[wire_name] = (name, self.reader(shape))
        return single, {**aliases, **repeated}, entries, attributes

    def _structure_reader(self, shape: Shape) -> ElementReader:
        if shape.name in self._readers:
            known = self._readers[shape.name]
            return known or (lambda element: self._readers[shape.name](element))  # type: ignore[misc]  # compiled by then
        self._readers[shape.name] = None
        fill = self.members_reader(shape.members())

        def read(element: Element) -> dict[str, Any]:
            found: dict[str, Any] = {}
            fill(element, found)
            return found

        self._readers[shape.name] = read
        return read

    def _entry_reader(self, shape: Shape) -> Callable[[Element], tuple[str, Any]]:
        key_name = shape.key().get("locationName", "key")
        value_name = shape.value().get("locationName", "value")
        read_value = self.reader(shape.value())

        def read(element: Element) -> tuple[str, Any]:
            parts = {local_name(child.tag): child for child in element}
            if key_name not in parts or value_name not in parts:
                raise Malformed("A map's entry has no key or no value")
            return parts[key_name].text or "", read_value(parts[value_name])

        return read

    # Writing

    def writer(self, shape: Shape, name: str) -> ElementWriter:
        """The closure that writes a value of this shape as an element `name` (or as several, where the shape is flattened)."""
        namespace = _namespace(shape)
        if shape.type == "structure":
            return self._structure_writer(shape, name, namespace)
        if shape.type == "list":
            return self._list_writer(shape, name, namespace)
        if shape.type == "map":
            return self._map_writer(shape, name, namespace)
        to_text = _scalar_writer(shape, milliseconds=self._milliseconds)
        opening, closing = f"<{name}{namespace}>", f"</{name}>"
        return lambda value, out: out.append(f"{opening}{to_text(value)}{closing}")

    def members_writer(self, members: dict[str, Shape]) -> ElementWriter:
        """Writes some members of a structure, without an element around them."""
        rows = [
            (name, self.writer(shape, element_name(shape, name)))
            for name, shape in members.items()
            if not shape.get("xmlAttribute")
        ]

        def write(value: dict[str, Any], out: list[str]) -> None:
            for name, item in rows:
                one = value.get(name)
                if one is not None:
                    item(one, out)

        return write

    def attributes_writer(self, members: dict[str, Shape]) -> Callable[[dict[str, Any]], str]:
        """Writes the members that are attributes of their structure's element: ` name="value"`, or nothing."""
        rows = [(name, element_name(shape, name)) for name, shape in members.items() if shape.get("xmlAttribute")]

        def write(value: dict[str, Any]) -> str:
            return "".join(f' {wire}="{escape(str(value[name]))}"' for name, wire in rows if value.get(name) is not None)

        return write

    def _structure_writer(self, shape: Shape, name: str, namespace: str) -> ElementWriter:
        if shape.name not in self._contents:
            self._contents[shape.name] = None
            members = shape.members()
            self._contents[shape.name] = (self.attributes_writer(members), self.members_writer(members))

        def write(value: dict[str, Any], out: list[str]) -> None:
            attributes, content = self._contents[shape.name]  # type: ignore[misc]  # compiled by then
            out.append(f"<{name}{namespace}{attributes(value)}>")
            content(value, out)
            out.append(f"</{name}>")

        return write

    def _list_writer(self, shape: Shape, name: str, namespace: str) -> ElementWriter:
        element = shape.element()
        if shape.get("flattened"):
            item = self.writer(element, name)
        else:
            item = self.writer(element, element.get("locationName", "member"))
        opening, closing = ("", "") if shape.get("flattened") else (f"<{name}{namespace}>", f"</{name}>")

        def write(value: list[Any], out: list[str]) -> None:
            out.append(opening)
            for one in value:
                if one is not None:
                    item(one, out)
            out.append(closing)

        return write

    def _map_writer(self, shape: Shape, name: str, namespace: str) -> ElementWriter:
        key = self.writer(shape.key(), shape.key().get("locationName", "key"))
        item = self.writer(shape.value(), shape.value().get("locationName", "value"))
        flattened = shape.get("flattened")
        entry = name if flattened else "entry"
        opening, closing = ("", "") if flattened else (f"<{name}{namespace}>", f"</{name}>")

        def write(value: dict[str, Any], out: list[str]) -> None:
            out.append(opening)
            for one, below in value.items():
                if below is not None:
                    out.append(f"<{entry}>")
                    key(one, out)
                    item(below, out)
                    out.append(f"</{entry}>")
            out.append(closing)

        return write


def element_name(shape: Shape, name: str) -> str:
    """What a member's element is called."""
    return str(shape.get("locationName", name))


def _namespace(shape: Shape) -> str:
    given = shape.get("xmlNamespace")
    if not given:
        return ""
    uri, prefix = (given, "") if isinstance(given, str) else (given["uri"], given.get("prefix", ""))
    return f' xmlns{":" if prefix else ""}{prefix}="{escape(uri)}"'


def _attribute_key(wire_name: str) -> str:
    """ElementTree's name of an attribute with a prefix; a prefix not known is taken literally."""
    prefix, _, name = wire_name.rpartition(":")
    return f"{{{_PREFIXES[prefix]}}}{name}" if prefix in _PREFIXES else wire_name


def _scalar_reader(shape: Shape) -> ElementReader:
    if shape.type in ("string", "character"):
        return lambda element: element.text or ""
    convert: Callable[[str], Any] = {
        **{kind: integer_reader(kind) for kind in INTEGER_RANGES},
        "float": read_float,
        "double": read_float,
        "boolean": read_boolean,
        "timestamp": read_any_timestamp,
        "blob": _read_base64,
    }[shape.type]
    return lambda element: convert((element.text or "").strip())


def _scalar_writer(shape: Shape, *, milliseconds: bool) -> Callable[[Any], str]:
    if shape.type == "timestamp":
        return timestamp_writer(shape.get("timestampFormat", "iso8601"), milliseconds=milliseconds)
    if shape.type in INTEGER_RANGES:
        return lambda value: str(int(value))
    if shape.type in ("float", "double"):
        return lambda value: write_float(float(value))
    if shape.type == "boolean":
        return write_boolean
    return _write_base64 if shape.type == "blob" else lambda value: escape(str(value))


def _read_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Malformed("A blob is not valid base64") from None


def _write_base64(value: Any) -> str:
    return base64.b64encode(value.encode() if isinstance(value, str) else bytes(value)).decode("ascii")
