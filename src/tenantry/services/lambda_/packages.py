"""Code packages: kept as they were sent, and unpacked once for all environments that share them.

A package is named by the sha256 of its zip. The zip lies in `blobs` (which belongs to this module alone: a removed package is
removed there, whoever else might have had the same bytes), its content in `<code root>/<key>/`, read-only, complete or absent:
it is unpacked into `incoming-*` beside it and renamed. A package goes when no record refers to it any more; not at once, since
retired environments may still be finishing an invocation on it, but `linger_s` later, or at the next start.
"""

from __future__ import annotations

import asyncio
import base64
import errno
import hashlib
import logging
import os
import secrets
import shutil
import stat
import zipfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from tenantry.model.errors import ServiceError
from tenantry.services.lambda_ import archive, errors
from tenantry.services.lambda_.records import Package
from tenantry.services.operation import Context, Operations
from tenantry.store.blobs import Blobs

ZIPPED_MAX = 52_428_800
UNZIPPED_MAX = 262_144_000
LINGER_S = 960.0  # the longest timeout of a function, and a minute
_FULL = (errno.ENOSPC, errno.EDQUOT)

Later = Callable[[float, Callable[[], None]], None]
"""Calls something in so many seconds, unless the service is closed first."""

log = logging.getLogger(__name__)


class Packages:
    """Stores, unpacks and removes packages. `referenced` tells every key in use; `later` runs the removals."""

    def __init__(
        self,
        blobs: Blobs,
        code_root: Path,
        operations: Operations,
        referenced: Callable[[], set[str]],
        later: Later,
        linger_s: float = LINGER_S,
    ) -> None:
        self._blobs = blobs
        self._root = code_root
        self._operations = operations
        self._referenced = referenced
        self._later = later
        self._linger_s = linger_s
        self._held: Counter[str] = Counter()
        self._leaving: set[str] = set()
        self._removals: set[asyncio.Future[None]] = set()
        code_root.mkdir(parents=True, exist_ok=True)

    @asynccontextmanager
    async def stored(self, data: bytes) -> AsyncIterator[Package]:
        """Keep and unpack a zip for as long as the block lasts; a record written inside it makes it stay.

        Raises ServiceError. Whatever happens, nothing is left of a package that no record came to refer to.
        """
        key = await asyncio.to_thread(_digest, data)
        self._held[key] += 1
        try:
            yield await asyncio.to_thread(self._store, data, key)
        finally:
            self._held[key] -= 1
            self._held += Counter()
            if key not in self._leaving:
                self._remove(key)

    async def fetch(self, code: dict[str, object], ctx: Context) -> bytes:
        """The bytes of the zip that `Code` or `Content` names. Raises ServiceError."""
        inline = code.get("ZipFile")
        if code.get("ImageUri"):
            raise errors.NOT_OFFERED(what="container images (PackageType Image)")
        if inline is not None:
            if code.get("S3Bucket") or code.get("S3Key"):
                raise errors.TWO_SOURCES()
            assert isinstance(inline, bytes)
            if len(inline) > ZIPPED_MAX:
                raise errors.ZIPPED_TOO_LARGE(limit=ZIPPED_MAX)
            return inline
        if not code.get("S3Bucket") or not code.get("S3Key"):
            raise errors.NO_CODE()
        data = await self._from_s3(code, ctx)
        if len(data) > UNZIPPED_MAX:
            raise errors.UNZIPPED_TOO_LARGE(limit=UNZIPPED_MAX)
        return data

    async def examine(self, data: bytes) -> Package:
        """The package that `stored` would make, without keeping anything. Raises ServiceError."""
        return await asyncio.to_thread(_examine, data)

    def directory(self, key: str) -> Path:
        """Where a package lies unpacked."""
        return self._root / key

    def content(self, key: str) -> bytes:
        """The zip itself. Raises FileNotFoundError."""
        return self._blobs.get(key)

    def release(self, keys: set[str]) -> None:
        """The last reference to these may have gone: remove them some time from now, if it has."""
        for key in keys - self._leaving - self._referenced():
            self._leaving.add(key)
            self._later(self._linger_s, lambda key=key: self._remove(key))  # type: ignore[misc]

    async def settle(self) -> None:
        """Wait for deletions under way."""
        await asyncio.gather(*self._removals, return_exceptions=True)

    def sweep(self) -> list[str]:
        """At the start: remove what nothing refers to, unpack again what is missing; returns problems in words."""
        wanted = self._referenced()
        for path in self._root.iterdir():
            if path.name not in wanted:
                remove_tree(path)
        self._blobs.sweep(wanted)
        problems = []
        for key in sorted(wanted):
            if not (self._root / key).is_dir():
                try:
                    self._unpack(self._blobs.get(key), key)
                except (OSError, ServiceError) as error:
                    problems.append(f"the code package {key} is missing and cannot be unpacked again: {error}")
        return problems

    async def _from_s3(self, code: dict[str, object], ctx: Context) -> bytes:
        where = {"Bucket": code["S3Bucket"], "Key": code["S3Key"]}
        if code.get("S3ObjectVersion"):
            where["VersionId"] = code["S3ObjectVersion"]
        try:
            answer = await self._operations.call("s3", "GetObject", where, ctx)
        except ServiceError as error:
            raise errors.S3_FAILED(code=error.code, message=f"{error.message.rstrip('.')}{_stop(error.code)}") from None
        body = answer.get("Body", b"")
        if isinstance(body, bytes):
            return body
        size, chunks = 0, []
        async for chunk in body:
            size += len(chunk)
            if size > UNZIPPED_MAX:
                raise errors.UNZIPPED_TOO_LARGE(limit=UNZIPPED_MAX)
            chunks.append(chunk)
        return b"".join(chunks)

    def _store(self, data: bytes, key: str) -> Package:
        """In a thread: it must not touch records nor counts."""
        package = self._unpack(data, key)
        with _refusals():
            self._blobs.put(data)
        return package

    def _unpack(self, data: bytes, key: str) -> Package:
        with _refusals(), _opened(data) as (opened, plan):
            target = self._root / key
            if not target.is_dir():
                incoming = self._root / f"incoming-{secrets.token_hex(8)}"
                incoming.mkdir(mode=0o700)
                try:
                    root = os.open(incoming, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
                    try:
                        archive.unpack(opened, plan, root)
                    finally:
                        os.close(root)
                    _settle(incoming, target)
                finally:
                    if incoming.exists():
                        remove_tree(incoming)
            return _package(data, key, plan.size)

    def _remove(self, key: str) -> None:
        self._leaving.discard(key)
        if self._held[key] or key in self._referenced():
            return
        self._blobs.remove(key)
        target = self._root / key
        if target.exists():  # out of the way first: a new package of this name may come while the old one is deleted
            doomed = self._root / f"outgoing-{secrets.token_hex(8)}"
            target.rename(doomed)
            removal = asyncio.get_running_loop().run_in_executor(None, remove_tree, doomed)
            self._removals.add(removal)
            removal.add_done_callback(self._removed)

    def _removed(self, removal: asyncio.Future[None]) -> None:
        self._removals.discard(removal)
        if not removal.cancelled() and removal.exception() is not None:
            log.warning("a code package could not be deleted; the next start tries again: %s", removal.exception())


def remove_tree(path: Path) -> None:
    """Delete a read-only tree; links are deleted, never followed."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    for directory, _, _ in os.walk(path):  # parents first, so that what is below becomes reachable
        mode = stat.S_IMODE(os.lstat(directory).st_mode)
        os.chmod(directory, mode | stat.S_IRWXU)  # noqa: PTH101 - os.walk never enters links
    shutil.rmtree(path)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _package(data: bytes, key: str, unzipped: int) -> Package:
    return Package(key, base64.b64encode(bytes.fromhex(key)).decode(), len(data), unzipped)


def _examine(data: bytes) -> Package:
    with _refusals(), _opened(data) as (_, plan):
        return _package(data, _digest(data), plan.size)


@contextmanager
def _opened(data: bytes) -> Iterator[tuple[zipfile.ZipFile, archive.Plan]]:
    if not data:
        raise archive.EmptyError("no bytes")
    with archive.opened(data, UNZIPPED_MAX) as both:
        yield both


def _settle(incoming: Path, target: Path) -> None:
    try:
        incoming.rename(target)
    except OSError:
        if not target.is_dir():  # otherwise the same package came in twice, and the other one was first
            raise


def _stop(code: str) -> str:
    """AWS's message for a missing key ends in a full stop, the one for a missing bucket does not."""
    return "." if code == "NoSuchKey" else ""


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn what the archive and the disk raise into AWS's errors."""
    try:
        yield
    except archive.EmptyError:
        raise errors.EMPTY_PACKAGE() from None
    except archive.TooLargeError:
        raise errors.UNZIPPED_TOO_LARGE(limit=UNZIPPED_MAX) from None
    except archive.ArchiveError as error:
        log.info("refused a code package: %s", error)
        raise errors.UNZIP_FAILED() from None
    except OSError as error:
        if error.errno in _FULL:
            raise errors.STORAGE_FULL() from None
        raise errors.STORAGE_FAILED(reason=error.strerror or error) from None
