"""The laboratory: a throw-away platform with the hostile function, two tenants, and a host worth attacking.

Everything goes through the front door (HTTP, signed by botocore) as a user's calls would. The platform runs on a thread of
its own, which lives as long as the laboratory: zygotes die with the thread that started them.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import io
import json
import os
import secrets
import shutil
import socket
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import botocore.session
from botocore.config import Config as ClientConfig
from botocore.exceptions import ClientError

from tenantry.config import Config
from tenantry.sandbox.driver import Driver
from tenantry.store.credentials import load_or_create
from tenantry.verify.platform_thread import PlatformThread

ISOLATED, SHARED, SNAPSHOT = "verify-isolated", "verify-shared", "verify-snapshot"
ATTACKER, VICTIM = "Mallory", "Victim"
ROLE = "verify-role"
MEMORY_MIB = 128
TIMEOUT_S = 20
_TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


class Refused(Exception):  # noqa: N818 - an answer that some vectors want
    """The platform refused a call: AWS error code and message."""

    def __init__(self, code: str, message: str, status: int) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.status = status


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """What an invocation answered. error is the errorType of a function error."""

    value: Any
    error: str | None = None

    def get(self, *names: str) -> Any:
        """A member of the value, by path; None where it is missing."""
        value = self.value
        for name in names:
            value = value.get(name) if isinstance(value, dict) else None
        return value


class Lab:
    """See the module's docstring. Use `open_lab`."""

    def __init__(self, endpoint: str, region: str, key: tuple[str, str], level: str, folder: Path) -> None:
        self.endpoint = endpoint
        self.region = region
        self.level = level
        self.folder = folder
        self.mark = secrets.token_hex(4)
        self.secret = f"secret-{secrets.token_hex(8)}"
        self.host_secret = folder / "host-secret"
        self.host_secret.write_text(self.secret)
        self.victim_port = _free_port()
        self.victim: dict[str, Any] = {}
        self.function = ISOLATED
        session = botocore.session.Session()
        session.set_credentials(*key)
        options = ClientConfig(retries={"total_max_attempts": 1}, read_timeout=60, parameter_validation=False)
        self._clients = {
            name: session.create_client(name, region_name=region, endpoint_url=endpoint, config=options)
            for name in ("lambda", "iam", "logs")
        }
        self._servers: list[socket.socket] = []

    # -- calls

    def call(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
        """An AWS operation by its Python name. Raises Refused."""
        try:
            answer: dict[str, Any] = getattr(self._clients[service], operation)(**parameters)
        except ClientError as error:
            details = error.response["Error"]
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            raise Refused(details.get("Code", ""), details.get("Message", ""), status) from None
        return answer

    def invoke(self, tenant: str | None, attack: str, *, function: str | None = None, **event: Any) -> Answer:
        """Run an attack as a tenant (None: without one)."""
        parameters: dict[str, Any] = {
            "FunctionName": function or self.function,
            "Payload": json.dumps({"attack": attack, **event}),
        }
        if tenant is not None:
            parameters["TenantId"] = tenant
        answer = self.call("lambda", "invoke", **parameters)
        value = json.loads(answer["Payload"].read() or b"null")
        if answer.get("FunctionError"):
            return Answer(value, value.get("errorType", "?") if isinstance(value, dict) else "?")
        return Answer(value)

    def attack(self, name: str, **event: Any) -> Answer:
        """Run an attack as the attacker."""
        return self.invoke(ATTACKER, name, **event)

    def exhaust(self, name: str, **event: Any) -> Answer:
        """Run an attack that may leave its environment useless, as a tenant who exists for nothing else."""
        return self.invoke(f"{ATTACKER}-{name}", name, **event)

    def prepare_victim(self) -> None:
        """Make the victim hide its secrets, and learn where (its pid on the host too)."""
        answer = self.invoke(VICTIM, "victim", secret=self.secret, mark=self.mark, port=self.victim_port)
        if answer.error:
            raise RuntimeError(f"the victim could not be prepared: {answer.value}")
        self.victim = answer.value
        self.victim["host_pid"] = self._host_pid(answer.value)

    def log_text(self, tenant_stream: str) -> str:
        """Everything in one log stream."""
        group = f"/aws/lambda/{self.function}"
        events = self.call("logs", "get_log_events", logGroupName=group, logStreamName=tenant_stream, startFromHead=True)
        return "".join(event["message"] for event in events["events"])

    def streams(self) -> list[str]:
        """The names of the function's log streams."""
        answer = self.call("logs", "describe_log_streams", logGroupName=f"/aws/lambda/{self.function}")
        return [stream["logStreamName"] for stream in answer["logStreams"]]

    def server_on_host(self, kind: int = socket.SOCK_STREAM) -> int:
        """A service on the host's loopback that gives the secret to whoever asks; returns its port."""
        server = socket.socket(socket.AF_INET, kind)
        server.bind(("127.0.0.1", 0))
        self._servers.append(server)
        if kind == socket.SOCK_STREAM:
            server.listen()
        threading.Thread(target=_give_away, args=(server, kind, self.secret), daemon=True).start()
        return int(server.getsockname()[1])

    def wait_for(self, condition: Callable[[], bool], seconds: float = 5.0) -> bool:
        """Whether `condition` came true in time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if condition():
                return True
            time.sleep(0.02)
        return False

    # -- set-up

    def deploy(self, code: bytes, settings: dict[str, Any] | None = None) -> None:
        """The role and the three functions: isolated, not isolated, isolated with snapshot INIT."""
        with contextlib.suppress(Refused):
            self.call("iam", "create_role", RoleName=ROLE, AssumeRolePolicyDocument=json.dumps(_TRUST))
        role = self.call("iam", "get_role", RoleName=ROLE)["Role"]["Arn"]
        base = {
            "Runtime": "python3.11",
            "Role": role,
            "Handler": "hostile/attacks.handler",
            "Code": {"ZipFile": code},
            "MemorySize": MEMORY_MIB,
            "Timeout": TIMEOUT_S,
            **(settings or {}),
        }
        isolated = {"TenancyConfig": {"TenantIsolationMode": "PER_TENANT"}}
        self._create({**base, **isolated, "FunctionName": self.function})
        self._create({**base, "FunctionName": SHARED})
        tags = {**base.get("Tags", {}), "tenantry:init-mode": "snapshot"}
        self._create({**base, **isolated, "FunctionName": SNAPSHOT, "Handler": "snapshot.handler", "Tags": tags})

    def create(self, name: str, code: bytes) -> None:
        """A further function with this package, not isolated."""
        role = self.call("iam", "get_role", RoleName=ROLE)["Role"]["Arn"]
        self._create(
            {
                "FunctionName": name,
                "Runtime": "python3.11",
                "Role": role,
                "Handler": "hostile/attacks.handler",
                "Code": {"ZipFile": code},
            }
        )

    def remove(self) -> None:
        """Delete the functions again (where the platform is not ours to throw away)."""
        for name in (self.function, SHARED, SNAPSHOT):
            with contextlib.suppress(Refused):
                self.call("lambda", "delete_function", FunctionName=name)
            with contextlib.suppress(Refused):
                self.call("logs", "delete_log_group", logGroupName=f"/aws/lambda/{name}")
        with contextlib.suppress(Refused):
            self.call("iam", "delete_role", RoleName=ROLE)

    def close(self) -> None:
        """Stop what was started on the host."""
        for server in self._servers:
            server.close()
        for client in self._clients.values():
            client.close()

    def _create(self, parameters: dict[str, Any]) -> None:
        self.call("lambda", "create_function", **parameters)
        name = parameters["FunctionName"]

        def active() -> bool:
            return bool(self.call("lambda", "get_function_configuration", FunctionName=name)["State"] == "Active")

        if not self.wait_for(active, 15):
            raise RuntimeError(f"function {name} did not become active")

    def _host_pid(self, victim: dict[str, Any]) -> int:
        """The victim's pid as the host counts; its own count where it shares the host's pid namespace."""
        wanted = victim["boot"]["pid"]
        if wanted == os.readlink("/proc/self/ns/pid"):  # noqa: PTH115
            return int(victim["pid"])
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with contextlib.suppress(OSError):
                status = (entry / "status").read_text()
                numbers = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[1:]
                if os.readlink(entry / "ns/pid") == wanted and numbers[-1] == str(victim["pid"]):  # noqa: PTH115
                    return int(entry.name)
        raise RuntimeError(
            "the victim's process was not found on this host; run `tenantry verify` on the platform's own machine"
        )


def hostile_package() -> bytes:
    """The hostile function as a deployment package."""
    modules = [entry for entry in resources.files("tenantry.verify.hostile").iterdir() if entry.name.endswith(".py")]
    snapshot = (
        "import ssl, uuid\n"
        "ssl.RAND_bytes(16)\n"  # the generator exists, and with it a state that a fork would copy
        "uuid.getnode(), uuid.uuid1()\n"
        "from hostile.attacks import handler\n"
    )
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for module in sorted(modules, key=lambda entry: entry.name):
            archive.writestr(f"hostile/{module.name}", module.read_text())
        archive.writestr("snapshot.py", snapshot)
    return data.getvalue()


@contextlib.contextmanager
def open_lab(level: str = "auto", make_driver: Callable[[], Driver] | None = None, **changes: Any) -> Iterator[Lab]:
    """A laboratory on a platform of its own, everything deployed and the victim prepared; thrown away at the end."""
    folder = Path(tempfile.mkdtemp(prefix="tenantry-verify-"))
    try:
        settings: dict[str, Any] = {"port": 0, "level": level, "parked_per_function": 1, **changes}
        config = Config(data_dir=folder / "data", **settings)
        thread = PlatformThread(config, make_driver)
        platform = thread.start()
        try:
            key, _ = load_or_create(folder / "data")
            lab = Lab(platform.address, config.region, (key.access_key_id, key.secret_access_key), platform.level, folder)
            try:
                lab.deploy(hostile_package())
                lab.prepare_victim()
                yield lab
            finally:
                lab.close()
        finally:
            thread.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def borrow_lab(endpoint: str, region: str, key: tuple[str, str], level: str, function: str) -> Iterator[Lab]:
    """A laboratory on a running platform: the hostile function with the configuration of one of the user's own, beside it."""
    folder = Path(tempfile.mkdtemp(prefix="tenantry-verify-"))
    lab = Lab(endpoint, region, key, level, folder)
    try:
        configuration = lab.call("lambda", "get_function_configuration", FunctionName=function)
        tags = lab.call("lambda", "list_tags", Resource=configuration["FunctionArn"]).get("Tags", {})
        kept = ("Runtime", "MemorySize", "Timeout", "EphemeralStorage", "Environment")
        settings = {name: configuration[name] for name in kept if name in configuration}
        settings["Timeout"] = max(TIMEOUT_S, settings["Timeout"])
        if configuration.get("Layers"):
            settings["Layers"] = [layer["Arn"] for layer in configuration["Layers"]]
        settings["Tags"] = {name: value for name, value in tags.items() if name.startswith("tenantry:")}
        lab.function = f"verify-{secrets.token_hex(4)}"
        try:
            lab.deploy(hostile_package(), settings)
            lab.prepare_victim()
            yield lab
        finally:
            lab.remove()
    finally:
        lab.close()
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _give_away(server: socket.socket, kind: int, secret: str) -> None:
    with contextlib.suppress(OSError):
        while True:
            if kind == socket.SOCK_DGRAM:
                _, sender = server.recvfrom(512)
                server.sendto(secret.encode(), sender)
                continue
            connection, _ = server.accept()
            connection.sendall(secret.encode())
            connection.close()


def zip_of(entries: dict[str, tuple[bytes, int]]) -> bytes:
    """A zip with (content, external attributes) by name, however malformed the names."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, (content, attributes) in entries.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = attributes
            archive.writestr(info, content)
    return data.getvalue()


def decoded_log(answer: dict[str, Any]) -> str:
    """The log tail of an invocation."""
    return base64.b64decode(answer.get("LogResult", "")).decode()
