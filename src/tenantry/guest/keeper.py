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
import os
import select
import signal
import socket
from typing import Any

from tenantry.guest import sealed, wire
from tenantry.guest.sealed import HEARD
from tenantry.linux.kernel import PR_SET_CHILD_SUBREAPER, PR_SET_DUMPABLE, Kernel

_KEEPER = b'{"say":"keeper"}'
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
    runtime = kernel.fork(handlers=order["hooks"])
    if runtime == 0:
        sealed.become_runtime(kernel, order, control, cgroups, mapper, None)
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
        wire.report(socket.socket(fileno=control), "keeper", error)
        os._exit(wire.FAILED)
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
    again = kernel.fork(handlers=order["hooks"])
    if again == 0:
        sealed.become_runtime(kernel, order, control, cgroups, -1, message)
    for descriptor in message[1]:
        os.close(descriptor)
    return again


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
