"""Objects' bytes: blobs, counted, so that equal bytes are kept once and go when their last user goes.

The blob directory must belong to S3 alone: the counts cover S3's own records only. Counts live in memory and are made anew
from the records at start. Whoever calls `keep` holds one reference; it is either written into a record, or released.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from tenantry.services.s3.records import Piece
from tenantry.store.blobs import Blobs

T = TypeVar("T")

# Above this size, hashing and disk access leave the event loop's thread; below, the hop costs more than the work.
OFF_LOOP_BYTES = 256 * 1024


async def off_loop(size: int, work: Callable[..., T], *arguments: object) -> T:
    """Run `work`, in a thread when it touches many bytes."""
    return work(*arguments) if size <= OFF_LOOP_BYTES else await asyncio.to_thread(work, *arguments)


class Content:
    """Counted blobs."""

    def __init__(self, blobs: Blobs, used: Iterable[Piece]) -> None:
        self._blobs = blobs
        self._counts: Counter[str] = Counter(piece.blob for piece in used if piece.blob)

    async def keep(self, data: bytes, sha256: str) -> Piece:
        """Keep bytes whose sha256 (hexadecimal) is known. The caller owns one reference. Raises OSError (disk full)."""
        if not data:
            return Piece("", 0)
        piece = Piece(sha256, len(data))
        self.share((piece,))  # counted before it is written: a concurrent release cannot take the file away
        try:
            await off_loop(len(data), self._blobs.put, data)
        except BaseException:
            self.release((piece,))
            raise
        return piece

    def share(self, pieces: Iterable[Piece]) -> None:
        """Take one more reference to each piece."""
        self._counts.update(piece.blob for piece in pieces if piece.blob)

    def release(self, pieces: Iterable[Piece]) -> None:
        """Give references back; bytes without any are removed."""
        for blob in [piece.blob for piece in pieces if piece.blob]:
            self._counts[blob] -= 1
            if self._counts[blob] <= 0:
                del self._counts[blob]
                self._blobs.remove(blob)

    async def read(self, pieces: Sequence[Piece], start: int, stop: int) -> bytes:
        """Bytes start to stop (exclusive) of the pieces in a row."""
        self.share(pieces)  # a deletion meanwhile must not pull the files away
        try:
            return await off_loop(stop - start, self._read, pieces, start, stop)
        finally:
            self.release(pieces)

    def _read(self, pieces: Sequence[Piece], start: int, stop: int) -> bytes:
        runs, offset = [], 0
        for piece in pieces:
            first, last = max(start - offset, 0), min(stop - offset, piece.size)
            if first < last:
                with self._blobs.path(piece.blob).open("rb") as file:
                    file.seek(first)
                    runs.append(file.read(last - first))
            offset += piece.size
        return b"".join(runs)

    def sweep(self) -> int:
        """Remove bytes that no record refers to (left by a crash). Only before the first request; returns how many."""
        return self._blobs.sweep(self._counts)
