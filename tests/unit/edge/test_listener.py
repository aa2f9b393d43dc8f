"""The listener, over real sockets: requests, limits, refusals, slow and vanishing clients, the orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator

import orjson
import pytest

from tenantry.edge.limits import KIB, MIB, Limits
from tenantry.model.http import Request, Response

GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def post(body: str, *headers: str) -> str:
    return "\r\n".join(["POST / HTTP/1.1", "Host: a", *headers, "", body])


class Gate:
    """A handler that waits until it is opened."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.began: list[str] = []
        self.finished: list[str] = []

    async def __call__(self, request: Request) -> Response:
        self.began.append(request.path)
        await self.opened.wait()
        self.finished.append(request.path)
        return Response(200, [], request.path.encode())


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
