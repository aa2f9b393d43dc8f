"""The victim: leaves things about that others must not find."""

import contextlib
import ctypes
import os
import socket
import threading

from . import state
from .tools import attempt, libc, namespaces, syscall, write_text

SHM_KEY = 0x7E5A


def victim(event, context):
    """Hide a secret in every place a neighbour might look, and say where."""
    secret = event["secret"]
    state.SECRET_IN_MEMORY = secret
    os.environ["VICTIM_SECRET"] = secret
    folder = os.environ.get("TMPDIR", "/tmp")
    for path in {"/tmp/victim-secret", f"{folder}/victim-secret"}:
        with open(path, "w") as file:
            file.write(secret)
        os.chmod(path, 0o644)
    made = {"pid": os.getpid(), "uid": os.getuid(), "runtime_api": os.environ["AWS_LAMBDA_RUNTIME_API"]}
    made["abstract"] = attempt(lambda: _serve(socket.AF_UNIX, f"\0victim-{event['mark']}", secret))
    made["path"] = attempt(lambda: _serve(socket.AF_UNIX, f"/tmp/victim-{event['mark']}.sock", secret))
    made["tcp"] = attempt(lambda: _serve(socket.AF_INET, ("127.0.0.1", event["port"]), secret))
    made["shm"] = _shm_create(secret)
    made["dev_shm"] = attempt(lambda: write_text("/dev/shm/victim-" + event["mark"], secret))
    made["boot"] = namespaces()
    return made


def _serve(family, address, secret):
    server = socket.socket(family)
    if family == socket.AF_INET:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(address)
    server.listen()
    state.KEPT.append(server)

    def answer():
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                connection.sendall(secret.encode())
                connection.close()

    threading.Thread(target=answer, daemon=True).start()
    return True


def _shm_create(secret):
    result, error = syscall(29, 194, SHM_KEY, 4096, 0o1666)
    if error:
        return {"done": False, "error": error}
    libc.shmat.restype = ctypes.c_void_p
    address = libc.shmat(result, None, 0)
    ctypes.memmove(address, secret.encode(), len(secret))
    return {"done": True, "value": result}
