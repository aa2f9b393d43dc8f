"""Links to deployment packages."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from tenantry.edge.code_links import LIFETIME_S, CodeLinks
from tenantry.model.clock import ManualClock
from tenantry.model.http import Request

KEY = "a" * 64


def read(key: str) -> bytes:
    if key != KEY:
        raise FileNotFoundError(key)
    return b"zip"


def follow(url: str, method: str = "GET") -> Request:
    parts = urlsplit(url)
    return Request(method, parts.path, parts.query, [])


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def links(clock) -> CodeLinks:
    return CodeLinks(b"0123456789abcdef", clock, read)


async def test_link_opens_its_package_for_ten_minutes(links, clock):
    url = links.link("http://here:1", KEY)
    assert url.startswith(f"http://here:1/_code/{KEY}?")
    assert (await links(follow(url))).body == b"zip"
    clock.advance(LIFETIME_S - 1)
    assert (await links(follow(url))).status == 200
    clock.advance(2)
    assert (await links(follow(url))).status == 403


async def test_links_cannot_be_altered(links, clock):
    url = links.link("http://here", KEY)
    other = CodeLinks(b"another secret..", clock, read).link("http://here", KEY)
    for bad in (
        other,
        url.replace("aaaa", "bbbb", 1),
        url.replace("expires=1", "expires=2"),
        url[:-1] + ("0" if url[-1] != "0" else "1"),
        url.split("&")[0],
        url.split("?")[0],
        url.replace("signature=", "signature=é"),
        url.replace(KEY, "../../etc/passwd"),
    ):
        assert (await links(follow(bad))).status == 403, bad


async def test_gone_package_and_wrong_method(links):
    assert (await links(follow(links.link("http://here", "b" * 64)))).status == 404
    assert (await links(follow(links.link("http://here", KEY), "PUT"))).status == 405
