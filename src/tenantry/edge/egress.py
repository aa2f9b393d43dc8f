"""Where an environment's allowed connections may go: public addresses, and nothing else.

A function's egress list names hosts; what a name resolves to is not the function's to choose alone (DNS can be pointed
anywhere), so every address is checked here, after resolution and before the connection, and the connection goes to the
address that was checked. Refused are private, loopback, link-local (the metadata service), shared and reserved ranges, IPv6
forms that carry such an IPv4 address inside, and every address of this host, public ones included.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
from collections.abc import Awaitable, Callable

CONNECT_TIMEOUT_S = 10.0
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Awaitable[list[str]]]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, in the order the system's resolver prefers. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def is_public(text: str) -> bool:
    """Whether an address lies in the public internet, whichever form it is written in."""
    address: Address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = _carried(address)
        if inner is not None:
            return is_public(str(inner))
    return address.is_global and not address.is_multicast


def _carried(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address inside an IPv6 one: mapped, 6to4, Teredo's client, NAT64."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None


def is_own(address: str, port: int) -> bool:
    """Whether an address is this host's: then the system would choose it as the sender's too. Nothing is sent."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, port))
        except OSError:
            return False  # no way there at all; the connection will say so
        return bool(probe.getsockname()[0] == address)


async def dial(host: str, port: int, resolve: Resolve = resolve, is_own: Callable[[str, int], bool] = is_own) -> Streams:
    """Connect to an allowed host at a public address of its. Raises OSError: EACCES where it has only others."""
    refused: list[str] = []
    failure: OSError | None = None
    async with asyncio.timeout(CONNECT_TIMEOUT_S):
        for address in await resolve(host, port):
            if not is_public(address) or is_own(address, port):
                refused.append(address)
                continue
            try:
                return await asyncio.open_connection(address, port)
            except OSError as error:
                failure = error
    if failure is not None:
        raise failure
    raise OSError(
        errno.EACCES, f"{host} has no public address that a function may reach (found: {', '.join(refused) or 'none'})"
    )
