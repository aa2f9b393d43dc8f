"""The composition root: the only module that names concrete classes and wires them.

    async with Platform(config) as platform:      # started: it answers on platform.address
        ...
                                                  # drained and closed, everything flushed

`tenantry up` and the tests use the same class; with port 0 the system picks one (`platform.port`). What is opened is closed in
the opposite order: first what takes requests, then what runs them, last what keeps things.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any

from tenantry import __version__
from tenantry.config import Config
from tenantry.edge.aws import AwsDoor
from tenantry.edge.code_links import CodeLinks
from tenantry.edge.front import Front, Page, body_limit
from tenantry.edge.inside import InsideNetworks
from tenantry.edge.limits import Limits as EdgeLimits
from tenantry.edge.listener import Listener, Report, bind, report_to_stderr
from tenantry.environment.zygotes import Zygotes
from tenantry.model.clock import Clock, SystemClock
from tenantry.placement.functions import Functions
from tenantry.placement.pool import Limits as PoolLimits
from tenantry.placement.router import Router, Settings
from tenantry.protocol.wire import Protocol
from tenantry.sandbox.choice import LevelError, choose
from tenantry.sandbox.driver import Driver
from tenantry.sandbox.runtimes import Runtimes
from tenantry.services.apigateway.dataplane import DataPlane
from tenantry.services.apigateway.service import ApiGatewayService
from tenantry.services.cloudcontrol import CloudControlService
from tenantry.services.cloudformation.service import CloudFormationService
from tenantry.services.cloudformation.transform import TransformProcess
from tenantry.services.identity.authorization import Authorizer
from tenantry.services.identity.credentials import PlatformCredentials
from tenantry.services.identity.directory import Directory
from tenantry.services.identity.iam import IamService
from tenantry.services.identity.sts import StsService
from tenantry.services.lambda_.service import LambdaService
from tenantry.services.logs.service import LogsService
from tenantry.services.operation import Operations
from tenantry.services.s3.service import S3Service
from tenantry.store.blobs import Blobs
from tenantry.store.credentials import load_or_create, root_credential
from tenantry.store.data_dir import DataDir, Run
from tenantry.store.documents import Documents
from tenantry.store.logs.store import LogStore

try:
    import uvloop

    new_event_loop: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
except ImportError:  # it has no build for every system; asyncio's own loop does the same, slower
    new_event_loop = asyncio.new_event_loop

__all__ = ["Background", "LevelError", "Platform", "new_event_loop"]

INSIDE_ENDPOINT = "http://127.0.0.1:4270"
"""Where code in an environment with a network namespace of its own reaches the platform (guest/seal.py listens there)."""

ANSWER_AFTER_S = 5.0
"""How long CloudFormation may hold an answer so that a client's first question finds the work done (most takes some ms)."""


class Platform:
    """Everything of one data folder, running. Use it as an async context, or call start, drain and close in that order.

    `start` raises AlreadyRunningError, CredentialsFileError, LevelError or OSError and then leaves nothing open.
    """

    def __init__(self, config: Config, clock: Clock | None = None, driver: Driver | None = None) -> None:
        """driver: used instead of the one the configuration names (tests that switch a mechanism off)."""
        self.config = config
        self._given_driver = driver
        self.clock = clock or SystemClock()
        self.level = ""
        self.first_start = False
        self.start_seconds = 0.0
        self.port = 0
        self._stack = AsyncExitStack()
        self._token = secrets.token_urlsafe(24)
        self._hurried = asyncio.Event()
        self._problems: list[str] = []
        self._background = Background()
        self._started_at = 0.0

    @property
    def address(self) -> str:
        """The base URL for clients on this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.config.host, self.config.host)  # noqa: S104 - compared, not bound
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def warnings(self) -> list[str]:
        """What a person should know, a sentence each."""
        return [*self._problems, *self._lambda.warnings()]

    async def start(self) -> None:
        """Open everything and answer."""
        began = self.clock.monotonic()
        self._data_dir = DataDir(self.config.data_dir)
        self._data_dir.acquire()
        self._stack.callback(self._data_dir.release)
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
        """Stop accepting, let requests and invocations finish; True when none had to be broken off."""
        timeout_s = self.config.drain_timeout_s if timeout_s is None else timeout_s
        deadline = self.clock.monotonic() + timeout_s
        clean = await self._listener.drain(timeout_s)
        rest = max(0.0, deadline - self.clock.monotonic())
        async with asyncio.TaskGroup() as group:
            draining = group.create_task(self._router.drain(rest))
            hurried = group.create_task(self._hurried.wait())
            await asyncio.wait({draining, hurried}, return_when=asyncio.FIRST_COMPLETED)
            hurried.cancel()
            draining.cancel()
        return clean and not draining.cancelled() and draining.result()

    def hurry(self) -> None:
        """Make a drain under way give up waiting."""
        self._hurried.set()
        self._listener.hurry()

    async def close(self) -> None:
        """Flush and close everything. Safe to call twice."""
        await self._stack.aclose()

    async def __aenter__(self) -> Platform:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def status(self) -> Mapping[str, Any]:
        """What `tenantry status` shows. Tenants' ids are in it."""
        config, functions = self.config, self._functions.entries()
        return {
            "version": __version__,
            "pid": os.getpid(),
            "address": self.address,
            "up_s": round(self.clock.now() - self._started_at, 1),
            "data_dir": str(config.data_dir),
            "account_id": config.account_id,
            "region": config.region,
            "isolation": self.level,
            "functions": len(functions),
            "operations": len(self._operations.names()),
            "connections": self._listener.connections,
            "requests_in_flight": self._listener.serving,
            "log_events_dropped": self._logs.dropped,
            **self._router.status(),
            "warnings": self.warnings,
        }

    # -- wiring -----------------------------------------------------------------------------------------------------------

    async def _open(self) -> None:
        config, clock, stack = self.config, self.clock, self._stack
        key, self.first_start = load_or_create(config.data_dir)
        root = root_credential(key, config.account_id)
        server = bind(config.host, config.port)  # early: whoever knocks from here on waits, and is answered
        stack.callback(server.close)
        self.port = server.getsockname()[1]
        await self._open_stores()
        stack.push_async_callback(self._background.close)

        directory = Directory(self._documents)
        credentials = PlatformCredentials(root, clock, role_id=directory.role_id)
        protocol = Protocol(credentials, clock)
        self._operations = Operations(protocol.validate)
        networks = InsideNetworks()
        await self._open_placement(credentials, networks)
        links = CodeLinks(root.secret_access_key.encode(), clock, self._package)
        data_plane = await self._open_services(directory, credentials, links)

        aws = AwsDoor(protocol, self._operations, config.account_id, authorize=Authorizer(directory).check)
        pages: dict[str, Page] = {"health": lambda: {"status": "ok"}, "status": self.status}
        front = Front(aws, data_plane.handle, links, pages, self._token)
        limits = EdgeLimits(connections=config.max_connections)
        self._listener = Listener(front, limits, clock, body_limit(limits))
        networks.attach(self._listener, front.inside)
        stack.push_async_callback(networks.close)
        self._begin()
        await self._listener.start(server)
        stack.push_async_callback(self._listener.drain, 0)

    async def _open_stores(self) -> None:
        data_dir, stack = self.config.data_dir, self._stack
        self._documents = Documents(data_dir / "state.db")
        stack.callback(self._documents.close)
        self._logs = LogStore(data_dir / "logs", self.clock)
        await self._logs.start()
        stack.push_async_callback(self._logs.close)

    async def _open_placement(self, credentials: PlatformCredentials, networks: InsideNetworks) -> None:
        config, clock, stack = self.config, self.clock, self._stack
        driver = self._given_driver
        if driver is None:
            choice = await choose(config.level, config.min_isolation, config.data_dir, __version__)
            driver = choice.driver
            driver.sealed_per_function = config.sealed_per_function
            if choice.warning is not None:
                self._problems.append(choice.warning)
        stack.push_async_callback(driver.close)
        self.level = driver.level
        endpoint = self.address if driver.level == "process" else INSIDE_ENDPOINT
        self._runtimes = Runtimes(config.strict_runtimes)
        self._functions = Functions(config.account_id)
        self._code_root = config.data_dir / "code"
        zygotes = Zygotes(driver, self._runtimes, self._code_root, endpoint, clock)
        limits = PoolLimits(config.concurrent_executions, config.environments_max)
        settings = Settings(config.idle_timeout_s, config.parked_per_function)
        self._router = Router(
            self._functions, zygotes, self._runtimes, credentials, networks, self._logs, clock, limits, settings
        )
        stack.push_async_callback(self._router.close)

    async def _open_services(self, directory: Directory, credentials: PlatformCredentials, links: CodeLinks) -> DataPlane:
        config, clock, stack, operations, documents = self.config, self.clock, self._stack, self._operations, self._documents
        blobs = config.data_dir / "blobs"
        self._lambda = LambdaService(
            documents=documents,
            blobs=Blobs(blobs / "lambda"),
            code_root=self._code_root,
            functions=self._functions,
            invoker=self._router,
            operations=operations,
            runtimes=self._runtimes,
            clock=clock,
            code_url=lambda ctx, key: links.link(ctx.endpoint, key),
            account_concurrency=config.concurrent_executions,
        )
        stack.push_async_callback(self._lambda.close)
        self._s3 = S3Service(documents, Blobs(blobs / "s3"), clock)
        api_gateway = ApiGatewayService(documents, clock, config.account_id)
        logs = LogsService(documents, self._logs, clock, config.account_id)
        transformer = TransformProcess()
        stack.push_async_callback(transformer.close)
        self._stacks = CloudFormationService(
            documents,
            operations,
            clock,
            self._background.spawn,
            transformer,
            rewrite_outputs=config.rewrite_outputs,
            answer_after_s=ANSWER_AFTER_S,
            warm_up=lambda: self._background.spawn(transformer.prewarm()),
        )
        identity = (IamService(directory, clock), StsService(directory, credentials))
        control = CloudControlService(operations)
        for service in (*self._lambda.parts, self._s3, api_gateway, logs, self._stacks, *identity, control):
            operations.add(service)
        await logs.start()
        stack.push_async_callback(logs.close)
        return DataPlane(api_gateway.store, self._router, clock, self._logs)

    def _begin(self) -> None:
        """Settle what the last run left, and let the background work begin."""
        self._s3.sweep()
        self._lambda.start()
        self._background.spawn(self._router.run())
        self._background.spawn(self._lambda.survey())
        rolled_back = self._stacks.recover()
        if rolled_back:
            self._problems.append(
                f"The last run ended in the middle of deployments; they are rolled back: {', '.join(rolled_back)}"
            )

    def _package(self, key: str) -> bytes:
        return self._lambda.package(key)


class Background:
    """Work that goes on beside the requests: owned, reported when it fails, cancelled at the end."""

    def __init__(self, report: Report = report_to_stderr) -> None:
        self._report = report
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine until it ends or the platform does."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def close(self) -> None:
        """Cancel everything and wait for it."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._report(error)
