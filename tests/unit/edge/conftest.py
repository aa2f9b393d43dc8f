"""A listener on an ephemeral port and a client that speaks raw bytes; every test here runs on both event loops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import pytest
import uvloop

from tenantry.edge.limits import Limits
from tenantry.edge.listener import Listener, bind
from tenantry.model.clock import ManualClock
from tenantry.model.http import Request, Response

Handler = Callable[[Request], Awaitable[Response]]


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@dataclass
class Answer:
    """A response as read from the wire. Header names are lower-cased."""

    status: int
    headers: dict[str, str]
    body: bytes
    lines: list[str]


@dataclass
class Client:
    """One raw connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes | str) -> None:
        self.writer.write(data.encode("latin-1") if isinstance(data, str) else data)
        await self.writer.drain()

    async def read(self, method: str = "GET") -> Answer:
        """The next response; raises IncompleteReadError at the end of the connection."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
        status = int(head[0].split()[1])
        headers = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in head[1:]}
        body = b""
        if method != "HEAD" and status not in (100, 204, 304):
            if headers.get("transfer-encoding") == "chunked":
                while size := int(await self.reader.readline(), 16):
                    body += await self.reader.readexactly(size)
                    await self.reader.readline()
                await self.reader.readline()
            elif "content-length" in headers:
                body = await self.reader.readexactly(int(headers["content-length"]))
            else:
                body = await self.reader.read()
        return Answer(status, headers, body, head)

    async def ask(self, data: bytes | str, method: str = "GET") -> Answer:
        await self.send(data)
        return await self.read(method)

    async def closed(self) -> bool:
        """Whether the server has ended the connection (waits up to two seconds for it)."""
        try:
            async with asyncio.timeout(2):
                return await self.reader.read(1) == b""
        except ConnectionError:
            return True

    async def close(self) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except ConnectionError:
            return


@dataclass
class Edge:
    """A running listener, its clock, and what was reported to it."""

    listener: Listener
    clock: ManualClock
    reported: list[BaseException]
    clients: list[Client] = field(default_factory=list)

    async def connect(self) -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.listener.port))
        self.clients.append(client)
        return client

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let the loop run until something is so."""
        async with asyncio.timeout(5):
            while not condition():  # noqa: ASYNC110 - any condition, also ones that no event tells of
                await asyncio.sleep(0.002)

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.listener.sweep()


Start = Callable[..., Awaitable[Edge]]


async def echo(request: Request) -> Response:
    """Says what it saw."""
    text = f"{request.method} {request.path}?{request.query} {len(request.body)}"
    return Response(200, [("X-Seen", text)], request.body or text.encode())


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """`await start(handler, limits)` gives an Edge; all are ended with the test."""
    edges: list[Edge] = []

    async def begin(handler: Handler = echo, limits: Limits | None = None, **options: object) -> Edge:
        clock = ManualClock()
        reported: list[BaseException] = []
        listener = Listener(handler, limits, clock, report=reported.append, **options)  # type: ignore[arg-type]
        await listener.start(bind("127.0.0.1", 0))
        edges.append(Edge(listener, clock, reported))
        return edges[-1]

    yield begin
    for edge in edges:
        await edge.listener.drain(0)
        for client in edge.clients:
            await client.close()
