"""What the listener refuses, over real sockets: ambiguous requests, too large ones, too many, too slow ones."""

from __future__ import annotations

import asyncio
import contextlib

import orjson
import pytest
from tests.support.http import GET, Gate, post

from tenantry.edge.limits import KIB, MIB, Limits
from tenantry.model.http import Request, Response

# -- refusals -----------------------------------------------------------------------------------------------------------

SMUGGLING = {
    "length and encoding": post("0\r\n\r\n", "Content-Length: 5", "Transfer-Encoding: chunked"),
    "encoding and length": post("0\r\n\r\n", "Transfer-Encoding: chunked", "Content-Length: 5"),
    "two lengths": post("abcde", "Content-Length: 3", "Content-Length: 5"),
    "two equal lengths": post("abc", "Content-Length: 3", "Content-Length: 3"),
    "list of lengths": post("abc", "Content-Length: 3, 3"),
    "signed length": post("abc", "Content-Length: +3"),
    "negative length": post("abc", "Content-Length: -3"),
    "hexadecimal length": post("abc", "Content-Length: 0x3"),
    "huge length": post("abc", "Content-Length: 99999999999999999999999"),
    "other encoding": post("abc", "Transfer-Encoding: gzip"),
    "identity encoding": post("abc", "Transfer-Encoding: identity"),
    "encoding chain": post("0\r\n\r\n", "Transfer-Encoding: gzip, chunked"),
    "chunked not last": post("0\r\n\r\n", "Transfer-Encoding: chunked, gzip"),
    "two encodings": post("0\r\n\r\n", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
    "hidden encoding": post("0\r\n\r\n", "Transfer-Encoding: \x0bchunked"),
    "chunks for 1.0": "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bad chunk size": post("0x3\r\nabc\r\n0\r\n\r\n", "Transfer-Encoding: chunked"),
    "huge chunk size": post("ffffffffffffffffff\r\n", "Transfer-Encoding: chunked"),
    "chunk longer than said": post("3\r\nabcd\r\n0\r\n\r\n", "Transfer-Encoding: chunked"),
    "bare LF after chunk size": post("3\nabc\r\n0\r\n\r\n", "Transfer-Encoding: chunked"),
    "bare LF lines": "GET / HTTP/1.1\nHost: a\n\n",
    "bare LF in one header": "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
    "bare CR in a header": "GET / HTTP/1.1\r\nHost: a\r\nX: b\rc\r\n\r\n",
    "folded header": "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n",
    "folded first header": "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
    "space before colon": "GET / HTTP/1.1\r\nHost: a\r\nContent-Length : 3\r\n\r\nabc",
    "NUL in a value": "GET / HTTP/1.1\r\nHost: a\r\nX: b\0c\r\n\r\n",
    "NUL in the path": "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n",
    "control character": "GET / HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n",
    "space in a name": "GET / HTTP/1.1\r\nHost: a\r\nX Y: b\r\n\r\n",
    "empty name": "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n",
    "invalid method": "G@T / HTTP/1.1\r\nHost: a\r\n\r\n",
    "lower-case method": "get / HTTP/1.1\r\nHost: a\r\n\r\n",
    "absolute target of another host": "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "no host": "GET / HTTP/1.1\r\n\r\n",
    "two hosts": "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "host with a path": "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "target without slash": "GET a HTTP/1.1\r\nHost: a\r\n\r\n",
    "raw bytes in the path": "GET /\xe9 HTTP/1.1\r\nHost: a\r\n\r\n",
    "TLS": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}


@pytest.mark.parametrize("name", SMUGGLING)
async def test_smuggling_is_refused_and_the_connection_closed(start, name):
    served: list[str] = []

    async def keep(request: Request) -> Response:
        served.append(request.path)
        return Response(200)

    edge = await start(keep)
    client = await edge.connect()
    answer = await client.ask(SMUGGLING[name] + "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (answer.status, answer.headers["connection"]) == (400, "close")
    assert orjson.loads(answer.body)["message"]
    assert await client.closed()
    assert served == []


@pytest.mark.parametrize(("request_line", "status"), [("TRACE / HTTP/1.1", 501), ("PUT / HTTP/2.0", 505)])
async def test_unsupported_method_and_version(start, request_line, status):
    client = await (await start()).connect()
    assert (await client.ask(f"{request_line}\r\nHost: a\r\n\r\n")).status == status
    assert await client.closed()


# -- limits -------------------------------------------------------------------------------------------------------------


async def test_head_size_is_limited_in_one_header_or_many(start):
    edge = await start(limits=Limits(head_bytes=1000))
    for head in ("X: " + "a" * 1000, "\r\n".join(f"X{number}: {'a' * 80}" for number in range(15))):
        client = await edge.connect()
        assert (await client.ask(f"GET / HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n")).status == 431
        assert await client.closed()


async def test_endless_target_and_endless_header_are_refused_before_they_end(start):
    edge = await start(limits=Limits(head_bytes=1000))
    for beginning in ("GET /", "GET / HTTP/1.1\r\nHost: a\r\nX: ", "\r\n" * 40):
        client = await edge.connect()
        await client.send(beginning)
        with contextlib.suppress(ConnectionError):
            for _ in range(30):
                await client.send("\r\n" * 50 if beginning.startswith("\r") else "a" * 100)
                await asyncio.sleep(0.001)
        assert (await client.read()).status == 431
        assert await client.closed()


async def test_number_of_headers_is_limited(start):
    edge = await start(limits=Limits(headers=10))
    fitting = "".join(f"X{number}: a\r\n" for number in range(9))
    client = await edge.connect()
    assert (await client.ask(f"GET / HTTP/1.1\r\nHost: a\r\n{fitting}\r\n")).status == 200
    assert (await client.ask(f"GET / HTTP/1.1\r\nHost: a\r\n{fitting}Y: a\r\n\r\n")).status == 431
    assert await client.closed()


async def test_trailers_are_limited(start):
    client = await (await start(limits=Limits(head_bytes=1000))).connect()
    trailer = "X: " + "a" * 2000
    assert (await client.ask(post(f"1\r\na\r\n0\r\n{trailer}\r\n\r\n", "Transfer-Encoding: chunked"))).status == 431
    assert await client.closed()


async def test_body_size_is_limited_with_and_without_a_length(start):
    edge = await start(limits=Limits(body_bytes=10))
    client = await edge.connect()
    assert (await client.ask(post("a" * 10, "Content-Length: 10"))).status == 200
    assert (await client.ask(post("a" * 11, "Content-Length: 11"))).status == 413
    assert await client.closed()
    client = await edge.connect()
    assert (await client.ask(post("b\r\n" + "a" * 11 + "\r\n0\r\n\r\n", "Transfer-Encoding: chunked"))).status == 413
    assert await client.closed()


async def test_body_limit_depends_on_where_it_goes(start):
    edge = await start(body_limit=lambda method, host, path: 3 if path == "/" else 5)
    client = await edge.connect()
    assert (await client.ask("PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde")).status == 200
    assert (await client.ask(post("abcde", "Content-Length: 5"))).status == 413


async def test_refused_upload_can_be_read_by_a_client_that_is_still_sending(start):
    edge = await start(limits=Limits(body_bytes=10))
    client = await edge.connect()
    await client.send(post("", f"Content-Length: {MIB}"))
    for _ in range(16):
        await client.send("a" * 64 * KIB)
    assert (await client.read()).status == 413


async def test_lingering_ends(start):
    edge = await start(limits=Limits(body_bytes=10))
    client = await edge.connect()
    assert (await client.ask(post("", f"Content-Length: {MIB}"))).status == 413
    assert edge.listener.connections == 1
    edge.pass_time(3)
    await edge.until(lambda: edge.listener.connections == 0)


async def test_wasteful_chunks_are_refused(start):
    client = await (await start(limits=Limits(head_bytes=100))).connect()
    await client.send(post("", "Transfer-Encoding: chunked"))
    with contextlib.suppress(ConnectionError):
        for _ in range(20):
            await client.send(f"1;{'x' * 60}\r\na\r\n")
            await asyncio.sleep(0.001)
    assert (await client.read()).status == 400
    assert await client.closed()


async def test_bodies_of_all_clients_together_are_limited_and_let_go(start):
    gate = Gate()
    edge = await start(gate, limits=Limits(buffered_bytes=100))
    first, second = await edge.connect(), await edge.connect()
    await first.send(post("a" * 80, "Content-Length: 80"))
    await edge.until(lambda: gate.began == ["/"])
    assert (await second.ask(post("a" * 80, "Content-Length: 80"))).status == 503
    gate.opened.set()
    assert (await first.read()).status == 200
    third = await edge.connect()
    assert (await third.ask(post("a" * 80, "Content-Length: 80"))).status == 200
    fourth = await edge.connect()
    await fourth.send(post("a" * 70, "Content-Length: 90"))
    await asyncio.sleep(0.01)
    await fourth.close()
    await edge.until(lambda: edge.listener.connections == 3)
    assert (await third.ask(post("a" * 80, "Content-Length: 80"))).status == 200


async def test_connections_are_limited(start):
    edge = await start(limits=Limits(connections=2))
    first, second = await edge.connect(), await edge.connect()
    assert (await first.ask(GET)).status == (await second.ask(GET)).status == 200
    third = await edge.connect()
    assert (await third.read()).status == 503
    assert await third.closed()
    await third.close()
    await first.close()
    await edge.until(lambda: edge.listener.connections == 1)
    assert (await (await edge.connect()).ask(GET)).status == 200


# -- slow clients -------------------------------------------------------------------------------------------------------


async def test_slow_head_times_out(start):
    edge = await start()
    client = await edge.connect()
    await client.send("GET / HT")
    await asyncio.sleep(0.01)
    edge.pass_time(9)
    await client.send("TP/1.1\r\n")
    await asyncio.sleep(0.01)
    edge.pass_time(2)
    assert (await client.read()).status == 408
    assert await client.closed()


async def test_empty_lines_do_not_keep_a_connection(start):
    edge = await start()
    client = await edge.connect()
    for _ in range(3):
        await client.send("\r\n")
        await asyncio.sleep(0.01)
        edge.pass_time(5)
    assert await client.closed()


async def test_stalled_body_times_out(start):
    edge = await start()
    client = await edge.connect()
    await client.send(post("a", "Content-Length: 100"))
    await asyncio.sleep(0.01)
    edge.pass_time(19)
    await client.send("a")
    await asyncio.sleep(0.01)
    assert edge.listener.connections == 1
    edge.pass_time(19)
    assert (await client.read()).status == 408
    assert await client.closed()


async def test_idle_connection_is_closed_without_a_word(start):
    edge = await start()
    fresh, used = await edge.connect(), await edge.connect()
    await used.ask(GET)
    edge.pass_time(74)
    assert edge.listener.connections == 2
    edge.pass_time(2)
    assert await fresh.closed()
    assert await used.closed()


async def test_a_long_invocation_does_not_time_out(start):
    gate = Gate()
    edge = await start(gate)
    client = await edge.connect()
    await client.send(GET)
    await edge.until(lambda: gate.began == ["/"])
    edge.pass_time(900)
    gate.opened.set()
    assert (await client.read()).status == 200


async def test_client_that_does_not_read_is_dropped(start):
    async def large(request: Request) -> Response:
        return Response(200, [], bytes(32 * MIB))

    edge = await start(large)
    client = await edge.connect()
    client.writer.transport.pause_reading()
    await client.send(GET)
    await asyncio.sleep(0.05)
    edge.pass_time(29)
    assert edge.listener.serving == 1
    edge.pass_time(2)
    edge.pass_time(31)
    await edge.until(lambda: edge.listener.connections == 0)
    await edge.until(lambda: edge.listener.serving == 0)
