"""The SAM transform and schema checks, done by a worker process that is started when first needed.

Why a process: importing aws-sam-translator takes two seconds and fifty megabytes, and a hostile or huge template may not block
the platform's event loop. The worker reads one JSON line per request on its standard input and answers with one line; it ends
when that closes, so it cannot outlive the platform.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from typing import Any, Protocol

COMMAND = (sys.executable, "-m", "tenantry.services.cloudformation.transform_worker")
LINE_MAX_BYTES = 64 * 1024 * 1024  # an answer; a template of 1 MB expands to far less
REQUEST_TIMEOUT_S = 60.0  # covers the worker's start on a busy machine
_STARTS_MAX = 2  # a request is given to a new worker once, when the old one died


class TransformError(Exception):
    """The template cannot be transformed; the text says why, in the transform's words."""


class Transformer(Protocol):
    """Expands SAM templates and checks properties against AWS's resource schemas."""

    async def transform(self, template: dict[str, Any], parameters: dict[str, Any], region: str) -> dict[str, Any]:
        """The template with only native resources. Raises TransformError."""

    async def check(self, resources: dict[str, Any]) -> list[str]:
        """What is wrong with `{logical id: {"Type", "Properties"}}`, one text for each fault, by AWS's own schemas."""


class TransformProcess:
    """The worker and the conversation with it, one request at a time. Close it with `close`."""

    def __init__(self, command: Sequence[str] = COMMAND, timeout_s: float = REQUEST_TIMEOUT_S) -> None:
        self._command = tuple(command)
        self._timeout_s = timeout_s
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()

    async def transform(self, template: dict[str, Any], parameters: dict[str, Any], region: str) -> dict[str, Any]:
        """See Transformer."""
        request = {"do": "transform", "template": template, "parameters": parameters, "region": region}
        answer: dict[str, Any] = await self._ask(request)
        return answer

    async def check(self, resources: dict[str, Any]) -> list[str]:
        """See Transformer."""
        answer: list[str] = await self._ask({"do": "check", "resources": resources})
        return answer

    async def prewarm(self) -> None:
        """Start the worker and wait until it has imported its libraries, so that the first deploy need not."""
        await self._ask({"do": "nothing"})

    async def close(self) -> None:
        """End the worker."""
        async with self._turn:
            await self._end()

    async def _ask(self, request: dict[str, Any]) -> Any:
        line = json.dumps(request).encode() + b"\n"
        async with self._turn:
            for _ in range(_STARTS_MAX):
                try:
                    async with asyncio.timeout(self._timeout_s):
                        answer = await self._exchange(line)
                except TimeoutError:
                    await self._end()
                    raise TransformError("The transform did not finish in time.") from None
                except asyncio.CancelledError:
                    await self._end()  # an answer that nobody waits for must not become the next request's
                    raise
                if answer is not None:
                    break
                await self._end()
            else:
                raise TransformError("Internal transform failure.")
        if "error" in answer:
            raise TransformError(answer["error"])
        return answer["result"]

    async def _exchange(self, line: bytes) -> dict[str, Any] | None:
        """The worker's answer, None where it died."""
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=LINE_MAX_BYTES,
                start_new_session=True,  # a Ctrl-C at the terminal is the platform's to handle
            )
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("the worker has no pipes")
        try:
            stdin.write(line)
            await stdin.drain()
            reply = await stdout.readline()
        except (BrokenPipeError, ConnectionResetError):
            return None
        return json.loads(reply) if reply.endswith(b"\n") else None

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            process.kill()
        if process.stdin is not None:
            process.stdin.close()
        await process.wait()
