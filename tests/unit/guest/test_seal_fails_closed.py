"""Whatever step of sealing fails, the environment is never started: with a kernel double that records, and fails where told."""

import errno
import os
import signal
import socket

import pytest

from tenantry.guest import keeper, wire
from tenantry.linux.kernel import Kernel


class FailingKernel:
    """Records every call and does nothing, but for one method that fails."""

    def __init__(self, fails=None):
        self.fails = fails
        self.calls = []
        self.real = Kernel()

    def __getattr__(self, name):
        def call(*arguments):
            self.calls.append(name)
            if name == self.fails:
                raise OSError(errno.EPERM, "refused by the test", name)
            return getattr(self.real, name)(*arguments) if name in ("close_range", "fork") else 0

        return call


def order(**changes):
    return {
        "namespaces": True,
        "outer": 1,
        "uid": os.getuid(),
        "gid": os.getgid(),
        "hostname": "sandbox",
        "tmp_mib": 1,
        "tmp_inodes": 64,
        "forwards": [],
        "limits": {"CORE": 0},
        "landlock": {"abi": 1, "readable": ["/"], "writable": [], "devices": []},
        "seccomp": "00" * 8,
        "cwd": "/",
        "interpreter": "/bin/true",
        "bootstrap": "x",
        "path": "",
        "hooks": False,
        "reseed": True,
        "descriptors": True,
        "reaping": True,
        "sweeping": True,
        **changes,
    }


def run_keeper(kernel, wanted, cgroups=()):
    """Run a keeper in a child of this test; returns (messages, exit status, calls it made of the kernel)."""
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    report_read, report_write = os.pipe()
    child = os.fork()
    if child == 0:
        mine.close()
        os.close(report_read)
        keeper.seal.listen = lambda address: _server()  # the addresses of an environment are taken on a host
        keeper._map_self = lambda order: None
        code = os._exit

        def leave(status):
            code(status)

        try:
            keeper.run(kernel, wanted, theirs, list(cgroups), None)
        finally:
            leave(99)
    theirs.close()
    os.close(report_write)
    mine.settimeout(10)
    output = os.open("/dev/null", os.O_WRONLY)
    wire.send(mine, {"do": "start", "environ": {"_HANDLER": "app.handler"}}, (output,))
    os.close(output)
    messages = []
    while True:
        received = wire.receive(mine)
        if received is None:
            break
        messages.append(received[0])
        for descriptor in received[1]:
            os.close(descriptor)
        if received[0]["say"] == "exited":
            mine.shutdown(socket.SHUT_RDWR)
            break
    _, status = os.waitpid(child, 0)
    mine.close()
    os.close(report_read)
    return messages, os.waitstatus_to_exitcode(status)


def _server():
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen()
    return server


@pytest.mark.parametrize(
    ("method", "step"),
    [
        ("loopback_up", "loopback"),
        ("mount", "mounts"),
        ("unshare", "confine"),
        ("sethostname", "confine"),
        ("drop_bounding_set", "confine"),
        ("set_ids", "confine"),
        ("clear_capabilities", "confine"),
        ("prctl", "confine"),
        ("landlock", "confine"),
        ("seccomp", "confine"),
    ],
)
def test_every_failing_step_ends_the_environment_before_it_starts(method, step):
    messages, status = run_keeper(FailingKernel(method), order())
    assert status == 113
    said = [message["say"] for message in messages]
    assert "started" not in said
    assert said[-1] == "failed"
    assert messages[-1]["step"] == step
    assert "refused by the test" in messages[-1]["error"]


def test_control_with_nothing_failing_it_starts():
    messages, status = run_keeper(FailingKernel(), order())
    assert [message["say"] for message in messages] == ["listening", "started", "exited"]
    assert status in (0, -signal.SIGKILL)


def test_cgroup_that_cannot_be_joined_ends_it():
    readable_only = os.open("/dev/null", os.O_RDONLY)
    messages, status = run_keeper(FailingKernel(), order(), [readable_only])
    os.close(readable_only)
    assert status == 113
    assert messages[-1]["step"] == "cgroups"


def test_limit_the_system_does_not_know_ends_it():
    messages, status = run_keeper(FailingKernel(), order(limits={"NO_SUCH_LIMIT": 1}))
    assert status == 113
    assert messages[-1]["step"] == "limits"
