"""Whatever step of sealing fails, the environment is never started: with a kernel double that records, and fails where told."""

import errno
import os
import signal
import socket

import pytest

from tenantry.guest import keeper, sealed, wire
from tenantry.linux.kernel import PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS, PR_SET_PDEATHSIG, Kernel


class FailingKernel:
    """Records every call and does nothing, but for one method that fails (or one with a certain first argument)."""

    def __init__(self, fails=None):
        self.fails = fails
        self.calls = []
        self.real = Kernel()

    def __getattr__(self, name):
        def call(*arguments, **options):
            self.calls.append(name)
            if self.fails in (name, (name, *arguments[:1])):
                raise OSError(errno.EPERM, "refused by the test", name)
            return getattr(self.real, name)(*arguments, **options) if name in ("close_range", "fork") else 0

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
    """Run a keeper in a child of this test, until its runtime has ended; returns (messages, the keeper's exit status)."""
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    child = os.fork()
    if child == 0:
        mine.close()
        sealed.seal.listen = lambda address: _server()  # the addresses of an environment are taken on a host
        sealed._map_self = lambda order: None
        code = os._exit

        def leave(status):
            code(status)

        signal.pthread_sigmask(signal.SIG_BLOCK, sealed.HEARD)
        try:
            keeper.run(kernel, wanted, theirs.fileno(), list(cgroups), -1, [], Kernel().signalfd(sealed.HEARD))
        finally:
            leave(99)
    theirs.close()
    mine.settimeout(10)
    output = os.open("/dev/null", os.O_WRONLY)
    wire.send(mine, {"do": "start", "environ": {"_HANDLER": "app.handler"}}, (output,))
    os.close(output)
    with mine:
        messages = []
        while not messages or messages[-1]["say"] != "exited":
            received = wire.receive(mine)
            if received is None:
                break
            messages.append(received[0])
            for descriptor in received[1]:
                os.close(descriptor)
        mine.shutdown(socket.SHUT_RDWR)
        _, status = os.waitpid(child, 0)
    return messages, os.waitstatus_to_exitcode(status)


def ended_before_it_started(messages):
    """What was said of the failure: the last word of a runtime that never was one, and that then ended by itself."""
    *before, failure, ended = messages
    assert failure["say"] == "failed"
    assert ended["say"] == "exited"
    assert os.waitstatus_to_exitcode(ended["status"]) == 113
    assert "started" not in [message["say"] for message in before]
    return failure


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
        (("prctl", PR_SET_NO_NEW_PRIVS), "confine"),
        (("prctl", PR_SET_PDEATHSIG), "start"),
        ("landlock", "confine"),
        ("seccomp", "confine"),
    ],
)
def test_every_failing_step_ends_the_environment_before_it_starts(method, step):
    messages, _ = run_keeper(FailingKernel(method), order())
    failure = ended_before_it_started(messages)
    assert failure["step"] == step
    assert "refused by the test" in failure["error"]


def test_keeper_that_cannot_hide_itself_ends_with_all_it_keeps():
    messages, status = run_keeper(FailingKernel(("prctl", PR_SET_DUMPABLE)), order())
    assert status == 113
    # As pid 1 it takes the runtime with it; here there is no pid namespace, and what the runtime says does not matter.
    assert "keeper" in [message["step"] for message in messages if message["say"] == "failed"]


def test_control_with_nothing_failing_it_starts():
    messages, status = run_keeper(FailingKernel(), order())
    assert [message["say"] for message in messages] == ["keeper", "listening", "started", "exited"]
    assert os.waitstatus_to_exitcode(messages[-1]["status"]) == 0
    assert status == 0


def test_cgroup_that_cannot_be_joined_ends_it():
    readable_only = os.open("/dev/null", os.O_RDONLY)
    messages, _ = run_keeper(FailingKernel(), order(), [readable_only])
    os.close(readable_only)
    assert ended_before_it_started(messages)["step"] == "cgroups"


def test_limit_the_system_does_not_know_ends_it():
    messages, _ = run_keeper(FailingKernel(), order(limits={"NO_SUCH_LIMIT": 1}))
    assert ended_before_it_started(messages)["step"] == "limits"
