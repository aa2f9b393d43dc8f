"""What a keeper forks: it seals itself, waits to be told whose it is, and becomes the runtime."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from tenantry.guest import bootstrap, seal, wire
from tenantry.linux.kernel import PR_SET_DUMPABLE, PR_SET_PDEATHSIG, Kernel

HEARD = (signal.SIGCHLD, signal.SIGTERM)
"""Blocked in keepers, which read them when they have time."""

_TELEMETRY, _CONTROL, _MAPPER = 3, 4, 5
_NO_REAPER = "the zygote's reaper has ended"


def become_runtime(
    kernel: Kernel,
    order: dict[str, Any],
    control: int,
    cgroups: list[int],
    mapper: int,
    begun: tuple[dict[str, Any], list[int]] | None,
) -> None:
    """Be the runtime: sealed first, then told whose it is. Never returns.

    begun: the message that tells, and its descriptors, where it is there already: after a reset.
    """
    step = "descriptors"
    channel = None
    try:
        output = begun[1] if begun is not None else []
        cgroups, output = _arrange(kernel, control, mapper, cgroups, output, order["descriptors"])
        channel = socket.socket(fileno=_CONTROL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HEARD)
        for step, action in _steps(kernel, order, channel, mapper >= 0, cgroups, first=begun is None):
            action()
        step = "start"
        message, output = (begun[0], output) if begun is not None else wire.receive(channel) or (None, [])
        if message is None:
            os._exit(0)  # the platform has no use for it any more
        _take_output(*output)
        kernel.prctl(PR_SET_DUMPABLE, 1)  # the change of ids has taken it
        kernel.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        # Said by the runtime itself: the platform hears of it before the runtime's first request can reach it.
        wire.send(channel, {"say": "started", "resets": message.get("resets", 0)})
        channel.close()
        os.environ.update(message["environ"])
        os.environ["AWS_LAMBDA_RUNTIME_API"] = message.get("runtime_api") or order["runtime_api"]
    except BaseException as error:
        wire.report(channel or socket.socket(fileno=control), step, error)
        os._exit(wire.FAILED)
    try:
        _run(order)
    except SystemExit as error:
        _flush()
        code = error.code
        os._exit(code if isinstance(code, int) else 0 if code is None else 1)
    except BaseException:
        traceback.print_exc()
        _flush()
        os._exit(1)
    _flush()
    os._exit(0)


def _steps(
    kernel: Kernel,
    order: dict[str, Any],
    channel: socket.socket,
    mapped_by_reaper: bool,
    cgroups: list[int],
    *,
    first: bool,
) -> Iterator[tuple[str, Callable[[], object]]]:
    """The seal as a list of (name, action), in order. Namespaces, and what is in them, the first runtime makes for all."""
    inside = order["namespaces"]
    mapped = None
    yield "session", os.setsid
    yield "cgroups", lambda: seal.join_cgroups(cgroups)
    if first:
        if inside and mapped_by_reaper:
            mapped = _ask_for_map(order)  # answered while the next two steps run
        if inside:
            yield "loopback", kernel.loopback_up
        yield "listen", lambda: _hand_over(order, channel)
        if inside:
            yield "id maps", (lambda: _map_self(order)) if mapped is None else (lambda: _await_map(mapped))
            yield "mounts", lambda: seal.mounts(kernel, order)
    yield "limits", lambda: seal.limits(order["limits"])
    yield "confine", lambda: seal.confine(kernel, order)


def _arrange(
    kernel: Kernel, control: int, mapper: int, cgroups: list[int], output: list[int], close: bool
) -> tuple[list[int], list[int]]:
    """Keep exactly: 0 to 3 nothing (1 and 2 become output, 3 framed log records), 4 control, 5 mapper, 6.. cgroups and output.

    Returns the cgroup and the output descriptors; everything else is closed.
    """
    wanted = [control, control if mapper < 0 else mapper, *cgroups, *output]
    high = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, 64) for descriptor in wanted]  # out of the way of the numbers used below
    nothing = os.open("/dev/null", os.O_RDONLY)
    for number in range(_CONTROL):
        os.dup2(nothing, number)
    for number, descriptor in enumerate(high, _CONTROL):
        os.dup2(descriptor, number, False)
    kept = range(_CONTROL + len(wanted))
    if close:
        kernel.close_range(kept.stop)
    if mapper < 0:
        os.close(_MAPPER)
    first = _MAPPER + 1 + len(cgroups)
    return list(kept[_MAPPER + 1 : first]), list(kept[first:])


def _hand_over(order: dict[str, Any], channel: socket.socket) -> None:
    if order["namespaces"]:
        addresses = [seal.RUNTIME_API, seal.PLATFORM, *((host, port) for host, port in order["forwards"])]
    else:
        addresses = [("127.0.0.1", 0)]
    servers = [seal.listen(address) for address in addresses]
    order["runtime_api"] = "{}:{}".format(*servers[0].getsockname())
    said = {"say": "listening", "count": len(servers), "runtime_api": order["runtime_api"]}
    wire.send(channel, said, tuple(server.fileno() for server in servers))
    for server in servers:
        server.close()


def _ask_for_map(order: dict[str, Any]) -> int:
    """Ask the zygote's reaper to write this process's id maps: it alone holds the right to. Returns where its answer will
    come."""
    answer, theirs = os.pipe()
    mapper = socket.socket(fileno=_MAPPER)
    try:
        wire.send(mapper, {"outer": order["outer"], "uid": order["uid"], "gid": order["gid"]}, (theirs,))
    except (BrokenPipeError, ConnectionResetError):
        raise wire.ZygoteEndedError(_NO_REAPER) from None
    os.close(theirs)
    mapper.close()
    return answer


def _await_map(answer: int) -> None:
    reply = os.read(answer, 1)
    os.close(answer)
    if not reply:
        raise wire.ZygoteEndedError(_NO_REAPER)
    if reply != b"y":
        raise OSError("the id maps of this environment were refused")


def _map_self(order: dict[str, Any]) -> None:
    """Without privileges on the host only one's own id can be mapped; it needs nobody's help."""
    with open("/proc/self/setgroups", "w") as file:
        file.write("deny")
    for name, inner in (("uid_map", order["uid"]), ("gid_map", order["gid"])):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(f"{inner} {order['outer']} 1")


def _take_output(output: int) -> None:
    for number in (1, 2, _TELEMETRY):
        os.dup2(output, number, inheritable=True)
    os.close(output)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            return  # the platform no longer reads, or the handler closed it: there is nowhere to say so


def _run(order: dict[str, Any]) -> None:
    os.chdir(order["cwd"])
    if order["interpreter"]:
        os.environ["TENANTRY_PATH"] = order["path"]
        program = order["interpreter"]
        os.execv(program, [program, "-X", "utf8", "-S", "-s", "-B", order["bootstrap"]])
    if order["hooks"]:
        bootstrap.tell_of_fork()
    bootstrap.renew()
    if order["reseed"]:
        bootstrap.reseed()
    bootstrap.run(os.environ["_HANDLER"])
