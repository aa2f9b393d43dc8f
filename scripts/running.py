"""A `tenantry up` of one's own: a real process on a free port, its own data folder, and the environment for its clients.

Used by the demonstration, the benchmarks and the client tests, which must never touch the data of whoever runs them. Processes
are stopped by their id.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

TENANTRY = Path(sys.executable).parent / "tenantry"
CLIENTS = Path(__file__).resolve().parent.parent / ".tools" / "clients"
START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 40.0


class Platform:
    """One platform under `folder`: its data, its log, its clients' home.

    `start` after `kill` or `stop` means the same data on the same port.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.data_dir = folder / "data"
        self.log = folder / "tenantry.log"
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0
        self.started_in_s = 0.0
        self.environment: dict[str, str] = {}

    @property
    def pid(self) -> int:
        """The process id of the running platform."""
        if self._process is None:
            raise RuntimeError("the platform is not running")
        return self._process.pid

    @property
    def endpoint(self) -> str:
        """The base URL, as the clients get it."""
        return self.environment["AWS_ENDPOINT_URL"]

    def start(self) -> None:
        """Start and wait until it answers. RuntimeError with its log's end when it does not come up."""
        self.folder.mkdir(parents=True, exist_ok=True)
        offset = self.log.stat().st_size if self.log.exists() else 0
        began = time.monotonic()
        self._process = self._spawn()
        while not self._ready(offset):
            if self._process.poll() is not None or time.monotonic() - began > START_TIMEOUT_S:
                self.kill()
                raise RuntimeError(f"tenantry did not come up; the end of its log:\n{self.log_end()}")
            time.sleep(0.01)
        self.started_in_s = time.monotonic() - began
        self.environment = self._client_environment()
        self._port = int(self.endpoint.rsplit(":", 1)[1])

    def try_start(self) -> int:
        """Start where that must be refused; the exit status. TimeoutExpired if it keeps running (it is ended then)."""
        process = self._spawn()
        try:
            return process.wait(START_TIMEOUT_S)
        finally:
            process.kill()
            process.wait()

    def stop(self) -> int:
        """Ask it to drain and end (SIGTERM); its exit status."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(signal.SIGKILL)

    def log_end(self, characters: int = 3000) -> str:
        """The last part of what it printed."""
        return self.log.read_text(errors="replace")[-characters:]

    def run(
        self, command: Sequence[str], cwd: Path | None = None, timeout_s: float = 120.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a client program against it. `sam` and `aws` mean the pinned ones; standard output and error are captured."""
        return subprocess.run(
            [client(command[0]), *command[1:]],
            cwd=cwd or self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def __enter__(self) -> Platform:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._process is not None:
            self.stop()

    def _spawn(self) -> subprocess.Popen[bytes]:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("TENANTRY_")}
        command = [str(TENANTRY), "up", "--data-dir", str(self.data_dir), "--port", str(self._port), *self._options]
        with self.log.open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environ)

    def _ready(self, offset: int) -> bool:
        """Whether it has said so: the last line of its greeting begins with `Ready`, and it answers by then."""
        return any(line.startswith(b"Ready") for line in self.log.read_bytes()[offset:].splitlines())

    def _client_environment(self) -> dict[str, str]:
        """The least a client needs, and nothing of the user's own AWS settings."""
        settings: Mapping[str, str] = json.loads(self._tenantry("env", "--json").stdout)
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        return {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(home),
            "AWS_CONFIG_FILE": str(home / "no-aws-config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(home / "no-aws-credentials"),
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_PAGER": "",
            "NO_PROXY": "127.0.0.1,localhost,.localhost",
            "SAM_CLI_TELEMETRY": "0",
            "SAM_CLI_POLL_DELAY": "0.2",
            **settings,
        }

    def _tenantry(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(TENANTRY), *arguments, "--data-dir", str(self.data_dir)]
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

    def _end(self, how: signal.Signals) -> int:
        process = self._process
        if process is None:
            return 0
        process.send_signal(how)
        try:
            status = process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise RuntimeError(
                f"tenantry did not end within {STOP_TIMEOUT_S:.0f} s; the end of its log:\n{self.log_end()}"
            ) from None
        self._process = None
        return status


def client(name: str) -> str:
    """The path of a client program: the pinned one where we pin it, else whatever the path says."""
    pinned = CLIENTS / name / "bin" / name
    return str(pinned) if pinned.exists() else name
