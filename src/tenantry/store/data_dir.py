"""The folder that holds everything durable, and who owns it: one running platform at a time.

    <data-dir>/            mode 0700
      credentials.json     the root access key (store/credentials.py)
      tenantry.lock        held with flock by the running platform, so that it is free again however that one ends
      run.json             who runs: process id and address, for `tenantry status` and `tenantry env`
      state.db, blobs/...  what the services keep

`run.json` alone proves nothing, it survives a `kill -9`; it counts only while the lock is held.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import msgspec


class Run(msgspec.Struct, frozen=True):
    """A running platform.

    address: the base URL its clients use; region: what `tenantry env` exports; started_at: epoch seconds; token: opens the
    platform's pages about itself to whoever can read this folder.
    """

    pid: int
    address: str = ""
    region: str = ""
    version: str = ""
    started_at: float = 0.0
    token: str = ""


class AlreadyRunningError(Exception):
    """Another platform owns the folder; `run` says which, as far as is known."""

    def __init__(self, path: Path, run: Run | None) -> None:
        super().__init__(f"another platform uses {path}")
        self.path = path
        self.run = run


class DataDir:
    """The folder `path`; it is made where it is missing when `acquire` is called."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None

    def acquire(self) -> None:
        """Take the folder for this process. Raises AlreadyRunningError, or OSError where it cannot be written."""
        self.path.mkdir(parents=True, exist_ok=True)
        self.path.chmod(0o700)
        descriptor = self._open_lock()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise AlreadyRunningError(self.path, self._read_run()) from None
        self._lock = descriptor
        self.announce(Run(os.getpid()))

    def announce(self, run: Run) -> None:
        """Say who runs here and where it answers."""
        write_private(self.path / "run.json", msgspec.json.encode(run))

    def release(self) -> None:
        """Give the folder back. Safe to call twice."""
        if self._lock is not None:
            (self.path / "run.json").unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None

    def running(self) -> Run | None:
        """The platform that owns the folder now, or None. Its address is empty while it is still starting."""
        if not (self.path / "tenantry.lock").exists():
            return None
        descriptor = self._open_lock()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return self._read_run() or Run(0)
        finally:
            os.close(descriptor)
        return None

    def _open_lock(self) -> int:
        return os.open(self.path / "tenantry.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _read_run(self) -> Run | None:
        try:
            return msgspec.json.decode((self.path / "run.json").read_bytes(), type=Run)
        except (FileNotFoundError, msgspec.DecodeError):
            return None


def write_private(path: Path, data: bytes) -> None:
    """Put a whole file in place, readable by its owner only: never half of it, never readable by others in between."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
