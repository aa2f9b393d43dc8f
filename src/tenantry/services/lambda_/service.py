"""LambdaService: the parts of the service, wired. The composition root makes one, adds its parts to the operations, starts it.

service = LambdaService(documents=..., blobs=..., code_root=..., ...)
for part in service.parts: operations.add(part)
service.start()                    # sweeps packages, publishes every function to placement
await service.survey()             # any time later: resolves the runtimes in use, for warnings()
... await service.close()
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from tenantry.model.clock import Clock
from tenantry.model.invocation import Invoker
from tenantry.model.runtime import Runtimes
from tenantry.placement.functions import Functions
from tenantry.services.lambda_.functions import CodeUrl, FunctionOperations
from tenantry.services.lambda_.invocations import InvocationOperations
from tenantry.services.lambda_.layers import LayerOperations
from tenantry.services.lambda_.packages import LINGER_S, Later, Packages
from tenantry.services.lambda_.permissions import PermissionOperations
from tenantry.services.lambda_.records import LATEST, Store
from tenantry.services.lambda_.refusing import RefusingOperations
from tenantry.services.lambda_.registry import ACTIVATION_S, Registry
from tenantry.services.lambda_.settings import SettingOperations
from tenantry.services.lambda_.versions import VersionOperations
from tenantry.services.operation import Operations
from tenantry.store.blobs import Blobs
from tenantry.store.documents import Documents


class LambdaService:
    """The Lambda service.

    blobs: for this service alone (start removes what no function refers to); code_root: where packages lie unpacked, named by
    their key; account_concurrency: concurrent executions of the account; later: for tests, runs callbacks in place of the
    loop's timers. `parts` hold the operations.
    """

    def __init__(
        self,
        *,
        documents: Documents,
        blobs: Blobs,
        code_root: Path,
        functions: Functions,
        invoker: Invoker,
        operations: Operations,
        runtimes: Runtimes,
        clock: Clock,
        code_url: CodeUrl,
        account_concurrency: int = 1000,
        activation_s: float = ACTIVATION_S,
        linger_s: float = LINGER_S,
        later: Later | None = None,
    ) -> None:
        self._timers: set[asyncio.TimerHandle] = set()
        self._store = Store(documents)
        later = later or self._call_later
        self.packages = Packages(blobs, code_root, operations, self._store.package_keys, later, linger_s)
        self._registry = Registry(self._store, self.packages, functions, runtimes, clock, later, activation_s)
        self._problems: list[str] = []
        self.parts = (
            FunctionOperations(self._registry, operations, code_url),
            VersionOperations(self._registry),
            PermissionOperations(self._registry),
            SettingOperations(self._registry, account_concurrency),
            LayerOperations(self._registry, code_url),
            InvocationOperations(invoker),
            RefusingOperations(self._registry),
        )

    def start(self) -> None:
        """Remove what a crash left, settle what it interrupted, publish every function. Call it before the first request."""
        self._problems = self.packages.sweep()
        self._registry.restore()

    async def survey(self) -> None:
        """Resolve the runtimes in use (this may run interpreters, in a thread)."""
        await self._registry.survey_runtimes()

    async def close(self) -> None:
        """Drop pending timers (what they would do, the next start does) and wait for deletions under way."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        await self.packages.settle()

    def package(self, key: str) -> bytes:
        """The zip that a `code_url` names. Raises FileNotFoundError."""
        return self.packages.content(key)

    def warnings(self) -> list[str]:
        """What a person should know, a sentence each: substituted runtimes, and settings that nothing acts on."""
        lines = list(self._problems)
        for key, function in self._store.functions.items():
            version = self._store.versions.get(f"{key}/{LATEST}")
            if version is None:
                continue
            substitute = self._registry.runtime_warning(version.runtime)
            if substitute is not None:
                lines.append(f"{function.name}: {substitute}")
            if version.dead_letter_arn:
                lines.append(f"{function.name}: its dead letter queue is kept, but nothing is sent there")
            if any(record.on_success or record.on_failure for record in self._store.event_configs.values(f"{key}/")):
                lines.append(f"{function.name}: its destinations are kept, but nothing is sent there")
        return lines

    def _call_later(self, delay_s: float, callback: Callable[[], None]) -> None:
        def run() -> None:
            self._timers.discard(timer)
            callback()

        timer = asyncio.get_running_loop().call_later(delay_s, run)
        self._timers.add(timer)
