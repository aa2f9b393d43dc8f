"""Every limit of the HTTP listener, in one place, each with its reason. The listener enforces them; nothing else does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB

BodyLimit = Callable[[str, str, str], int]
"""(method, host, path) -> how many body bytes such a request may carry, after transfer decoding."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may cost us. Sizes in bytes, times in seconds."""

    connections: int = 4096
    """Open sockets; beyond it a client gets 503 and is closed. Keeps us under common descriptor limits."""

    head_bytes: int = 64 * KIB
    """Request line and headers together (and trailers once more). A presigned URL or session token needs a few KiB."""

    headers: int = 200
    """Header lines of one request. Botocore sends about ten, browsers about twenty."""

    body_bytes: int = 80 * MIB
    """A body where nothing else is said: a 50 MiB function zip in base64 is 67 MiB, and some JSON around it."""

    large_body_bytes: int = 512 * MIB
    """A body of an S3 upload: one PUT or one part. Bodies are held in memory, so this bounds a single client's share."""

    buffered_bytes: int = 1024 * MIB
    """All bodies held at one time, received or being received, over all clients; beyond it 503."""

    chunk_overhead_factor: int = 8
    """Wire bytes per body byte of a chunked upload: one-byte chunks cost 6, so honest clients stay below."""

    inside_connections: int = 32
    """Open sockets from one execution environment: an AWS client keeps ten."""

    inside_body_bytes: int = 64 * MIB
    """All bodies held at one time for one execution environment, so that a tenant cannot use up `buffered_bytes`."""

    pipelined: int = 128
    """Requests a client may send ahead of their answers, in one read; beyond it 429."""

    header_timeout_s: float = 10.0
    """From the first byte of a request to the end of its headers, or 408: a slow client may hold a socket, not for long."""

    body_stall_s: float = 20.0
    """Longest silence in the middle of a body, or 408."""

    body_rate: int = 1 * KIB
    """Bytes a second a body must make on average after the first `body_stall_s`: stops one byte every few seconds."""

    idle_timeout_s: float = 75.0
    """A connection between requests. Longer than the 60 s that common proxies keep theirs, so that they close first."""

    write_stall_s: float = 30.0
    """Longest time a client may leave what we sent it unread while we wait to send more."""

    linger_s: float = 2.0
    """After a refusal: how long we go on reading what the client still sends, so that it gets to read our answer."""

    sweep_interval_s: float = 1.0
    """How often the times above are looked at: one walk over all connections instead of a timer for each request."""


class Shares:
    """What one origin of connections holds of the listener, and may hold: the open port, or one execution environment."""

    __slots__ = ("body_bytes", "body_bytes_max", "connections", "connections_max")

    def __init__(self, connections_max: int, body_bytes_max: int) -> None:
        self.connections = 0
        self.connections_max = connections_max
        self.body_bytes = 0
        self.body_bytes_max = body_bytes_max


def plain_body_limit(limits: Limits) -> BodyLimit:
    """The same limit for everything: `body_bytes`."""
    return lambda method, host, path: limits.body_bytes
