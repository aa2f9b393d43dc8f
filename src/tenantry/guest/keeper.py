"""The keeper: an environment's first process. It forks the one that seals itself and becomes the runtime, reaps what is
orphaned, and obeys the platform.

It is pid 1 of the environment's pid namespace, so its end takes every process of the environment with it. It runs no user code,
and is no part of what it keeps: outside the control groups, under the zygote's user id, and with the capabilities over its own
namespaces that a fresh start of the runtime needs (aws-behaviour 2.3: process new, `/tmp`, log stream and tenant kept). It
touches as little memory as it can: what it writes to, every tenant pays for.

Messages on the control socket, to the platform. The keeper's: `keeper` (the kernel adds its process id), `exited` (the
runtime's wait status). The runtime's, before it runs user code: `listening` (the sockets made inside, as descriptors),
`started`, `failed` (the step of its sealing, and why; it then ends). From the platform, to the runtime: `start`, once (the
environment's variables, and its output as a descriptor; it may come long after the sealing). To the keeper: `reset` (the same
again), with a SIGTERM to make it look, and the end of the socket.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import contextlib
import fcntl
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from tenantry.guest import bootstrap, seal, wire
from tenantry.linux.kernel import PR_SET_CHILD_SUBREAPER, PR_SET_DUMPABLE, PR_SET_PDEATHSIG, Kernel

HEARD = (signal.SIGCHLD, signal.SIGTERM)
"""Blocked in whoever calls `run`: the keeper reads them when it has time."""

_TELEMETRY, _CONTROL, _MAPPER = 3, 4, 5
_KEEPER = b'{"say":"keeper"}'
_SETUP_FAILED = 113
_SIGINFO_BYTES = 128


def run(
    kernel: Kernel, order: dict[str, Any], control: int, cgroups: list[int], mapper: int, private: list[int], heard: int
) -> None:
    """Be the keeper until the environment ends. Never returns; the process exits 0 when told to, 113 when something failed.

    control, cgroups, mapper (-1: none), heard: descriptors, the last a signalfd of HEARD (a copied one reads its reader's
    signals); private: those of the zygote, to be closed.
    """
    # Every page that is written to is copied, twice if it is written to before and after the fork, and Python writes to many:
    # hence so little here, and C functions with numbers where there are classes to wrap them.
    _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
    runtime = kernel.fork()
    if runtime == 0:
        _runtime(kernel, order, control, cgroups, mapper, None)
    try:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)  # pid 1 gets only what it has a handler for
        os.write(control, _KEEPER)
        for descriptor in private:
            os.close(descriptor)
        kernel.prctl(PR_SET_DUMPABLE, 0)  # the runtime may not look into its keeper
        if not order["namespaces"]:
            kernel.prctl(PR_SET_CHILD_SUBREAPER, 1)
        _keep(kernel, order, control, cgroups, runtime, heard)
    except BaseException as error:
        _report(socket.socket(fileno=control), "keeper", error)
        os._exit(_SETUP_FAILED)
    os._exit(0)


def _keep(kernel: Kernel, order: dict[str, Any], control: int, cgroups: list[int], runtime: int | None, heard: int) -> None:
    poller = select.poll()
    poller.register(heard, select.POLLIN)
    poller.register(control, 0)  # its end only: until the runtime has started, what comes there is meant for it
    channel: socket.socket | None = None
    while True:
        for descriptor, _ in poller.poll():
            if descriptor != heard:
                _kill_all()
                return
            channel = channel or socket.socket(fileno=control)
            signals = os.read(heard, len(HEARD) * _SIGINFO_BYTES)[::_SIGINFO_BYTES]  # the first byte of each is its number
            runtime = _reap(channel, runtime, order["reaping"])
            while signal.SIGTERM in signals and (message := _waiting(channel)) is not None:
                runtime = _reset(kernel, order, control, cgroups, runtime, message)


def _waiting(channel: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """A message that is there already; None when there is none (whatever made the keeper look), or no platform any more."""
    return wire.receive(channel) if select.select([channel], [], [], 0)[0] else None


def _reset(
    kernel: Kernel,
    order: dict[str, Any],
    control: int,
    cgroups: list[int],
    runtime: int | None,
    message: tuple[dict[str, Any], list[int]],
) -> int:
    """Kill what runs, and start the runtime anew in what is left: `/tmp`, the namespaces, the sockets. Returns its pid."""
    if order["sweeping"]:
        _kill_all()
    elif runtime is not None:
        os.kill(runtime, signal.SIGKILL)
    again = kernel.fork()
    if again == 0:
        _runtime(kernel, order, control, cgroups, -1, message)
    for descriptor in message[1]:
        os.close(descriptor)
    return again


def _runtime(
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
        _report(channel or socket.socket(fileno=control), step, error)
        os._exit(_SETUP_FAILED)
    try:
        _become_runtime(order)
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
        if number != nothing:
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
    wire.send(mapper, {"outer": order["outer"], "uid": order["uid"], "gid": order["gid"]}, (theirs,))
    os.close(theirs)
    mapper.close()
    return answer


def _await_map(answer: int) -> None:
    reply = os.read(answer, 1)
    os.close(answer)
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


def _become_runtime(order: dict[str, Any]) -> None:
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


def _kill_all() -> None:
    """Kill every process of the environment but this one, and reap them."""
    if os.getpid() == 1:  # the whole pid namespace; anywhere else -1 would mean the whole machine
        with contextlib.suppress(ProcessLookupError):  # nobody else is there
            os.kill(-1, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while True:
                os.waitpid(-1, 0)
        return
    # Without a pid namespace: kill the children; theirs become ours (subreaper), and are killed in the next round.
    while True:
        with open(f"/proc/self/task/{os.getpid()}/children") as file:
            children = [int(pid) for pid in file.read().split()]
        if not children:
            return
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _reap(channel: socket.socket, runtime: int | None, everyone: bool) -> int | None:
    """Collect every child that has ended; tell the platform about the runtime. Returns the runtime's pid, None once it is
    gone."""
    while True:
        try:
            pid, status = os.waitpid(-1 if everyone or runtime is None else runtime, os.WNOHANG)
        except ChildProcessError:
            return runtime
        if pid == 0:
            return runtime
        if pid == runtime:
            runtime = None
            wire.send(channel, {"say": "exited", "status": status})


def _report(channel: socket.socket, step: str, error: BaseException) -> None:
    try:
        wire.send(channel, {"say": "failed", "step": step, "error": f"{type(error).__name__}: {error}"})
    except OSError:
        os._exit(_SETUP_FAILED)
