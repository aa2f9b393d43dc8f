"""One client connection: HTTP/1.1 on an asyncio protocol, parsed by httptools, one request served at a time.

    bytes -> data_received -> httptools -> on_* callbacks -> _waiting -> _serve (a task) -> handler -> bytes

Order and bounds are the point of this module. Pipelined requests are answered in order: while one is served, at most one more
read is kept and the socket is not read further. A refusal (`head.RefusedError`) is answered after what came before it, then
the connection lingers shortly so that the client gets to read it, and closes. A client that goes away does not disturb
anything: the handler's task runs on and its answer is dropped, because an invocation, once begun, is finished and logged.
Times are looked at by `sweep`, which the listener calls about once a second, so that a request costs no timers.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from enum import Enum
from typing import TYPE_CHECKING, Any, NoReturn, cast

import httptools

from tenantry.edge.head import Head, RefusedError, judge
from tenantry.edge.reply import (
    CONTINUE,
    LAST_CHUNK,
    BadReplyError,
    chunk,
    message_response,
    render_head,
    sends_body,
)
from tenantry.model.http import Request, Response

if TYPE_CHECKING:
    from tenantry.edge.listener import Listener, Origin

NEVER = float("inf")
JOIN_BELOW = 64 * 1024
"""Bodies up to this size are joined to their head: copying them costs less than a second write."""

SELECTOR_READ_BYTES = 64 * 1024
"""asyncio's own loop allocates this much for each read; more would be mapped anew, and its pages fault, every time."""

_UPGRADED_BODY = b"POST / HTTP/1.1\r\nHost: -\r\n%b\r\n\r\n"


class Phase(Enum):
    """What the next byte from the client is."""

    IDLE = "the first of a request"
    HEAD = "part of a request's head"
    BODY = "part of a request's body"
    PRIMING = "ours: a fresh parser is told about a body whose head was read by another"
    REFUSED = "not wanted: a refusal is on its way or waits its turn"


class Connection(asyncio.Protocol):
    """The protocol of one accepted socket. Belongs to a Listener, which holds what all connections share."""

    def __init__(self, listener: Listener, origin: Origin) -> None:
        self._listener = listener
        self.origin = origin
        self._limits = listener.limits
        self._clock = listener.clock
        self._transport: asyncio.Transport | None = None
        self._peer = ""
        self._parser: Any = httptools.HttpRequestParser(self)
        self._phase = Phase.IDLE
        self._deadline = NEVER
        # the request being read
        self._target = b""
        self._raw_headers: list[tuple[bytes, bytes]] = []
        self._head_bytes = 0
        self._raw_bytes = 0
        self._began = False
        self._head: Head | None = None
        self._parts: list[bytes] = []
        self._body_bytes = 0
        self._body_limit = 0
        self._body_began = 0.0
        self._upgraded_body = False
        self._refusal: RefusedError | None = None
        # requests read, and the one being served
        self._waiting: deque[tuple[Request, bool]] = deque()
        self._serving = False
        self._held = b""
        self._reading = True
        self._client_done = False
        self._continue_due = False
        # writing
        self._lingering = False
        self._writable: asyncio.Future[None] | None = None
        self._unsent = 0
        self._counted = 0

    # -- the socket -----------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if hasattr(transport, "max_size"):
            transport.max_size = SELECTOR_READ_BYTES
        peer = transport.get_extra_info("peername")
        self._peer = peer[0] if isinstance(peer, tuple) else ""
        self._deadline = self._clock.monotonic() + self._limits.idle_timeout_s
        if not self._listener.admit(self, self._transport):
            self._refuse(RefusedError(503, "Too many connections are open. Close some and try again."))
            self._advance()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._deadline = NEVER
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._waiting.clear()
        self._parts.clear()
        self._parser = None  # it holds our methods: without the cycle we are freed now, not at the next collection
        self._count(-self._counted)
        self._listener.forget(self)

    def eof_received(self) -> bool:
        """The client sends no more. What it already asked is still answered."""
        self._client_done = True
        return not self._lingering and (self._serving or bool(self._waiting))

    def data_received(self, data: bytes) -> None:
        if self._phase is Phase.REFUSED:
            return
        if self._serving:
            self._held += data
            self._stop_reading()
            return
        self._feed(data)
        self._advance()

    def pause_writing(self) -> None:
        if self._transport is not None and self._writable is None:
            self._writable = asyncio.get_running_loop().create_future()
            self._unsent = self._transport.get_write_buffer_size()
            self._deadline = self._clock.monotonic() + self._limits.write_stall_s

    def resume_writing(self) -> None:
        if self._writable is not None:
            if not self._writable.done():
                self._writable.set_result(None)
            self._writable = None
            self._deadline = self._clock.monotonic() + self._limits.linger_s if self._lingering else NEVER

    # -- what the listener asks -----------------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether a request is being read, waits, or is being served."""
        return self._serving or bool(self._waiting) or self._phase in (Phase.HEAD, Phase.BODY)

    def sweep(self, now: float) -> None:
        """End what has lasted too long. `now` in seconds of the monotonic clock."""
        transport = self._transport
        if transport is None or now < self._deadline:
            return
        if self._writable is not None:
            unsent = transport.get_write_buffer_size()
            if unsent < self._unsent:  # slow, but reading
                self._unsent = unsent
                self._deadline = now + self._limits.write_stall_s
                return
            transport.abort()
        elif self._lingering:
            transport.abort()
        elif self._phase in (Phase.HEAD, Phase.BODY):
            self._refuse(RefusedError(408, "The request did not arrive in time."))
            self._advance()
        else:
            transport.close()

    def close_if_idle(self) -> None:
        """Draining: go, unless a request is under way."""
        if self._transport is not None and not self.busy and not self._lingering:
            self._transport.close()

    def finish(self) -> None:
        """The listener ends: send what is written, break off what is under way."""
        if self._transport is None:
            return
        if self.busy:
            self._transport.abort()
        else:
            self._transport.close()

    def abort(self) -> None:
        """Go now."""
        if self._transport is not None:
            self._transport.abort()

    # -- reading: httptools calls these -----------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._phase is Phase.PRIMING:
            return
        self._phase = Phase.HEAD
        self._began = True
        self._target = b""
        self._raw_headers = []
        self._head_bytes = self._raw_bytes = self._body_bytes = 0
        self._head = None
        self._parts = []

    def on_url(self, part: bytes) -> None:
        if self._phase is Phase.HEAD:
            self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        # Counted when the head is complete; until then no more is held than _check_raw_head allows.
        if self._phase is Phase.HEAD:
            self._raw_headers.append((name, value))
        elif self._phase is Phase.BODY:  # a trailer: counted, not kept
            self._add_head_bytes(len(name) + len(value) + 4)

    def on_headers_complete(self) -> None:
        if self._phase is Phase.PRIMING:
            self._phase = Phase.BODY
            return
        self._check_head()
        try:
            method = self._parser.get_method().decode("ascii")
            head = judge(method, self._target, self._raw_headers, self._parser.get_http_version(), self._listener.names)
        except RefusedError as refusal:
            self._stop(refusal)
        self._head = head
        self._phase = Phase.BODY
        if not head.has_body:
            return
        self._upgraded_body = bool(self._parser.should_upgrade())
        self._body_limit = self._listener.body_limit(head.method, head.host, head.path)
        if head.length is not None and head.length > self._body_limit:
            self._stop(RefusedError(413, f"The body is larger than the {self._body_limit} bytes that are accepted here."))
        self._head_bytes = self._raw_bytes = 0  # from here on: trailers, and the body with its framing
        self._body_began = self._clock.monotonic()
        self._continue_due = head.expects_continue

    def on_body(self, part: bytes) -> None:
        self._body_bytes += len(part)
        if self._body_bytes > self._body_limit:
            self._stop(RefusedError(413, f"The body is larger than the {self._body_limit} bytes that are accepted here."))
        if not self._count(len(part)):
            self._stop(RefusedError(503, "Too many large requests at one time. Try again shortly."))
        self._continue_due = False
        self._parts.append(part)

    def on_message_complete(self) -> None:
        head = self._head
        if self._upgraded_body or head is None:
            return  # the parser stopped at the head of a request to upgrade; its body is read by another (see _feed)
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        if len(self._waiting) >= self._limits.pipelined:
            self._refuse(RefusedError(429, f"Up to {self._limits.pipelined} requests may be sent ahead of their answers."))
            return
        request = Request(head.method, head.path, head.query, head.headers, body, self._peer, head.version, head.index)
        self._waiting.append((request, self._parser.should_keep_alive()))
        self._parts = []
        self._head = None
        self._raw_bytes = 0
        self._phase = Phase.IDLE

    # -- reading: our side ------------------------------------------------------------------------------------------------

    def _feed(self, data: bytes) -> None:
        """Parse what arrived, and look at the limits that only raw bytes show."""
        if self._phase is Phase.IDLE and self._raw_bytes == 0:
            self._deadline = self._clock.monotonic() + self._limits.header_timeout_s
        rest = data
        self._began = False
        try:
            while rest and self._refusal is None:
                try:
                    self._parser.feed_data(rest)
                    break
                except httptools.HttpParserUpgrade as upgrade:
                    rest = rest[upgrade.args[0] :]
                    self._ignore_upgrade()
        except httptools.HttpParserError as error:
            closing = bool(self._waiting) and not self._waiting[-1][1]
            if self._refusal is None and not closing:  # bytes after `Connection: close` are nobody's request
                self._refusal = RefusedError(400, _syntax_message(data, error))
        if self._refusal is not None:
            self._refuse(self._refusal)
        elif self._phase is Phase.BODY:
            self._check_body(len(data))
        elif not self._began and not self._waiting:
            self._check_raw_head(len(data))

    def _ignore_upgrade(self) -> None:
        """The client offers another protocol; we stay with HTTP/1.1 (RFC 9110 section 7.8), also for its body.

        The parser believes that the message ends with its head. Where a body follows, a fresh parser is told its framing.
        """
        if self._upgraded_body and self._head is not None:
            self._upgraded_body = False
            length = self._head.length
            framing = b"Transfer-Encoding: chunked" if length is None else b"Content-Length: %d" % length
            self._parser = httptools.HttpRequestParser(self)
            self._phase = Phase.PRIMING
            self._parser.feed_data(_UPGRADED_BODY % framing)

    def _check_raw_head(self, received: int) -> None:
        """The parser reports a header only when it is whole: one endless header shows in the raw count alone.

        The read in which a head began is not counted, it may hold the end of the request before.
        """
        self._raw_bytes += received
        if self._raw_bytes > self._limits.head_bytes:
            self._refuse(self._too_large_head())

    def _check_body(self, received: int) -> None:
        limits = self._limits
        self._raw_bytes += received
        if self._raw_bytes > 2 * limits.head_bytes + self._body_bytes * limits.chunk_overhead_factor:
            self._refuse(RefusedError(400, "The body is sent in too small chunks."))
            return
        overall = self._body_began + limits.body_stall_s + self._body_bytes / limits.body_rate
        self._deadline = min(self._clock.monotonic() + limits.body_stall_s, overall)

    def _check_head(self) -> None:
        headers = self._raw_headers
        if len(headers) > self._limits.headers:
            self._stop(RefusedError(431, f"A request may have up to {self._limits.headers} headers."))
        size = len(self._target) + sum([len(name) + len(value) + 4 for name, value in headers])
        if size > self._limits.head_bytes:
            self._stop(self._too_large_head())

    def _add_head_bytes(self, count: int) -> None:
        self._head_bytes += count
        if self._head_bytes > self._limits.head_bytes:
            self._stop(self._too_large_head())

    def _too_large_head(self) -> RefusedError:
        return RefusedError(431, f"The request line and headers are larger than {self._limits.head_bytes} bytes.")

    def _stop(self, refusal: RefusedError) -> NoReturn:
        """Inside a parser callback: remember why, and make the parser stop."""
        self._refusal = refusal
        raise refusal

    def _refuse(self, refusal: RefusedError) -> None:
        self._refusal = refusal
        self._phase = Phase.REFUSED
        self._parts = []

    def _count(self, count: int) -> bool:
        """Book body bytes held for this connection (negative: let go); False where all clients together hold too many."""
        self._counted += count
        return self._listener.count_body_bytes(self.origin, count)

    def _stop_reading(self) -> None:
        if self._reading and self._transport is not None:
            self._reading = False
            self._transport.pause_reading()

    def _go_on_reading(self) -> None:
        if not self._reading and self._transport is not None:
            self._reading = True
            self._transport.resume_reading()

    # -- serving ----------------------------------------------------------------------------------------------------------

    def _advance(self) -> None:
        """Do what is next: serve the oldest request, else send the refusal, else read on."""
        while not self._serving and self._transport is not None:
            if self._waiting:
                request, keep_alive = self._waiting.popleft()
                self._serving = True
                self._deadline = NEVER
                self._listener.spawn(self._serve(request, keep_alive))
            elif self._refusal is not None:
                self._send_refusal(self._refusal)
                return
            elif self._held:
                held, self._held = self._held, b""
                self._feed(held)
            else:
                self._read_on()
                return

    def _read_on(self) -> None:
        transport = self._transport
        if transport is None:
            return
        if self._client_done or (self._listener.draining and self._phase is Phase.IDLE):
            transport.close()
            return
        if self._continue_due:
            self._continue_due = False
            transport.write(CONTINUE)
        now, limits = self._clock.monotonic(), self._limits
        if self._phase is Phase.IDLE and self._raw_bytes == 0:
            self._deadline = now + limits.idle_timeout_s
        elif self._deadline == NEVER:  # its first bytes came while another request was served
            self._body_began = now
            self._deadline = now + (limits.body_stall_s if self._phase is Phase.BODY else limits.header_timeout_s)
        self._go_on_reading()

    async def _serve(self, request: Request, keep_alive: bool) -> None:
        """Answer one request, then go on with the next. Runs as a task of the listener; never raises but CancelledError."""
        held = len(request.body)
        response = await self._listener.answer(self.origin, request)
        if not isinstance(response.body, bytes) and request.http_version == "1.0":
            keep_alive = False  # the end of the connection ends the body
        keep_alive = keep_alive and not self._listener.draining
        try:
            await self._send(request, response, keep_alive)
        finally:
            if self._transport is not None:
                self._count(-held)
        self._serving = False
        if self._transport is None:
            return
        if not keep_alive or self._transport.is_closing():
            self._transport.close()
            return
        self._advance()

    async def _send(self, request: Request, response: Response, keep_alive: bool) -> None:
        if self._transport is None:
            await _discard(response.body)
            return
        try:
            head = self._render(request, response, keep_alive)
        except BadReplyError as error:
            self._listener.report(error)
            await _discard(response.body)
            response = message_response(500, "Internal server error")
            head = self._render(request, response, keep_alive)
        body = response.body
        if not sends_body(response, request.method):
            self._transport.write(head)
            await _discard(body)
        elif isinstance(body, bytes):
            self._write_whole(head, body)
        else:
            await self._stream(head, body, chunked=request.http_version == "1.1")
        if self._writable is not None:
            await self._writable

    def _render(self, request: Request, response: Response, keep_alive: bool) -> bytes:
        method, version = request.method, request.http_version
        return render_head(response, method=method, version=version, date=self._listener.date, keep_alive=keep_alive)

    def _write_whole(self, head: bytes, body: bytes) -> None:
        transport = cast(asyncio.Transport, self._transport)
        if len(body) <= JOIN_BELOW:
            transport.write(head + body)
        else:
            transport.writelines([head, body])

    async def _stream(self, head: bytes, body: AsyncIterator[bytes], *, chunked: bool) -> None:
        """Send a body as it comes, no faster than the client reads. Broken off by closing, so that it cannot look complete."""
        cast(asyncio.Transport, self._transport).write(head)
        try:
            async for part in body:
                if self._transport is None:
                    return
                if part:
                    self._transport.write(chunk(part) if chunked else part)
                if self._writable is not None:
                    await self._writable
            if self._transport is not None and chunked:
                self._transport.write(LAST_CHUNK)
        except Exception as error:  # noqa: BLE001 - a body may fail in any way; the client must see it break off
            self._listener.report(error)
            self.abort()
        finally:
            await _discard(body)

    def _send_refusal(self, refusal: RefusedError) -> None:
        """Answer, stop sending, and read the rest of what the client says for a moment (see Limits.linger_s)."""
        transport = self._transport
        if transport is None or self._lingering:
            return
        self._lingering = True
        response = message_response(refusal.status, refusal.message)
        head = render_head(response, method="GET", version="1.1", date=self._listener.date, keep_alive=False)
        transport.write(head + cast(bytes, response.body))
        self._count(-self._counted)
        if self._client_done:
            transport.close()
            return
        transport.write_eof()
        self._deadline = self._clock.monotonic() + self._limits.linger_s
        self._go_on_reading()


async def _discard(body: bytes | AsyncIterator[bytes]) -> None:
    """Let go of a body that nobody will read, so that what it holds is released now."""
    if isinstance(body, AsyncGenerator):
        await body.aclose()


def _syntax_message(data: bytes, error: httptools.HttpParserError) -> str:
    if data[:1] == b"\x16":
        return "This port speaks HTTP, not HTTPS: use an http:// address."
    return f"The request is not well-formed HTTP: {error}."
