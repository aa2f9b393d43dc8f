"""Messages between the platform and the sandbox: one JSON object, and descriptors, per packet of a SEQPACKET socket."""

from __future__ import annotations

import array
import json
import os
import select
import socket
import struct
from typing import Any

MESSAGE_BYTES_MAX = 262_144
DESCRIPTORS_MAX = 16
FAILED = 113
"""Exit status of a process of ours inside a sandbox that could not do its work."""


class ZygoteEndedError(OSError):
    """The zygote is ending, and with it everything that it has made."""


def send(channel: socket.socket, message: dict[str, Any], descriptors: tuple[int, ...] = ()) -> None:
    """Send one message. Raises OSError when the other side is gone."""
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
    channel.sendmsg([json.dumps(message).encode()], ancillary)


def receive(channel: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """The next message and its descriptors (the caller owns them); None when the other side has closed."""
    message, descriptors, _ = receive_from(channel)
    return None if message is None else (message, descriptors)


def receive_from(channel: socket.socket) -> tuple[dict[str, Any] | None, list[int], int]:
    """The next message, its descriptors, and the sender's pid as this side's pid namespace sees it (needs SO_PASSCRED; else
    0)."""
    space = socket.CMSG_SPACE(DESCRIPTORS_MAX * 4) + socket.CMSG_SPACE(12)
    try:
        data, ancillary, _, _ = channel.recvmsg(MESSAGE_BYTES_MAX, space, socket.MSG_CMSG_CLOEXEC)
    except ConnectionResetError:
        # Said once, when the other side ended and left something unread; its last words are still here.
        data, ancillary, _, _ = channel.recvmsg(MESSAGE_BYTES_MAX, space, socket.MSG_CMSG_CLOEXEC)
    descriptors = array.array("i")
    pid = 0
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(payload[: len(payload) - len(payload) % descriptors.itemsize])
        elif level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
            pid = struct.unpack("iII", payload)[0]
    if not data:
        for descriptor in descriptors:
            os.close(descriptor)
        return None, [], 0
    return json.loads(data), list(descriptors), pid


def hung_up(channel: socket.socket) -> bool:
    """Whether the other side has closed (there may be messages left to read)."""
    poller = select.poll()
    poller.register(channel, 0)
    return bool(poller.poll(0))


def report(channel: socket.socket, step: str, error: BaseException) -> None:
    """Tell the platform at which step, and why; the caller then ends. Ends here where nobody listens any more."""
    ended = isinstance(error, ZygoteEndedError)
    try:
        send(channel, {"say": "failed", "step": step, "error": f"{type(error).__name__}: {error}", "zygote ended": ended})
    except OSError:
        os._exit(FAILED)
