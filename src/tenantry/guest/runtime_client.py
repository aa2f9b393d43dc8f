"""The Runtime API client that awslambdaric imports as `runtime_client`: pure Python, one kept-alive connection.

awslambdaric ships a native module of this name for a few interpreters. This one takes its place without a change to
awslambdaric: it reads the address when it is first used, not when it is imported, so that a zygote can load it for
environments to come, and it runs on every interpreter the host has. Interface: `initialize_client`, `next`,
`post_invocation_result`, `post_error`.
"""

from __future__ import annotations

import os
import socket
from typing import Any

_PREFIX = "/2018-06-01/runtime/invocation/"


class _Client:
    def __init__(self) -> None:
        self.user_agent = ""
        self.connection: socket.socket | None = None
        self.buffer = b""
        self.host = ""

    def connect(self) -> socket.socket:
        self.host = os.environ["AWS_LAMBDA_RUNTIME_API"]
        name, _, port = self.host.rpartition(":")
        connection = socket.socket()  # the address is always a number: no resolver, and none of the modules it loads
        connection.connect((name, int(port)))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection, self.buffer = connection, b""
        return connection

    def request(self, head: str, body: bytes | None) -> tuple[int, dict[str, Any], bytes]:
        """Send one request, return (status, headers, body) of its answer."""
        connection = self.connection or self.connect()
        text = f"{head}Host: {self.host}\r\nUser-Agent: {self.user_agent}\r\n"
        if body is not None:
            text += f"Content-Length: {len(body)}\r\n"
        try:
            connection.sendall(text.encode("latin-1") + b"\r\n" + (body or b""))
            return self.answer(connection)
        except OSError:
            self.connection = None
            raise

    def answer(self, connection: socket.socket) -> tuple[int, dict[str, Any], bytes]:
        while True:
            end = self.buffer.find(b"\r\n\r\n")
            if end >= 0:
                break
            self.fill(connection)
        lines = self.buffer[:end].decode("latin-1").split("\r\n")
        headers: dict[str, Any] = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name] = value.strip(" \t")
        length = int(headers.get("Content-Length", "0"))
        start = end + 4
        if len(self.buffer) - start < length:
            pieces, missing = [self.buffer[start:]], length - (len(self.buffer) - start)
            while missing > 0:
                piece = connection.recv(min(missing, 1 << 20))
                if not piece:
                    raise ConnectionError("the Runtime API closed the connection in the middle of an answer")
                pieces.append(piece)
                missing -= len(piece)
            body, self.buffer = b"".join(pieces), b""
        else:
            body, self.buffer = self.buffer[start : start + length], self.buffer[start + length :]
        return int(lines[0].split(" ", 2)[1]), headers, body

    def fill(self, connection: socket.socket) -> None:
        piece = connection.recv(65536)
        if not piece:
            raise ConnectionError("the Runtime API closed the connection")
        self.buffer += piece


_client = _Client()


def initialize_client(user_agent: str) -> None:
    """Keep the user agent; the connection is made on first use, in the process that uses it."""
    _client.user_agent = user_agent


def next() -> tuple[bytes, dict[str, Any]]:
    """Wait for an invocation: (event body, headers), the deadline already a number."""
    status, headers, body = _client.request(f"GET {_PREFIX}next HTTP/1.1\r\n", None)
    if status != 200:
        raise RuntimeError("Failed to get next")
    if "Lambda-Runtime-Deadline-Ms" in headers:
        headers["Lambda-Runtime-Deadline-Ms"] = int(headers["Lambda-Runtime-Deadline-Ms"])
    return body, headers


def _post(path: str, body: bytes, *headers: tuple[str, str | None]) -> None:
    head = f"POST {_PREFIX}{path} HTTP/1.1\r\n"
    for name, value in headers:
        if value:
            if "\r" in value or "\n" in value:
                raise RuntimeError(f"a line break in header {name}")
            head += f"{name}: {value}\r\n"
    status, _, answer = _client.request(head, body)
    # 413 is the platform's refusal of a result that is too large: it has answered the caller already.
    if status != 202 and status != 413:
        raise RuntimeError(f"Failed to post invocation response: {status} {answer.decode('utf-8', 'replace')}")


def post_invocation_result(invoke_id: str, content: bytes, content_type: str, invocation_id: str | None = None) -> None:
    """Answer an invocation with a result."""
    _post(f"{invoke_id}/response", content, ("Content-Type", content_type), ("Lambda-Runtime-Invocation-Id", invocation_id))


def post_error(invoke_id: str, error: str, xray_fault: str, invocation_id: str | None = None) -> None:
    """Answer an invocation with an error."""
    _post(
        f"{invoke_id}/error",
        error.encode(),
        ("Content-Type", "application/json"),
        ("Lambda-Runtime-Function-XRay-Error-Cause", xray_fault),
        ("Lambda-Runtime-Invocation-Id", invocation_id),
    )
