"""The Runtime API client that awslambdaric imports as `runtime_client`: pure Python, one kept-alive connection.

awslambdaric ships a native module of this name for a few interpreters. This one takes its place without a change to
awslambdaric: it reads the address when it is first used, not when it is imported, so that a zygote can load it for
environments to come, and it runs on every interpreter the host has. Interface: `initialize_client`, `next`,
`post_invocation_result`, `post_error`.
"""

import os
import socket

_PREFIX = "/2018-06-01/runtime/invocation/"


class _Client:
    def __init__(self):
        self.user_agent = ""
        self.connection = None
        self.buffer = b""
        self.host = ""

    def connect(self):
        self.host = os.environ["AWS_LAMBDA_RUNTIME_API"]
        name, _, port = self.host.rpartition(":")
        connection = socket.create_connection((name, int(port)))
        connection.settimeout(None)  # /next waits for as long as there is nothing to do
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection, self.buffer = connection, b""

    def request(self, head, body=b""):
        """Send one request, return (status, headers, body) of its answer."""
        if self.connection is None:
            self.connect()
        text = f"{head}Host: {self.host}\r\nUser-Agent: {self.user_agent}\r\n"
        if body is not None:
            text += f"Content-Length: {len(body)}\r\n"
        try:
            self.connection.sendall(text.encode("latin-1") + b"\r\n" + (body or b""))
            return self.answer()
        except OSError:
            self.connection = None
            raise

    def answer(self):
        while True:
            end = self.buffer.find(b"\r\n\r\n")
            if end >= 0:
                break
            self.fill()
        lines = self.buffer[:end].decode("latin-1").split("\r\n")
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name] = value.strip(" \t")
        length = int(headers.get("Content-Length", "0"))
        start = end + 4
        if len(self.buffer) - start < length:
            pieces, missing = [self.buffer[start:]], length - (len(self.buffer) - start)
            while missing > 0:
                piece = self.connection.recv(min(missing, 1 << 20))
                if not piece:
                    raise ConnectionError("the Runtime API closed the connection in the middle of an answer")
                pieces.append(piece)
                missing -= len(piece)
            body, self.buffer = b"".join(pieces), b""
        else:
            body, self.buffer = self.buffer[start : start + length], self.buffer[start + length :]
        return int(lines[0].split(" ", 2)[1]), headers, body

    def fill(self):
        piece = self.connection.recv(65536)
        if not piece:
            raise ConnectionError("the Runtime API closed the connection")
        self.buffer += piece


_client = _Client()


def initialize_client(user_agent):
    """Keep the user agent; the connection is made on first use, in the process that uses it."""
    _client.user_agent = user_agent


def next():
    """Wait for an invocation: (event body, headers), the deadline already a number."""
    status, headers, body = _client.request(f"GET {_PREFIX}next HTTP/1.1\r\n", None)
    if status != 200:
        raise RuntimeError("Failed to get next")
    if "Lambda-Runtime-Deadline-Ms" in headers:
        headers["Lambda-Runtime-Deadline-Ms"] = int(headers["Lambda-Runtime-Deadline-Ms"])
    return body, headers


def _post(path, body, *headers):
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


def post_invocation_result(invoke_id, content, content_type, invocation_id=None):
    """Answer an invocation with a result."""
    _post(f"{invoke_id}/response", content, ("Content-Type", content_type), ("Lambda-Runtime-Invocation-Id", invocation_id))


def post_error(invoke_id, error, xray_fault, invocation_id=None):
    """Answer an invocation with an error."""
    _post(
        f"{invoke_id}/error",
        error.encode(),
        ("Content-Type", "application/json"),
        ("Lambda-Runtime-Function-XRay-Error-Cause", xray_fault),
        ("Lambda-Runtime-Invocation-Id", invocation_id),
    )
