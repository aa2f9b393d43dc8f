import asyncio
import socket

import pytest

from tenantry.config import Config
from tenantry.verify import platform_thread
from tenantry.verify.platform_thread import NotEndedError, PlatformThread


@pytest.fixture
def thread(tmp_path):
    made = PlatformThread(Config(data_dir=tmp_path / "data", port=0, level="process"), None)
    yield made
    made.stop()


def test_stopped_platform_answers_no_more(thread, tmp_path):
    platform = thread.start()
    with socket.create_connection(("127.0.0.1", platform.port), 1):
        assert (tmp_path / "data" / "run.json").exists()
    thread.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", platform.port), 1)
    assert not (tmp_path / "data" / "run.json").exists()


def test_platform_that_does_not_end_is_said_to_wait_and_where(thread, monkeypatch):
    held = asyncio.Event()

    async def waiting_for_something_that_does_not_come(platform):
        await held.wait()
        await close(platform)

    close = platform_thread.Platform.close
    monkeypatch.setattr(platform_thread, "ENDING_S", 0.3)
    monkeypatch.setattr(platform_thread.Platform, "close", waiting_for_something_that_does_not_come)
    thread.start()
    with pytest.raises(NotEndedError, match="waiting_for_something_that_does_not_come"):
        thread.stop()
    thread._loop.call_soon_threadsafe(held.set)
    monkeypatch.undo()


def test_what_keeps_it_from_starting_is_raised(tmp_path):
    (tmp_path / "data").write_text("a file where the folder should be")
    with pytest.raises(OSError):
        PlatformThread(Config(data_dir=tmp_path / "data", port=0, level="process"), None).start()
