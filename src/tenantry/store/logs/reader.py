"""Reads log events from the writer's SQLite file, over a read-only connection, in whatever thread asks.

Three ways through the events: a few streams, each in its own order and merged; a whole group in order; arrivals. Each follows
an index and reads rows only as they are consumed, so a page costs what a page holds.
"""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tenantry.store.logs.records import Event, Scan, Stream
from tenantry.store.logs.writer import FILE_NAME

_MERGED_STREAMS_MAX = 100
_COLUMNS = "e.ts, e.id, e.ingested_ms, s.name, e.message"
_STREAM_COLUMNS = "s.name, s.created_ms, s.first_ms, s.last_ms, s.ingested_ms"
_GROUP = "(SELECT id FROM groups WHERE region = ? AND name = ? AND dead = 0)"


class SqliteReader:
    """One connection. `LogReader` for one thread at a time; made after the writer said that the file is there."""

    def __init__(self, folder: Path) -> None:
        uri = f"{(folder / FILE_NAME).absolute().as_uri()}?mode=ro"
        self._db = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=5)
        self._db.execute("PRAGMA cache_size=-2048")

    def close(self) -> None:
        self._db.close()

    def scan(self, scan: Scan) -> Iterator[Event]:
        found = self._db.execute(_GROUP[1:-1], (scan.region, scan.group)).fetchone()
        if found is None:
            return iter(())
        bounds, values = _bounds(scan)
        direction = "DESC" if scan.newest_first else "ASC"
        order = f"ORDER BY e.ts {direction}, e.id {direction}"
        streams = self._streams_of(scan, found[0])
        if streams is not None:
            query = (
                f"SELECT {_COLUMNS} FROM events e INDEXED BY events_by_stream CROSS JOIN streams s ON s.id = e.stream_id"  # noqa: S608
                f" WHERE e.stream_id = ? AND {bounds} {order}"
            )
            parts = [map(Event._make, self._db.execute(query, (number, *values))) for number in streams]
            return parts[0] if len(parts) == 1 else heapq.merge(*parts, reverse=scan.newest_first)
        within = "s.dead = 0"
        if scan.prefix:
            within, values = f"{within} AND substr(s.name, 1, ?) = ?", [*values, len(scan.prefix), scan.prefix]
        query = (
            f"SELECT {_COLUMNS} FROM events e INDEXED BY events_by_group CROSS JOIN streams s ON s.id = e.stream_id"  # noqa: S608
            f" WHERE e.group_id = ? AND {bounds} AND {within} {order}"
        )
        return map(Event._make, self._db.execute(query, (found[0], *values)))

    def _streams_of(self, scan: Scan, group_id: int) -> list[int] | None:
        """The ids of the streams to merge; None when the whole group is to be read."""
        if scan.streams is not None:
            marks = ",".join("?" * len(scan.streams))
            query = f"SELECT id FROM streams WHERE group_id = ? AND name IN ({marks}) AND dead = 0"  # noqa: S608
            return [row[0] for row in self._db.execute(query, (group_id, *scan.streams))] or [0]
        if not scan.prefix:
            return None
        rows = self._db.execute(
            "SELECT id FROM streams WHERE group_id = ? AND name >= ? AND substr(name, 1, ?) = ? AND dead = 0 LIMIT ?",
            (group_id, scan.prefix, len(scan.prefix), scan.prefix, _MERGED_STREAMS_MAX + 1),
        ).fetchall()
        return [row[0] for row in rows] or [0] if len(rows) <= _MERGED_STREAMS_MAX else None

    def stream(self, region: str, group: str, name: str) -> Stream | None:
        query = f"SELECT {_STREAM_COLUMNS} FROM streams s WHERE s.group_id = {_GROUP} AND s.name = ? AND s.dead = 0"  # noqa: S608
        row = self._db.execute(query, (region, group, name)).fetchone()
        return None if row is None else Stream(*row)

    def streams_by_name(
        self, region: str, group: str, *, prefix: str, after: str | None, descending: bool, limit: int
    ) -> list[Stream]:
        query = f"SELECT {_STREAM_COLUMNS} FROM streams s WHERE s.group_id = {_GROUP} AND s.dead = 0"  # noqa: S608
        values: list[Any] = [region, group]
        if prefix:
            query += " AND s.name >= ? AND substr(s.name, 1, ?) = ?"
            values += [prefix, len(prefix), prefix]
        if after is not None:
            query += f" AND s.name {'<' if descending else '>'} ?"
            values.append(after)
        query += f" ORDER BY s.name {'DESC' if descending else 'ASC'} LIMIT ?"
        return [Stream(*row) for row in self._db.execute(query, (*values, limit))]

    def streams_by_time(
        self, region: str, group: str, *, after: tuple[int, str] | None, descending: bool, limit: int
    ) -> list[Stream]:
        query = f"SELECT {_STREAM_COLUMNS} FROM streams s WHERE s.group_id = {_GROUP} AND s.dead = 0"  # noqa: S608
        values: list[Any] = [region, group]
        if after is not None:
            query += f" AND (ifnull(s.last_ms, 0), s.name) {'<' if descending else '>'} (?, ?)"
            values += after
        direction = "DESC" if descending else "ASC"
        query += f" ORDER BY ifnull(s.last_ms, 0) {direction}, s.name {direction} LIMIT ?"
        return [Stream(*row) for row in self._db.execute(query, (*values, limit))]

    def stored_bytes(self, region: str, groups: Sequence[str]) -> dict[str, int]:
        marks = ",".join("?" * len(groups))
        query = f"SELECT name, bytes FROM groups WHERE region = ? AND dead = 0 AND name IN ({marks})"  # noqa: S608
        return dict(self._db.execute(query, (region, *groups)).fetchall())

    def newest(self) -> int:
        found = self._db.execute("SELECT value FROM meta WHERE name = 'last_id'").fetchone()
        return int(found[0]) if found else 0

    def arrived_after(self, number: int, region: str, groups: Sequence[str], limit: int) -> list[tuple[str, Event]]:
        marks = ",".join("?" * len(groups))
        query = (
            f"SELECT g.name, {_COLUMNS} FROM events e CROSS JOIN groups g ON g.id = e.group_id"  # noqa: S608
            " CROSS JOIN streams s ON s.id = e.stream_id"
            f" WHERE e.id > ? AND g.region = ? AND g.name IN ({marks}) AND g.dead = 0 AND s.dead = 0 ORDER BY e.id LIMIT ?"
        )
        rows = self._db.execute(query, (number, region, *groups, limit))
        return [(row[0], Event._make(row[1:])) for row in rows]


def _bounds(scan: Scan) -> tuple[str, list[Any]]:
    """The conditions on time and position, and their values. One bound on the time itself keeps the index in use."""
    start, end = scan.start_ms, scan.end_ms
    conditions, values = [], []
    if scan.after is not None:
        start = max(start, scan.after.timestamp)
        conditions.append("(e.ts > ? OR e.id > ?)")
        values += [scan.after.timestamp, _id(scan.after.number)]
    if scan.before is not None:
        end = min(end, scan.before.timestamp)
        conditions.append("(e.ts < ? OR e.id < ?)")
        values += [scan.before.timestamp, _id(scan.before.number)]
    return " AND ".join(["e.ts BETWEEN ? AND ?", *conditions]), [_id(start), _id(end), *values]


def _id(number: int) -> int:
    """A number within SQLite's range; positions come from clients."""
    return max(min(number, 2**63 - 1), -(2**63))
