"""Zip archives, unpacked without trusting them.

A plan is made first, from the directory of the archive alone: every name, kind and size is judged before anything is written.
Then it is carried out beneath one open directory: each component is opened relative to its parent's descriptor without
following links, files are created exclusively, links come last. What is refused: names that are absolute, contain `..` or NUL,
or are given twice; files beneath files; links that lead out (followed step by step, through other links too); devices, sockets
and pipes; encrypted entries; methods other than stored and deflated; too many entries; more bytes than allowed, declared or
real.

Everything here is synchronous and runs in a thread.
"""

from __future__ import annotations

import calendar
import io
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

ENTRIES_MAX = 50_000  # a large scientific package has some 15,000
DIRECTORY_BYTES_MAX = 16 << 20  # the archive's own table; zipfile reads it into memory whole
PATH_BYTES_MAX, COMPONENT_BYTES_MAX, DEPTH_MAX = 1024, 255, 64
LINK_BYTES_MAX, LINK_HOPS_MAX = 4096, 40
_CHUNK = 1 << 20
_END = struct.Struct("<4s4H2LH")
_END_MAGIC = b"PK\x05\x06"
_ZIP64 = 0xFFFFFFFF
_ENCRYPTED = 0x1
_UNIX = 3

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# What zipfile and the decompressor raise for an archive that is damaged.
_DAMAGED = (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, struct.error, zlib.error)

Parts = tuple[str, ...]


class ArchiveError(Exception):
    """The archive is refused; the text says why (for the log, AWS's own message names no reason)."""


class EmptyError(ArchiveError):
    """There is nothing in it."""


class TooLargeError(ArchiveError):
    """It holds more bytes than allowed."""


@dataclass(slots=True)
class Plan:
    """What an archive will become: directories, files and links by their path's components. size: bytes of all files."""

    directories: set[Parts] = field(default_factory=set)
    files: dict[Parts, zipfile.ZipInfo] = field(default_factory=dict)
    links: dict[Parts, str] = field(default_factory=dict)
    size: int = 0


@contextmanager
def opened(data: bytes, unzipped_max: int) -> Iterator[tuple[zipfile.ZipFile, Plan]]:
    """The archive and its plan. Raises ArchiveError for a bad one, from inside the block too."""
    _check_directory_size(data)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            yield archive, plan(archive, unzipped_max)
    except _DAMAGED as error:
        raise ArchiveError(f"damaged: {error}") from error


def plan(archive: zipfile.ZipFile, unzipped_max: int) -> Plan:
    """Judge every entry. Raises ArchiveError."""
    entries = archive.infolist()
    if not entries:
        raise EmptyError("no entries")
    if len(entries) > ENTRIES_MAX:
        raise ArchiveError(f"{len(entries)} entries, at most {ENTRIES_MAX} are allowed")
    result = Plan(size=sum(entry.file_size for entry in entries))
    if result.size > unzipped_max:
        raise TooLargeError(f"{result.size} bytes unzipped")
    for entry in entries:
        _place(archive, entry, result)
    for parts in (*result.files, *result.links):
        _check_parents(parts, result)
    for parts in result.directories:
        if parts in result.files or parts in result.links:
            raise ArchiveError(f"both a file and a directory: {'/'.join(parts)}")
    for parts, target in result.links.items():
        if not stays_inside(parts[:-1], target, result.links):
            raise ArchiveError(f"a link leads out: {'/'.join(parts)}")
    return result


def unpack(archive: zipfile.ZipFile, planned: Plan, root: int) -> None:
    """Carry out a plan beneath the open directory `root`, which must be empty; everything ends up read-only.

    Raises ArchiveError where the content is not what the plan says, OSError where the disk does not play along.
    """
    with _Beneath(root) as tree:
        for parts in sorted(planned.directories):
            tree.make_directory(parts)
        for parts, entry in sorted(planned.files.items(), key=lambda item: (item[0][:-1], item[0][-1])):
            _write(archive, entry, tree, parts)
        for parts, target in sorted(planned.links.items()):
            os.symlink(target, parts[-1], dir_fd=tree.directory(parts[:-1]))
        for parts in sorted(planned.directories, key=len, reverse=True):
            os.fchmod(tree.directory(parts), 0o555)
    os.fchmod(root, 0o555)


def stays_inside(start: Parts, target: str, links: Mapping[Parts, str]) -> bool:
    """Whether `target`, read from the directory `start`, stays beneath the root at every step, through other links too."""
    if target.startswith("/"):
        return False
    at, todo, hops = list(start), target.split("/")[::-1], 0
    while todo:
        part = todo.pop()
        if part in ("", "."):
            continue
        if part == "..":
            if not at:
                return False
            at.pop()
            continue
        at.append(part)
        link = links.get(tuple(at))
        if link is not None:
            hops += 1
            if hops > LINK_HOPS_MAX or link.startswith("/"):
                return False
            at.pop()
            todo.extend(link.split("/")[::-1])
    return True


def _check_directory_size(data: bytes) -> None:
    """Refuse an oversized table of entries before zipfile reads it. An archive as small as ours never needs Zip64 for it."""
    at = len(data) - _END.size  # where it is without a comment; zipfile looks in the same order
    if at < 0 or data[at : at + 4] != _END_MAGIC:
        at = data.rfind(_END_MAGIC, max(0, at - 0xFFFF))
    if at >= 0 and at + _END.size <= len(data):
        size = _END.unpack_from(data, at)[5]
        if size == _ZIP64 or size > DIRECTORY_BYTES_MAX:
            raise ArchiveError("the table of entries is too large")


def _place(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, result: Plan) -> None:
    if entry.flag_bits & _ENCRYPTED:
        raise ArchiveError(f"encrypted: {entry.filename}")
    if entry.compress_type not in _METHODS:
        raise ArchiveError(f"neither stored nor deflated: {entry.filename}")
    parts = _components(entry.orig_filename)
    mode = entry.external_attr >> 16 if entry.create_system == _UNIX else 0
    kind = stat.S_IFMT(mode)
    if entry.orig_filename.endswith("/") or kind == stat.S_IFDIR:
        result.directories.add(parts)
        for depth in range(1, len(parts)):
            result.directories.add(parts[:depth])
        result.directories.discard(())
        return
    if not parts or parts in result.files or parts in result.links:
        raise ArchiveError(f"given twice: {entry.filename}")
    if kind == stat.S_IFLNK:
        if entry.file_size > LINK_BYTES_MAX:
            raise ArchiveError(f"a link too long: {entry.filename}")
        result.links[parts] = _link_target(archive.read(entry))
    elif kind in (0, stat.S_IFREG):
        result.files[parts] = entry
    else:
        raise ArchiveError(f"neither file, directory nor link: {entry.filename}")


def _components(name: str) -> Parts:
    if "\0" in name or name.startswith("/"):
        raise ArchiveError(f"a name that is not relative: {name!r}")
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if ".." in parts:
        raise ArchiveError(f"a name that climbs: {name!r}")
    encoded = [part.encode("utf-8", "surrogatepass") for part in parts]
    if len(parts) > DEPTH_MAX or len(b"/".join(encoded)) > PATH_BYTES_MAX:
        raise ArchiveError("a name that is too long or too deep")
    if any(len(part) > COMPONENT_BYTES_MAX for part in encoded):
        raise ArchiveError("a name that is too long")
    return parts


def _link_target(content: bytes) -> str:
    try:
        target = content.decode()
    except UnicodeDecodeError:
        raise ArchiveError("a link whose target is no text") from None
    if not target or "\0" in target:
        raise ArchiveError("a link without a target")
    return target


def _check_parents(parts: Parts, result: Plan) -> None:
    for depth in range(len(parts) - 1, 0, -1):
        parent = parts[:depth]
        if parent in result.files or parent in result.links:
            raise ArchiveError(f"beneath a file: {'/'.join(parts)}")
        if parent in result.directories:
            continue
        result.directories.add(parent)


def _write(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, tree: _Beneath, parts: Parts) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        target = os.open(parts[-1], flags, 0o600, dir_fd=tree.directory(parts[:-1]))
    except FileExistsError:  # two names that this file system takes for one
        raise ArchiveError(f"given twice: {entry.filename}") from None
    written = 0
    with os.fdopen(target, "wb") as file, archive.open(entry) as source:
        while chunk := source.read(_CHUNK):
            written += len(chunk)
            if written > entry.file_size:
                raise TooLargeError(f"more than declared: {entry.filename}")
            file.write(chunk)
        file.flush()
        executable = entry.create_system == _UNIX and (entry.external_attr >> 16) & 0o111
        os.fchmod(file.fileno(), 0o555 if executable else 0o444)
        moment = _modified(entry)
        os.utime(file.fileno(), (moment, moment))
    if written != entry.file_size:
        raise ArchiveError(f"less than declared: {entry.filename}")


def _modified(entry: zipfile.ZipInfo) -> int:
    """The entry's time, taken for UTC; kept so that compiled modules in the package stay valid."""
    year, month, day, *rest = entry.date_time
    try:
        return calendar.timegm((max(year, 1980), max(month, 1), max(day, 1), *rest, 0, 0, 0))
    except (ValueError, OverflowError):
        return calendar.timegm((1980, 1, 1, 0, 0, 0, 0, 0, 0))


class _Beneath:
    """Directories beneath an open one, reached component by component without following links.

    The last one used stays open, since entries come sorted by directory.
    """

    def __init__(self, root: int) -> None:
        self._root = root
        self._last: Parts = ()
        self._open: int | None = None

    def __enter__(self) -> _Beneath:
        return self

    def __exit__(self, *_: object) -> None:
        self._forget()

    def directory(self, parts: Parts) -> int:
        """A descriptor of the directory, valid until the next call."""
        if not parts:
            return self._root
        if self._open is None or self._last != parts:
            self._forget()
            self._open, self._last = self._walk(parts), parts
        return self._open

    def make_directory(self, parts: Parts) -> None:
        """Make one whose parent exists. Sorted plans see to that."""
        try:
            os.mkdir(parts[-1], 0o700, dir_fd=self.directory(parts[:-1]))
        except FileExistsError:  # two names that this file system takes for one
            raise ArchiveError(f"given twice: {'/'.join(parts)}") from None

    def _walk(self, parts: Parts) -> int:
        at = os.dup(self._root)
        for part in parts:
            try:
                deeper = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
            finally:
                os.close(at)
            at = deeper
        return at

    def _forget(self) -> None:
        if self._open is not None:
            os.close(self._open)
            self._open = None
