"""The writer in this process: frames, sequence numbers, purging."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tenantry.store.logs import writer
from tenantry.store.logs.writer import EVENTS, Writer, pack, unpack


def frame(sequence: int, *messages: str) -> tuple[int, int, list[object]]:
    return sequence, 1000, [(EVENTS, "r", "g", "s", [(1, message) for message in messages])]


def stored(folder: Path) -> list[str]:
    connection = sqlite3.connect(folder / writer.FILE_NAME)
    try:
        return [row[0] for row in connection.execute("SELECT message FROM events ORDER BY id")]
    finally:
        connection.close()


def test_a_frame_sent_twice_is_kept_once(tmp_path: Path) -> None:
    log = Writer(str(tmp_path))
    assert log.apply([frame(1, "a"), frame(2, "b")]) == [(1, [None]), (2, [None])]
    assert log.apply([frame(2, "b"), frame(3, "c")]) == [(2, []), (3, [None])]
    log.close()
    again = Writer(str(tmp_path))
    assert again.last_sequence == 3
    again.apply([frame(3, "c"), frame(4, "d")])
    again.close()
    assert stored(tmp_path) == ["a", "b", "c", "d"]


def test_a_failed_transaction_leaves_nothing(tmp_path: Path) -> None:
    log = Writer(str(tmp_path))
    try:
        log.apply([frame(1, "a"), (2, 1000, [("no such kind",)])])
    except ValueError:
        pass
    else:
        raise AssertionError("a malformed frame was accepted")
    log.close()
    again = Writer(str(tmp_path))
    assert again.last_sequence == 0
    again.close()
    assert stored(tmp_path) == []


@given(st.lists(st.tuples(st.integers(0, 2**40), st.text(max_size=30)), max_size=20), st.data())
@settings(max_examples=50, deadline=None)
def test_frames_survive_any_cutting(values: list[tuple[int, str]], data: st.DataObject) -> None:
    stream = b"".join(map(pack, values))
    buffer, found = bytearray(), []
    position = 0
    while position < len(stream):
        step = data.draw(st.integers(1, max(1, len(stream) - position)))
        buffer += stream[position : position + step]
        found += unpack(buffer)
        position += step
    assert found == values
    assert not buffer


def test_serving_until_the_end_and_dropping_half_a_frame(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        log = Writer(str(tmp_path))
        ours.sendall(pack(frame(1, "whole")) + pack(frame(2, "half"))[:-3])
        ours.close()
        writer.serve(log, theirs.fileno())
        log.close()
    assert stored(tmp_path) == ["whole"]


def test_a_peer_that_died_with_acknowledgements_unread(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    log = Writer(str(tmp_path))
    os.write(theirs.fileno(), b"never read")
    ours.sendall(pack(frame(1, "a")) + pack(frame(2, "b")))
    ours.close()
    writer.serve(log, theirs.fileno())
    theirs.close()
    log.close()
    assert stored(tmp_path) == ["a", "b"]


def test_a_second_writer_waits_for_the_first(tmp_path: Path) -> None:
    first = writer.hold_folder(str(tmp_path))
    got: list[int] = []
    waiting = threading.Thread(target=lambda: got.append(writer.hold_folder(str(tmp_path))))
    waiting.start()
    waiting.join(0.05)
    assert not got
    os.close(first)
    waiting.join(10)
    os.close(got[0])


def test_the_writer_stays_small() -> None:
    """It must import nothing but the few modules it needs, or each platform pays for them in memory."""
    code = f"import sys; sys.path.insert(0, {str(Path(writer.__file__).parent)!r}); import writer; print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True).stdout
    loaded = set(shown.split())
    assert "sqlite3" in loaded
    assert not loaded & {
        "asyncio",
        "socket",
        "selectors",
        "typing_extensions",
        "msgspec",
        "pathlib",
        "subprocess",
        "json",
        "re",
    }
