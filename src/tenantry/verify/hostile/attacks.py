"""The hostile function: everything a tenant's code could try, one function an attack. Standard library only; runs inside a
sandbox.

An event is {"attack": name, ...}; the answer is what was seen, as JSON, and never a judgement: `verify/vectors.py` judges.
Attacks are bounded (so many forks, so many bytes, so many seconds), because with a mechanism switched off they succeed.
"""

import contextlib
import ctypes
import errno
import json
import mmap
import os
import random
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import uuid

COUNTER = {"n": 0}
SECRET_IN_MEMORY = None
KEPT = []
libc = ctypes.CDLL(None, use_errno=True)
X86 = os.uname().machine == "x86_64"


def handler(event, context):
    COUNTER["n"] += 1
    return ATTACKS[event["attack"]](event, context)


def syscall(x86, arm, *arguments):
    """A raw system call: (result, name of the error or None)."""
    ctypes.set_errno(0)
    values = [value if isinstance(value, (ctypes.c_void_p, ctypes.c_char_p)) else ctypes.c_long(value) for value in arguments]
    result = libc.syscall(ctypes.c_long(x86 if X86 else arm), *values)
    return result, errno.errorcode.get(ctypes.get_errno()) if result < 0 else None


def attempt(action):
    """{"done": True, "value": ...} or {"done": False, "error": name}."""
    try:
        value = action()
    except OSError as error:
        return {"done": False, "error": errno.errorcode.get(error.errno, str(error))}
    except Exception as error:
        return {"done": False, "error": f"{type(error).__name__}: {error}"}
    return {"done": True, "value": value if isinstance(value, (str, int, float, list, dict, bool, type(None))) else str(value)}


# -- the victim: leaves things about that others must not find


def victim(event, context):
    """Hide a secret in every place a neighbour might look, and say where."""
    global SECRET_IN_MEMORY
    secret = event["secret"]
    SECRET_IN_MEMORY = secret
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
    made["dev_shm"] = attempt(lambda: _write("/dev/shm/victim-" + event["mark"], secret))
    made["boot"] = _namespaces()
    return made


def _serve(family, address, secret):
    server = socket.socket(family)
    if family == socket.AF_INET:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(address)
    server.listen()
    KEPT.append(server)

    def answer():
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                connection.sendall(secret.encode())
                connection.close()

    threading.Thread(target=answer, daemon=True).start()
    return True


def _ask(family, address):
    with socket.socket(family) as client:
        client.settimeout(1)
        client.connect(address)
        return client.recv(100).decode()


def _write(path, text):
    with open(path, "w") as file:
        file.write(text)
    return True


def _read(path):
    with open(path, errors="replace") as file:
        return file.read(20000)


SHM_KEY = 0x7E5A


def _shm_create(secret):
    result, error = syscall(29, 194, SHM_KEY, 4096, 0o1666)
    if error:
        return {"done": False, "error": error}
    libc.shmat.restype = ctypes.c_void_p
    address = libc.shmat(result, None, 0)
    ctypes.memmove(address, secret.encode(), len(secret))
    return {"done": True, "value": result}


def shm_read(event, context):
    result, error = syscall(29, 194, SHM_KEY, 4096, 0o666)
    if error:
        return {"done": False, "error": error}
    libc.shmat.restype = ctypes.c_void_p
    return {"done": True, "value": ctypes.string_at(libc.shmat(result, None, 0), 64).decode(errors="replace")}


def _namespaces():
    return {name: os.readlink(f"/proc/self/ns/{name}") for name in ("pid", "mnt", "net", "ipc", "uts", "user", "cgroup")}


# -- looking for the neighbour


def peek(event, context):
    """Read a path."""
    return attempt(lambda: _read(event["path"]))


def listing(event, context):
    """List a folder."""
    return attempt(lambda: sorted(os.listdir(event["path"])))


def connect(event, context):
    """Connect somewhere: {"family": unix|inet, "address": ...}."""
    if event["family"] == "unix":
        return attempt(lambda: _ask(socket.AF_UNIX, event["address"]))
    return attempt(lambda: _ask(socket.AF_INET, tuple(event["address"])))


def whole_proc(event, context):
    """Every process in sight, with its command line and environment."""
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            found[entry] = {
                part: attempt(lambda part=part, entry=entry: _read(f"/proc/{entry}/{part}")) for part in ("environ", "cmdline")
            }
    return found


def memory_of(event, context):
    """Open and search another process's memory for a secret."""

    def search():
        pid = event["pid"]
        with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
            for line in maps:
                bounds, mode, *rest = line.split()
                if "rw" not in mode or line.rstrip().endswith(("[vvar]", "[vsyscall]")):
                    continue
                start, end = (int(value, 16) for value in bounds.split("-"))
                with contextlib.suppress(OSError, ValueError, OverflowError):
                    memory.seek(start)
                    if event["needle"].encode() in memory.read(min(end - start, 64 << 20)):
                        return event["needle"]
        return ""

    return attempt(search)


def ptrace_of(event, context):
    """Attach to a process (and let it go again)."""
    result, error = syscall(101, 117, 16, event["pid"], 0, 0)
    if error is None:
        os.waitpid(event["pid"], 0)
        syscall(101, 117, 17, event["pid"], 0, 0)
    return {"done": error is None, "error": error}


def vm_read(event, context):
    """process_vm_readv of a process, one page of its stack."""

    def read():
        with open(f"/proc/{event['pid']}/maps") as maps:
            start = next(int(line.split("-")[0], 16) for line in maps if "[stack]" in line)
        buffer = ctypes.create_string_buffer(64)
        local = struct.pack("PN", ctypes.addressof(buffer), 64)
        remote = struct.pack("PN", start, 64)
        result, error = syscall(310, 270, event["pid"], ctypes.c_char_p(local), 1, ctypes.c_char_p(remote), 1, 0)
        if error:
            raise OSError(getattr(errno, error), error)
        return result

    return attempt(read)


def signal_to(event, context):
    """Send a signal to a pid."""
    return attempt(lambda: os.kill(event["pid"], event["signal"]))


def pidfd_of(event, context):
    """pidfd_open of a pid, and the theft of its descriptors."""
    result, error = syscall(434, 434, event["pid"], 0)
    if error:
        return {"done": False, "error": error}
    stolen, error = syscall(438, 438, result, 0, 0)
    return {"done": error is None, "error": error}


def identity(event, context):
    """Who and where: ids, namespaces, capabilities, hostname, mounts, descriptors, environment."""
    status = dict(line.split(":\t", 1) for line in _read("/proc/self/status").splitlines() if ":\t" in line)
    return {
        "pid": os.getpid(),
        "uid": os.getuid(),
        "hostname": os.uname().nodename,
        "namespaces": _namespaces(),
        "capabilities": {name: status[name].strip() for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")},
        "no_new_privs": status.get("NoNewPrivs", "").strip(),
        "seccomp": status.get("Seccomp", "").strip(),
        "descriptors": {
            name: attempt(lambda name=name: os.readlink(f"/proc/self/fd/{name}")) for name in os.listdir("/proc/self/fd")
        },
        "environ": dict(os.environ),
        "root": sorted(os.listdir("/")),
        "counter": COUNTER["n"],
        "memory": SECRET_IN_MEMORY,
        "tenant": context.tenant_id,
    }


# -- privileges and kernel surfaces


def system_call(event, context):
    """One raw call by its numbers; the arguments are integers."""
    result, error = syscall(event["x86_64"], event["aarch64"], *event.get("arguments", [0, 0, 0, 0]))
    return {"done": error is None, "value": result if error is None else None, "error": error}


def new_namespace(event, context):
    """unshare, and clone and clone3 with the same flag, each in a child."""
    flag = event["flag"]

    def child(action):
        pid = os.fork()
        if pid == 0:
            os._exit(0 if action() else 1)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

    def by_clone():
        result, _ = syscall(56, 220, flag | 17, 0, 0, 0, 0)
        if result == 0:
            os._exit(0)
        return result > 0

    def by_clone3():
        arguments = ctypes.create_string_buffer(struct.pack("QQQQQQQQ", flag, 0, 0, 0, 17, 0, 0, 0), 64)
        result, _ = syscall(435, 435, ctypes.cast(arguments, ctypes.c_void_p), 64)
        if result == 0:
            os._exit(0)
        return result > 0

    return {"unshare": child(lambda: libc.unshare(flag) == 0), "clone": child(by_clone), "clone3": child(by_clone3)}


def enter_namespace(event, context):
    """setns into a namespace of another process in sight."""

    def enter():
        descriptor = os.open(f"/proc/{event['pid']}/ns/{event['kind']}", os.O_RDONLY)
        if libc.setns(descriptor, 0) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        return True

    return attempt(enter)


def mount_something(event, context):
    """Mount a tmpfs, remount the root writable, unmount /proc."""
    outcomes = {}
    for name, arguments in {
        "tmpfs": (b"tmpfs", b"/tmp", b"tmpfs", 0, None),
        "remount": (b"none", b"/", b"", 32 | 4096, None),
        "proc": (b"proc", b"/proc", b"proc", 0, None),
    }.items():
        ctypes.set_errno(0)
        done = libc.mount(arguments[0], arguments[1], arguments[2], ctypes.c_ulong(arguments[3]), arguments[4]) == 0
        outcomes[name] = {"done": done, "error": errno.errorcode.get(ctypes.get_errno())}
        if done and name == "tmpfs":
            libc.umount2(b"/tmp", 2)
    ctypes.set_errno(0)
    done = libc.umount2(b"/proc", 2) == 0
    outcomes["umount"] = {"done": done, "error": errno.errorcode.get(ctypes.get_errno())}
    return outcomes


def become_root(event, context):
    """setuid(0), a set-user-id program of our own, new capabilities."""
    folder = os.environ.get("TMPDIR", "/tmp")
    program = f"{folder}/suid"

    def suid():
        with open("/usr/bin/sh" if os.path.exists("/usr/bin/sh") else "/bin/sh", "rb") as source, open(program, "wb") as target:
            target.write(source.read())
        os.chmod(program, 0o4755)
        answer = subprocess.run(
            [program, "-c", "exec cat /proc/self/status || read x </proc/self/status"],
            capture_output=True,
            text=True,
            timeout=5,
        )
        return answer.returncode

    found = []
    for base in ("/usr/bin", "/bin", "/usr/sbin", "/usr/lib"):
        for folder_, _, names in os.walk(base):
            for name in names:
                path = os.path.join(folder_, name)
                with contextlib.suppress(OSError):
                    powerful = os.lstat(path).st_mode & 0o6000 and os.access(path, os.X_OK)
                    if powerful and not os.statvfs(path).f_flag & os.ST_NOSUID:
                        found.append(path)
    return {"setuid": attempt(lambda: os.setuid(0)), "suid": attempt(suid), "uid": os.getuid(), "setuid_programs": found[:20]}


def terminal(event, context):
    """Type into a terminal that is not ours."""
    import fcntl
    import termios

    def sti():
        descriptor = os.open("/dev/tty", os.O_RDWR)
        fcntl.ioctl(descriptor, termios.TIOCSTI, b"x")
        return True

    def sti_anywhere():
        fcntl.ioctl(0, termios.TIOCSTI, b"x")
        return True

    return {"tty": attempt(sti), "stdin": attempt(sti_anywhere)}


def core_dump(event, context):
    """Crash a child, and see whether a core was written."""
    folder = os.environ.get("TMPDIR", "/tmp")
    pid = os.fork()
    if pid == 0:
        os.chdir(folder)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        os.kill(os.getpid(), signal.SIGSEGV)
        os._exit(0)
    status = os.waitpid(pid, 0)[1]
    return {"dumped": os.WCOREDUMP(status), "limit": resource.getrlimit(resource.RLIMIT_CORE)[1]}


# -- exhaustion, bounded


def fill_disk(event, context):
    """Write into the temporary folder, at most event["mib"]."""
    folder, chunk, written = os.environ.get("TMPDIR", "/tmp"), b"x" * (1 << 20), 0
    failure = None
    paths = []
    try:
        for number in range(event["mib"]):
            if number % 64 == 0:
                paths.append(f"{folder}/fill-{number}")
            with open(paths[-1], "ab") as file:
                file.write(chunk)
            written += 1
    except OSError as error:
        failure = errno.errorcode.get(error.errno)
    for path in paths:
        with contextlib.suppress(OSError):
            os.unlink(path)
    return {"mib": written, "error": failure}


def fill_inodes(event, context):
    """Make empty files, at most event["files"]."""
    folder, made, failure = os.environ.get("TMPDIR", "/tmp") + "/inodes", 0, None
    os.mkdir(folder)
    try:
        for number in range(event["files"]):
            os.close(os.open(f"{folder}/{number}", os.O_CREAT | os.O_WRONLY))
            made += 1
    except OSError as error:
        failure = errno.errorcode.get(error.errno)
    for name in os.listdir(folder):
        os.unlink(f"{folder}/{name}")
    os.rmdir(folder)
    return {"files": made, "error": failure}


def fork_bomb(event, context):
    """Children that sleep, at most event["processes"], all ended again."""
    children, failure = [], None
    for _ in range(event["processes"]):
        try:
            pid = os.fork()
        except OSError as error:
            failure = errno.errorcode.get(error.errno)
            break
        if pid == 0:
            time.sleep(5)
            os._exit(0)
        children.append(pid)
    for pid in children:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return {"processes": len(children), "error": failure}


def memory_bomb(event, context):
    """Touch event["mib"] of memory."""
    pieces = []
    for _ in range(event["mib"]):
        piece = mmap.mmap(-1, 1 << 20)
        piece.write(b"x" * (1 << 20))
        pieces.append(piece)
    return {"mib": len(pieces)}


def burn(event, context):
    """Busy processes for event["seconds"]; how much CPU time they got together."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    end = time.monotonic() + event["seconds"]
    children = []
    for _ in range(event["processes"]):
        pid = os.fork()
        if pid == 0:
            os.setsid()  # some kernels share CPU time among sessions: be many
            while time.monotonic() < end:
                pass
            os._exit(0)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"cpu_seconds": used, "seconds": event["seconds"]}


def open_many(event, context):
    """Open descriptors, at most event["descriptors"]."""
    opened, failure = [], None
    try:
        for _ in range(event["descriptors"]):
            opened.append(os.open("/dev/null", os.O_RDONLY))
    except OSError as error:
        failure = errno.errorcode.get(error.errno)
    for descriptor in opened:
        os.close(descriptor)
    return {"descriptors": len(opened), "error": failure}


def zombies(event, context):
    """Leave orphans behind that end, and count what is not reaped."""
    for _ in range(event["processes"]):
        pid = os.fork()
        if pid == 0:
            if os.fork() == 0:
                os._exit(0)
            os._exit(0)
        os.waitpid(pid, 0)
    time.sleep(0.3)
    states = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                if "State:\tZ" in _read(f"/proc/{entry}/status"):
                    states.append(entry)
    return {"zombies": len(states)}


def stay(event, context):
    """Leave a process behind that outlives the invocation and would write later."""
    pid = os.fork()
    if pid == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(event["seconds"])
            with contextlib.suppress(OSError):
                print("late output of " + event["mark"], flush=True)
            os._exit(0)
        os._exit(0)
    os.waitpid(pid, 0)
    return {"left": True}


# -- network


def reach(event, context):
    """TCP connect; the error says how far it got."""
    with socket.socket(socket.AF_INET6 if ":" in event["host"] else socket.AF_INET) as client:
        client.settimeout(event.get("seconds", 1))
        return attempt(lambda: client.connect((event["host"], event["port"])))


def resolve(event, context):
    """DNS by the resolver and by hand over UDP."""

    def by_hand():
        query = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03com\x00\x00\x01\x00\x01"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(1)
            client.sendto(query, (event["server"], 53))
            return len(client.recv(512))

    return {
        "resolver": attempt(lambda: socket.gethostbyname("example.com")),
        "udp": attempt(by_hand),
        "interfaces": attempt(lambda: [name for _, name in socket.if_nameindex()]),
    }


def raw_sockets(event, context):
    """Families and types with a history: netlink is allowed and harmless, the others are not."""
    outcomes = {}
    for name, family, kind in (
        ("packet", 17, 3),
        ("vsock", 40, 1),
        ("alg", 38, 5),
        ("bluetooth", 31, 3),
        ("raw", 2, 3),
        ("xdp", 44, 3),
    ):

        def make(family=family, kind=kind):
            socket.socket(family, kind).close()
            return True

        outcomes[name] = attempt(make)
    return outcomes


# -- files


def write_files(event, context):
    """Write to places that are not ours."""
    outcomes = {}
    for path in event["paths"]:
        outcomes[path] = attempt(lambda path=path: _write(path, "owned"))
    return outcomes


def escape_links(event, context):
    """Hard and symbolic links from the temporary folder out into the world."""
    folder = os.environ.get("TMPDIR", "/tmp")
    outcomes = {}
    for target in event["targets"]:
        name = f"{folder}/link-{abs(hash(target))}"

        def symbolic(name=name, target=target):
            os.symlink(target, name)
            return _read(name)[:200]

        def hard(name=name, target=target):
            os.link(target, name + "-hard")
            return True

        outcomes[target] = {"symbolic": attempt(symbolic), "hard": attempt(hard)}
        for leftover in (name, name + "-hard"):
            with contextlib.suppress(OSError):
                os.unlink(leftover)
    return outcomes


# -- randomness


def randomness(event, context):
    """What two environments would share if a fork were not reseeded."""
    import hashlib
    import secrets
    import ssl

    return {
        "random": random.random(),
        "tls": ssl.RAND_bytes(16).hex(),
        "secrets": secrets.token_hex(16),
        "uuid1": str(uuid.uuid1()),
        "uuid1_node": uuid.getnode(),
        "uuid4": str(uuid.uuid4()),
        "urandom": os.urandom(16).hex(),
        "pid": os.getpid(),
        "hash": hash("tenantry"),
        "address": hex(ctypes.cast(libc.getpid, ctypes.c_void_p).value),
        "md5": hashlib.md5(b"x", usedforsecurity=False).hexdigest(),
    }


# -- the Runtime API, the platform, the log


def _runtime_call(method, path, body=b"", address=None):
    import http.client

    connection = http.client.HTTPConnection(address or os.environ["AWS_LAMBDA_RUNTIME_API"], timeout=2)
    connection.request(method, "/2018-06-01/runtime/" + path, body)
    answer = connection.getresponse()
    text = answer.read(2000).decode(errors="replace")
    connection.close()
    return {"status": answer.status, "body": text}


def forge(event, context):
    """Answer invocations that are not in hand, and one's own twice."""
    outcomes = {}
    for identifier in event["ids"]:
        outcomes[identifier] = {
            "response": attempt(
                lambda identifier=identifier: _runtime_call("POST", f"invocation/{identifier}/response", b'"forged"')
            ),
            "error": attempt(
                lambda identifier=identifier: _runtime_call(
                    "POST", f"invocation/{identifier}/error", b'{"errorType": "forged"}'
                )
            ),
        }
    outcomes["next"] = attempt(lambda: _runtime_call("GET", "invocation/next"))
    outcomes["init"] = attempt(lambda: _runtime_call("POST", "init/error", b"{}"))
    return outcomes


def neighbours_runtime_api(event, context):
    """Speak to another environment's Runtime API at its address."""
    return attempt(lambda: _runtime_call("GET", "ping", address=event["address"]))


def large(event, context):
    """A result of event["bytes"]."""
    return "x" * event["bytes"]


def log_lines(event, context):
    """Write lines, as text and as forged frames, that pretend to be another's."""
    for line in event["lines"]:
        print(line, flush=True)
    forged = struct.pack(">IIQ", 0xA55A000F, len(event["frame"]), 1) + event["frame"].encode()
    os.write(1, forged)
    return {"stream": context.log_stream_name}


def platform_call(event, context):
    """Ask the platform for something with the role's own credentials."""
    import boto3

    client = boto3.client(event["service"])
    return attempt(
        lambda: json.loads(json.dumps(getattr(client, event["operation"])(**event.get("parameters", {})), default=str))
    )


def sleep(event, context):
    """Run into the timeout, or not."""
    time.sleep(event["seconds"])
    return {"slept": event["seconds"]}


def exit_now(event, context):
    """End the process in the middle of an invocation."""
    os._exit(event["status"])


def echo(event, context):
    """The tenant and the counter."""
    return {
        "tenant": context.tenant_id,
        "counter": COUNTER["n"],
        "memory": SECRET_IN_MEMORY,
        "tmp": sorted(os.listdir(os.environ.get("TMPDIR", "/tmp"))),
    }


ATTACKS = {
    name: value
    for name, value in list(globals().items())
    if callable(value) and getattr(value, "__module__", "") == __name__ and not name.startswith("_")
}
if __name__ == "__main__":
    sys.exit("this file is the hostile function of `tenantry verify`; it is deployed, not run")
