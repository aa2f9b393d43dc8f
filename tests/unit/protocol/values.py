"""Random values of a model's shapes, from a seed: parameters as a client would give them, results as an operation would.

What a wire format cannot carry is not drawn: empty containers where only their parts are sent, control characters in XML and
headers, sub-second times in headers. Everything else may come, in particular text with quotes, slashes, spaces and non-ASCII.
"""

from __future__ import annotations

import random
import string
from typing import Any

from tenantry.protocol.model import Shape
from tenantry.protocol.scalars import write_http_date

DEPTH_MAX = 4
_TOKEN = string.ascii_letters + string.digits + "-_"
_HEADER = string.ascii_letters + string.digits + " -_.:/=+@#%&*()[]{}<>?!'"
_TEXT = [*string.ascii_letters, *string.digits, *" /%+&=?#:,;.\"'<>[]{}|~-_\\", "é", "ß", "ሴ", "😹", "\n", "\t"]


class Values:
    """A source of values. `sparse`: how likely an optional member is left out."""

    def __init__(self, seed: int, protocol: str, *, sparse: float = 0.5) -> None:
        self._random = random.Random(seed)
        self._protocol = protocol
        self._sparse = sparse

    def structure(self, shape: Shape, depth: int = 0) -> dict[str, Any]:
        """A structure's value; of a union one member."""
        members = {name: member for name, member in shape.members().items() if not member.is_event_stream}
        required = set(shape.get("required", ()))
        if shape.get("union"):
            name = self._random.choice(list(members))
            return {name: self.value(members[name], depth + 1)}
        found = {
            name: self.value(member, depth + 1)
            for name, member in members.items()
            if name in required
            or member.get("location") == "uri"
            or (self._random.random() > self._sparse and (depth < DEPTH_MAX or member.type not in ("structure", "list", "map")))
        }
        payload = shape.payload()
        if not found and members and depth and self._protocol in ("query", "rest-xml") and payload is None:
            name = next((n for n, m in members.items() if m.type not in ("structure", "list", "map")), next(iter(members)))
            found = {name: self.value(members[name], depth + 1)}
        return found

    def value(self, shape: Shape, depth: int = 0) -> Any:
        """A value of any shape."""
        if shape.is_document:
            return {"free": [1, "form", None, {"deep": True}]}
        if shape.type == "structure":
            return self.structure(shape, depth)
        if shape.type == "list":
            return [self._item(shape.element(), shape, depth) for _ in range(self._count(depth))]
        if shape.type == "map":
            keys = [self._key(shape) for _ in range(self._count(depth))]
            return {key: self._item(shape.value(), shape, depth) for key in keys}
        return self.scalar(shape)

    def _item(self, shape: Shape, owner: Shape, depth: int) -> Any:
        if owner.get("location") and shape.type not in ("structure", "list", "map"):
            return self._scalar_at(shape, owner.get("location"))
        return self.value(shape, depth + 1)

    def _count(self, depth: int) -> int:
        return self._random.randint(1, 3) if depth < DEPTH_MAX else 1

    def _key(self, shape: Shape) -> str:
        if shape.get("location") == "headers":
            return self._text(string.ascii_lowercase + string.digits, 1, 10)
        enum = shape.key().get("enum")
        return self._random.choice(enum) if enum else self._text(_TEXT if self._protocol != "rest-xml" else _HEADER, 1, 8)

    def scalar(self, shape: Shape) -> Any:
        """A scalar, fit for where it travels."""
        return self._scalar_at(shape, shape.get("location"))

    def _scalar_at(self, shape: Shape, location: str | None) -> Any:
        draw = self._random
        if shape.type == "boolean":
            return draw.random() < 0.5
        if shape.type in ("integer", "long"):
            return draw.choice((0, 1, -1, 7, 2**31 - 1, draw.randint(-(10**6), 10**6)))
        if shape.type in ("float", "double"):
            return draw.choice((0.0, 1.5, -2.25, 1e-7, 123456.789))
        if shape.type == "timestamp":
            whole = location in ("header", "headers") or shape.get("timestampFormat") == "rfc822"
            return draw.randint(0, 4_000_000_000) if whole else draw.randint(0, 4_000_000_000_000) / 1000
        if shape.type == "blob":
            return bytes(draw.randrange(256) for _ in range(draw.randint(1, 40)))
        if shape.get("enum"):
            return draw.choice(shape.get("enum"))
        if shape.name == "Expires":
            return write_http_date(draw.randint(0, 4_000_000_000))
        if location in ("header", "headers"):
            return self._text(_HEADER, 1, 20).strip() or "x"
        if location == "uri":
            return self._text([c for c in _TEXT if c not in "\n\t"], 1, 20).strip("/.") or "x"
        return self._text(_TEXT, 0 if location is None else 1, 30)

    def _text(self, alphabet: Any, low: int, high: int) -> str:
        return "".join(self._random.choice(alphabet) for _ in range(self._random.randint(low, high)))
