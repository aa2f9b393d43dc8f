r"""The aws-chunked body encoding that S3 uploads use: chunks inside the HTTP body, each perhaps signed, and trailing headers.

    <size in hex>[;chunk-signature=<64 hex>]\r\n <data> \r\n
    ... 0[;chunk-signature=<64 hex>]\r\n [<trailer name>:<value>\r\n ...] \r\n

The value of x-amz-content-sha256 says which variant it is:
    STREAMING-UNSIGNED-PAYLOAD-TRAILER               plain chunks, checksum trailers
    STREAMING-AWS4-HMAC-SHA256-PAYLOAD               signed chunks
    STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER       signed chunks and a signed trailer
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass

UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"

HEAD_BYTES_MAX = 1024
"""Longest chunk head or trailer line; a signature needs 90 bytes."""
TRAILERS_MAX = 20
"""Trailer lines: clients send one checksum and one signature."""

_CHUNK_HEAD = re.compile(rb"([0-9a-fA-F]{1,16})(?:;chunk-signature=([0-9a-f]{64}))?[ \t]*")
_EMPTY_HASH = hashlib.sha256(b"").hexdigest()
_TRAILER_SIGNATURE = "x-amz-trailer-signature"


class ChunkError(Exception):
    """The chunks do not follow the encoding."""


class ChunkSignatureError(Exception):
    """A chunk's or the trailer's signature is not the one we calculate."""


@dataclass(frozen=True, slots=True)
class Chain:
    """What the chunks' signatures are calculated from: the request's signing key, date, scope and signature (the seed)."""

    key: bytes
    date: str
    scope: str
    seed: str


def decode(body: bytes, chain: Chain | None, decoded_length: int | None) -> tuple[bytes, list[tuple[str, str]]]:
    """(the data, the trailers). With a chain every chunk must be signed. Raises ChunkError, ChunkSignatureError."""
    position = 0
    pieces: list[bytes] = []
    previous = chain.seed if chain else ""
    while True:
        line, position = _line(body, position)
        head = _CHUNK_HEAD.fullmatch(line)
        if head is None:
            raise ChunkError("A chunk of the body does not begin with its size")
        size = int(head[1], 16)
        data = body[position : position + size]
        if len(data) != size:
            raise ChunkError("You did not provide the number of bytes specified by the Content-Length HTTP header")
        if chain is not None:
            expected = _chunk_signature(chain, previous, data)
            _check(expected, (head[2] or b"").decode("ascii"))
            previous = expected
        position += size
        if size == 0:
            break
        if body[position : position + 2] != b"\r\n":
            raise ChunkError("A chunk of the body is longer than its size")
        position += 2
        pieces.append(data)
    trailers = _trailers(body, position, chain, previous)
    data = b"".join(pieces)
    if decoded_length is not None and decoded_length != len(data):
        raise ChunkError("You did not provide the number of bytes specified by the x-amz-decoded-content-length HTTP header")
    return data, trailers


def _line(body: bytes, position: int) -> tuple[bytes, int]:
    end = body.find(b"\r\n", position, position + HEAD_BYTES_MAX)
    if end < 0:
        raise ChunkError("The body ends before its last chunk")
    return body[position:end], end + 2


def _trailers(body: bytes, position: int, chain: Chain | None, previous: str) -> list[tuple[str, str]]:
    trailers: list[tuple[str, str]] = []
    signature = ""
    while position < len(body):
        line, position = _line(body, position)
        if not line:
            break
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon or len(trailers) >= TRAILERS_MAX:
            raise ChunkError("The body's trailer is malformed")
        if name.strip().lower() == _TRAILER_SIGNATURE:
            signature = value.strip()
        else:
            trailers.append((name.strip(), value.strip()))
    if chain is not None and trailers:
        _check(_trailer_signature(chain, previous, trailers), signature)
    return trailers


def _chunk_signature(chain: Chain, previous: str, data: bytes) -> str:
    lines = ("AWS4-HMAC-SHA256-PAYLOAD", chain.date, chain.scope, previous, _EMPTY_HASH, hashlib.sha256(data).hexdigest())
    return _sign(chain, lines)


def _trailer_signature(chain: Chain, previous: str, trailers: list[tuple[str, str]]) -> str:
    canonical = "".join(f"{name.lower()}:{value}\n" for name, value in sorted(trailers, key=lambda pair: pair[0].lower()))
    lines = ("AWS4-HMAC-SHA256-TRAILER", chain.date, chain.scope, previous, hashlib.sha256(canonical.encode()).hexdigest())
    return _sign(chain, lines)


def _sign(chain: Chain, lines: tuple[str, ...]) -> str:
    return hmac.digest(chain.key, "\n".join(lines).encode(), "sha256").hex()


def _check(expected: str, given: str) -> None:
    if not hmac.compare_digest(expected.encode(), given.encode()):
        raise ChunkSignatureError
