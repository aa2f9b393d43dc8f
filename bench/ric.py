"""The yardstick: a plain `python -m awslambdaric` process, from its start to its first POST of a response.

A stub Runtime API hands it one event. No sandbox, no HTTP front, no logs: what a local emulator does at the least.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

EVENT = b'{"resource": "/", "httpMethod": "GET", "headers": {}, "body": null}'
TIMEOUT_S = 30.0
_EXPECTED = b"POST /2018-06-01/runtime/invocation/8476a536-e9f4-11e8-9739-2dfe598c3fcd/response"
_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    b"Lambda-Runtime-Aws-Request-Id: 8476a536-e9f4-11e8-9739-2dfe598c3fcd\r\n"
    b"Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:000000000000:function:bench\r\n"
    b"Lambda-Runtime-Deadline-Ms: 4102444800000\r\nLambda-Runtime-Aws-Tenant-Id: Blue\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(EVENT), EVENT)
)


class Yardstick:
    """A stub Runtime API; `start_ms` starts a process against it and ends it again."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(TIMEOUT_S)
        host, port = self._server.getsockname()
        self._environ = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "AWS_LAMBDA_RUNTIME_API": f"{host}:{port}",
            "AWS_LAMBDA_FUNCTION_NAME": "bench",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
            "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/bench",
            "AWS_LAMBDA_LOG_STREAM_NAME": "bench",
            "AWS_REGION": "us-east-1",
        }

    def __enter__(self) -> Yardstick:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.close()

    def start_ms(self, code: Path) -> float:
        """Milliseconds from starting the process on the code in `code` until its response is here."""
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "awslambdaric", "app.handler"],
            cwd=code,
            env={**self._environ, "LAMBDA_TASK_ROOT": str(code)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            self._serve_one()
            return (time.perf_counter() - began) * 1000
        finally:
            process.kill()
            process.wait()

    def _serve_one(self) -> None:
        """Give the event to whoever asks, until the response begins to arrive. The client opens a connection when it likes."""
        while True:
            connection, _ = self._server.accept()
            connection.settimeout(TIMEOUT_S)
            with connection:
                while request := self._request(connection):
                    if request.startswith(_EXPECTED):
                        return
                    if not request.startswith(b"GET /2018-06-01/runtime/invocation/next"):
                        raise ValueError(f"the yardstick did not expect {request!r}")
                    connection.sendall(_ANSWER)

    def _request(self, connection: socket.socket) -> bytes:
        data = b""
        while b"\r\n\r\n" not in data:
            more = connection.recv(65_536)
            if not more:
                return b""
            data += more
        return data
