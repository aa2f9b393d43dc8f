"""The listener, over real sockets: plain service, requests ahead, streams, vanishing clients, the orderly end."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator

import pytest
from tests.support.http import GET, Gate, post

from tenantry.edge.limits import KIB, MIB, Limits
from tenantry.model.http import Request, Response

# -- plain service ------------------------------------------------------------------------------------------------------


async def test_keep_alive_serves_many_requests_on_one_connection(start):
    edge = await start()
    client = await edge.connect()
    for number in range(3):
        answer = await client.ask(f"GET /n{number}?q HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (answer.status, answer.headers["x-seen"]) == (200, f"GET /n{number}?q 0")
        assert "connection" not in answer.headers
    assert edge.listener.connections == 1


async def test_answer_carries_date_and_length(start):
    edge = await start()
    client = await edge.connect()
    answer = await client.ask(GET)
    assert answer.headers["date"] == "Thu, 01 Jan 2026 00:00:00 GMT"
    edge.pass_time(61)
    assert (await client.ask(GET)).headers["date"] == "Thu, 01 Jan 2026 00:01:01 GMT"


async def test_handler_sees_the_request_as_sent(start):
    seen: list[Request] = []

    async def keep(request: Request) -> Response:
        seen.append(request)
        return Response(200)

    edge = await start(keep)
    await (await edge.connect()).ask("GET /a%2Fb HTTP/1.1\r\nhOST: a\r\nX-A: 1\r\nx-a: \t2 \t\r\n\r\n")
    (request,) = seen
    assert request.path == "/a%2Fb"
    assert request.headers == [("hOST", "a"), ("X-A", "1"), ("x-a", "2")]
    assert (request.header("X-a"), request.peer, request.http_version) == ("2", "127.0.0.1", "1.1")


async def test_connection_close_is_honoured(start):
    client = await (await start()).connect()
    answer = await client.ask("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /ignored HTTP/1.1\r\n\r\n")
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert await client.closed()


async def test_http_1_0_closes_unless_asked_to_keep(start):
    edge = await start()
    client = await edge.connect()
    assert (await client.ask("GET / HTTP/1.0\r\n\r\n")).headers["connection"] == "close"
    assert await client.closed()
    client = await edge.connect()
    assert (await client.ask("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")).headers["connection"] == "keep-alive"
    assert (await client.ask("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")).status == 200


async def test_head_has_no_body(start):
    client = await (await start()).connect()
    answer = await client.ask("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "HEAD")
    assert (answer.status, int(answer.headers["content-length"])) == (200, len("HEAD /? 0"))
    assert (await client.ask(GET)).body == b"GET /? 0"


async def test_bodies_arrive_whole_however_they_are_cut(start):
    client = await (await start()).connect()
    assert (await client.ask(post("abc", "Content-Length: 3"))).body == b"abc"
    chunked = post("3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX-Trailer: z\r\n\r\n", "Transfer-Encoding: chunked").encode()
    for byte in chunked:
        client.writer.write(bytes([byte]))
        await asyncio.sleep(0)
    assert (await client.read()).body == b"abcde"
    assert (await client.ask(GET)).status == 200


async def test_large_bodies_both_ways(start):
    client = await (await start()).connect()
    body = b"0123456789abcdef" * (3 * MIB // 16)
    head = f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    sending = asyncio.create_task(client.send(head + body))
    answer = await client.read()
    await sending
    assert answer.body == body


async def test_leading_empty_lines_are_ignored(start):
    client = await (await start()).connect()
    assert (await client.ask("\r\n\r\n" + GET)).status == 200


async def test_an_offer_to_upgrade_is_ignored(start):
    client = await (await start()).connect()
    offer = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk"
    assert (await client.ask(f"GET /a HTTP/1.1\r\nHost: a\r\n{offer}\r\n\r\n")).body == b"GET /a? 0"
    assert (await client.ask(post("abc", offer, "Content-Length: 3"))).body == b"abc"
    assert (await client.ask(post("2\r\nab\r\n0\r\n\r\n", offer, "Transfer-Encoding: chunked"))).body == b"ab"
    assert (await client.ask(GET)).body == b"GET /? 0"


# -- pipelining ---------------------------------------------------------------------------------------------------------


async def test_pipelined_requests_are_answered_in_order_one_at_a_time(start):
    running = 0

    async def slow_first(request: Request) -> Response:
        nonlocal running
        running += 1
        assert running == 1
        await asyncio.sleep(0.02 if request.path == "/0" else 0)
        running -= 1
        return Response(200, [], request.path.encode())

    client = await (await start(slow_first)).connect()
    await client.send("".join(f"GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n" for number in range(5)))
    assert [(await client.read()).body for _ in range(5)] == [b"/0", b"/1", b"/2", b"/3", b"/4"]


async def test_requests_that_arrive_while_one_is_served_wait(start):
    gate = Gate()
    edge = await start(gate)
    client = await edge.connect()
    await client.send("GET /0 HTTP/1.1\r\nHost: a\r\n\r\n")
    await edge.until(lambda: gate.began == ["/0"])
    for number in range(1, 4):
        await client.send(f"GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n")
        await asyncio.sleep(0.005)
    assert gate.began == ["/0"]
    gate.opened.set()
    assert [(await client.read()).body for _ in range(4)] == [b"/0", b"/1", b"/2", b"/3"]


async def test_a_refusal_comes_after_the_answers_before_it(start):
    client = await (await start()).connect()
    await client.send(GET + "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n" + "NONSENSE\r\n\r\n")
    assert [(await client.read()).status for _ in range(3)] == [200, 200, 400]
    assert await client.closed()


async def test_too_many_requests_ahead(start):
    client = await (await start(limits=Limits(pipelined=3))).connect()
    await client.send(GET * 5)
    assert [(await client.read()).status for _ in range(4)] == [200, 200, 200, 429]
    assert await client.closed()


# -- expectations -------------------------------------------------------------------------------------------------------


async def test_continue_is_said_when_a_body_may_come(start):
    client = await (await start()).connect()
    assert (await client.ask(post("", "Content-Length: 3", "Expect: 100-continue"))).status == 100
    assert (await client.ask("abc")).body == b"abc"


async def test_continue_is_not_said_without_a_body_or_when_it_came_already(start):
    client = await (await start()).connect()
    assert (await client.ask("GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n")).status == 200
    assert (await client.ask(post("abc", "Content-Length: 3", "Expect: 100-continue"))).status == 200


async def test_continue_waits_for_the_answer_before_it(start):
    gate = Gate()
    edge = await start(gate)
    client = await edge.connect()
    await client.send("GET /0 HTTP/1.1\r\nHost: a\r\n\r\n" + post("", "Content-Length: 3", "Expect: 100-continue"))
    await edge.until(lambda: gate.began == ["/0"])
    gate.opened.set()
    assert [(await client.read()).status for _ in range(2)] == [200, 100]
    assert (await client.ask("abc")).status == 200


async def test_continue_is_not_said_to_a_body_that_is_too_large(start):
    client = await (await start(limits=Limits(body_bytes=2))).connect()
    answer = await client.ask(post("", "Content-Length: 3", "Expect: 100-continue"))
    assert answer.status == 413
    assert await client.closed()


async def test_other_expectations_fail(start):
    client = await (await start()).connect()
    assert (await client.ask(post("abc", "Content-Length: 3", "Expect: tea"))).status == 417
    assert await client.closed()


# -- streams ------------------------------------------------------------------------------------------------------------


class Stream:
    """A body of numbered chunks that remembers how far it got and whether it was closed."""

    def __init__(self, chunks: list[bytes], fail: bool = False) -> None:
        self.chunks = chunks
        self.fail = fail
        self.sent = 0
        self.ended = False

    async def body(self) -> AsyncIterator[bytes]:
        try:
            for piece in self.chunks:
                yield piece
                self.sent += 1
            if self.fail:
                raise RuntimeError("the source broke")
        finally:
            self.ended = True

    async def __call__(self, request: Request) -> Response:
        return Response(200, [], self.body())


async def test_streamed_body_is_chunked(start):
    stream = Stream([b"ab", b"", b"c" * 100])
    client = await (await start(stream)).connect()
    assert (await client.ask(GET)).body == b"ab" + b"c" * 100
    assert (await client.ask("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "HEAD")).status == 200
    assert (await client.ask(GET)).body == b"ab" + b"c" * 100


async def test_streamed_body_ends_with_the_connection_for_http_1_0(start):
    client = await (await start(Stream([b"ab", b"c"]))).connect()
    assert (await client.ask("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")).body == b"abc"


async def test_stream_that_fails_does_not_look_complete(start):
    stream = Stream([b"ab"], fail=True)
    edge = await start(stream)
    client = await edge.connect()
    await client.send(GET)
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError, ValueError)):
        await client.read()
    assert stream.ended
    assert "the source broke" in str(edge.reported)


async def test_stream_waits_for_its_reader_and_is_closed_when_the_reader_goes(start):
    stream = Stream([bytes(256 * KIB)] * 400)
    edge = await start(stream)
    client = await edge.connect()
    client.writer.transport.pause_reading()
    await client.send(GET)
    await asyncio.sleep(0.1)
    assert 0 < stream.sent < 200
    client.writer.transport.abort()
    await edge.until(lambda: stream.ended)
    assert stream.sent < 400
    await edge.until(lambda: edge.listener.serving == 0)


# -- failures -----------------------------------------------------------------------------------------------------------


async def test_failing_handler_gives_500_and_leaves_the_connection_usable(start):
    async def fail(request: Request) -> Response:
        if request.path == "/bad":
            raise RuntimeError("boom")
        return Response(200, [("X", "a\r\nSet-Cookie: stolen")] if request.path == "/split" else [])

    edge = await start(fail)
    client = await edge.connect()
    for path in ("/bad", "/split"):
        answer = await client.ask(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
        assert answer.status == 500
        assert "set-cookie" not in answer.headers
    assert (await client.ask(GET)).status == 200
    assert [type(error).__name__ for error in edge.reported] == ["RuntimeError", "BadReplyError"]


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_client_that_leaves_mid_handler_disturbs_nothing(start, how):
    gate = Gate()
    edge = await start(gate)
    leaver, stayer = await edge.connect(), await edge.connect()
    await leaver.send("GET /left HTTP/1.1\r\nHost: a\r\n\r\n")
    await stayer.send("GET /stayed HTTP/1.1\r\nHost: a\r\n\r\n")
    await edge.until(lambda: len(gate.began) == 2)
    if how == "reset":
        linger_off = struct.pack("ii", 1, 0)
        leaver.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_off)
    leaver.writer.transport.abort()
    await asyncio.sleep(0.05)
    assert edge.listener.connections == (2 if how == "close" else 1)  # a client that only closes may still be listening
    assert edge.listener.serving == 2
    gate.opened.set()
    assert (await stayer.read()).body == b"/stayed"
    await edge.until(lambda: edge.listener.serving == 0)
    assert sorted(gate.finished) == ["/left", "/stayed"]
    await edge.until(lambda: edge.listener.connections == 1)
    assert edge.reported == []


async def test_client_that_only_stops_sending_still_gets_its_answers(start):
    client = await (await start()).connect()
    await client.send(GET * 2)
    client.writer.write_eof()
    assert [(await client.read()).status for _ in range(2)] == [200, 200]
    assert await client.closed()


async def test_half_a_request_and_the_end_is_forgotten(start):
    edge = await start()
    client = await edge.connect()
    await client.send(post("a", "Content-Length: 10"))
    client.writer.write_eof()
    assert await client.closed()
    await edge.until(lambda: edge.listener.connections == 0)


# -- the end ------------------------------------------------------------------------------------------------------------


async def test_drain_finishes_what_runs_and_closes_what_is_idle(start):
    gate = Gate()
    edge = await start(gate)
    idle, active = await edge.connect(), await edge.connect()
    await active.send(GET)
    await edge.until(lambda: gate.began == ["/"])
    port = edge.listener.port
    draining = asyncio.create_task(edge.listener.drain(10))
    assert await idle.closed()
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", port)
    gate.opened.set()
    answer = await active.read()
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert await draining
    assert await active.closed()


async def test_drain_lets_a_half_read_request_come_in(start):
    edge = await start()
    client = await edge.connect()
    await client.send(post("ab", "Content-Length: 3"))
    await asyncio.sleep(0.01)
    draining = asyncio.create_task(edge.listener.drain(10))
    await asyncio.sleep(0.01)
    assert (await client.ask("c")).body == b"abc"
    assert await draining


async def test_drain_breaks_off_at_its_deadline(start):
    gate = Gate()
    edge = await start(gate)
    client = await edge.connect()
    await client.send(GET)
    await edge.until(lambda: gate.began == ["/"])
    assert not await edge.listener.drain(0.05)
    assert await client.closed()
    assert (edge.listener.serving, edge.listener.connections) == (0, 0)


async def test_hurry_cuts_a_drain_short(start):
    gate = Gate()
    edge = await start(gate)
    client = await edge.connect()
    await client.send(GET)
    await edge.until(lambda: gate.began == ["/"])
    draining = asyncio.create_task(edge.listener.drain(60))
    await asyncio.sleep(0.01)
    edge.listener.hurry()
    async with asyncio.timeout(3):
        assert not await draining
