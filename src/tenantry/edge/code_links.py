"""Links to deployment packages: what GetFunction answers as Code.Location, and the door that such a link opens.

    {endpoint}/_code/{key}?expires={epoch seconds}&signature={HMAC}

A link holds for ten minutes, as AWS's does, and for one package. It needs no other signature: whoever was given it may follow
it, also from inside an execution environment.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
from collections.abc import Callable
from urllib.parse import parse_qs

from tenantry.edge.reply import message_response
from tenantry.model.clock import Clock
from tenantry.model.http import Request, Response

PREFIX = "/_code/"
LIFETIME_S = 600

_KEY = re.compile(r"[0-9a-f]{64}")


class CodeLinks:
    """Makes and follows the links. secret: at least 16 bytes; read: a package's zip by its key, or FileNotFoundError."""

    def __init__(self, secret: bytes, clock: Clock, read: Callable[[str], bytes]) -> None:
        self._secret = hmac.digest(secret, b"tenantry code links", hashlib.sha256)
        self._clock = clock
        self._read = read

    def link(self, endpoint: str, key: str) -> str:
        """A link to a package, below the base URL its client reached us by."""
        expires = int(self._clock.now()) + LIFETIME_S
        return f"{endpoint}{PREFIX}{key}?expires={expires}&signature={self._sign(key, str(expires))}"

    async def __call__(self, request: Request) -> Response:
        """Follow a link."""
        key = request.path[len(PREFIX) :]
        given = parse_qs(request.query)
        expires, signature = (given.get(name, [""])[-1] for name in ("expires", "signature"))
        if request.method not in ("GET", "HEAD"):
            return message_response(405, "A package can only be read.")
        # No message tells a wrong key from a wrong signature.
        good = _KEY.fullmatch(key) and hmac.compare_digest(self._sign(key, expires).encode(), signature.encode())
        if not good or int(expires) < self._clock.now():
            return message_response(403, "This link is not valid, or not any more. GetFunction gives a new one.")
        try:
            content = await asyncio.to_thread(self._read, key)
        except FileNotFoundError:
            return message_response(404, "This package is gone.")
        return Response(200, [("Content-Type", "application/zip")], content)

    def _sign(self, key: str, expires: str) -> str:
        return hmac.digest(self._secret, f"{key}\n{expires}".encode(), hashlib.sha256).hex()
