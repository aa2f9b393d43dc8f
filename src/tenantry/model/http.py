"""HTTP requests and responses as values: what the listener makes, what the front dispatches, what services answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field


@dataclass(slots=True)
class Request:
    """One HTTP request, whole.

    path: still percent-encoded, as sent, without the query; query: as sent, without `?`; headers: in the client's order
    and case; header names repeat when the client repeated them; body: after transfer decoding; peer: the client's address.
    """

    method: str
    path: str
    query: str
    headers: list[tuple[str, str]]
    body: bytes = b""
    peer: str = "127.0.0.1"
    http_version: str = "1.1"
    _index: dict[str, str] | None = field(default=None, repr=False)

    def header(self, name: str, default: str | None = None) -> str | None:
        """The last value of a header, its name compared without case."""
        if self._index is None:
            self._index = {key.lower(): value for key, value in self.headers}
        return self._index.get(name.lower(), default)

    def index(self) -> dict[str, str]:
        """The last value of every header, by its name in lower case. Made once: headers must not change afterwards."""
        if self._index is None:
            self._index = {key.lower(): value for key, value in self.headers}
        return self._index


@dataclass(slots=True)
class Response:
    """One HTTP response. `body` is bytes, or an iterator of chunks sent with chunked transfer encoding.

    The listener adds Date, Content-Length (or Transfer-Encoding) and Connection; a handler must not.
    """

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes | AsyncIterator[bytes] = b""
