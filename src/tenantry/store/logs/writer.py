"""The process that writes log events: frames in from the platform, SQLite out, one acknowledgement for each frame.

    python writer.py FOLDER DESCRIPTOR        (started by store.py; DESCRIPTOR is one end of a socketpair)

Standard library only and self-contained, so that it is small and starts fast. It ends when the other end closes: whatever the
platform had sent by then, even if it was killed, is read, committed and kept. Signals that end the platform do not end it.

Frames, in both directions: four bytes length (big endian), then a marshalled tuple (both ends are the same interpreter).

    to us    (sequence, ingestion_ms, entries)         entries as below, applied in order
    from us  (sequence, results)                       after the commit; first of all (last committed sequence, None)

A frame and its sequence number are committed in one transaction, so that after a crash the platform sends again exactly the
frames that are missing. Deleting is cheap here: what is deleted is unlinked at once, and its rows are purged in small steps
while no frame waits.
"""

from __future__ import annotations

import fcntl
import marshal
import os
import select
import signal
import sqlite3
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # the module `typing` costs a megabyte
    from collections.abc import Iterable
    from typing import Any

EVENTS, CREATE_STREAM, DELETE_STREAM, DELETE_GROUP, EXPIRE = range(5)
"""Kinds of entries:

(EVENTS, region, group, stream, [(timestamp_ms, message), ...])         -> None
(CREATE_STREAM, region, group, stream)                                  -> True when it is new
(DELETE_STREAM, region, group, stream)                                  -> True when it was there
(DELETE_GROUP, region, group)                                           -> True when there was anything of it
(EXPIRE, region, group, before_ms)                                      -> None; events older than this go
"""

FILE_NAME = "events.db"
LENGTH_BYTES = 4
_READ_BYTES = 262_144
_PURGE_ROWS = 1_000
_STREAMS_REMEMBERED = 20_000
_INT64_MAX = 2**63 - 1

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS groups (
    id INTEGER PRIMARY KEY, region TEXT NOT NULL, name TEXT NOT NULL, dead INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0, expire_ms INTEGER NOT NULL DEFAULT 0, UNIQUE (region, name));
CREATE TABLE IF NOT EXISTS streams (
    id INTEGER PRIMARY KEY, group_id INTEGER NOT NULL, name TEXT NOT NULL, dead INTEGER NOT NULL DEFAULT 0,
    created_ms INTEGER NOT NULL, first_ms INTEGER, last_ms INTEGER, ingested_ms INTEGER, UNIQUE (group_id, name));
CREATE INDEX IF NOT EXISTS garbage_groups ON groups (id) WHERE dead = 1 OR expire_ms > 0;
CREATE INDEX IF NOT EXISTS garbage_streams ON streams (id) WHERE dead = 1;
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY, group_id INTEGER NOT NULL, stream_id INTEGER NOT NULL,
    ts INTEGER NOT NULL, ingested_ms INTEGER NOT NULL, message TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS events_by_group ON events (group_id, ts);
CREATE INDEX IF NOT EXISTS events_by_stream ON events (stream_id, ts);
"""

Key = tuple[str, str, str]  # region, group, stream
Ids = tuple[int, int]  # group id, stream id
Row = tuple[int, int, int, int, int, str]  # id, group id, stream id, timestamp, ingestion time, message


class Writer:
    """The database and everything that changes it. Only one process may hold one for a folder (`hold_folder`)."""

    def __init__(self, folder: str) -> None:
        self._db = sqlite3.connect(os.path.join(folder, FILE_NAME), isolation_level=None)  # noqa: PTH118 - pathlib is 1 MB
        for pragma in ("auto_vacuum=INCREMENTAL", "journal_mode=WAL", "synchronous=NORMAL", "cache_size=-1024"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.executescript(_SCHEMA)
        self.last_sequence = self._meta("sequence")
        self._last_id = self._meta("last_id")
        self._ids: dict[Key, Ids] = {}
        self.has_garbage = True

    def apply(self, frames: Iterable[tuple[int, int, list[Any]]]) -> list[tuple[int, list[Any]]]:
        """Commit frames, in one transaction; the acknowledgements to send. A frame that is already in is only acknowledged."""
        answers = []
        self._db.execute("BEGIN IMMEDIATE")
        try:
            for sequence, ingestion_ms, entries in frames:
                results = []
                if sequence > self.last_sequence:
                    results = self._apply_frame(ingestion_ms, entries)
                    self.last_sequence = sequence
                answers.append((sequence, results))
            counters = [("sequence", self.last_sequence), ("last_id", self._last_id)]
            self._db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", counters)
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")
        return answers

    def purge_some(self) -> None:
        """Delete a few rows that belong to nothing any more; sets `has_garbage` to whether there may be more."""
        self._db.execute("BEGIN IMMEDIATE")
        self.has_garbage = self._purge_stream() or self._purge_group()
        self._db.execute("COMMIT")
        if not self.has_garbage:
            self._db.execute("PRAGMA incremental_vacuum").fetchall()

    def close(self) -> None:
        self._db.close()

    # -- entries ------------------------------------------------------------------------------------------------------

    def _apply_frame(self, now_ms: int, entries: list[Any]) -> list[Any]:
        results: list[Any] = []
        rows: list[Row] = []
        for entry in entries:
            if entry[0] == EVENTS:
                _, region, group, stream, events = entry
                group_id, stream_id = self._ids.get((region, group, stream)) or self._make((region, group, stream), now_ms)
                for timestamp, message in events:
                    self._last_id += 1
                    rows.append((self._last_id, group_id, stream_id, timestamp, now_ms, message))
                results.append(None)
                continue
            self._insert(rows)
            rows = []
            results.append(self._command(entry, now_ms))
        self._insert(rows)
        return results

    def _insert(self, rows: list[Row]) -> None:
        if not rows:
            return
        try:
            self._db.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)", rows)
        except (UnicodeError, OverflowError, TypeError, ValueError, sqlite3.Error):
            # A value that SQLite cannot keep (half a surrogate pair, a number beyond 64 bits) must not cost the others.
            self._db.execute("DELETE FROM events WHERE id >= ?", (rows[0][0],))
            rows = [_storable(row) for row in rows]
            self._db.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)", rows)
        streams: dict[int, list[int]] = {}
        sizes: dict[int, int] = {}
        for _, group_id, stream_id, timestamp, now_ms, message in rows:
            span = streams.setdefault(stream_id, [timestamp, timestamp, now_ms])
            span[0], span[1] = min(span[0], timestamp), max(span[1], timestamp)
            sizes[group_id] = sizes.get(group_id, 0) + event_bytes(message)
        self._db.executemany(
            "UPDATE streams SET first_ms = min(ifnull(first_ms, ?1), ?1), last_ms = max(ifnull(last_ms, ?2), ?2),"
            " ingested_ms = ?3 WHERE id = ?4",
            [(first, last, now_ms, stream_id) for stream_id, (first, last, now_ms) in streams.items()],
        )
        self._db.executemany(
            "UPDATE groups SET bytes = bytes + ? WHERE id = ?", [(size, group_id) for group_id, size in sizes.items()]
        )

    def _command(self, entry: Any, now_ms: int) -> bool | None:
        kind, region, group = entry[:3]
        if kind == CREATE_STREAM:
            key = (region, group, entry[3])
            if self._find(key) is not None:
                return False
            self._make(key, now_ms)
            return True
        self.has_garbage = True
        self._ids.clear()
        if kind == DELETE_STREAM:
            ids = self._find((region, group, entry[3]))
            if ids is not None:
                self._db.execute("UPDATE streams SET dead = 1, name = name || ':' || id WHERE id = ?", (ids[1],))
            return ids is not None
        if kind == DELETE_GROUP:
            done = self._db.execute(
                "UPDATE groups SET dead = 1, name = name || ':' || id WHERE region = ? AND name = ?", (region, group)
            )
            return done.rowcount > 0
        self._db.execute(
            "UPDATE groups SET expire_ms = max(expire_ms, ?) WHERE region = ? AND name = ?", (entry[3], region, group)
        )
        return None

    def _find(self, key: Key) -> Ids | None:
        region, group, stream = key
        found: Ids | None = self._db.execute(
            "SELECT g.id, s.id FROM groups g JOIN streams s ON s.group_id = g.id"
            " WHERE g.region = ? AND g.name = ? AND s.name = ?",
            (region, group, stream),
        ).fetchone()
        return found

    def _make(self, key: Key, now_ms: int) -> Ids:
        """The ids of a stream, made with its group where missing."""
        region, group, stream = key
        ids = self._find(key)
        if ids is None:
            self._db.execute("INSERT OR IGNORE INTO groups (region, name) VALUES (?, ?)", (region, group))
            where = "SELECT id FROM groups WHERE region = ? AND name = ?"
            (group_id,) = self._db.execute(where, (region, group)).fetchone()
            done = self._db.execute(
                "INSERT INTO streams (group_id, name, created_ms) VALUES (?, ?, ?)", (group_id, stream, now_ms)
            )
            ids = (group_id, int(done.lastrowid or 0))
        if len(self._ids) >= _STREAMS_REMEMBERED:
            self._ids.clear()
        self._ids[key] = ids
        return ids

    # -- purging ------------------------------------------------------------------------------------------------------

    def _purge_stream(self) -> bool:
        """Rows of one deleted stream; False when there is no such stream."""
        found = self._db.execute("SELECT id FROM streams WHERE dead = 1 LIMIT 1").fetchone()
        if found is None:
            return False
        if self._delete("stream_id = ?", found[0]) < _PURGE_ROWS:
            self._db.execute("DELETE FROM streams WHERE id = ?", found)
        return True

    def _purge_group(self) -> bool:
        """Rows of one deleted group, or old rows of one; False when there is nothing of the kind."""
        found = self._db.execute("SELECT id, dead, expire_ms FROM groups WHERE dead = 1 OR expire_ms > 0 LIMIT 1").fetchone()
        if found is None:
            return False
        group_id, dead, expire_ms = found
        if dead:
            if self._delete("group_id = ?", group_id) < _PURGE_ROWS:
                self._db.execute("DELETE FROM streams WHERE group_id = ?", (group_id,))
                self._db.execute("DELETE FROM groups WHERE id = ?", (group_id,))
        elif self._delete("group_id = ? AND ts < ?", group_id, expire_ms) < _PURGE_ROWS:
            self._db.execute(
                "UPDATE streams SET first_ms = (SELECT min(ts) FROM events WHERE stream_id = streams.id),"
                " last_ms = (SELECT max(ts) FROM events WHERE stream_id = streams.id) WHERE group_id = ? AND first_ms < ?",
                (group_id, expire_ms),
            )
            self._db.execute("UPDATE groups SET expire_ms = 0 WHERE id = ?", (group_id,))
        return True

    def _delete(self, where: str, *values: int) -> int:
        """Delete up to _PURGE_ROWS events; how many."""
        rows = self._db.execute(
            f"SELECT id, group_id, length(CAST(message AS BLOB)) + 26 FROM events WHERE {where} LIMIT {_PURGE_ROWS}",  # noqa: S608
            values,
        ).fetchall()
        self._db.executemany("DELETE FROM events WHERE id = ?", [(row[0],) for row in rows])
        self._db.executemany("UPDATE groups SET bytes = bytes - ? WHERE id = ?", [(row[2], row[1]) for row in rows])
        return len(rows)

    def _meta(self, name: str) -> int:
        found = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return int(found[0]) if found else 0


def event_bytes(message: str) -> int:
    """Bytes of an event as CloudWatch counts them: UTF-8, and 26 more (aws-behaviour 6.2)."""
    return 26 + (len(message) if message.isascii() else len(message.encode("utf-8", "replace")))


def _storable(row: Row) -> Row:
    number, group_id, stream_id, timestamp, now_ms, message = row
    stamp = min(max(int(timestamp), 0), _INT64_MAX)
    return number, group_id, stream_id, stamp, now_ms, str(message).encode("utf-8", "replace").decode()


def pack(value: Any) -> bytes:
    """A frame."""
    body = marshal.dumps(value)
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def unpack(buffer: bytearray) -> list[Any]:
    """The whole frames at the start of `buffer`, which are taken out of it."""
    frames, position = [], 0
    while len(buffer) - position >= LENGTH_BYTES:
        end = position + LENGTH_BYTES + int.from_bytes(buffer[position : position + LENGTH_BYTES], "big")
        if end > len(buffer):
            break
        frames.append(marshal.loads(memoryview(buffer)[position + LENGTH_BYTES : end]))  # noqa: S302 - the platform's own
        position = end
    del buffer[:position]
    return frames


def serve(writer: Writer, descriptor: int) -> None:
    """Write what arrives until the other end closes."""
    ready = select.poll()
    ready.register(descriptor, select.POLLIN)
    buffer = bytearray()
    _send(descriptor, pack((writer.last_sequence, None)))
    while True:
        if writer.has_garbage and not ready.poll(0):
            writer.purge_some()
            continue
        try:
            data = os.read(descriptor, _READ_BYTES)
        except ConnectionResetError:  # said once by a peer that died with acknowledgements unread; its frames are still there
            continue
        if not data:
            return
        buffer += data
        frames = unpack(buffer)
        if frames:
            _send(descriptor, b"".join(map(pack, writer.apply(frames))))


def _send(descriptor: int, data: bytes) -> None:
    """Send an acknowledgement; one that nobody is left to hear is no error."""
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    except (BrokenPipeError, ConnectionResetError):
        return


def hold_folder(folder: str) -> int:
    """Wait until no other writer, one draining the pipe of a killed platform say, has the folder; the lock, to keep open."""
    lock = os.open(os.path.join(folder, "writer.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)  # noqa: PTH118
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def main(arguments: list[str]) -> None:
    """Write until the other end closes."""
    folder, descriptor = arguments[0], int(arguments[1])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the platform decides: it closes its end when it has sent everything
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    lock = hold_folder(folder)
    writer = Writer(folder)
    serve(writer, descriptor)
    writer.close()
    os.close(lock)


if __name__ == "__main__":
    main(sys.argv[1:])
