"""The zygote of a function version: a warmed, single-threaded interpreter that clones execution environments from itself.

    launcher (child of the platform)   builds the read-only root, makes the namespaces, waits
      `- reaper (pid 1 inside)         adopts environments should the zygote die; ends when the platform does
           `- zygote                   holds no capability; awslambdaric loaded; one `clone` per environment

The zygote is never pid 1: OpenSSL tells a fork by its pid, and environments are pid 1 and 2 of theirs (so the zygote's own
pid is pushed far away from those). It takes orders on one SEQPACKET socket: first `setup`, then `fork`, each with descriptors.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Any

from tenantry.guest import bootstrap, keeper, wire
from tenantry.guest.sealed import HEARD
from tenantry.linux import root
from tenantry.linux.kernel import (
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    PR_SET_DUMPABLE,
    PR_SET_NO_NEW_PRIVS,
    PR_SET_PDEATHSIG,
    Kernel,
)

_INSIDE = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS
_ZYGOTE_PID = 20_000
_FAILED = 112


def main() -> None:
    """Entry of the launcher; `sys.argv[1]` is the number of the control socket."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    kernel = Kernel()
    step = "setup"
    try:
        kernel.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        received = wire.receive(channel)
        if received is None:
            return
        order = received[0]
        if order["namespaces"]:
            for step, action in _enter(kernel, order, channel):
                action()
            _launch(kernel, order, channel)
        else:
            _serve(kernel, order, channel, None)
    except BaseException as error:
        _fail(channel, step, error)


def _enter(kernel: Kernel, order: dict[str, Any], channel: socket.socket) -> Iterator[tuple[str, Callable[[], object]]]:
    """The launcher's way in, as (name, action) in order. With root the tree is built first: its sources may be root's alone."""
    if order["rootless"]:
        yield "user namespace", lambda: kernel.unshare(CLONE_NEWUSER)
        yield "id maps", lambda: _ask_for_maps(channel)
    yield "mount namespace", lambda: kernel.unshare(CLONE_NEWNS)
    yield "root tree", lambda: root.build(kernel, order["tree"])
    if not order["rootless"]:
        yield "user namespace", lambda: kernel.unshare(CLONE_NEWUSER)
        yield "id maps", lambda: _ask_for_maps(channel)
        yield "groups", lambda: os.setgroups([])
        yield "ids", lambda: kernel.set_ids(0, 0)
        # A change of ids clears the wish to die with the parent.
        yield "parent death signal", lambda: kernel.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        yield "own mounts", lambda: kernel.unshare(CLONE_NEWNS)
    yield "namespaces", lambda: kernel.unshare(CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP)


def _ask_for_maps(channel: socket.socket) -> None:
    wire.send(channel, {"say": "map", "pid": os.getpid()})
    received = wire.receive(channel)
    if received is None or received[0].get("do") != "mapped":
        raise OSError("the platform did not map the zygote's ids")


def _launch(kernel: Kernel, order: dict[str, Any], channel: socket.socket) -> None:
    """Fork the reaper, which forks the zygote; then only wait for it, so that the platform sees one child end."""
    leash, held = socket.socketpair()
    reaper = os.fork()
    if reaper == 0:
        held.close()
        try:
            _reaper(kernel, order, channel, leash)
        except BaseException as error:
            _fail(channel, "reaper", error)
        os._exit(0)
    leash.close()
    channel.close()
    _, status = os.waitpid(reaper, 0)
    os._exit(0 if status == 0 else _FAILED)


def _reaper(kernel: Kernel, order: dict[str, Any], channel: socket.socket, leash: socket.socket) -> None:
    kernel.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    kernel.mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    if order["far_pid"]:
        with open("/proc/sys/kernel/ns_last_pid", "w") as file:
            file.write(str(_ZYGOTE_PID))
    asked, mapper = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    zygote = os.fork()
    if zygote == 0:
        leash.close()
        asked.close()
        try:
            kernel.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            kernel.drop_bounding_set()
            kernel.clear_capabilities()
            # Its children's id maps belong to root unless it may be dumped; nobody else can see it here.
            kernel.prctl(PR_SET_DUMPABLE, 1)
            kernel.prctl(PR_SET_NO_NEW_PRIVS, 1)
            if order["seccomp_zygote"]:
                kernel.seccomp(bytes.fromhex(order["seccomp_zygote"]))
            _serve(kernel, order, channel, None if order["rootless"] else mapper)
        except BaseException as error:
            _fail(channel, "zygote", error)
        os._exit(0)
    channel.close()
    mapper.close()
    asked.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    _wait_for_everyone(leash, asked)


def _wait_for_everyone(leash: socket.socket, asked: socket.socket) -> None:
    """Reap, and write id maps, until the launcher is gone or nobody is left. Leaving as pid 1 ends every process inside."""
    signal.signal(signal.SIGCHLD, lambda *_: None)
    waker, wakened = socket.socketpair()
    waker.setblocking(False)
    signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
    watched = [leash, wakened, asked]
    while True:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                continue
        except ChildProcessError:
            return
        ready = select.select(watched, [], [])[0]
        if leash in ready:
            return
        if wakened in ready:
            wakened.recv(4096)
        if asked in ready and not _map(asked):
            watched.remove(asked)


def _map(asked: socket.socket) -> bool:
    """Write the id maps of one environment for its keeper, and say so. False once nobody can ask any more."""
    request, descriptors, pid = wire.receive_from(asked)
    if request is None:
        return False
    try:
        outer = int(request["outer"])
        if outer <= 0:
            raise ValueError("an environment may not have the zygote's own id")
        with open(f"/proc/{pid}/setgroups", "w") as file:
            file.write("deny")
        for name, inner in (("uid_map", request["uid"]), ("gid_map", request["gid"])):
            with open(f"/proc/{pid}/{name}", "w") as file:
                file.write(f"{int(inner)} {outer} 1")
        answer = b"y"
    except (OSError, ValueError, KeyError):
        answer = b"n"  # the keeper reports the step as failed and ends
    for descriptor in descriptors:
        try:
            os.write(descriptor, answer)
        except OSError:
            continue  # it has ended meanwhile
        finally:
            os.close(descriptor)
    return True


def _serve(kernel: Kernel, order: dict[str, Any], channel: socket.socket, mapper: socket.socket | None) -> None:
    """Be the zygote: warm up, say so, clone on request."""
    if order["environment"]:
        os.environ.clear()
    os.environ.update(order["environ"])
    sys.path[:] = [entry for entry in order["path"].split(":") if entry] + sys.path[1:]
    os.chdir(order["cwd"])
    bootstrap.preload()
    if order["snapshot"]:
        problem = bootstrap.import_handler(order["environ"]["_HANDLER"]) or bootstrap.unshareable()
        if problem is not None:
            wire.send(channel, {"say": "no snapshot", "why": problem})
            return
    else:
        bootstrap.compile_handler(order["environ"].get("_HANDLER", ""))
    gc.collect()
    gc.freeze()
    gc.disable()  # a collection in a fork would write to pages it shares; the runtime switches it on again
    wire.send(channel, {"say": "ready", "pid": os.getpid()})
    signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)
    heard = kernel.signalfd(HEARD)  # for the keepers
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # environments are not waited for here: the kernel reaps them
    while True:
        received = wire.receive(channel)
        if received is None:
            return
        request, descriptors = received
        _fork(kernel, order["constants"], request, descriptors, channel, mapper, heard)


def _fork(
    kernel: Kernel,
    constants: dict[str, Any],
    request: dict[str, Any],
    descriptors: list[int],
    channel: socket.socket,
    mapper: socket.socket | None,
    heard: int,
) -> None:
    control, *cgroups = descriptors
    environment = {**constants, **request["environment"]}
    try:
        child = kernel.clone(_INSIDE) if environment["namespaces"] else kernel.fork(handlers=True)
    except OSError as error:
        wire.send(channel, {"say": "not forked", "id": request["id"], "error": str(error)})
        child = -1
    if child == 0:
        private = [channel.fileno()] if mapper is None else [channel.fileno(), mapper.fileno()]
        keeper.run(kernel, environment, control, cgroups, -1 if mapper is None else mapper.fileno(), private, heard)
    for descriptor in descriptors:  # that it was made, its keeper says: whatever is done here, on pages just shared, is copied
        os.close(descriptor)


def _fail(channel: socket.socket, step: str, error: BaseException) -> None:
    try:
        wire.send(channel, {"say": "failed", "step": step, "error": f"{type(error).__name__}: {error}"})
    except OSError:
        os._exit(_FAILED)
    os._exit(_FAILED)


if __name__ == "__main__":
    main()
