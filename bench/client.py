"""A keep-alive HTTP/1.1 client that costs a few microseconds, so that what is measured is the platform and not the client."""

from __future__ import annotations

import json
import socket
from typing import Any

TIMEOUT_S = 60.0


class Client:
    """One connection to 127.0.0.1; requests go one after the other."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def get(self, path: str, tenant: str) -> dict[str, Any]:
        """A tenant's answer, decoded; ValueError for any other status than 200."""
        head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nx-tenant-id: {tenant}\r\n\r\n"
        self._socket.sendall(head.encode())
        status, body = self._answer()
        if status != 200:
            raise ValueError(f"{path} of {tenant}: {status} {body!r}")
        content: dict[str, Any] = json.loads(body)
        return content

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _answer(self) -> tuple[int, bytes]:
        data = b""
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._more()
        head, body = data[:end].lower(), data[end + 4 :]
        length = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        while len(body) < length:
            body += self._more()
        return int(head.split(b" ", 2)[1]), body

    def _more(self) -> bytes:
        data = self._socket.recv(65_536)
        if not data:
            raise ConnectionError("the platform hung up")
        return data
