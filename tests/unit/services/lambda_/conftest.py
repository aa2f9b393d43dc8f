"""The Lambda service on a store in memory, with recording doubles around it and timers that a test runs by hand."""

from __future__ import annotations

import io
import json
import stat
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tenantry.model.clock import ManualClock
from tenantry.model.errors import ServiceError
from tenantry.model.identity import Principal
from tenantry.model.invocation import InvokeRequest, InvokeResult
from tenantry.model.runtime import ResolvedRuntime
from tenantry.placement.functions import Functions
from tenantry.protocol.dialect import dialect_of
from tenantry.protocol.model import load
from tenantry.protocol.validate import Validators
from tenantry.services.lambda_.service import LambdaService
from tenantry.services.operation import Context, Operations, operation
from tenantry.store.blobs import Blobs
from tenantry.store.documents import Documents

REGION, ACCOUNT = "us-east-1", "000000000000"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/app/runs-lambda"
PER_TENANT = {"TenantIsolationMode": "PER_TENANT"}
TRUST = {"Statement": {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}}
LAMBDA = load("lambda")
VALIDATORS = Validators(dialect_of("lambda", "rest-json"))


def arn_of(name: str) -> str:
    """The unqualified ARN of a function."""
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"


def zip_of(files: Mapping[str, str | bytes], modes: Mapping[str, int] | None = None) -> bytes:
    """A package with these files; modes override `regular file, 0644`."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))
            entry.create_system = 3
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (modes or {}).get(name, stat.S_IFREG | 0o644) << 16
            archive.writestr(entry, content)
    return buffer.getvalue()


CODE = zip_of({"index.py": "def handler(event, context):\n    return 1\n"})
OTHER_CODE = zip_of({"index.py": "def handler(event, context):\n    return 2\n"})


class Timers:
    """Callbacks in place of the loop's timers; `run` makes those of at most so many seconds happen."""

    def __init__(self) -> None:
        self.pending: list[tuple[float, Callable[[], None]]] = []

    def __call__(self, delay_s: float, callback: Callable[[], None]) -> None:
        self.pending.append((delay_s, callback))

    def run(self, until_s: float = 1.0) -> None:
        due = [callback for delay, callback in self.pending if delay <= until_s]
        self.pending = [(delay, callback) for delay, callback in self.pending if delay > until_s]
        for callback in due:
            callback()


@dataclass
class Recorder:
    """An Invoker that remembers what it was asked and answers as told."""

    result: InvokeResult = field(default_factory=lambda: InvokeResult(200, b'"ok"', executed_version="$LATEST"))
    seen: list[InvokeRequest] = field(default_factory=list)

    async def invoke(self, request: InvokeRequest) -> InvokeResult:
        self.seen.append(request)
        return self.result


@dataclass
class OneInterpreter:
    """A host that has Python 3.11 and nothing else; strict or not."""

    strict: bool = False
    asked: list[str] = field(default_factory=list)

    def resolve(self, runtime: str) -> ResolvedRuntime:
        self.asked.append(runtime)
        if runtime == "python3.11":
            return ResolvedRuntime(runtime, "/usr/bin/python3.11", "3.11", None)
        if self.strict:
            raise ServiceError("InvalidParameterValueException", f"{runtime} is not installed")
        return ResolvedRuntime(runtime, "/usr/bin/python3.11", "3.11", f"{runtime} runs on 3.11")


class FakeIam:
    """Roles by name."""

    name = "iam"

    def __init__(self) -> None:
        self.roles = {"runs-lambda": (ROLE, json.dumps(TRUST))}

    @operation("GetRole")
    async def get_role(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        if params["RoleName"] not in self.roles:
            raise ServiceError("NoSuchEntity", "The role cannot be found.", status=404)
        arn, trust = self.roles[params["RoleName"]]
        return {"Role": {"Arn": arn, "AssumeRolePolicyDocument": trust}}


class FakeS3:
    """Objects by (bucket, key); a gate lets a test hold a download in its middle."""

    name = "s3"

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], bytes] = {("bucket", "code.zip"): OTHER_CODE}

    @operation("GetObject")
    async def get_object(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        if params["Bucket"] != "bucket":
            raise ServiceError("NoSuchBucket", "The specified bucket does not exist", status=404)
        if (params["Bucket"], params["Key"]) not in self.objects:
            raise ServiceError("NoSuchKey", "The specified key does not exist.", status=404)
        return {"Body": self.objects[params["Bucket"], params["Key"]]}


def validate(service: str, name: str, params: dict[str, Any]) -> None:
    """The wire's own validation of Lambda's parameters; the doubles' are taken as they are."""
    if service == "lambda":
        VALIDATORS.compile(LAMBDA.operation(name))(params)


@dataclass
class House:
    """One start of the service; `again` is the next start, on the same store."""

    documents: Documents
    root: Path
    strict: bool = False

    def __post_init__(self) -> None:
        self.functions = Functions(ACCOUNT)
        self.invoker = Recorder()
        self.timers = Timers()
        self.clock = ManualClock()
        self.runtimes = OneInterpreter(self.strict)
        self.iam, self.s3 = FakeIam(), FakeS3()
        self.code_root, self.blob_root = self.root / "code", self.root / "blobs"
        self.operations = Operations(validate)
        self.service = LambdaService(
            documents=self.documents,
            blobs=Blobs(self.blob_root),
            code_root=self.code_root,
            functions=self.functions,
            invoker=self.invoker,
            operations=self.operations,
            runtimes=self.runtimes,
            clock=self.clock,
            code_url=lambda ctx, key: f"{ctx.endpoint}/code/{key}",
            later=self.timers,
        )
        for part in (*self.service.parts, self.iam, self.s3):
            self.operations.add(part)
        self.service.start()

    def again(self) -> House:
        """The service after a restart. Timers that had not fired are lost."""
        return House(self.documents, self.root, self.strict)

    def context(self, region: str = REGION) -> Context:
        principal = Principal(f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT)
        return Context(region, ACCOUNT, "request-1", principal, "http://127.0.0.1:4270")

    async def call(self, operation_name: str, *, region: str = REGION, **params: Any) -> dict[str, Any]:
        """An operation as another service calls it: validated."""
        return await self.operations.call("lambda", operation_name, params, self.context(region))

    async def create(self, name: str = "f", *, active: bool = True, **params: Any) -> dict[str, Any]:
        """Create a function, and let it become active."""
        given = {"Runtime": "python3.11", "Handler": "index.handler", "Role": ROLE, "Code": {"ZipFile": CODE}, **params}
        answer = await self.call("CreateFunction", FunctionName=name, **given)
        if active:
            self.timers.run()
        return answer

    async def configuration(self, name: str = "f") -> dict[str, Any]:
        return await self.call("GetFunctionConfiguration", FunctionName=name)

    def unpacked(self) -> list[str]:
        """What lies in the code folder."""
        return sorted(path.name for path in self.code_root.iterdir())

    def zips(self) -> list[str]:
        """The blobs that are kept."""
        return sorted(path.name for path in self.blob_root.glob("??/*"))

    def state(self) -> dict[str, Any]:
        """Everything that is kept, for comparing before and after."""
        rows = self.documents._db.execute("SELECT collection, key, body FROM documents ORDER BY 1, 2").fetchall()
        entries = sorted(self.functions.entries(), key=lambda entry: (entry.region, entry.name))
        return {"rows": rows, "entries": entries, "unpacked": self.unpacked(), "zips": self.zips()}


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(Documents(tmp_path / "state.db"), tmp_path)
