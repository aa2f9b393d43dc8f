"""Requests as bytes, and a handler that waits, for tests that speak HTTP by hand."""

from __future__ import annotations

import asyncio

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
