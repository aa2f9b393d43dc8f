"""What an execution environment's network offers: the platform, its egress list, and nothing after its end."""

from __future__ import annotations

import asyncio
import socket

import pytest

from tenantry.edge.inside import RELAYS_MAX, InsideNetworks
from tenantry.edge.limits import Limits
from tenantry.model.http import Request, Response

from .conftest import Client

GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"


async def inside(request: Request) -> Response:
    return Response(200, [], b"inside " + request.body)


def attached(edge) -> InsideNetworks:
    networks = InsideNetworks(asyncio.open_connection)  # the targets of these tests are on loopback
    networks.attach(edge.listener, inside)
    return networks


def listening() -> tuple[socket.socket, int]:
    server = socket.create_server(("127.0.0.1", 0))
    return server, server.getsockname()[1]


async def connect(port: int) -> Client:
    return Client(*await asyncio.open_connection("127.0.0.1", port))


async def test_platform_answers_inside_with_its_own_handler_and_shares(start):
    edge = await start(limits=Limits(inside_connections=2, inside_body_bytes=100))
    networks = attached(edge)
    server, port = listening()
    networks.serve_inside("e1", server, [])
    clients = [await connect(port) for _ in range(3)]
    assert [(await client.ask(GET)).status for client in clients[:2]] == [200, 200]
    assert (await clients[2].read()).status == 503
    head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n\r\n"
    assert (await clients[0].ask(head + "a" * 101)).status == 503
    outside = await edge.connect()
    assert (await outside.ask(head + "a" * 101)).body == b"a" * 101
    networks.stop_inside("e1")
    assert await clients[1].closed()
    with pytest.raises(OSError):
        await connect(port)
    assert (await outside.ask(GET)).status == 200
    for client in clients:
        await client.close()
    await networks.close()


async def test_egress_is_relayed_both_ways_and_ends_with_the_environment(start):
    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1000):
            writer.write(data.upper())
        writer.close()

    target = await asyncio.start_server(shout, "127.0.0.1", 0)
    target_port = target.sockets[0].getsockname()[1]
    edge = await start()
    networks = attached(edge)
    server, port = listening()
    networks.serve_inside("e1", None, [(server, "127.0.0.1", target_port)])
    client = await connect(port)
    await client.send("hello")
    assert await client.reader.readexactly(5) == b"HELLO"
    client.writer.write_eof()
    assert await client.reader.read() == b""
    kept = await connect(port)
    await kept.send("x")
    assert await kept.reader.readexactly(1) == b"X"
    networks.stop_inside("e1")
    assert await kept.closed()
    with pytest.raises(OSError):
        await connect(port)
    for each in (client, kept):
        await each.close()
    await networks.close()
    target.close()


async def test_egress_to_a_closed_port_hangs_up(start):
    server, gone = listening()
    server.close()
    edge = await start()
    networks = attached(edge)
    server, port = listening()
    networks.serve_inside("e1", None, [(server, "127.0.0.1", gone)])
    client = await connect(port)
    assert await client.closed()
    await client.close()
    await networks.close()


async def test_egress_connections_are_limited(start):
    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    target = await asyncio.start_server(hold, "127.0.0.1", 0)
    edge = await start()
    networks = attached(edge)
    server, port = listening()
    networks.serve_inside("e1", None, [(server, "127.0.0.1", target.sockets[0].getsockname()[1])])
    held = [await connect(port) for _ in range(RELAYS_MAX)]
    await asyncio.sleep(0.05)
    extra = await connect(port)
    assert await extra.closed()
    for client in (*held, extra):
        await client.close()
    await networks.close()
    target.close()


async def test_environment_that_is_gone_at_once_leaves_nothing(start):
    edge = await start()
    networks = attached(edge)
    server, port = listening()
    networks.serve_inside("e1", server, [])
    networks.stop_inside("e1")
    networks.stop_inside("e1")
    await asyncio.sleep(0.02)
    with pytest.raises(OSError):
        await connect(port)
    await networks.close()
