"""Answers as bytes: status line, headers, framing. Pure; the connection decides when to send them.

A header value may come from a customer's function, so nothing in it may end the line and start another header: such an answer
becomes a 500 instead (`BadReplyError`).
"""

from __future__ import annotations

import re
from http import HTTPStatus

import orjson

from tenantry.model.http import Response

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_LINES = re.compile(r"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]++: [^\r\n\0]*+\r\n)*+")
_OURS = frozenset({"connection", "content-length", "date", "keep-alive", "transfer-encoding", "upgrade"})
_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}
_BODILESS = frozenset({204, 304})


class BadReplyError(Exception):
    """A response that cannot be put on the wire: a header that would split, an impossible status."""


def render_head(response: Response, *, method: str, version: str, date: str, keep_alive: bool) -> bytes:
    """Status line and headers, with the empty line. `date` is a whole `Date: ...` line.

    Headers that describe the connection or the framing are ours: a handler's are dropped, except the Content-Length of an
    answer to HEAD, which tells the size that GET would have sent. Raises BadReplyError.
    """
    lines = []
    length: str | None = None
    for name, value in response.headers:
        key = name.lower()
        if key not in _OURS:
            lines.append(f"{name}: {value}\r\n")
        elif key == "content-length" and method == "HEAD" and value.isascii() and value.isdigit():
            length = value
    text = "".join(lines)
    if text.count("\n") != len(lines) or not _LINES.fullmatch(text):
        raise BadReplyError("a header of the response holds characters that may not be sent")
    framing = _framing(response, version, length)
    if not keep_alive:
        framing += "Connection: close\r\n"
    elif version == "1.0":
        framing += "Connection: keep-alive\r\n"
    head = f"{_status_line(response.status)}{text}{date}{framing}\r\n"
    try:
        return head.encode("latin-1")
    except UnicodeEncodeError:
        return head.encode()


def sends_body(response: Response, method: str) -> bool:
    """Whether body bytes follow the head."""
    return method != "HEAD" and response.status not in _BODILESS


def message_response(status: int, message: str) -> Response:
    """A small JSON answer of the edge itself."""
    return Response(status, [("Content-Type", "application/json")], orjson.dumps({"message": message}))


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body. `data` must not be empty: an empty chunk ends the body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"


def _status_line(status: int) -> str:
    line = _STATUS_LINES.get(status)
    if line is not None and status >= 200:
        return line
    if 200 <= status <= 599:
        return f"HTTP/1.1 {status} Unknown\r\n"
    raise BadReplyError(f"{status} is not a status of a final response")


def _framing(response: Response, version: str, head_length: str | None) -> str:
    if response.status in _BODILESS:
        return ""
    if head_length is not None:
        return f"Content-Length: {head_length}\r\n"
    if isinstance(response.body, bytes):
        return f"Content-Length: {len(response.body)}\r\n"
    # HTTP/1.0 knows no chunks: there the end of the connection ends the body.
    return "Transfer-Encoding: chunked\r\n" if version == "1.1" else ""
