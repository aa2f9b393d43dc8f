"""The log store with its real writer process: what is given is found, whatever is killed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from tenantry.model.clock import SystemClock
from tenantry.store.logs import store as log_store
from tenantry.store.logs.records import Event, LogReader, Position, Scan
from tenantry.store.logs.store import LogStore, LogStoreLimits, LogStoreUnavailableError

LIMITS = LogStoreLimits(deadline_s=20)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[LogStore]:
    store = LogStore(tmp_path / "logs", SystemClock(), LIMITS)
    await store.start()
    yield store
    await store.close()


async def messages(store: LogStore, scan: Scan) -> list[str]:
    return [event.message for event in await store.read(lambda reader: list(reader.scan(scan)))]


async def purged(store: LogStore, rows: int) -> None:
    """Until the file holds no more events than `rows`, in whatever group."""

    def count(reader: LogReader) -> int:
        return int(reader._db.execute("SELECT count(*) FROM events").fetchone()[0])  # type: ignore[attr-defined]

    for _ in range(500):
        if await store.read(count) <= rows:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("deleted events stay in the file")


async def test_a_query_sees_what_was_appended_before_it(store: LogStore) -> None:
    for number in range(50):
        store.append("r", "g", "s", [(number, f"m{number}")])
        assert len(await messages(store, Scan("r", "g"))) == number + 1


async def test_appended_before_the_start(tmp_path: Path) -> None:
    store = LogStore(tmp_path, SystemClock(), LIMITS)
    store.append("r", "g", "s", [(1, "early")])
    await store.start()
    assert await messages(store, Scan("r", "g")) == ["early"]
    await store.close()


async def test_written_without_anybody_asking(store: LogStore) -> None:
    store.append("r", "g", "s", [(1, "a")])
    async with asyncio.timeout(10):
        while store.backlog:  # noqa: ASYNC110 - nobody is told; that is the point
            await asyncio.sleep(0.005)


async def test_order_is_time_then_arrival_in_both_directions(store: LogStore) -> None:
    store.append("r", "g", "b", [(5, "late"), (1, "first")])
    store.append("r", "g", "a", [(5, "later"), (3, "middle")])
    order = ["first", "middle", "late", "later"]
    for scan in (Scan("r", "g"), Scan("r", "g", streams=("a", "b")), Scan("r", "g", prefix="")):
        assert await messages(store, scan) == order
        assert await messages(store, replace(scan, newest_first=True)) == order[::-1]
        assert await messages(store, replace(scan, start_ms=3, end_ms=3)) == ["middle"]
    late = (await store.read(lambda reader: list(reader.scan(Scan("r", "g")))))[2]
    assert await messages(store, Scan("r", "g", after=late.position)) == ["later"]
    assert await messages(store, Scan("r", "g", before=late.position, newest_first=True)) == ["middle", "first"]
    assert await messages(store, Scan("r", "g", streams=("a",))) == ["middle", "later"]
    assert await messages(store, Scan("r", "g", prefix="b")) == ["first", "late"]
    assert await messages(store, Scan("r", "g", streams=("none",))) == []
    assert await messages(store, Scan("r", "other")) == []
    assert await messages(store, Scan("other", "g")) == []


async def test_a_prefix_of_many_streams_and_of_none(store: LogStore) -> None:
    for number in range(150):
        store.append("r", "g", f"p{number}", [(number, str(number))])
    store.append("r", "g", "q", [(7, "other")])
    assert await messages(store, Scan("r", "g", prefix="p")) == [str(number) for number in range(150)]
    assert await messages(store, Scan("r", "g", prefix="z")) == []


async def test_streams_keep_their_times(store: LogStore) -> None:
    store.append("r", "g", "s", [(20, "b"), (10, "a")])
    store.append("r", "g", "s", [(15, "c")])
    found = await store.read(lambda reader: reader.stream("r", "g", "s"))
    assert found is not None
    assert (found.first_ms, found.last_ms) == (10, 20)
    assert found.ingested_ms is not None
    assert await store.create_stream("r", "g", "t")
    assert not await store.create_stream("r", "g", "t")
    empty = await store.read(lambda reader: reader.stream("r", "g", "t"))
    assert empty is not None
    assert (empty.first_ms, empty.last_ms, empty.ingested_ms) == (None, None, None)


async def test_values_that_sqlite_refuses_cost_nothing_else(store: LogStore) -> None:
    store.append("r", "g", "s", [(1, "good"), (2, "half \ud83d pair"), (2**70, "far"), (3, "nul \0 inside")])
    assert await messages(store, Scan("r", "g", end_ms=2**63 - 1)) == ["good", "half ? pair", "nul \0 inside", "far"]


async def test_deleting(store: LogStore) -> None:
    store.append("r", "g", "s", [(number, "x" * 10) for number in range(2500)])
    store.append("r", "g", "t", [(5, "stays")])
    assert await store.delete_stream("r", "g", "s")
    assert not await store.delete_stream("r", "g", "s")
    assert await messages(store, Scan("r", "g")) == ["stays"]
    store.append("r", "g", "s", [(6, "again")])
    assert await messages(store, Scan("r", "g")) == ["stays", "again"]
    await purged(store, 2)
    assert await store.read(lambda reader: reader.stored_bytes("r", ["g"])) == {"g": 26 * 2 + 10}
    await store.delete_group("r", "g")
    assert await messages(store, Scan("r", "g")) == []
    store.append("r", "g", "s", [(7, "third")])
    assert await messages(store, Scan("r", "g", streams=("s",))) == ["third"]
    await purged(store, 1)


async def test_numbers_are_not_used_again(store: LogStore) -> None:
    store.append("r", "g", "s", [(1, "a"), (1, "b")])
    (_, last) = await store.read(lambda reader: list(reader.scan(Scan("r", "g"))))
    await store.delete_group("r", "g")
    store.append("r", "g", "s", [(1, "c")])
    (again,) = await store.read(lambda reader: list(reader.scan(Scan("r", "g"))))
    assert again.number > last.number


async def test_expiring(store: LogStore) -> None:
    store.append("r", "g", "s", [(number, "x") for number in range(3000)])
    store.append("r", "g", "t", [(5, "x")])
    store.append("r", "h", "s", [(1, "untouched")])
    await store.expire("r", "g", 2900)
    await purged(store, 101)
    assert len(await messages(store, Scan("r", "g"))) == 100
    assert await messages(store, Scan("r", "h")) == ["untouched"]
    spans = await store.read(
        lambda reader: [
            (stream.name, stream.first_ms, stream.last_ms)
            for stream in reader.streams_by_name("r", "g", prefix="", after=None, descending=False, limit=9)
        ]
    )
    assert spans == [("s", 2900, 2999), ("t", None, None)]
    assert await store.read(lambda reader: reader.stored_bytes("r", ["g"])) == {"g": 100 * 27}


async def test_arrivals(store: LogStore) -> None:
    store.append("r", "g", "s", [(9, "old")])
    newest = await store.read(lambda reader: reader.newest())
    store.append("r", "g", "s", [(5, "earlier")])
    store.append("r", "h", "s", [(1, "h")])
    store.append("r", "not", "s", [(1, "asked")])
    found = await store.read(lambda reader: reader.arrived_after(newest, "r", ["g", "h"], 10))
    assert [(group, event.message) for group, event in found] == [("g", "earlier"), ("h", "h")]


async def test_new_groups_are_named_before_they_can_be_read(store: LogStore) -> None:
    named: list[tuple[str, str]] = []
    store.on_new_group(lambda region, group: named.append((region, group)))
    store.append("r", "g", "s", [(1, "a")])
    store.append("r", "g", "t", [(1, "a")])
    await store.flush()
    assert named == [("r", "g")]


async def test_the_oldest_are_dropped_and_counted(tmp_path: Path) -> None:
    limits = LogStoreLimits(pending_bytes=20_000, pending_entries=1_000, deadline_s=20)
    store = LogStore(tmp_path, SystemClock(), limits)
    await store.start()
    kept = asyncio.create_task(store.put("r", "g", "s", [(0, "promised")]))
    await asyncio.sleep(0)  # the writer has not said hello: everything waits in memory
    for number in range(1, 501):
        store.append("r", "g", "s", [(number, "x" * 100)])
    await store.flush()
    await kept
    found = await store.read(lambda reader: list(reader.scan(Scan("r", "g"))))
    assert store.dropped > 0
    assert len(found) + store.dropped == 501
    assert [event.timestamp for event in found] == [0, *range(store.dropped + 1, 501)]
    await store.close()


async def test_a_killed_writer_costs_nothing(store: LogStore) -> None:
    store.append("r", "g", "s", [(0, "first")])
    await store.flush()
    puts = []
    for number in range(1, 200):
        puts.append(asyncio.create_task(store.put("r", "g", "s", [(number, "p")])))
        store.append("r", "g", "t", [(number, "a")])
        if number % 60 == 0:
            if store.writer_pid is not None:
                os.kill(store.writer_pid, signal.SIGKILL)
            await asyncio.sleep(0.05)
    await asyncio.gather(*puts)
    for stream, expected in (("s", list(range(200))), ("t", list(range(1, 200)))):
        found = await store.read(lambda reader, stream=stream: list(reader.scan(Scan("r", "g", (stream,)))))
        assert [event.timestamp for event in found] == expected
    assert store.dropped == 0


async def test_signals_for_the_platform_do_not_end_the_writer(store: LogStore) -> None:
    store.append("r", "g", "s", [(0, "first")])
    await store.flush()
    pid = store.writer_pid
    assert pid is not None
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(pid, number)
    store.append("r", "g", "s", [(1, "second")])
    assert len(await messages(store, Scan("r", "g"))) == 2
    assert store.writer_pid == pid


async def test_a_writer_that_cannot_write_is_waited_for_so_long(tmp_path: Path) -> None:
    root = tmp_path / "logs"
    root.mkdir()
    (root / "events.db").mkdir()  # SQLite cannot open it
    store = LogStore(root, SystemClock(), LogStoreLimits(deadline_s=0.3, restart_s=0.01))
    await store.start()
    with pytest.raises(LogStoreUnavailableError):
        await store.put("r", "g", "s", [(1, "a")])
    store.append("r", "g", "s", [(1, "a"), (2, "b")])
    await store.close()
    assert store.dropped == 2
    with pytest.raises(LogStoreUnavailableError):
        await store.put("r", "g", "s", [(1, "a")])


async def test_closing_twice_and_starting_again_on_the_same_folder(tmp_path: Path) -> None:
    for number in range(3):
        store = LogStore(tmp_path, SystemClock(), LIMITS)
        await store.start()
        store.append("r", "g", "s", [(number, str(number))])
        if number == 1:
            await store.flush()
        await store.close()
        await store.close()
    store = LogStore(tmp_path, SystemClock(), LIMITS)
    await store.start()
    assert await messages(store, Scan("r", "g")) == ["0", "1", "2"]
    await store.close()


async def test_closing_collects_a_writer_that_has_just_been_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writers = []

    def spawn(root: Path, descriptor: int) -> subprocess.Popen[bytes]:
        writers.append(started(root, descriptor))
        return writers[-1]

    started = log_store._spawn
    monkeypatch.setattr(log_store, "_spawn", spawn)
    for turns in range(4):  # the store closes before its writer is made, while it is connected, and after
        store = LogStore(tmp_path, SystemClock(), LIMITS)
        await store.start()
        for _ in range(turns):
            await asyncio.sleep(0)
        await store.close()
    assert writers
    assert all(process.returncode is not None for process in writers)


PLATFORM = """
    import asyncio, os, signal, sys
    from pathlib import Path
    from tenantry.model.clock import SystemClock
    from tenantry.store.logs.store import LogStore

    async def main():
        store = LogStore(Path(sys.argv[1]), SystemClock())
        await store.start()
        number = 0
        while True:
            await store.put("r", "g", "s", [(number, "p" * 500)])
            print(number, flush=True)
            for _ in range(20):
                store.append("r", "g", "t", [(number, "a")])
            number += 1

    asyncio.run(main())
"""


async def test_a_killed_platform_has_lost_nothing_it_promised(tmp_path: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(PLATFORM), str(tmp_path)]
    platform = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: ASYNC220
    assert platform.stdout is not None
    promised = -1
    while promised < 40:
        promised = int(platform.stdout.readline())
    platform.kill()
    rest = platform.stdout.read().split()
    platform.stdout.close()
    platform.wait()
    promised = int(rest[-1]) if rest else promised
    store = LogStore(tmp_path, SystemClock(), LIMITS)
    await store.start()  # its writer waits for the other one, which drains
    found = await store.read(lambda reader: list(reader.scan(Scan("r", "g", ("s",)))))
    times = [event.timestamp for event in found]
    assert times == list(range(len(times)))
    assert len(times) > promised
    store.append("r", "g", "s", [(10**6, "after")])
    assert (await messages(store, Scan("r", "g")))[-1] == "after"
    await store.close()


def test_event_ids() -> None:
    place = Event(1_767_225_600_123, 42, 0, "s", "m").position
    assert len(place.event_id()) == 56
    assert place.event_id().isdecimal()
    assert Position.of_event_id(place.event_id()) == place
    ids = [Position(time, number).event_id() for time in (0, 1, 10**12, 4 * 10**12) for number in (1, 2, 2**40)]
    assert ids == sorted(ids)
    with pytest.raises(ValueError):
        Position.of_event_id("1" * 55)
