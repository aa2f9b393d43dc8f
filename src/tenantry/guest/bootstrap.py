"""The runtime process of an environment: reseed, import the handler, loop in awslambdaric.

Run by the keeper after a fork (levels `process` and `namespace`), or as a program of its own (level `exec`).
"""

from __future__ import annotations

import gc
import importlib.machinery
import importlib.util
import os
import random
import sys
import threading
from importlib.machinery import ModuleSpec
from types import CodeType
from typing import Any

_COMPILED_BYTES_MAX = 1 << 20
"""Source files up to this size are compiled ahead: the zygote has no memory limit of its own."""


def renew() -> None:
    """Correct what `threading` remembers of the process that was copied."""
    threading.main_thread()._native_id = threading.get_native_id()  # type: ignore[attr-defined]


def tell_of_fork() -> None:
    """Run what modules have asked to be run around a fork (`os.register_at_fork`): before it, and in the child. The process was
    copied without a word to them; here they run sealed."""
    import ctypes  # not for a fresh interpreter (level `exec`), which waits for every import

    ctypes.pythonapi.PyOS_BeforeFork()
    ctypes.pythonapi.PyOS_AfterFork_Child()


def reseed() -> None:
    """Give this process randomness of its own: what a fork copies, two environments would otherwise share."""
    random.seed()
    ssl = sys.modules.get("ssl")
    if ssl is not None:
        ssl.RAND_add(os.urandom(32), 32.0)
    uuid = sys.modules.get("uuid")
    if uuid is not None:
        uuid._last_timestamp = None  # type: ignore[attr-defined]
        uuid._node = random.getrandbits(48) | (1 << 40)  # type: ignore[attr-defined]  # a random node, marked as not a hardware address
        uuid._generate_time_safe = None  # type: ignore[attr-defined]  # the C library's generator keeps its clock sequence over a fork
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed(int.from_bytes(os.urandom(4), "little"))


def preload() -> None:
    """Load awslambdaric and what it would otherwise load at its first invocation.

    Not http.client, which only a failed INIT needs: it brings ssl along, and a TLS generator that every fork would have to
    reseed.
    """
    import decimal  # noqa: F401
    import json  # noqa: F401
    import logging  # noqa: F401
    import traceback  # noqa: F401

    import awslambdaric.bootstrap
    import awslambdaric.lambda_literals
    import awslambdaric.lambda_runtime_client  # noqa: F401


def import_handler(handler: str) -> str | None:
    """Import the user's module once, in the zygote (INIT mode `snapshot`). Returns an error text, or None."""
    import importlib

    try:
        importlib.import_module(handler.rsplit(".", 1)[0].replace("/", "."))
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return None


def compile_handler(handler: str) -> None:
    """Find and compile the user's module, in the zygote, without running any of it; each environment then only runs it.

    Left to the environment: a module in a package (finding it would run the package), one that is no plain source file, and one
    that does not compile (whoever imports it is told).
    """
    name = handler.rsplit(".", 1)[0].replace("/", ".")
    if not name or "." in name or name in sys.modules:
        return
    spec = importlib.util.find_spec(name)
    if spec is None or not isinstance(spec.loader, importlib.machinery.SourceFileLoader):
        return
    try:
        if os.path.getsize(spec.loader.path) > _COMPILED_BYTES_MAX:
            return
        code = spec.loader.get_code(name)
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError, EOFError):
        return
    if code is not None:
        sys.meta_path.insert(0, _Compiled(spec, code))


class _Compiled:
    """Finds one module, whose code is there already. It leaves no trace: it is gone before the module runs."""

    def __init__(self, spec: ModuleSpec, code: CodeType) -> None:
        self._spec = spec
        self._code = code

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name != self._spec.name:
            return None
        sys.meta_path.remove(self)
        loader: Any = self._spec.loader

        def get_code(_: str) -> CodeType:
            del loader.get_code
            return self._code

        loader.get_code = get_code
        return self._spec


def unshareable() -> str | None:
    """What the module has made that copies of this process would share, or not have. Returns an error text, or None."""
    if threading.active_count() > 1:
        return "the module starts threads when it is imported; copies of the process would not have them"
    with open("/proc/self/maps") as maps:
        for line in maps:
            mode, name = line.split()[1], line.split(maxsplit=5)[5:]
            if mode.endswith("s") and "w" in mode:
                what = name[0].strip() if name else "anonymous"
                return f"the module makes shared memory when it is imported ({what}); every environment would see it"
    return None


def run(handler: str) -> None:
    """INIT and INVOKE, until the process is told to die. Never returns normally."""
    from awslambdaric import bootstrap
    from awslambdaric.lambda_runtime_client import LambdaRuntimeClient

    # Polling from a helper thread (what the client does for python3.12 and newer) only lets the main thread see signals; it
    # costs a thread per invocation, so it stays off.
    gc.enable()
    client = LambdaRuntimeClient(os.environ["AWS_LAMBDA_RUNTIME_API"], False)
    bootstrap.run(handler, client)


def main() -> None:
    """Entry for level `exec`: a fresh interpreter with nothing but its environment."""
    sys.path[:0] = [entry for entry in os.environ["TENANTRY_PATH"].split(":") if entry]
    del os.environ["TENANTRY_PATH"]
    run(os.environ["_HANDLER"])


if __name__ == "__main__":
    main()
