"""Runs the worker process of a query, and ends it when nobody waits any more."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

COMMAND = (sys.executable, "-m", "tenantry.services.logs.insights.worker")

Runner = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
"""Takes a worker's request, gives its answer (worker.py). Cancelling it ends the query."""


async def run_in_process(request: dict[str, Any]) -> dict[str, Any]:
    """Run a query in a process of its own. A worker that dies (its memory is bounded) answers with an error."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        output, _ = await process.communicate(json.dumps(request).encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        return {"error": f"the query's process ended with status {process.returncode}"}
    answer: dict[str, Any] = json.loads(output)
    return answer
