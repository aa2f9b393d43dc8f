"""Durable control-plane state: typed collections of frozen records, in memory for reading, in SQLite (WAL) for keeping.

A write is on disk before it is visible and before `put` returns (one commit, or one for a whole `transaction`), so that
`kill -9` at any moment loses nothing acknowledged. Reads never touch the disk. One process owns a store; all calls come from
its event loop thread. A commit costs some tens of microseconds: WAL with `synchronous=NORMAL` writes to the page cache, which
survives the process; a power cut may lose the last moments.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec
from sortedcontainers import SortedDict

T = TypeVar("T")

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS documents (collection TEXT, key TEXT, body BLOB, PRIMARY KEY (collection, key)) WITHOUT ROWID"
)

_FIRST_BATCH, _BATCH_MAX = 8, 1024


class Documents:
    """The store. `path` is a file, or None for one that lives in memory (tests)."""

    def __init__(self, path: Path | None) -> None:
        self._db = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute(_SCHEMA)
        self._pending: list[tuple[Collection[Any], str, Any]] | None = None

    def collection(self, name: str, kind: type[T]) -> Collection[T]:
        """The collection `name` of msgspec structs of type `kind`, loaded."""
        collection: Collection[T] = Collection(self, name)
        decoder = msgspec.msgpack.Decoder(kind)
        for key, body in self._db.execute("SELECT key, body FROM documents WHERE collection = ?", (name,)):
            collection._values[key] = decoder.decode(body)
        return collection

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Group writes: all are kept, or (when the block raises) none. Reads inside see the state before it."""
        if self._pending is not None:
            yield  # nested: part of the outer transaction
            return
        self._pending = []
        try:
            yield
        except BaseException:
            self._pending = None
            raise
        writes, self._pending = self._pending, None
        if writes:
            self._db.execute("BEGIN")
            try:
                for collection, key, value in writes:
                    self._execute(collection, key, value)
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
            for collection, key, value in writes:
                collection._apply(key, value)

    def close(self) -> None:
        """Fold the log into the file and close it."""
        self._db.close()

    def _write(self, collection: Collection[Any], key: str, value: Any) -> None:
        if self._pending is not None:
            self._pending.append((collection, key, value))
            return
        self._execute(collection, key, value)
        collection._apply(key, value)

    def _execute(self, collection: Collection[Any], key: str, value: Any) -> None:
        if value is None:
            self._db.execute("DELETE FROM documents WHERE collection = ? AND key = ?", (collection.name, key))
        else:
            body = msgspec.msgpack.encode(value)
            self._db.execute("INSERT OR REPLACE INTO documents VALUES (?, ?, ?)", (collection.name, key, body))


class Collection(Generic[T]):
    """Records by string key, in key order. Keys conventionally start with the region: `us-east-1/name`."""

    def __init__(self, store: Documents, name: str) -> None:
        self.name = name
        self._store = store
        self._values: SortedDict = SortedDict()

    def get(self, key: str) -> T | None:
        value: T | None = self._values.get(key)
        return value

    def put(self, key: str, value: T) -> None:
        """Keep a record; durable when this returns (at the end of the block, inside a transaction)."""
        self._store._write(self, key, value)

    def delete(self, key: str) -> None:
        """Forget a record; nothing happens where there is none."""
        self._store._write(self, key, None)

    def items(self, prefix: str = "", after: str | None = None) -> Iterator[tuple[str, T]]:
        """(key, record) in key order, of keys that start with `prefix` and, if given, sort after `after`.

        Keys are read in growing batches: the first record costs little, and the collection may change between two records.
        """
        beyond = prefix_end(prefix)
        start, from_start = (prefix, True) if after is None or after < prefix else (after, False)
        size = _FIRST_BATCH
        while True:
            keys = self._values.irange(start, beyond, inclusive=(from_start, False))
            batch = list(islice(keys, size))
            for key in batch:
                value = self._values.get(key)
                if value is not None:
                    yield key, value
            if len(batch) < size:
                return
            start, from_start, size = batch[-1], False, min(size * 4, _BATCH_MAX)

    def first(self, prefix: str) -> T | None:
        """The first record of those whose keys start with `prefix`."""
        return next((value for _, value in self.items(prefix)), None)

    def values(self, prefix: str = "") -> list[T]:
        return [value for _, value in self.items(prefix)]

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def __len__(self) -> int:
        return len(self._values)

    def _apply(self, key: str, value: T | None) -> None:
        if value is None:
            self._values.pop(key, None)
        else:
            self._values[key] = value


def prefix_end(prefix: str) -> str | None:
    """The first text that sorts after every text starting with `prefix`; None when there is no such text."""
    stem = prefix.rstrip(chr(0x10FFFF))
    return stem[:-1] + chr(ord(stem[-1]) + 1) if stem else None
