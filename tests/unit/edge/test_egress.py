"""Egress: public addresses only, whatever a name resolves to and however an address is written."""

import asyncio
import errno
import socket

import pytest

from tenantry.edge.egress import dial, is_own, is_public

REFUSED = [
    "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
    "169.254.170.2", "100.64.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "255.255.255.255", "240.0.0.1", "::1", "::",
    "fe80::1%eth0", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
    "::ffff:169.254.169.254", "2002:7f00:1::", "2002:a9fe:a9fe::1", "64:ff9b::a9fe:a9fe", "64:ff9b::7f00:1",
    "2001:0:4136:e378:8000:63bf:f5ff:fffe",
]  # fmt: skip
ALLOWED = ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101", "2002:101:101::1"]


@pytest.mark.parametrize("address", REFUSED)
def test_refused(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", ALLOWED)
def test_allowed(address):
    assert is_public(address)


def test_own_addresses_are_known_without_sending_anything():
    assert is_own("127.0.0.1", 80)


async def test_name_that_resolves_to_the_host_is_refused_although_it_listens():
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    async def rebinding(host, port):
        return ["127.0.0.1", "169.254.169.254"]

    with pytest.raises(OSError, match="no public address") as refused:
        await dial("evil.example", port, rebinding)
    assert refused.value.errno == errno.EACCES
    server.close()


async def test_public_address_of_this_very_host_is_refused():
    async def to_public(host, port):
        return ["93.184.216.34"]

    with pytest.raises(OSError, match="no public address"):
        await dial("self.example", 443, to_public, lambda address, port: True)


async def test_control_without_the_check_the_host_is_reached():
    reached = asyncio.Event()

    async def greet(reader, writer):
        reached.set()
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    _, writer = await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])
    await asyncio.wait_for(reached.wait(), 5)
    writer.close()
    server.close()


async def test_resolver_failure_is_passed_on():
    async def fails(host, port):
        raise socket.gaierror(socket.EAI_NONAME, "no such host")

    with pytest.raises(socket.gaierror):
        await dial("nothing.example", 443, fails)
