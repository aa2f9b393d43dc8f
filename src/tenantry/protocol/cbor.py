"""CBOR (RFC 8949), as far as smithy-rpc-v2-cbor uses it: no tags but the epoch timestamp, no keys but text.

Input is a client's, so lengths are checked before anything is allocated and nesting is bounded.
"""

from __future__ import annotations

import math
import struct
from typing import Any

from tenantry.protocol.scalars import Malformed

DEPTH_MAX = 128
"""Nesting; the deepest recursive shape in use stays far below, and Python's own stack far above."""

_BREAK = object()
_TIMESTAMP_TAG = 1


class Epoch:
    """A timestamp to be written: epoch seconds under tag 1."""

    __slots__ = ("seconds",)

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


def encode(value: Any) -> bytes:
    """The CBOR of None, booleans, numbers, str, bytes, `Epoch`, lists and dictionaries with str keys."""
    out = bytearray()
    _encode(value, out)
    return bytes(out)


def _encode(value: Any, out: bytearray) -> None:
    kind = type(value)
    if kind is str:
        data = value.encode()
        _head(3, len(data), out)
        out += data
    elif value is None:
        out.append(0xF6)
    elif kind is bool:
        out.append(0xF5 if value else 0xF4)
    elif kind is int:
        _encode_integer(value, out)
    elif kind is float:
        out += b"\xfb" + struct.pack(">d", value)
    elif kind is bytes:
        _head(2, len(value), out)
        out += value
    elif kind is Epoch:
        out.append(0xC0 | _TIMESTAMP_TAG)
        _encode(float(value.seconds), out)
    elif kind is list:
        _head(4, len(value), out)
        for item in value:
            _encode(item, out)
    elif kind is dict:
        _head(5, len(value), out)
        for key, item in value.items():
            _encode(key, out)
            _encode(item, out)
    else:
        raise TypeError(f"no CBOR for {kind.__name__}")


def _encode_integer(value: int, out: bytearray) -> None:
    if -(2**64) <= value < 2**64:
        _head(0 if value >= 0 else 1, value if value >= 0 else -1 - value, out)
    else:
        raise TypeError(f"{value} has no place in 64 bits")


def _head(major: int, argument: int, out: bytearray) -> None:
    first = major << 5
    if argument < 24:
        out.append(first | argument)
    elif argument < 0x100:
        out += struct.pack(">BB", first | 24, argument)
    elif argument < 0x10000:
        out += struct.pack(">BH", first | 25, argument)
    elif argument < 0x100000000:
        out += struct.pack(">BI", first | 26, argument)
    else:
        out += struct.pack(">BQ", first | 27, argument)


def decode(data: bytes) -> Any:
    """The one item in `data`. Timestamps come as plain epoch numbers. Raises Malformed."""
    reader = _Decoder(data)
    try:
        value = reader.item(0)
    except (IndexError, struct.error):
        raise Malformed("the CBOR ends early") from None
    except UnicodeDecodeError:
        raise Malformed("a CBOR text is not UTF-8") from None
    if value is _BREAK or reader.position != len(data):
        raise Malformed("the CBOR is not one item")
    return value


class _Decoder:
    __slots__ = ("_data", "position")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.position = 0

    def item(self, depth: int) -> Any:
        if depth > DEPTH_MAX:
            raise Malformed("the CBOR is nested too deeply")
        first = self._data[self.position]
        self.position += 1
        major, info = first >> 5, first & 31
        if major == 7:
            return self._simple(info)
        if info == 31:
            return self._indefinite(major, depth)
        argument = self._argument(info)
        if major == 0:
            return argument
        if major == 1:
            return -1 - argument
        if major == 2:
            return self._take(argument)
        if major == 3:
            return self._take(argument).decode()
        if major == 6:
            return self._tagged(argument, depth)
        # Every item takes a byte at least: a length beyond the data is a lie, found before it costs anything.
        if argument > len(self._data) - self.position:
            raise Malformed("the CBOR ends early")
        if major == 4:
            return [self._value(depth) for _ in range(argument)]
        return {self._key(depth): self._value(depth) for _ in range(argument)}

    def _value(self, depth: int) -> Any:
        value = self.item(depth + 1)
        if value is _BREAK:
            raise Malformed("the CBOR breaks where an item should be")
        return value

    def _key(self, depth: int) -> str:
        key = self._value(depth)
        if type(key) is not str:
            raise Malformed("a CBOR key is not text")
        return key

    def _argument(self, info: int) -> int:
        if info < 24:
            return info
        if info > 27:
            raise Malformed("the CBOR uses a reserved length")
        width = 1 << (info - 24)
        return int.from_bytes(self._take(width), "big")

    def _take(self, length: int) -> bytes:
        data = self._data[self.position : self.position + length]
        if len(data) != length:
            raise Malformed("the CBOR ends early")
        self.position += length
        return data

    def _tagged(self, tag: int, depth: int) -> Any:
        value = self._value(depth)
        if tag != _TIMESTAMP_TAG:
            return value
        if type(value) not in (int, float) or not math.isfinite(value):
            raise Malformed("a CBOR timestamp is not a number")
        return value

    def _simple(self, info: int) -> Any:
        if info == 20:
            return False
        if info == 21:
            return True
        if info in (22, 23):
            return None
        if info == 25:
            return struct.unpack(">e", self._take(2))[0]
        if info == 26:
            return struct.unpack(">f", self._take(4))[0]
        if info == 27:
            return struct.unpack(">d", self._take(8))[0]
        if info == 31:
            return _BREAK
        raise Malformed("the CBOR holds an unknown simple value")

    def _indefinite(self, major: int, depth: int) -> Any:
        if major in (2, 3):
            return self._pieces(major)
        if major == 4:
            return list(iter(lambda: self.item(depth + 1), _BREAK))
        if major == 5:
            found = {}
            while (key := self.item(depth + 1)) is not _BREAK:
                if type(key) is not str:
                    raise Malformed("a CBOR key is not text")
                found[key] = self._value(depth)
            return found
        raise Malformed("the CBOR uses a reserved length")

    def _pieces(self, major: int) -> bytes | str:
        pieces = []
        while (first := self._data[self.position]) != 0xFF:
            if first >> 5 != major:
                raise Malformed("a piece of a CBOR string has another type")
            self.position += 1
            pieces.append(self._take(self._argument(first & 31)))
        self.position += 1
        data = b"".join(pieces)
        return data if major == 2 else data.decode()
