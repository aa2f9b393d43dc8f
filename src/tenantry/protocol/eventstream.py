"""Event streams (application/vnd.amazon.eventstream): messages with typed headers, a payload and two checksums.

    total length (4) | headers length (4) | CRC32 of those 8 bytes (4) | headers | payload | CRC32 of everything before (4)

`encode`/`decode` work on single messages. `EventWriter`, compiled from a model's event union, turns the events an operation
yields (`{"PayloadChunk": {"Payload": b"..."}}`) into messages; a ServiceError raised in between becomes an exception message,
which ends the stream as AWS ends it. Used by InvokeWithResponseStream and StartLiveTail.
"""

from __future__ import annotations

import struct
import uuid
import zlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from tenantry.model.errors import ServiceError
from tenantry.protocol.errors import error_value
from tenantry.protocol.model import Shape
from tenantry.protocol.scalars import Malformed, to_epoch

CONTENT_TYPE = "application/vnd.amazon.eventstream"
MESSAGE_BYTES_MAX = 16 * 1024 * 1024
"""A payload's limit in the format's definition; a length beyond it is taken for garbage."""

HeaderValue = bool | int | bytes | str | float | uuid.UUID
BodyWriter = Callable[[Any], bytes]


@dataclass(frozen=True, slots=True)
class Message:
    """One message. Header values: bool, int (32 bits, or 64 where it needs them), bytes, str, float (epoch seconds), UUID."""

    headers: dict[str, HeaderValue] = field(default_factory=dict)
    payload: bytes = b""


def encode(message: Message) -> bytes:
    """The message's bytes."""
    headers = b"".join(_encode_header(name, value) for name, value in message.headers.items())
    prelude = struct.pack(">II", 16 + len(headers) + len(message.payload), len(headers))
    body = b"".join((prelude, struct.pack(">I", zlib.crc32(prelude)), headers, message.payload))
    return body + struct.pack(">I", zlib.crc32(body))


def decode(data: bytes) -> tuple[Message, int] | None:
    """The first message in `data` and how many bytes it takes; None while it is not complete. Raises Malformed."""
    if len(data) < 12:
        return None
    total, headers_length, checksum = struct.unpack(">III", data[:12])
    if zlib.crc32(data[:8]) != checksum or not 16 + headers_length <= total <= MESSAGE_BYTES_MAX:
        raise Malformed("an event's prelude is damaged")
    if len(data) < total:
        return None
    if zlib.crc32(data[: total - 4]) != struct.unpack(">I", data[total - 4 : total])[0]:
        raise Malformed("an event's checksum does not match")
    headers = _decode_headers(data[12 : 12 + headers_length])
    return Message(headers, data[12 + headers_length : total - 4]), total


def _encode_header(name: str, value: HeaderValue) -> bytes:
    key = name.encode()
    head = bytes([len(key)]) + key
    if isinstance(value, bool):
        return head + (b"\x00" if value else b"\x01")
    if isinstance(value, int):
        narrow = -(2**31) <= value < 2**31
        return head + (b"\x04" + struct.pack(">i", value) if narrow else b"\x05" + struct.pack(">q", value))
    if isinstance(value, float):
        return head + b"\x08" + struct.pack(">q", round(value * 1000))
    if isinstance(value, uuid.UUID):
        return head + b"\x09" + value.bytes
    kind, data = (b"\x06", value) if isinstance(value, bytes) else (b"\x07", value.encode())
    return head + kind + struct.pack(">H", len(data)) + data


_FIXED: dict[int, tuple[int, Callable[[bytes], HeaderValue]]] = {
    0: (0, lambda data: True),
    1: (0, lambda data: False),
    2: (1, lambda data: int.from_bytes(data, "big", signed=True)),
    3: (2, lambda data: int.from_bytes(data, "big", signed=True)),
    4: (4, lambda data: int.from_bytes(data, "big", signed=True)),
    5: (8, lambda data: int.from_bytes(data, "big", signed=True)),
    8: (8, lambda data: int.from_bytes(data, "big", signed=True) / 1000),
    9: (16, lambda data: uuid.UUID(bytes=data)),
}
_VARIABLE: dict[int, Callable[[bytes], HeaderValue]] = {6: bytes, 7: bytes.decode}


def _decode_headers(data: bytes) -> dict[str, HeaderValue]:
    headers: dict[str, HeaderValue] = {}
    position = 0

    def take(length: int) -> bytes:
        nonlocal position
        piece = data[position : position + length]
        if len(piece) != length:
            raise Malformed("an event's headers end early")
        position += length
        return piece

    try:
        while position < len(data):
            name = take(take(1)[0]).decode()
            kind = take(1)[0]
            if kind in _FIXED:
                width, convert = _FIXED[kind]
            elif kind in _VARIABLE:
                width, convert = int.from_bytes(take(2), "big"), _VARIABLE[kind]
            else:
                raise Malformed("an event's header has an unknown type")
            headers[name] = convert(take(width))
    except UnicodeDecodeError:
        raise Malformed("an event's header is not UTF-8") from None
    return headers


class EventWriter:
    """Writes the events of one union. `body`: compiles the writer of a structure's bytes in the operation's protocol."""

    def __init__(self, union: Shape, body: Callable[[Shape], BodyWriter], content_type: str) -> None:
        self._union = union
        self._content_type = content_type
        self._events = {name: self._compile(shape, body) for name, shape in union.members().items()}

    async def stream(self, events: AsyncIterator[dict[str, Any]], first: bytes | None = None) -> AsyncIterator[bytes]:
        """The events as messages; `first` is the payload of an initial response, for protocols that send one.

        Cancelling the consumer closes the operation's iterator.
        """
        if first is not None:
            yield encode(Message(self._headers("initial-response", self._content_type), first))
        try:
            async for event in events:
                yield self.message(event)
        except ServiceError as error:
            yield self.exception(error)
        finally:
            close = getattr(events, "aclose", None)
            if close is not None:
                await close()

    def message(self, event: dict[str, Any]) -> bytes:
        """One event, a dictionary with a single key. Raises KeyError for an event the model does not have."""
        ((name, value),) = event.items()
        return encode(self._events[name](name, value))

    def exception(self, error: ServiceError) -> bytes:
        """The message that ends a stream with an error: modelled ones by their name, others as an error of the stream."""
        if error.code not in self._events:
            headers: dict[str, HeaderValue] = {":error-code": error.code, ":error-message": error.message}
            return encode(Message({**headers, ":message-type": "error"}))
        value = error_value(self._union.members()[error.code], error)
        headers = {":exception-type": error.code, ":content-type": self._content_type, ":message-type": "exception"}
        return encode(Message(headers, self._events[error.code](error.code, value).payload))

    @staticmethod
    def _headers(event: str, content_type: str) -> dict[str, HeaderValue]:
        return {":event-type": event, ":content-type": content_type, ":message-type": "event"}

    def _compile(self, shape: Shape, body: Callable[[Shape], BodyWriter]) -> Callable[[str, dict[str, Any]], Message]:
        members = shape.members()
        in_headers = {name: member.type for name, member in members.items() if member.get("eventheader")}
        payload = next((name for name, member in members.items() if member.get("eventpayload")), None)
        content_type, write = self._content_type, body(shape)
        if payload is not None and members[payload].type == "blob":
            content_type, write = "application/octet-stream", _raw
        elif payload is not None and members[payload].type == "string":
            content_type, write = "text/plain", _raw
        elif payload is not None:
            write = body(members[payload])

        def event(name: str, value: dict[str, Any]) -> Message:
            headers = self._headers(name, content_type)
            for key, kind in in_headers.items():
                if value.get(key) is not None:
                    headers[key] = float(to_epoch(value[key])) if kind == "timestamp" else value[key]
            if payload is not None:
                content = write(value[payload]) if value.get(payload) is not None else b""
            else:
                rest = {key: one for key, one in value.items() if key not in in_headers}
                content = write(rest) if rest or len(members) > len(in_headers) else b""
            return Message(headers, content)

        return event


def _raw(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)
