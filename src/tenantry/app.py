"""The composition root: the only module that names concrete classes and wires them.

    async with Platform(config) as platform:      # started: it answers on platform.address
        ...
                                                  # drained and closed, everything flushed

`tenantry up` and the tests use the same class; with port 0 the system picks one (`platform.port`).
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from tenantry import __version__
from tenantry.config import Config
from tenantry.edge.front import Front, body_limit
from tenantry.edge.limits import Limits
from tenantry.edge.listener import Listener
from tenantry.edge.reply import message_response
from tenantry.model.clock import Clock, SystemClock
from tenantry.model.http import Request, Response
from tenantry.store.blobs import Blobs
from tenantry.store.credentials import load_or_create, root_credential
from tenantry.store.data_dir import DataDir, Run
from tenantry.store.documents import Documents

try:
    import uvloop

    new_event_loop: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
except ImportError:  # it has no build for every system; asyncio's own loop does the same, slower
    new_event_loop = asyncio.new_event_loop


class Platform:
    """Everything of one data folder, running. Use it as an async context, or call start, drain and close in that order.

    `start` raises AlreadyRunningError, CredentialsFileError or OSError and then leaves nothing open.
    """

    def __init__(self, config: Config, clock: Clock | None = None) -> None:
        self.config = config
        self.clock = clock or SystemClock()
        self.level = "none"
        self.first_start = False
        self.start_seconds = 0.0
        self.warnings: list[str] = []
        self._data_dir = DataDir(config.data_dir)
        self._documents: Documents | None = None
        self._listener: Listener | None = None
        self._started_at = 0.0
        self._token = secrets.token_urlsafe(24)

    @property
    def port(self) -> int:
        """The port it answers on."""
        if self._listener is None:
            raise RuntimeError("the platform is not started")
        return self._listener.port

    @property
    def address(self) -> str:
        """The base URL for clients on this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.config.host, self.config.host)  # noqa: S104 - compared, not bound
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    async def start(self) -> None:
        """Open everything and answer."""
        began = self.clock.monotonic()
        self._data_dir.acquire()
        try:
            await self._open()
        except BaseException:
            await self.close()
            raise
        self._started_at = self.clock.now()
        self.start_seconds = self.clock.monotonic() - began
        run = Run(os.getpid(), self.address, self.config.region, __version__, self._started_at, self._token)
        self._data_dir.announce(run)

    async def drain(self, timeout_s: float | None = None) -> bool:
        """Stop accepting and let requests finish; True when none had to be broken off."""
        if self._listener is None:
            return True
        return await self._listener.drain(self.config.drain_timeout_s if timeout_s is None else timeout_s)

    def hurry(self) -> None:
        """Make a drain under way give up waiting."""
        if self._listener is not None:
            self._listener.hurry()

    async def close(self) -> None:
        """Flush and close everything. Safe to call twice."""
        if self._listener is not None:
            await self._listener.drain(0)
            self._listener = None
        if self._documents is not None:
            self._documents.close()
            self._documents = None
        self._data_dir.release()

    async def __aenter__(self) -> Platform:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def status(self) -> Mapping[str, Any]:
        """What `tenantry status` shows."""
        config, listener = self.config, self._listener
        return {
            "version": __version__,
            "pid": os.getpid(),
            "address": self.address,
            "up_s": round(self.clock.now() - self._started_at, 1),
            "data_dir": str(config.data_dir),
            "account_id": config.account_id,
            "region": config.region,
            "isolation": self.level,
            "connections": listener.connections if listener else 0,
            "requests_in_flight": listener.serving if listener else 0,
            "warnings": list(self.warnings),
        }

    async def _open(self) -> None:
        config = self.config
        key, self.first_start = load_or_create(config.data_dir)
        self._root = root_credential(key, config.account_id)
        self._documents = Documents(config.data_dir / "state.db")
        Blobs(config.data_dir / "blobs")
        limits = Limits(connections=config.max_connections)
        front = Front(_no_wire, _no_api, {"health": lambda: {"status": "ok"}, "status": self.status}, self._token)
        self._listener = Listener(front, limits, self.clock, body_limit(limits))
        await self._listener.start(config.host, config.port)


async def _no_wire(request: Request) -> Response:
    return message_response(501, "No AWS operation is implemented.")


async def _no_api(request: Request, api_id: str, path: str) -> Response:
    return message_response(403, "Forbidden")
