"""`tenantry up` as a real process: banner, second start, status, the orderly end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest


class Process:
    """A `tenantry up` on a free port."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.data_dir = folder / "data"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tenantry", "up", "--data-dir", str(self.data_dir), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.printed: list[str] = []

    def until(self, text: str) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.printed.append(line)
            if text in line:
                return
        raise AssertionError(f"ended without {text!r}: {''.join(self.printed)}")

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        output, _ = self.process.communicate(timeout=20)
        self.printed.append(output)
        return self.process.returncode


def tenantry(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "tenantry", *arguments], capture_output=True, text=True, timeout=30)


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Process]:
    process = Process(tmp_path, "--port", "0")
    process.until("Ready")
    yield process
    if process.process.poll() is None:
        process.process.kill()
    process.process.communicate()


def test_start_use_second_start_and_end(up):
    banner = "".join(up.printed)
    assert "root access key" in banner
    place = ("--data-dir", str(up.data_dir))
    shown = json.loads(tenantry("status", "--json", *place).stdout)
    assert shown["pid"] == up.process.pid
    assert shown["address"] in banner
    assert str(up.process.pid) in tenantry("status", *place).stdout
    address = json.loads(tenantry("env", "--json", *place).stdout)["AWS_ENDPOINT_URL"]
    with urllib.request.urlopen(f"{address}/_tenantry/health") as answer:
        assert json.loads(answer.read()) == {"status": "ok"}

    second = tenantry("up", "--port", "0", *place)
    assert second.returncode == 1
    assert f"process {up.process.pid}, at {address}" in second.stderr

    taken = tenantry("up", "--port", address.rsplit(":", 1)[1], "--data-dir", str(up.data_dir) + "2")
    assert taken.returncode == 1
    assert "is taken" in taken.stderr

    assert up.end() == 0
    assert "Ended" in up.printed[-1]
    assert tenantry("status", *place).returncode == 1


def test_restart_after_kill_keeps_the_key(up, tmp_path):
    key = (up.data_dir / "credentials.json").read_bytes()
    up.process.send_signal(signal.SIGKILL)
    up.process.wait()
    assert tenantry("status", "--data-dir", str(up.data_dir)).returncode == 1
    again = Process(tmp_path, "--port", "0")
    again.until("Ready")
    assert "root access key" not in "".join(again.printed)
    assert again.end() == 0
    assert (up.data_dir / "credentials.json").read_bytes() == key


def test_a_request_half_sent_is_waited_for_until_the_second_signal(up):
    address = json.loads(tenantry("env", "--json", "--data-dir", str(up.data_dir)).stdout)["AWS_ENDPOINT_URL"]
    with socket.create_connection(("127.0.0.1", int(address.rsplit(":", 1)[1]))) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc")
        time.sleep(0.1)
        up.process.send_signal(signal.SIGINT)
        up.until("may finish")
        time.sleep(0.3)
        assert up.process.poll() is None
        up.process.send_signal(signal.SIGINT)
        assert up.process.wait(10) == 0


def test_detached(tmp_path):
    place = ("--data-dir", str(tmp_path / "data"))
    result = tenantry("up", "--detach", "--port", "0", *place)
    assert result.returncode == 0, result.stderr
    shown = json.loads(tenantry("status", "--json", *place).stdout)
    assert str(shown["pid"]) in result.stdout
    refused = tenantry("up", "--detach", "--port", "0", *place)
    assert refused.returncode == 1
    assert "already runs" in refused.stderr
    os.kill(shown["pid"], signal.SIGTERM)
    deadline = time.monotonic() + 20
    while tenantry("status", *place).returncode == 0:
        assert time.monotonic() < deadline
    assert "Ended" in (tmp_path / "data" / "tenantry.log").read_text()
