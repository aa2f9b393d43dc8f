"""Captured output: lines, frames, floods."""

import os
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry.environment.output import BURST_BYTES, Output


class Pipe:
    def __init__(self):
        self.events = []
        self.now = 1000.0
        reading, self.writing = os.pipe()
        self.output = Output(reading, lambda: self.now, self.events.extend)

    def write(self, data):
        os.write(self.writing, data)
        self.output.readable()

    def messages(self):
        return [message for _, message in self.events]

    def close(self):
        self.output.close()
        os.close(self.writing)


@pytest.fixture
def pipe():
    made = Pipe()
    yield made
    made.close()


def frame(message, kind=0xA55A000F, stamp_us=5_000_000):
    data = message.encode()
    return struct.pack(">IIQ", kind, len(data), stamp_us) + data


def test_lines_keep_their_newline_and_wait_for_it(pipe):
    pipe.write(b"one\ntw")
    pipe.write(b"o\n")
    assert pipe.messages() == ["one\n", "two\n"]


def test_frame_keeps_inner_newlines_and_its_own_time(pipe):
    pipe.write(b"before\n" + frame("a\nb\n") + b"after\n")
    assert pipe.events == [(1_000_000, "before\n"), (5000, "a\nb\n"), (1_000_000, "after\n")]


def test_frame_after_a_print_without_newline(pipe):
    pipe.write(b"no newline" + frame("record"))
    assert pipe.messages() == ["no newline", "record\n"]


def test_frame_in_pieces(pipe):
    whole = frame("record\n")
    for position in range(len(whole)):
        pipe.write(whole[position : position + 1])
    assert pipe.messages() == ["record\n"]


def test_rest_without_newline_arrives_at_the_end_of_the_pipe(pipe):
    pipe.write(b"last words")
    os.close(pipe.writing)
    assert pipe.output.readable() is False
    assert pipe.messages() == ["last words"]
    pipe.writing = os.open("/dev/null", os.O_RDONLY)


def test_flood_is_cut_and_counted_and_recovers(pipe):
    line = b"x" * 1023 + b"\n"
    for _ in range(BURST_BYTES // (64 * 1024) + 20):
        os.write(pipe.writing, line * 60)
        while pipe.output.readable() and pipe.output.descriptor >= 0:
            if not _pending(pipe.output.descriptor):
                break
    records, size = pipe.output.take_dropped()
    assert records > 0
    assert size == records * 1024
    assert sum(len(message) for message in pipe.messages()) <= BURST_BYTES
    pipe.now += 10
    pipe.write(b"again\n")
    assert pipe.messages()[-1] == "again\n"
    assert pipe.output.take_dropped() == (0, 0)


def _pending(descriptor):
    import fcntl
    import termios

    buffer = bytearray(4)
    fcntl.ioctl(descriptor, termios.FIONREAD, buffer)
    return int.from_bytes(buffer, "little")


def test_endless_line_is_broken_up(pipe):
    for _ in range(5):
        pipe.write(b"y" * 60_000)
    assert len(pipe.messages()) == 1
    assert len(pipe.messages()[0]) == 262_144


@given(
    st.lists(
        st.one_of(
            st.text("ab\u00e9 ", min_size=1).map(lambda t: ("line", t)), st.text("cd\n", min_size=1).map(lambda t: ("frame", t))
        ),
        max_size=12,
    ),
    st.integers(1, 50),
)
def test_any_mixture_in_any_pieces(parts, step):
    pipe = Pipe()
    data = b"".join(text.encode() + b"\n" if kind == "line" else frame(text) for kind, text in parts)
    expected = [text + "\n" if kind == "line" or not text.endswith("\n") else text for kind, text in parts]
    for position in range(0, len(data), step):
        pipe.write(data[position : position + step])
    try:
        assert pipe.messages() == expected
    finally:
        pipe.close()
