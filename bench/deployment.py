"""Puts benchmark functions and an API with one route for each onto a running platform, as a user's boto3 script would."""

from __future__ import annotations

import compileall
import hashlib
import io
import json
import py_compile
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import botocore.config
from bench.client import Client

ROOT = Path(__file__).resolve().parent.parent
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
RUNTIME = f"python3.{sys.version_info.minor}"

TRIVIAL = """
import json
counter = 0
def handler(event, context):
    global counter
    counter += 1
    return {"statusCode": 200, "body": json.dumps({"counter": counter, "tenant": context.tenant_id})}
"""
HEAVY = (
    """
import boto3
import pydantic
class Order(pydantic.BaseModel):
    number: int
    items: list[str]
ORDER = Order(number=1, items=["a"])
"""
    + TRIVIAL
)


@dataclass(frozen=True, slots=True)
class Function:
    """A function to deploy: its route is its name."""

    name: str
    package: bytes
    memory_mib: int = 128
    tags: Mapping[str, str] = field(default_factory=dict)


def light_package() -> bytes:
    """The trivial handler, zipped."""
    return _zipped({"app.py": TRIVIAL.encode()})


def heavy_folder(cache: Path) -> Path:
    """The heavy handler with pydantic beside it, compiled, in a folder; made once for each set of requirements.

    boto3 is not in it: on Lambda the runtime brings it. Compiled modules are (marked to be taken unchecked), so that no start,
    ours or the yardstick's, pays for compiling.
    """
    requirements = ROOT / "bench" / "requirements.txt"
    mark = hashlib.sha256(requirements.read_bytes() + HEAVY.encode() + sys.version.encode()).hexdigest()[:16]
    folder = cache / f"heavy-{mark}"
    if folder.exists():
        return folder
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    install = [ROOT / "scripts" / "uv", "pip", "install", "--quiet", "--python", sys.executable, "--target", partial]
    subprocess.run([*map(str, install), "-r", str(requirements)], check=True, timeout=120)
    (partial / "app.py").write_text(HEAVY)
    compileall.compile_dir(partial, quiet=1, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    partial.rename(folder)
    return folder


def zip_folder(folder: Path) -> bytes:
    """Everything in a folder as a package."""
    return _zipped({str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()})


def deploy(environment: Mapping[str, str], functions: list[Function]) -> dict[str, str]:
    """Create the functions and an API; the path of each function's route by its name."""
    clients = {name: _client(environment, name) for name in ("iam", "lambda", "apigateway")}
    role = clients["iam"].create_role(RoleName="bench", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    gateway = clients["apigateway"]
    api = gateway.create_rest_api(name="bench")
    paths = {}
    for function in functions:
        arn = clients["lambda"].create_function(
            FunctionName=function.name,
            Runtime=RUNTIME,
            Handler="app.handler",
            Role=role,
            Timeout=60,
            MemorySize=function.memory_mib,
            Code={"ZipFile": function.package},
            TenancyConfig={"TenantIsolationMode": "PER_TENANT"},
            Tags=dict(function.tags),
        )["FunctionArn"]
        clients["lambda"].add_permission(
            FunctionName=function.name, StatementId="api", Action="lambda:InvokeFunction", Principal="apigateway.amazonaws.com"
        )
        clients["lambda"].get_waiter("function_active_v2").wait(FunctionName=function.name, WaiterConfig={"Delay": 0.1})
        _route(gateway, api, function.name, arn, environment["AWS_REGION"])
        paths[function.name] = f"/_api/{api['id']}/dev/{function.name}"
    gateway.create_deployment(restApiId=api["id"], stageName="dev")
    for client in clients.values():
        client.close()
    return paths


def connect(environment: Mapping[str, str]) -> Client:
    """A measuring connection to the platform."""
    return Client(int(environment["AWS_ENDPOINT_URL"].rsplit(":", 1)[1]))


def _route(gateway: Any, api: Mapping[str, Any], name: str, arn: str, region: str) -> None:
    where = {
        "restApiId": api["id"],
        "resourceId": gateway.create_resource(restApiId=api["id"], parentId=api["rootResourceId"], pathPart=name)["id"],
        "httpMethod": "GET",
    }
    source = "method.request.header.x-tenant-id"
    gateway.put_method(**where, authorizationType="NONE", requestParameters={source: True})
    gateway.put_integration(
        **where,
        type="AWS_PROXY",
        integrationHttpMethod="POST",
        uri=f"arn:aws:apigateway:{region}:lambda:path/2015-03-31/functions/{arn}/invocations",
        requestParameters={"integration.request.header.X-Amz-Tenant-Id": source},
    )


def _client(environment: Mapping[str, str], service: str) -> Any:
    session = boto3.session.Session(
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        region_name=environment["AWS_REGION"],
    )
    config = botocore.config.Config(retries={"total_max_attempts": 1}, read_timeout=60)
    return session.client(service, endpoint_url=environment["AWS_ENDPOINT_URL"], config=config)


def _zipped(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()
