"""The listening socket and all that its connections share: limits, the date, the tasks that serve, and an orderly end.

    server = bind("127.0.0.1", 4270)        # clients may knock from here on
    listener = Listener(handler, Limits(), SystemClock())
    await listener.start(server)            # and are answered from here on
    ...
    await listener.drain(timeout_s=30)      # stop accepting, let requests finish, then close

The handler is `async (Request) -> Response` and is expected to answer everything itself; what it raises is reported and
becomes a plain 500.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import traceback
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from tenantry.edge.head import Names
from tenantry.edge.http1 import Connection
from tenantry.edge.limits import BodyLimit, Limits, Shares, plain_body_limit
from tenantry.edge.reply import message_response
from tenantry.model.clock import Clock, SystemClock
from tenantry.model.http import Request, Response

Handler = Callable[[Request], Awaitable[Response]]
Report = Callable[[BaseException], None]

BACKLOG = 1024
"""Connections the kernel may hold for us while we are busy: more than the usual burst of a test suite or a benchmark."""

REFUSABLE = 64
"""Connections beyond the limit that are still told why (503). More than that are dropped without a word."""

FLUSH_TIMEOUT_S = 1.0
"""How long closing connections may take to get their last bytes out."""


def report_to_stderr(error: BaseException) -> None:
    """Print an unexpected failure with its traceback, for the person who runs the platform."""
    with contextlib.suppress(OSError):  # it may go to a disk that is full, and the caller is owed an answer all the same
        traceback.print_exception(error, file=sys.stderr)


@dataclass(frozen=True, slots=True, eq=False)
class Origin:
    """Where connections come from: who answers them, and the shares they have in common."""

    handler: Handler
    shares: Shares


def bind(host: str, port: int) -> socket.socket:
    """A listening socket, so that the port is known and ours before anything else is made. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    server = socket.create_server((host, port), family=family, backlog=BACKLOG)
    server.setblocking(False)
    return server


class Listener:
    """HTTP/1.1 on one address. `date` is the current Date header line, renewed by the sweep, so that no request formats it."""

    def __init__(
        self,
        handler: Handler,
        limits: Limits | None = None,
        clock: Clock | None = None,
        body_limit: BodyLimit | None = None,
        report: Report = report_to_stderr,
    ) -> None:
        self.limits = limits or Limits()
        self.clock = clock or SystemClock()
        self.body_limit = body_limit or plain_body_limit(self.limits)
        self.report = report
        self.draining = False
        self.date = ""
        self._outside = Origin(handler, Shares(self.limits.connections, self.limits.buffered_bytes))
        self._connections: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.names = Names()
        self._body_bytes = 0
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None
        self._hurried = asyncio.Event()
        self._all_gone = asyncio.Event()
        self._all_gone.set()
        self._renew_date()

    @property
    def port(self) -> int:
        """The port that is listened on; the one chosen by the system where 0 was asked for."""
        if self._server is None:
            raise RuntimeError("the listener is not started")
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def connections(self) -> int:
        """Open client connections."""
        return len(self._connections)

    @property
    def serving(self) -> int:
        """Requests whose handler is running, including those whose client has gone."""
        return len(self._tasks)

    async def start(self, server: socket.socket) -> None:
        """Accept connections at a listening socket, which is the listener's from here on."""
        loop = asyncio.get_running_loop()
        outside = self._outside
        self._server = await loop.create_server(lambda: Connection(self, outside), sock=server, backlog=BACKLOG)
        self._sweeper = loop.create_task(self._sweep_forever())

    async def serve_socket(self, server: socket.socket, handler: Handler) -> tuple[asyncio.Server, Origin]:
        """Serve another listening socket, from inside an execution environment, with its own handler and small shares.

        Whoever calls closes the server, then calls `end_origin`.
        """
        limits = self.limits
        origin = Origin(handler, Shares(limits.inside_connections, limits.inside_body_bytes))
        loop = asyncio.get_running_loop()
        return await loop.create_server(lambda: Connection(self, origin), sock=server), origin

    def end_origin(self, origin: Origin) -> None:
        """Break off every connection of an origin: its environment is gone."""
        for connection in list(self._connections):
            if connection.origin is origin:
                connection.abort()

    def sweep(self) -> None:
        """Renew the date and end connections that have lasted too long; runs every `sweep_interval_s`."""
        self._renew_date()
        now = self.clock.monotonic()
        for connection in list(self._connections):
            connection.sweep(now)

    async def drain(self, timeout_s: float) -> bool:
        """Stop accepting, let requests under way finish for `timeout_s` seconds, then end the rest.

        True when nothing had to be broken off. `hurry` cuts the wait short. Safe to call twice.
        """
        self.draining = True
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.close_if_idle()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._quiet_or_hurried()
        clean = not self._tasks and not any(connection.busy for connection in self._connections)
        await self._end_all()
        return clean

    def hurry(self) -> None:
        """Make a `drain` under way give up waiting."""
        self._hurried.set()

    # -- what connections use ---------------------------------------------------------------------------------------------

    def admit(self, connection: Connection, transport: asyncio.Transport) -> bool:
        """Take in a new connection; False where it is one too many and has to be refused."""
        shares = connection.origin.shares
        if shares.connections >= shares.connections_max + REFUSABLE:
            transport.abort()
        shares.connections += 1
        self._connections.add(connection)
        self._all_gone.clear()
        return shares.connections <= shares.connections_max

    def forget(self, connection: Connection) -> None:
        """A connection is closed."""
        connection.origin.shares.connections -= 1
        self._connections.discard(connection)
        if not self._connections:
            self._all_gone.set()

    def count_body_bytes(self, origin: Origin, count: int) -> bool:
        """Book body bytes held (negative: let go); False where the origin, or all together, hold too many."""
        self._body_bytes += count
        shares = origin.shares
        shares.body_bytes += count
        return self._body_bytes <= self.limits.buffered_bytes and shares.body_bytes <= shares.body_bytes_max

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run the serving of one request as a task that outlives its connection."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def answer(self, origin: Origin, request: Request) -> Response:
        """What the handler answers; a 500 where it fails."""
        try:
            return await origin.handler(request)
        except Exception as error:  # noqa: BLE001 - one request's failure, whatever it is, is that request's alone
            self.report(error)
            return message_response(500, "Internal server error")

    # -- helpers ------------------------------------------------------------------------------------------------------------

    def _renew_date(self) -> None:
        moment = datetime.fromtimestamp(self.clock.now(), UTC)
        self.date = f"Date: {format_datetime(moment, usegmt=True)}\r\n"

    async def _sweep_forever(self) -> None:
        while True:
            await asyncio.sleep(self.limits.sweep_interval_s)
            self.sweep()

    async def _quiet_or_hurried(self) -> None:
        while not self._hurried.is_set():
            waited_for: set[asyncio.Task[Any]] = set(self._tasks)
            if not waited_for and not any(connection.busy for connection in self._connections):
                return
            hurried = asyncio.ensure_future(self._hurried.wait())
            try:
                # a request half read has no task yet: look again shortly
                await asyncio.wait({*waited_for, hurried}, timeout=0.05, return_when=asyncio.FIRST_COMPLETED)
            finally:
                hurried.cancel()

    async def _end_all(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for connection in list(self._connections):
            connection.finish()
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.wait({self._sweeper})
        if self._server is not None:
            self._server.close()
        with contextlib.suppress(TimeoutError):  # last answers are flushed, unless a client does not read them
            async with asyncio.timeout(FLUSH_TIMEOUT_S):
                await self._all_gone.wait()
        for connection in list(self._connections):
            connection.abort()
