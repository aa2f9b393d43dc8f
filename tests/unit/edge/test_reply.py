"""Rendering response heads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry.edge.reply import BadReplyError, chunk, render_head, sends_body
from tenantry.model.http import Response

DATE = "Date: Thu, 01 Jan 2026 00:00:00 GMT\r\n"


def render(response: Response, method: str = "GET", version: str = "1.1", keep_alive: bool = True) -> bytes:
    return render_head(response, method=method, version=version, date=DATE, keep_alive=keep_alive)


def test_whole_head():
    expected = b"HTTP/1.1 200 OK\r\nX-A: b\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Length: 2\r\n\r\n"
    assert render(Response(200, [("X-A", "b")], b"hi")) == expected


def test_framing_headers_of_a_handler_are_dropped():
    head = render(Response(200, [("content-length", "9"), ("Transfer-Encoding", "chunked"), ("Connection", "x")], b"hi"))
    assert head.count(b"Content-Length: 2") == 1
    assert b"chunked" not in head
    assert b"Connection" not in head


def test_head_may_tell_the_size_that_get_would_have():
    assert b"Content-Length: 9\r\n" in render(Response(200, [("Content-Length", "9")]), method="HEAD")
    assert not sends_body(Response(200, [], b"x"), "HEAD")


@pytest.mark.parametrize("status", [204, 304])
def test_bodiless_statuses_have_no_length(status):
    assert b"Content-Length" not in render(Response(status))
    assert not sends_body(Response(status), "GET")


@pytest.mark.parametrize(
    "header",
    [
        ("X", "a\r\nSet-Cookie: b"),
        ("X", "a\nb"),
        ("X", "a\rb"),
        ("X", "a\0b"),
        ("X: a\r\nY", "b"),
        ("X Y", "b"),
        ("", "b"),
    ],
)
def test_header_injection_is_refused(header):
    with pytest.raises(BadReplyError):
        render(Response(200, [header]))


@pytest.mark.parametrize("status", [0, 100, 101, 199, 600, 1000])
def test_impossible_status_is_refused(status):
    with pytest.raises(BadReplyError):
        render(Response(status))


def test_unusual_status_is_sent():
    assert render(Response(299)).startswith(b"HTTP/1.1 299 ")


def test_connection_header_follows_the_version():
    assert b"Connection: close\r\n" in render(Response(200), keep_alive=False)
    assert b"Connection: keep-alive\r\n" in render(Response(200), version="1.0")


def test_values_outside_latin_1_go_out_as_utf_8():
    assert "X: €".encode() in render(Response(200, [("X", "€")]))


def test_chunk():
    assert chunk(b"a" * 17) == b"11\r\n" + b"a" * 17 + b"\r\n"


@given(st.lists(st.tuples(st.text(max_size=8), st.text(max_size=12)), max_size=4))
def test_a_response_is_never_split(headers):
    try:
        head = render(Response(200, headers))
    except BadReplyError:
        return
    kept = [name for name, _ in headers if name.lower() not in ("connection", "content-length", "date", "upgrade")]
    assert head.count(b"\n") == len(kept) + 4
    assert head.index(b"\r\n\r\n") == len(head) - 4
