"""The head of a request, judged: pure functions from what the parser saw to a `Head`, or a `RefusedError`.

httptools (llhttp, strict) has already refused broken syntax: bare LF, folded lines, space before a colon, NUL and other
control characters, two Content-Lengths, Content-Length beside Transfer-Encoding. What is refused here is what is well-formed
but ambiguous, because a proxy before us might read it otherwise (request smuggling, RFC 9112 sections 3, 6 and 11.2), and
what we do not speak.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
VERSIONS = frozenset({"1.0", "1.1"})

NAMES_MAX = 512
NAME_BYTES_MAX = 64

_ONCE = frozenset({"host", "content-length", "transfer-encoding", "expect"})
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]+)(?::[0-9]*)?")
_ABSOLUTE = re.compile(r"https?://([^/?#]*)([^#]*)", re.IGNORECASE)
_LENGTH = re.compile(r"[0-9]{1,18}")


class RefusedError(Exception):
    """A request we will not read further: answered with `status` and a JSON message, then the connection is closed."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(slots=True)
class Head:
    """A request's head. `length` is None without Content-Length; `index` has the last value of each lower-cased name."""

    method: str
    host: str
    path: str
    query: str
    headers: list[tuple[str, str]]
    index: dict[str, str]
    version: str
    length: int | None
    chunked: bool
    expects_continue: bool

    @property
    def has_body(self) -> bool:
        """Whether body bytes will follow."""
        return self.chunked or bool(self.length)


class Names:
    """Header names decoded, as (as sent, lower-cased): clients send the same few over and over. Remembers up to `NAMES_MAX`."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[str, str]] = {}

    def __call__(self, raw: bytes) -> tuple[str, str]:
        known = self._known.get(raw)
        if known is None:
            name = raw.decode("latin-1")
            known = name, name.lower()
            if len(self._known) < NAMES_MAX and len(raw) <= NAME_BYTES_MAX:
                self._known[raw] = known
        return known


def judge(method: str, target: bytes, raw_headers: list[tuple[bytes, bytes]], version: str, names: Names) -> Head:
    """The head of a request; raises RefusedError (400, 417, 501, 505)."""
    if version not in VERSIONS:
        raise RefusedError(505, "This server speaks HTTP/1.1 and HTTP/1.0.")
    if method not in METHODS:
        raise RefusedError(501, "This method is not supported.")
    headers: list[tuple[str, str]] = []
    index: dict[str, str] = {}
    for raw_name, raw_value in raw_headers:
        name, key = names(raw_name)
        value = raw_value.decode("latin-1").strip(" \t")
        if key in index and key in _ONCE:
            raise RefusedError(400, f"The header {name} may be given only once.")
        headers.append((name, value))
        index[key] = value
    host = _host(index.get("host"), version)
    path, query = _split_target(target.decode("latin-1"), method, host)
    length, chunked = _framing(index, version)
    return Head(method, host, path, query, headers, index, version, length, chunked, _expectation(index, version))


def _host(host: str | None, version: str) -> str:
    if host is None:
        if version == "1.1":
            raise RefusedError(400, "The header Host is missing.")
        return ""
    if not _HOST.fullmatch(host):
        raise RefusedError(400, "The header Host is not a host name with an optional port.")
    return host


def _split_target(target: str, method: str, host: str) -> tuple[str, str]:
    """(path, query) of a request target; an absolute one must name the same host as the Host header."""
    if not target.startswith("/"):
        absolute = _ABSOLUTE.fullmatch(target)
        if absolute is not None:
            if absolute[1].lower() != host.lower():
                raise RefusedError(400, "The request target names another host than the header Host.")
            target = absolute[2] if absolute[2].startswith("/") else "/" + absolute[2]
        elif not (target == "*" and method == "OPTIONS"):
            raise RefusedError(400, "The request target is not a path.")
    if "#" in target:
        raise RefusedError(400, "The request target holds a fragment.")
    path, _, query = target.partition("?")
    return path, query


def _framing(index: dict[str, str], version: str) -> tuple[int | None, bool]:
    """(Content-Length, chunked): how the end of the body is found, or RefusedError where two readers could disagree."""
    encoding = index.get("transfer-encoding")
    length = index.get("content-length")
    if encoding is None:
        if length is None:
            return None, False
        if not _LENGTH.fullmatch(length):
            raise RefusedError(400, "The header Content-Length is not a number.")
        return int(length), False
    if length is not None:
        raise RefusedError(400, "Content-Length and Transfer-Encoding may not be given together.")
    if version != "1.1" or encoding.lower() != "chunked":
        raise RefusedError(400, "The only Transfer-Encoding understood is chunked, with HTTP/1.1.")
    return None, True


def _expectation(index: dict[str, str], version: str) -> bool:
    expect = index.get("expect")
    if expect is None or version == "1.0":
        return False
    if expect.lower() != "100-continue":
        raise RefusedError(417, "The only expectation that can be met is 100-continue.")
    return True
