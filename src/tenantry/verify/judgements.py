"""How answers of the hostile function are judged: a text that says what leaked, or None."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import stat
import time
import urllib.parse
from collections.abc import Callable
from typing import Any

from tenantry.verify.lab import ATTACKER, MEMORY_MIB, SHARED, SNAPSHOT, TIMEOUT_S, VICTIM, Answer, Lab, Refused, zip_of

Judge = Callable[[Lab], str | None]
_NO_WAY = ("ENETUNREACH", "EHOSTUNREACH", "ECONNREFUSED", "EADDRNOTAVAIL")
CORES_MAX = 1.15  # one, and the slack of the scheduler's accounting
CPU_TRIES = 6
METADATA = "169.254.169.254"


def secret_in(lab: Lab, answer: Answer) -> str | None:
    """Open when the secret is anywhere in the answer."""
    return f"the secret came back: {answer.value!r:.120}" if lab.secret in repr(answer.value) else None


def _succeeded(answer: Answer, what: str, *path: str) -> str | None:
    return what if answer.get(*path, "done") is True else None


# -- other processes


def ptrace(lab: Lab) -> str | None:
    return _succeeded(lab.attack("ptrace_of", pid=lab.victim["host_pid"]), "attached to the neighbour's process")


def memory(lab: Lab) -> str | None:
    """The needle is in the attacker's own memory as well; what counts is that it was found in the neighbour's."""
    needle = lab.secret[:-4]
    answer = lab.attack("memory_of", pid=lab.victim["host_pid"], needle=needle)
    return "the neighbour's memory was read" if answer.get("value") == needle else None


def vm_read(lab: Lab) -> str | None:
    return _succeeded(lab.attack("vm_read", pid=lab.victim["host_pid"]), "copied from the neighbour's memory")


def environ_in_proc(lab: Lab) -> str | None:
    answer = lab.attack("peek", path=f"/proc/{lab.victim['host_pid']}/environ")
    return "the neighbour's environment was read" if answer.get("done") else None


def foreign_processes(lab: Lab) -> str | None:
    found = lab.attack("whole_proc").value
    strangers = sorted(int(pid) for pid in found if int(pid) != 1)
    return f"{len(strangers)} processes of others are in sight" if strangers else None


def signal(lab: Lab) -> str | None:
    return _succeeded(lab.attack("signal_to", pid=lab.victim["host_pid"], signal=0), "the neighbour can be signalled")


def pidfd(lab: Lab) -> str | None:
    return _succeeded(lab.attack("pidfd_of", pid=lab.victim["host_pid"]), "a descriptor of the neighbour was taken")


def neighbour_loopback(lab: Lab) -> str | None:
    return secret_in(lab, lab.attack("connect", family="inet", address=["127.0.0.1", lab.victim_port]))


def neighbour_runtime_api(lab: Lab) -> str | None:
    """Where every environment has the same address the question is moot, unless it is the neighbour that answers."""
    address = lab.victim["runtime_api"]
    own = lab.attack("identity").get("environ", "AWS_LAMBDA_RUNTIME_API")
    if address == own:
        return None
    answer = lab.attack("neighbours_runtime_api", address=address)
    return f"the neighbour's Runtime API answered {answer.get('value', 'body')!r}" if answer.get("done") else None


# -- what a fork could leave


def descriptors(lab: Lab) -> str | None:
    found = lab.attack("identity").get("descriptors")
    kept = {"0": r"/dev/null", "1": r"pipe:.*", "2": r"pipe:.*", "3": r"pipe:.*"}
    extra = []
    for number, target in found.items():
        text = str(target.get("value", ""))
        if not target.get("done") or re.fullmatch(kept.get(number, "(?!)"), text):
            continue
        extra.append(f"{number}={text}")
    # The connection to its own Runtime API, which the runtime itself has opened, is one socket.
    sockets = [entry for entry in extra if "socket:" in entry]
    strange = [entry for entry in extra if "socket:" not in entry] + sockets[1:]
    return f"descriptors that were not given to it: {', '.join(strange)}" if strange else None


def environment(lab: Lab) -> str | None:
    environ = lab.attack("identity").get("environ")
    allowed = re.compile(
        r"AWS_|_AWS_|LAMBDA_|_HANDLER|_X_AMZN|_LAMBDA|LANG|TZ$|PATH$|PYTHONPATH$|SHLVL$|TMPDIR$|LC_CTYPE$|PWD$|TENANTRY_MARK$"
    )
    strange = sorted(name for name in environ if not allowed.match(name))
    if "VICTIM_SECRET" in environ:
        return "the neighbour's variable is there"
    return f"variables of the platform: {', '.join(strange[:8])}" if strange else None


def same(name: str, init: str) -> Judge:
    """Open when two new tenants get the same value."""

    def judge(lab: Lab) -> str | None:
        function = SNAPSHOT if init == "snapshot" else lab.function
        values = [lab.invoke(f"dice-{name}-{index}", "randomness", function=function).get(name) for index in range(2)]
        return f"two tenants got the same value ({values[0]})" if values[0] == values[1] else None

    return judge


def repeated_tokens(lab: Lab) -> str | None:
    answers = [lab.invoke(f"token-{index}", "randomness", function=SNAPSHOT).value for index in range(3)]
    for name in ("uuid4", "secrets", "urandom", "uuid1"):
        values = [answer[name] for answer in answers]
        if len(set(values)) < len(values):
            return f"{name} repeated over tenants: {values}"
    return None


# -- kernel surfaces and privileges


def mounts(lab: Lab) -> str | None:
    answer = lab.attack("mount_something").value
    done = sorted(name for name, outcome in answer.items() if outcome["done"])
    if done:
        return f"mounted: {', '.join(done)}"
    # Without capabilities the kernel refuses as well; a call on nothing tells who answered.
    raw = lab.attack("system_call", x86_64=165, aarch64=40, arguments=[0, 0, 0, 0])
    return None if raw.get("error") == "EPERM" else f"the call reached the kernel: {raw.get('error')}"


def new_namespace(way: str) -> Judge:
    def judge(lab: Lab) -> str | None:
        answer = lab.attack("new_namespace", flag=0x10000000)
        return f"made a user namespace by {way}" if answer.get(way) else None

    return judge


def socket_families(lab: Lab) -> str | None:
    answer = lab.attack("raw_sockets").value
    opened = sorted(name for name, outcome in answer.items() if outcome["done"])
    return f"opened: {', '.join(opened)}" if opened else None


def capabilities(lab: Lab) -> str | None:
    answer = lab.attack("identity")
    held = {name: value for name, value in answer.get("capabilities").items() if int(value, 16)}
    if held:
        return f"holds capabilities: {held}"
    return None if answer.get("no_new_privs") == "1" else "no_new_privs is not set"


def root(lab: Lab) -> str | None:
    answer = lab.attack("become_root")
    if answer.get("setuid", "done"):
        return "setuid(0) succeeded"
    found = answer.get("setuid_programs")
    return f"set-user-id programs in sight: {', '.join(found)}" if found else None


def terminal(lab: Lab) -> str | None:
    answer = lab.attack("terminal")
    if answer.get("tty", "done") or answer.get("stdin", "done"):
        return "typed into a terminal"
    error = answer.get("stdin", "error")
    return None if error == "EPERM" else f"the ioctl reached the kernel: {error}"


def core_dump(lab: Lab) -> str | None:
    answer = lab.attack("core_dump")
    if answer.get("dumped"):
        return "a core was dumped"
    return None if answer.get("limit") == 0 else f"RLIMIT_CORE can be raised to {answer.get('limit')}"


# -- exhaustion


def disk(lab: Lab) -> str | None:
    answer = lab.exhaust("fill_disk", mib=600)
    if answer.error is None and answer.get("mib") >= 600:
        return "600 MiB were written, more than /tmp and MemorySize allow"
    return _unharmed(lab)


def inodes(lab: Lab) -> str | None:
    answer = lab.exhaust("fill_inodes", files=40_000)
    if answer.error is None and answer.get("error") is None:
        return f"{answer.get('files')} files were made"
    return _unharmed(lab)


def fork_bomb(lab: Lab) -> str | None:
    answer = lab.exhaust("fork_bomb", processes=1_100)
    if answer.error is None and answer.get("processes") >= 1_100:
        return "1,100 processes lived at once"
    return _unharmed(lab)


def memory_bomb(lab: Lab) -> str | None:
    answer = lab.exhaust("memory_bomb", mib=3 * MEMORY_MIB)
    if answer.error is None:
        return f"{answer.get('mib')} MiB were used by a function of {MEMORY_MIB} MB"
    if answer.error != "Runtime.OutOfMemory":
        return f"ended with {answer.error}, which does not say what happened"
    return _unharmed(lab)


def cpu_hog(lab: Lab) -> str | None:
    """What eight busy processes got of the machine in a second; the best of some tries, for others may want it too."""
    cores = 0.0
    for _ in range(CPU_TRIES):
        answer = lab.exhaust("burn", seconds=0.5, processes=8)
        cores = max(cores, answer.get("cpu_seconds") / answer.get("seconds"))
        if cores > CORES_MAX:
            return f"used {cores:.1f} cores of a function that is lent one at most"
    return None


def open_files(lab: Lab) -> str | None:
    answer = lab.exhaust("open_many", descriptors=1_500)
    return "1,500 descriptors were open" if answer.get("descriptors") >= 1_500 else None


def zombies(lab: Lab) -> str | None:
    answer = lab.exhaust("zombies", processes=20)
    return f"{answer.get('zombies')} zombies stayed" if answer.get("zombies") else None


def survivors(lab: Lab) -> str | None:
    mark = f"survivor-{lab.mark}"
    lab.attack("stay", seconds=4, mark=mark)
    lab.attack("exit_now", status=1)
    left = [pid for pid, parts in lab.attack("whole_proc").value.items() if int(pid) > 1] if lab.level != "process" else []
    return f"{len(left)} processes survived the crash" if left else None


def _unharmed(lab: Lab) -> str | None:
    """The neighbour still has its environment and its memory."""
    answer = lab.invoke(VICTIM, "echo")
    return None if answer.get("memory") == lab.secret else "the neighbour lost its environment"


# -- network


def _unreachable(answer: Answer, what: str) -> str | None:
    if answer.get("done"):
        return f"{what} was reached"
    error = str(answer.get("error"))
    return None if error in _NO_WAY else f"{what}: the attempt left the sandbox ({error})"


def host_service(lab: Lab) -> str | None:
    return secret_in(lab, lab.attack("connect", family="inet", address=["127.0.0.1", lab.server_on_host()]))


def metadata(lab: Lab) -> str | None:
    return _unreachable(lab.attack("reach", host=METADATA, port=80), "the metadata address")


def dns(lab: Lab) -> str | None:
    answer = lab.attack("resolve", server=METADATA)
    if answer.get("resolver", "done"):
        return "a name was resolved"
    interfaces = answer.get("interfaces", "value") or []
    if interfaces != ["lo"] and lab.level != "process":
        return f"interfaces beside loopback: {interfaces}"
    return _unreachable(Answer(answer.get("udp")), "a name server")


# -- files


def links(lab: Lab) -> str | None:
    targets = [str(lab.host_secret), "/proc/1/root/etc/passwd", "/proc/self/cwd/../../etc/shadow"]
    answer = lab.attack("escape_links", targets=targets)
    for target, outcome in answer.value.items():
        if lab.secret in repr(outcome["symbolic"]) or (outcome["hard"]["done"] and not target.startswith("/proc")):
            return f"reached {target}"
    return None


def write_code(lab: Lab) -> str | None:
    task = lab.attack("identity").get("environ", "LAMBDA_TASK_ROOT")
    paths = [f"{task}/owned"]
    if lab.level != "process":  # there they are the host's own files
        paths += [
            f"{task}/hostile/attacks.py",
            "/var/runtime/owned",
            "/var/runtime/bootstrap.py",
            "/etc/passwd",
            "/usr/lib/owned",
            "/opt/owned",
            "/owned",
        ]
    outcomes = lab.attack("write_files", paths=paths).value
    done = sorted(path for path, outcome in outcomes.items() if outcome["done"])
    return f"written: {', '.join(done)}" if done else None


EVIL_NAMES = ("../escaped", "/escaped", "a/../../escaped", "..\\escaped", "a\x00b", "link/escaped")


def zip_slip(lab: Lab) -> str | None:
    link = (stat.S_IFLNK | 0o777) << 16
    packages: list[dict[str, tuple[bytes, int]]] = [
        {"hostile/attacks.py": (b"", 0), name: (b"x", 0)} for name in EVIL_NAMES[:4]
    ]
    packages.append({"link": (str(lab.folder).encode(), link), "link/escaped": (b"x", 0)})
    for package in packages:
        with contextlib.suppress(Refused):
            lab.create("verify-zip", zip_of(package))
        with contextlib.suppress(Refused):
            lab.call("lambda", "delete_function", FunctionName="verify-zip")
    found = [path for path in lab.folder.rglob("escaped") if "code" not in path.parts]
    return f"unpacked to {found[0]}" if found else None


# -- tenancy


def _as_neighbours(lab: Lab) -> tuple[str | None, str | None, str]:
    """Attacker, victim and function: two tenants, or nobody twice where the control shares one environment."""
    return (None, None, SHARED) if lab.function == SHARED else (ATTACKER, VICTIM, lab.function)


def module_globals(lab: Lab) -> str | None:
    attacker, victim, function = _as_neighbours(lab)
    lab.invoke(victim, "victim", function=function, secret=lab.secret, mark=f"{lab.mark}g", port=lab.victim_port + 1)
    return secret_in(lab, lab.invoke(attacker, "echo", function=function))


def reuse_after(attack: str, **event: Any) -> Judge:
    """After the victim's invocation has ended badly, the attacker must still not find its files."""

    def judge(lab: Lab) -> str | None:
        if attack != "sleep":
            return tried(lab)
        function = _as_neighbours(lab)[2]
        lab.call("lambda", "update_function_configuration", FunctionName=function, Timeout=1)
        try:
            return tried(lab)
        finally:
            lab.call("lambda", "update_function_configuration", FunctionName=function, Timeout=TIMEOUT_S)

    def tried(lab: Lab) -> str | None:
        attacker, victim, function = _as_neighbours(lab)
        mark = f"{lab.mark}{attack[0]}"
        lab.invoke(victim, "victim", function=function, secret=lab.secret, mark=mark, port=lab.victim_port + 2)
        before = _stream(lab, victim, function)
        ended = lab.invoke(victim, attack, function=function, **event)
        if ended.error is None:
            return f"the victim's {attack} did not end badly, so nothing was shown"
        answer = lab.invoke(attacker, "echo", function=function)
        if "victim-secret" in (answer.get("tmp") or []) or answer.get("memory") == lab.secret:
            return "found the neighbour's files after its environment was reset"
        return "landed in the neighbour's environment" if _stream(lab, attacker, function) == before else None

    return judge


def _stream(lab: Lab, tenant: str | None, function: str) -> str:
    """The log stream of a tenant's environment, which names it uniquely (the kernel's numbers are used again)."""
    return str(lab.invoke(tenant, "identity", function=function).get("environ", "AWS_LAMBDA_LOG_STREAM_NAME"))


def reuse_after_update(lab: Lab) -> str | None:
    attacker, victim, function = _as_neighbours(lab)
    lab.invoke(victim, "victim", function=function, secret=lab.secret, mark=f"{lab.mark}u", port=lab.victim_port + 4)
    if attacker is not None:
        lab.call("lambda", "update_function_configuration", FunctionName=function, Description=f"changed {time.time()}")
    answer = lab.invoke(attacker, "echo", function=function)
    return "found the neighbour's secret" if answer.get("memory") == lab.secret else None


def forged_answers(lab: Lab) -> str | None:
    identifiers = ["00000000-0000-0000-0000-000000000000", "../../x", "a" * 300]
    answer = lab.attack("forge", ids=identifiers)
    for identifier in identifiers:
        for way in ("response", "error"):
            outcome = answer.get(identifier, way)
            status = outcome.get("value", {}).get("status") if outcome and outcome["done"] else 0
            if status == 202:
                return f"{way} for {identifier!r} was accepted"
    return None if lab.invoke(VICTIM, "echo").get("tenant") == VICTIM else "the neighbour got a forged answer"


def late_answer(lab: Lab) -> str | None:
    """A neighbour's and one's own next answers stay right while old ids are answered over and over."""
    for number in range(5):
        lab.attack("forge", ids=[f"late-{number}"])
        if lab.attack("echo").get("tenant") != ATTACKER or lab.invoke(VICTIM, "echo").get("tenant") != VICTIM:
            return "an answer reached another invocation"
    return None


def large_answer(lab: Lab) -> str | None:
    answer = lab.attack("large", bytes=6_400_000)
    return None if answer.error == "Function.ResponseSizeTooLarge" else f"ended with {answer.error or 'an answer of 6.4 MB'}"


def header_injection(lab: Lab) -> str | None:
    """By hand, since clients refuse to send such headers: the answer must be a refusal, whatever the bytes."""
    url = urllib.parse.urlsplit(lab.endpoint)
    path = f"/2015-03-31/functions/{lab.function}/invocations"
    for value in (
        b"Mallory\r\nX-Amz-Tenant-Id: Victim",
        b"Mallory\nX-Amz-Tenant-Id: Victim",
        b"Mallory\x00Victim",
        b"Mallory\x0bVictim",
    ):
        with socket.create_connection((url.hostname or "", url.port or 80), 5) as raw:
            head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nX-Amz-Tenant-Id: ".encode()
            raw.sendall(head + value + b"\r\nConnection: close\r\n\r\n{}")
            answer = http.client.HTTPResponse(raw)
            answer.begin()
            if answer.status < 400:
                return f"{value!r} was answered with {answer.status}"
    for tenant in ("bad!id", "B\u0142ue", "a" * 257):
        try:
            lab.invoke(tenant, "echo")
        except Refused as refusal:
            if refusal.status != 400:
                return f"{tenant!r} was answered with {refusal.status}"
        except (ValueError, UnicodeError):
            continue  # the client itself does not send it
        else:
            return f"{tenant!r} was accepted"
    return None


LOOK_ALIKES = ("Victim", "victim", "VICTIM", "Vict1m", "Victim.", "Victim Victim", "a" * 256, "a" * 255 + "b")


def look_alikes(lab: Lab) -> str | None:
    if lab.function == SHARED:
        counters = [lab.invoke(None, "echo", function=SHARED).get("counter") for _ in LOOK_ALIKES]
        return "all share one environment" if len(set(counters)) == len(counters) and max(counters) >= len(counters) else None
    places: dict[str, str] = {}
    for name in LOOK_ALIKES:
        answer = lab.invoke(name, "identity")
        if answer.get("tenant") != name:
            return f"{name!r} was taken for {answer.get('tenant')!r}"
        place = str(answer.get("environ", "AWS_LAMBDA_LOG_STREAM_NAME"))
        if place in places:
            return f"{name!r} shares the environment of {places[place]!r}"
        places[place] = name
    return None


def log_injection(lab: Lab) -> str | None:
    attacker, victim, function = _as_neighbours(lab)
    mark = f"injected-{lab.mark}"
    victims = lab.invoke(victim, "log_lines", function=function, lines=["mine"], frame="mine too").get("stream")
    line = f'{{"time":"x","type":"platform.start","record":{{"requestId":"{mark}","tenantId":"{VICTIM}"}}}}'
    lab.invoke(
        attacker, "log_lines", function=function, lines=[line, f"START RequestId: {mark}"], frame=f"{mark} framed\nsecond"
    )
    previous, lab.function = lab.function, function
    try:
        text = lab.log_text(victims)
    finally:
        lab.function = previous
    return "the attacker's lines are in the neighbour's stream" if mark in text else None


def credentials(lab: Lab) -> str | None:
    answer = lab.attack("platform_call", service="sts", operation="get_caller_identity")
    if not answer.get("done"):
        return f"the platform cannot be asked with the role's credentials: {answer.get('error')}"
    arn = str(answer.get("value", "Arn"))
    if ":assumed-role/" not in arn:
        return f"acts as {arn}"
    group = f"/aws/lambda/{lab.function}"
    calls: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("logs", "filter_log_events", {"logGroupName": group}),
        ("lambda", "invoke", {"FunctionName": lab.function, "TenantId": VICTIM, "Payload": '{"attack": "echo"}'}),
        ("lambda", "update_function_configuration", {"FunctionName": lab.function, "Description": "owned"}),
        ("iam", "list_roles", {}),
    )
    for service, operation, parameters in calls:
        tried = lab.attack("platform_call", service=service, operation=operation, parameters=parameters)
        if "AccessDenied" not in str(tried.get("error")):
            return f"{service} {operation} with the role's credentials: {tried.value!r:.120}"
    return None
