"""The keeper: an environment's first process. It seals itself, starts the runtime when it is told to, reaps what is orphaned,
and obeys the platform.

It is pid 1 of the environment's pid namespace, so its end takes every process of the environment with it. It runs no user code:
the runtime is its fork, and a fresh fork after a reset (aws-behaviour 2.3: process new, `/tmp`, log stream and tenant kept).

Messages on its control socket, to the platform: `listening` (the sockets made inside, as descriptors), `started`, `exited` (a
wait status), `failed` (the step and why; the keeper then ends). From the platform: `start`, once (the environment's variables,
and its output as a descriptor; it may come long after the sealing), then `reset`. Its id maps are written by the reaper.
"""

from __future__ import annotations

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

_TELEMETRY, _CONTROL, _MAPPER = 3, 4, 5
_SETUP_FAILED = 113


def run(
    kernel: Kernel, order: dict[str, Any], channel: socket.socket, cgroups: list[int], mapper: socket.socket | None
) -> None:
    """Be the keeper until the environment ends. Never returns; the process exits 0 when told to, 113 when sealing failed."""
    step = "descriptors"
    try:
        channel, mapper, cgroups = _arrange(kernel, channel, mapper, cgroups, order["descriptors"])
        for step, action in _steps(kernel, order, channel, mapper, cgroups):
            action()
        step = "start"
        _keep(kernel, order, channel)
    except BaseException as error:
        _report(channel, step, error)
        os._exit(_SETUP_FAILED)
    os._exit(0)


def _steps(
    kernel: Kernel, order: dict[str, Any], channel: socket.socket, mapper: socket.socket | None, cgroups: list[int]
) -> Iterator[tuple[str, Callable[[], object]]]:
    """The seal as a list of (name, action), in order."""
    inside = order["namespaces"]
    mapped = None
    yield "session", os.setsid
    yield "cgroups", lambda: seal.join_cgroups(cgroups)
    if inside and mapper is not None:
        mapped = _ask_for_map(order, mapper)  # answered while the next two steps run
    if inside:
        yield "loopback", kernel.loopback_up
    yield "listen", lambda: _hand_over(order, channel)
    if inside:
        yield "id maps", (lambda: _map_self(order)) if mapped is None else (lambda: _await_map(mapped))
        yield "mounts", lambda: seal.mounts(kernel, order)
    else:
        yield "subreaper", lambda: kernel.prctl(PR_SET_CHILD_SUBREAPER, 1)
    yield "limits", lambda: seal.limits(order["limits"])
    yield "confine", lambda: seal.confine(kernel, order)


def _arrange(
    kernel: Kernel, channel: socket.socket, mapper: socket.socket | None, cgroups: list[int], close: bool
) -> tuple[socket.socket, socket.socket | None, list[int]]:
    """Keep exactly: 0 to 3 nothing (1 and 2 become output, 3 framed log records), 4 control, 5 mapper, 6.. cgroups.

    Returns (control socket, mapper socket or None, cgroup descriptors); everything else is closed.
    """
    nothing = os.open("/dev/null", os.O_RDONLY)
    asked = nothing if mapper is None else mapper.detach()
    wanted = [nothing, nothing, nothing, nothing, channel.detach(), asked, *cgroups]
    high = [_dup_above(descriptor, 64) for descriptor in wanted]  # out of the way of the numbers used below
    for number, descriptor in enumerate(high):
        os.dup2(descriptor, number, inheritable=number <= _TELEMETRY)
    if close:
        kernel.close_range(len(wanted))
    channel = socket.socket(fileno=_CONTROL)
    if mapper is None:
        os.close(_MAPPER)
        return channel, None, list(range(_MAPPER + 1, len(wanted)))
    return channel, socket.socket(fileno=_MAPPER), list(range(_MAPPER + 1, len(wanted)))


def _dup_above(descriptor: int, floor: int) -> int:
    return fcntl.fcntl(descriptor, fcntl.F_DUPFD, floor)


def _hand_over(order: dict[str, Any], channel: socket.socket) -> None:
    if order["namespaces"]:
        addresses = [seal.RUNTIME_API, seal.PLATFORM, *((host, port) for host, port in order["forwards"])]
    else:
        addresses = [("127.0.0.1", 0)]
    servers = [seal.listen(address) for address in addresses]
    order["runtime_api"] = "{}:{}".format(*servers[0].getsockname())
    wire.send(channel, {"say": "listening", "count": len(servers)}, tuple(server.fileno() for server in servers))
    for server in servers:
        server.close()


def _ask_for_map(order: dict[str, Any], mapper: socket.socket) -> int:
    """Ask the zygote's reaper to write this process's id maps: it alone holds the right to. Returns where its answer will
    come."""
    answer, theirs = os.pipe()
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


def _keep(kernel: Kernel, order: dict[str, Any], channel: socket.socket) -> None:
    waker, wakened = socket.socketpair()
    waker.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
    runtime: int | None = None
    poller = select.poll()
    poller.register(channel, select.POLLIN)
    poller.register(wakened, select.POLLIN)
    while True:
        for descriptor, _ in poller.poll():
            if descriptor == wakened.fileno():
                wakened.recv(4096)
                runtime = _reap(channel, runtime, order["reaping"])
                continue
            received = wire.receive(channel)
            if received is None:
                _kill_all()
                return
            if received[0]["do"] == "start":
                order["environ"] = {**received[0]["environ"], "AWS_LAMBDA_RUNTIME_API": order["runtime_api"]}
                _take_output(*received[1])
                runtime = _start(kernel, order, channel, (waker, wakened))
            elif received[0]["do"] == "reset":
                if order["sweeping"]:
                    _kill_all()
                elif runtime is not None:
                    os.kill(runtime, signal.SIGKILL)
                runtime = _start(kernel, order, channel, (waker, wakened))


def _take_output(output: int) -> None:
    for number in (1, 2, _TELEMETRY):
        os.dup2(output, number, inheritable=True)
    os.close(output)


def _start(kernel: Kernel, order: dict[str, Any], channel: socket.socket, private: tuple[socket.socket, ...]) -> int:
    """Fork the runtime. The child keeps only descriptors 0 to 3."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    # A module imported in the zygote may have asked to be told of forks; what the runtime itself brings need not be.
    runtime = os.fork() if order["hooks"] else kernel.fork()
    if runtime == 0:
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
            # Said by the runtime itself: the platform hears of it before the runtime's first request can reach it.
            wire.send(channel, {"say": "started", "pid": os.getpid()})
            for thing in (channel, *private):
                thing.close()
            kernel.prctl(PR_SET_DUMPABLE, 1)
            kernel.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            os.setsid()
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
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    return runtime


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            return  # the platform no longer reads, or the handler closed it: there is nowhere to say so


def _become_runtime(order: dict[str, Any]) -> None:
    os.chdir(order["cwd"])
    if order["interpreter"]:
        environ = {**os.environ, **order["environ"], "TENANTRY_PATH": order["path"]}
        program = order["interpreter"]
        os.execve(program, [program, "-X", "utf8", "-S", "-s", "-B", order["bootstrap"]], environ)
    os.environ.update(order["environ"])
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
