"""The Runtime API of one environment, over HTTP/1.1 on a socket made inside its sandbox (aws-behaviour 2.1).

    GET  /2018-06-01/runtime/invocation/next             waits for an invocation
    POST /2018-06-01/runtime/invocation/{id}/response    202 {"status":"OK"}
    POST /2018-06-01/runtime/invocation/{id}/error       202
    POST /2018-06-01/runtime/init/error                  202
    GET  /2018-06-01/ping                                200 pong

Only this environment's processes can reach the socket, and an id that is not the one in hand is refused, so a function can
forge nothing but its own answers. Requests are small and trusted to be nobody's but the function's: limits protect the
platform.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Protocol, cast

import httptools
import orjson

from tenantry.model.invocation import RESPONSE_BYTES_MAX

_BASE = b"/2018-06-01/runtime/"
_HEADER_BYTES_MAX = 2 << 20  # the X-Ray cause may take one MiB
_CONNECTIONS_MAX = 16
_ACCEPT_PAUSE_S = 0.1
_REASONS = {200: "OK", 202: "Accepted", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 413: "Payload Too Large"}


class Refused(Exception):  # noqa: N818 - an answer, not a defect
    """A call that the environment's state does not allow."""

    def __init__(self, status: int, error_type: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.error_type = error_type


class Handler(Protocol):
    """What the Runtime API asks of its environment. Methods raise Refused."""

    def next_waiting(self, connection: RuntimeConnection) -> None: ...
    def response(self, request_id: str, invocation_id: str | None, body: bytes, content_type: str) -> None: ...
    def response_too_large(self, request_id: str, invocation_id: str | None) -> None: ...
    def error(self, request_id: str, invocation_id: str | None, body: bytes, error_type: str | None) -> None: ...
    def init_error(self, body: bytes, error_type: str | None) -> None: ...


class RuntimeApi:
    """Accepts the connections of one environment."""

    def __init__(self, server: socket.socket, handler: Handler) -> None:
        self._server = server
        self._handler = handler
        self._loop = asyncio.get_running_loop()
        self._connections: set[RuntimeConnection] = set()
        self._accepting: set[asyncio.Task[object]] = set()
        server.setblocking(False)
        self._loop.add_reader(server, self._accept)

    def close(self) -> None:
        """Stop listening and drop every connection."""
        if self._server.fileno() >= 0:
            self._loop.remove_reader(self._server)
            self._server.close()
        for connection in list(self._connections):
            connection.abort()

    def _accept(self) -> None:
        try:
            accepted, _ = self._server.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError:
            # Out of descriptors: the connection stays in the queue. To look again at once would only burn the processor.
            self._loop.remove_reader(self._server)
            self._loop.call_later(_ACCEPT_PAUSE_S, self._accept_again)
            return
        if len(self._connections) >= _CONNECTIONS_MAX:
            accepted.close()
            return
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = self._loop.create_task(
            self._loop.connect_accepted_socket(lambda: RuntimeConnection(self._handler, self._connections), accepted)
        )
        self._accepting.add(task)
        task.add_done_callback(self._accepted)

    def _accept_again(self) -> None:
        if self._server.fileno() >= 0:
            self._loop.add_reader(self._server, self._accept)

    def _accepted(self, task: asyncio.Task[object]) -> None:
        self._accepting.discard(task)
        if not task.cancelled():
            task.exception()  # the client went, or there was no descriptor: its socket is closed either way


class RuntimeConnection(asyncio.Protocol):
    """One connection of a runtime client."""

    def __init__(self, handler: Handler, connections: set[RuntimeConnection]) -> None:
        self._handler = handler
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._accepting = False  # a 202 is still to be said
        self._reset()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._connections.discard(self)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.abort()

    def deliver(self, head: bytes, body: bytes) -> bool:
        """Answer a waiting `/next`. False when the client has gone."""
        if self._transport is None:
            return False
        self._transport.write(head + body)
        return True

    @property
    def open(self) -> bool:
        """Whether the client is still there."""
        return self._transport is not None and not self._transport.is_closing()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # -- httptools callbacks

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > _HEADER_BYTES_MAX:
            raise httptools.HttpParserError("headers too large")
        self._headers[name.lower()] = value

    def on_body(self, body: bytes) -> None:
        if self._length + len(body) > RESPONSE_BYTES_MAX:
            self._too_large = True
            self._body.clear()
            return
        self._length += len(body)
        self._body.append(body)

    def on_message_complete(self) -> None:
        url, method = self._url, self._parser.get_method()
        headers, body, too_large = self._headers, b"".join(self._body), self._too_large
        self._reset()
        self._accept()  # answers keep the order of their requests
        try:
            self._dispatch(method, url, headers, body, too_large)
        except Refused as refusal:
            self._answer(refusal.status, {"errorType": refusal.error_type, "errorMessage": str(refusal)})

    def _reset(self) -> None:
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._header_bytes = 0
        self._body: list[bytes] = []
        self._length = 0
        self._too_large = False

    def _dispatch(self, method: bytes, url: bytes, headers: dict[bytes, bytes], body: bytes, too_large: bool) -> None:
        path = url.split(b"?", 1)[0]
        if method == b"GET" and path == b"/2018-06-01/runtime/invocation/next":
            self._handler.next_waiting(self)
            return
        if method == b"GET" and path == b"/2018-06-01/ping":
            self._write(200, b"pong")
            return
        if not path.startswith(_BASE) or method != b"POST":
            raise Refused(404, "NotFound", "no such call of the Runtime API")
        parts = path[len(_BASE) :].decode("latin-1").split("/")
        error_type = _text(headers, b"lambda-runtime-function-error-type")
        invocation_id = _text(headers, b"lambda-runtime-invocation-id")
        if parts == ["init", "error"]:
            self._handler.init_error(body, error_type)
        elif len(parts) == 3 and parts[0] == "invocation" and parts[2] == "response":
            if too_large:
                self._handler.response_too_large(parts[1], invocation_id)
                message = f"Exceeded maximum allowed payload size ({RESPONSE_BYTES_MAX} bytes)."
                raise Refused(413, "RequestEntityTooLarge", message)
            content_type = _text(headers, b"content-type") or "application/json"
            self._handler.response(parts[1], invocation_id, body, content_type)
        elif len(parts) == 3 and parts[0] == "invocation" and parts[2] == "error":
            self._handler.error(parts[1], invocation_id, body, error_type)
        else:
            raise Refused(404, "NotFound", "no such call of the Runtime API")
        # The caller's answer is two turns of the loop away; the runtime, which would only ask for more, comes after it.
        self._accepting = True
        self._loop.call_soon(self._loop.call_soon, self._accept)

    def _accept(self) -> None:
        if self._accepting:
            self._accepting = False
            self._write(202, b'{"status":"OK"}')

    def _answer(self, status: int, content: dict[str, str]) -> None:
        self._write(status, orjson.dumps(content))

    def _write(self, status: int, body: bytes) -> None:
        if self._transport is not None:
            head = (
                f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            self._transport.write(head.encode() + body)


def _text(headers: dict[bytes, bytes], name: bytes) -> str | None:
    value = headers.get(name)
    return None if value is None else value.decode("latin-1")
