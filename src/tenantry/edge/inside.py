"""The network of an execution environment, as far as there is one: the platform itself, and the hosts its function may reach.

An environment's network namespace is empty. Listening sockets made inside it are handed out (sandbox/driver.py) and served
here: one answers AWS calls as the open port does, the others (one for each entry of the function's egress list) are relayed to
their target. What is not served here does not exist for the code inside. All of it ends with the environment.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from tenantry.edge.egress import Streams, dial
from tenantry.edge.listener import Handler, Listener, Origin

Dial = Callable[[str, int], Awaitable[Streams]]

RELAYS_MAX = 32
"""Connections one environment may have open to one egress target."""

RELAY_READ_BYTES = 64 * 1024


@dataclass(slots=True, eq=False)
class _Inside:
    """What is served for one environment."""

    servers: list[asyncio.Server] = field(default_factory=list)
    origins: list[Origin] = field(default_factory=list)
    relays: set[asyncio.Task[Any]] = field(default_factory=set)
    ended: bool = False


class InsideNetworks:
    """Implements environment.Platform: environments say when their sockets are there and when they are gone.

    `attach` comes before the first environment: the listener needs the services, they need placement, and that needs this.
    """

    def __init__(self, dial: Dial = dial) -> None:
        """dial: makes the connection to an egress target; raises OSError where it may not be reached."""
        self._dial = dial
        self._listener: Listener | None = None
        self._handler: Handler | None = None
        self._networks: dict[str, _Inside] = {}
        # A server's start is never cancelled: it owns the socket, and closes it if it comes too late.
        self._starting: set[asyncio.Task[None]] = set()

    def attach(self, listener: Listener, handler: Handler) -> None:
        """Who answers the platform's endpoint inside, and with which handler."""
        self._listener, self._handler = listener, handler

    def serve_inside(
        self, environment_id: str, endpoint: socket.socket | None, forwards: list[tuple[socket.socket, str, int]]
    ) -> None:
        """Begin to serve an environment's listening sockets, which are ours from here on. forwards: (socket, host, port)."""
        network = self._networks[environment_id] = _Inside()
        if endpoint is not None:
            endpoint.setblocking(False)
            self._start(self._serve_endpoint(network, endpoint))
        for server, host, port in forwards:
            server.setblocking(False)
            self._start(self._serve_forward(network, server, host, port))

    def stop_inside(self, environment_id: str) -> None:
        """The environment is gone: close everything of it."""
        network = self._networks.pop(environment_id, None)
        if network is None:
            return
        network.ended = True
        for server in network.servers:
            server.close()
        for origin in network.origins:
            if self._listener is not None:
                self._listener.end_origin(origin)
        for task in network.relays:
            task.cancel()

    async def close(self) -> None:
        """End all of it, and wait until it has ended."""
        tasks: list[asyncio.Task[Any]] = [*self._starting]
        for environment_id, network in list(self._networks.items()):
            tasks += network.relays
            self.stop_inside(environment_id)
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    async def _serve_endpoint(self, network: _Inside, server: socket.socket) -> None:
        if self._listener is None or self._handler is None:
            server.close()
            raise RuntimeError("attach comes before the first environment")
        started, origin = await self._listener.serve_socket(server, self._handler)
        network.servers.append(started)
        network.origins.append(origin)
        if network.ended:
            started.close()

    async def _serve_forward(self, network: _Inside, server: socket.socket, host: str, port: int) -> None:
        open_now = 0

        async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal open_now
            open_now += 1
            task = asyncio.current_task()
            if task is not None:
                network.relays.add(task)
            try:
                # A target that cannot be reached, or may not be, looks like one that hangs up.
                with contextlib.suppress(OSError):
                    if open_now <= RELAYS_MAX:
                        await _relay(await self._dial(host, port), reader, writer)
            except asyncio.CancelledError:
                if not network.ended:
                    raise
            finally:
                open_now -= 1
                if task is not None:
                    network.relays.discard(task)
                writer.close()

        started = await asyncio.start_server(relay, sock=server)
        network.servers.append(started)
        if network.ended:
            started.close()


async def _relay(far: Streams, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry bytes both ways until both sides have ended."""
    far_reader, far_writer = far
    try:
        await asyncio.gather(_carry(reader, far_writer), _carry(far_reader, writer))
    finally:
        far_writer.close()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(RELAY_READ_BYTES):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError, RuntimeError):
        writer.write_eof()
