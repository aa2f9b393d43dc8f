"""Patch operations: `op`, `path`, `value` on a record, by a table of what may be changed (aws-behaviour 4.1).

    FIELDS = {"/name": text("name"), "/variables/{key}": entry("variables"), "/binaryMediaTypes/{key}": member(...)}
    api = patch(api, operations, FIELDS)

A path part in braces stands for any text; in it `~1` is `/` and `~0` is `~`. Values arrive as strings and are converted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from tenantry.services.apigateway import errors
from tenantry.services.apigateway.records import Record

R = TypeVar("R", bound=Record)
Edit = Callable[[dict[str, Any], str, str, Any], None]
"""(record as a dictionary, op, the braces' text, value): changes the dictionary, or raises KeyError, ValueError."""


def unescape(part: str) -> str:
    """A JSON pointer's part as it is meant."""
    return part.replace("~1", "/").replace("~0", "~")


def text(name: str) -> Edit:
    """A string member; `remove` clears it."""
    return _member(name, str)


def number(name: str) -> Edit:
    """An integer member; an empty value clears it."""
    return _member(name, lambda value: int(value) if value != "" else None)


def flag(name: str) -> Edit:
    """A boolean member, `true` or `false`."""
    return _member(name, boolean)


def boolean(value: Any) -> bool:
    """A boolean as patch values write it."""
    words = {"true": True, "false": False}
    return words[str(value).lower()]


def entry(name: str, convert: Callable[[Any], Any] = str) -> Edit:
    """One key of a map member."""

    def edit(record: dict[str, Any], op: str, key: str, value: Any) -> None:
        mapping = record.setdefault(name, {}) or {}
        if op == "remove":
            mapping.pop(key, None)
        else:
            mapping[key] = convert("" if value is None else value)
        record[name] = mapping

    return edit


def member(name: str) -> Edit:
    """One member of a list of strings; the path names the old one, `value` its replacement."""

    def edit(record: dict[str, Any], op: str, key: str, value: Any) -> None:
        items = [item for item in record.get(name) or () if item != key]
        if op == "add":
            items.append(key)
        elif op == "replace":
            items.append(str(value))
        record[name] = items

    return edit


def refused(what: str) -> Edit:
    """A member that may not be changed here, because tenantry does not honour it."""

    def edit(record: dict[str, Any], op: str, key: str, value: Any) -> None:
        if op != "remove" and value not in (None, "", "false"):
            raise errors.unsupported(what)

    return edit


def patch(record: R, operations: Sequence[Mapping[str, Any]] | None, fields: Mapping[str, Edit]) -> R:
    """A changed copy of a record. Raises BadRequestException for a path, an op or a value that does not fit."""
    changed: dict[str, Any] = msgspec.to_builtins(record)
    for operation in operations or ():
        op, path, value = str(operation.get("op")), str(operation.get("path")), operation.get("value")
        if op not in ("add", "replace", "remove"):
            raise errors.BAD_PATCH_OP(op=op, path=path)
        found = _find(path, fields)
        if found is None:
            raise errors.BAD_PATCH_PATH(path=path, op=op, known=", ".join(sorted(fields)))
        edit, key = found
        try:
            edit(changed, op, key, value)
        except (KeyError, ValueError):
            raise errors.BAD_PATCH_VALUE(path=path, value=value) from None
    try:
        return msgspec.convert(changed, type(record))
    except msgspec.ValidationError:
        raise errors.BAD_PATCH_OP(
            op=str((operations or [{}])[-1].get("op")), path=str((operations or [{}])[-1].get("path"))
        ) from None


def _find(path: str, fields: Mapping[str, Edit]) -> tuple[Edit, str] | None:
    plain = fields.get(path)
    if plain is not None:
        return plain, ""
    for pattern, edit in fields.items():
        head, brace, tail = pattern.partition("{")
        suffix = tail.partition("}")[2]
        if brace and path.startswith(head) and path.endswith(suffix) and len(path) > len(head) + len(suffix):
            return edit, unescape(path[len(head) : len(path) - len(suffix)])
    return None


def _member(name: str, convert: Callable[[Any], Any]) -> Edit:
    def edit(record: dict[str, Any], op: str, key: str, value: Any) -> None:
        record[name] = None if op == "remove" or value is None else convert(value)

    return edit
