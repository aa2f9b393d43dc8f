"""CloudFormation on a store in memory, over the real services: only log events, interpreters and the SAM worker are doubles.

`House` is one start of the platform's control plane; `again` is the next start on the same data. `Faults` stands between
CloudFormation and the services, counts its calls, and fails or cuts off the one it is told to.
"""

from __future__ import annotations

import asyncio
import copy
import io
import json
import zipfile
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import cache
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
from tenantry.services.apigateway.service import ApiGatewayService
from tenantry.services.cloudformation.service import CloudFormationService
from tenantry.services.identity.directory import Directory
from tenantry.services.identity.iam import IamService
from tenantry.services.lambda_.service import LambdaService
from tenantry.services.operation import Context, Operations, operation
from tenantry.services.s3.service import S3Service
from tenantry.store.blobs import Blobs
from tenantry.store.documents import Documents

REGION, ACCOUNT = "us-east-1", "000000000000"
ENDPOINT = "http://127.0.0.1:4270"
PROTOCOLS = {
    "lambda": "rest-json",
    "apigateway": "rest-json",
    "iam": "query",
    "cloudformation": "query",
    "logs": "json",
    "s3": "rest-xml",
}
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


@cache
def _validators(service: str) -> Validators:
    return Validators(dialect_of(service, PROTOCOLS[service]))


@cache
def _compiled(service: str, name: str) -> Callable[[dict[str, Any]], None]:
    return _validators(service).compile(load(service).operation(name))


def validate(service: str, name: str, params: dict[str, Any]) -> None:
    """The wire's own validation, for every service."""
    _compiled(service, name)(params)


class Cut(BaseException):
    """The process ends here."""


@dataclass
class Faults:
    """Counts calls to other services. `fail_at`, `fail_call`: refused; `cut_at`: the process ends just before or after it."""

    operations: Operations
    fail_at: int = 0
    fail_call: str = ""
    cut_at: int = 0
    cut_after: bool = False
    calls: list[str] = field(default_factory=list)
    counting: bool = True

    async def call(self, service: str, name: str, params: dict[str, Any], ctx: Context) -> dict[str, Any]:
        if not self.counting:
            return await self.operations.call(service, name, params, ctx)
        self.calls.append(f"{service}:{name}")
        number = len(self.calls)
        if number == self.fail_at or self.calls[-1] == self.fail_call:
            raise ServiceError("AccessDeniedException", f"call {number} is made to fail", status=403)
        if number == self.cut_at and not self.cut_after:
            raise Cut
        try:
            return await self.operations.call(service, name, params, ctx)
        finally:
            if number == self.cut_at:
                raise Cut


class PlainTransformer:
    """In place of the worker process: expands nothing, unless a test says how; finds nothing wrong, unless told."""

    def __init__(self) -> None:
        self.expand: Callable[[dict[str, Any]], dict[str, Any]] = lambda template: template
        self.faults: list[str] = []
        self.checked: list[dict[str, Any]] = []

    async def transform(self, template: dict[str, Any], parameters: dict[str, Any], region: str) -> dict[str, Any]:
        await asyncio.sleep(0)
        return {name: value for name, value in self.expand(copy.deepcopy(template)).items() if name != "Transform"}

    async def check(self, resources: dict[str, Any]) -> list[str]:
        self.checked.append(resources)
        return self.faults


class GroupsOnly:
    """CloudWatch Logs without events: groups with retention and tags."""

    name = "logs"

    def __init__(self, groups: dict[str, dict[str, Any]]) -> None:
        self.groups = groups

    @operation("CreateLogGroup")
    async def create_log_group(self, ctx: Context, params: dict[str, Any]) -> None:
        if params["logGroupName"] in self.groups:
            raise ServiceError("ResourceAlreadyExistsException", "The specified log group already exists")
        self.groups[params["logGroupName"]] = {"tags": dict(params.get("tags", {}))}

    @operation("DeleteLogGroup")
    async def delete_log_group(self, ctx: Context, params: dict[str, Any]) -> None:
        self._group(params["logGroupName"])
        del self.groups[params["logGroupName"]]

    @operation("DescribeLogGroups")
    async def describe_log_groups(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        prefix = params.get("logGroupNamePrefix", "")
        return {"logGroups": [{"logGroupName": name} for name in sorted(self.groups) if name.startswith(prefix)]}

    @operation("PutRetentionPolicy")
    async def put_retention_policy(self, ctx: Context, params: dict[str, Any]) -> None:
        self._group(params["logGroupName"])["days"] = params["retentionInDays"]

    @operation("DeleteRetentionPolicy")
    async def delete_retention_policy(self, ctx: Context, params: dict[str, Any]) -> None:
        self._group(params["logGroupName"]).pop("days", None)

    @operation("ListTagsForResource")
    async def list_tags(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        return {"tags": dict(self._group(_group_name(params["resourceArn"]))["tags"])}

    @operation("TagResource")
    async def tag_resource(self, ctx: Context, params: dict[str, Any]) -> None:
        self._group(_group_name(params["resourceArn"]))["tags"].update(params["tags"])

    @operation("UntagResource")
    async def untag_resource(self, ctx: Context, params: dict[str, Any]) -> None:
        for key in params["tagKeys"]:
            self._group(_group_name(params["resourceArn"]))["tags"].pop(key, None)

    def _group(self, name: str) -> dict[str, Any]:
        if name not in self.groups:
            raise ServiceError("ResourceNotFoundException", "The specified log group does not exist.")
        return self.groups[name]


def _group_name(arn: str) -> str:
    return arn.split(":log-group:", 1)[1]


class AnyInterpreter:
    """A host that runs everything."""

    def resolve(self, runtime: str) -> ResolvedRuntime:
        return ResolvedRuntime(runtime, "/usr/bin/python3", "3", None)


class NoInvoker:
    """Nothing is invoked here."""

    async def invoke(self, request: InvokeRequest) -> InvokeResult:
        raise AssertionError("no function is invoked by a deployment")


@dataclass
class House:
    """One start of the control plane."""

    documents: Documents
    root: Path
    groups: dict[str, dict[str, Any]] = field(default_factory=dict)
    clock: ManualClock = field(default_factory=ManualClock)
    rewrite_outputs: bool = True

    def __post_init__(self) -> None:
        self.tasks: list[asyncio.Task[None]] = []
        self.held: list[Coroutine[Any, Any, None]] | None = None
        self.transformer = PlainTransformer()
        self.functions = Functions(ACCOUNT)
        self.operations = Operations(validate)
        self.faults = Faults(self.operations)
        self.lambda_ = LambdaService(
            documents=self.documents,
            blobs=Blobs(self.root / "blobs"),
            code_root=self.root / "code",
            functions=self.functions,
            invoker=NoInvoker(),
            operations=self.operations,
            runtimes=AnyInterpreter(),
            clock=self.clock,
            code_url=lambda ctx, key: f"{ctx.endpoint}/code/{key}",
            later=lambda _, callback: asyncio.get_running_loop().call_soon(callback),
        )
        self.service = CloudFormationService(
            self.documents,
            self.faults,
            self.clock,
            self._spawn,
            self.transformer,
            rewrite_outputs=self.rewrite_outputs,
            sleep=self._sleep,
        )
        directory = Directory(self.documents)
        s3 = S3Service(self.documents, Blobs(self.root / "objects"), self.clock)
        for part in (
            *self.lambda_.parts,
            IamService(directory, self.clock),
            s3,
            GroupsOnly(self.groups),
            ApiGatewayService(self.documents, self.clock, ACCOUNT),
            self.service,
        ):
            self.operations.add(part)
        self.lambda_.start()

    def again(self) -> House:
        """The next start, on the same data."""
        return House(self.documents, self.root, self.groups, self.clock, self.rewrite_outputs)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        if self.held is not None:
            self.held.append(work)
        else:
            self.tasks.append(asyncio.ensure_future(work))

    async def _sleep(self, seconds: float) -> None:
        self.clock.advance(seconds)
        await asyncio.sleep(0)

    def context(self, region: str = REGION) -> Context:
        return Context(region, ACCOUNT, "request-1", Principal(f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT), ENDPOINT)

    async def call(self, name: str, service: str = "cloudformation", **params: Any) -> dict[str, Any]:
        """An operation as the wire calls it, validated."""
        return await self.operations.call(service, name, params, self.context())

    async def settled(self) -> None:
        """Wait until nothing runs in the background. A Cut ends quietly."""
        while self.tasks:
            task = self.tasks.pop()
            try:
                await task
            except Cut:
                continue

    async def create(self, template: dict[str, Any], name: str = "s", **params: Any) -> str:
        """Create a stack directly and wait for the end; its status."""
        capabilities = params.pop("Capabilities", ["CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"])
        body = json.dumps(template)
        await self.call("CreateStack", StackName=name, TemplateBody=body, Capabilities=capabilities, **params)
        await self.settled()
        return await self.status(name)

    async def update(self, template: dict[str, Any], name: str = "s", **params: Any) -> str:
        """Update a stack directly and wait for the end; its status."""
        capabilities = params.pop("Capabilities", ["CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"])
        body = json.dumps(template)
        await self.call("UpdateStack", StackName=name, TemplateBody=body, Capabilities=capabilities, **params)
        await self.settled()
        return await self.status(name)

    async def delete(self, name: str = "s", **params: Any) -> None:
        await self.call("DeleteStack", StackName=name, **params)
        await self.settled()

    async def stack(self, name: str = "s") -> dict[str, Any]:
        self.faults.counting = False
        try:
            return dict((await self.call("DescribeStacks", StackName=name))["Stacks"][0])
        finally:
            self.faults.counting = True

    async def status(self, name: str = "s") -> str:
        return str((await self.stack(name))["StackStatus"])

    async def resources(self, name: str = "s") -> dict[str, dict[str, Any]]:
        rows = (await self.call("ListStackResources", StackName=name))["StackResourceSummaries"]
        return {row["LogicalResourceId"]: row for row in rows}

    async def story(self, name: str = "s") -> list[tuple[str, str]]:
        """(logical id, status) of every event, oldest first."""
        events = (await self.call("DescribeStackEvents", StackName=name))["StackEvents"]
        return [(event["LogicalResourceId"], event["ResourceStatus"]) for event in reversed(events)]

    async def world(self) -> dict[str, Any]:
        """Everything that exists in the other services."""
        apis = (await self.call("GetRestApis", "apigateway"))["items"]
        functions = (await self.call("ListFunctions", "lambda"))["Functions"]
        roles = (await self.call("ListRoles", "iam"))["Roles"]
        return {
            "groups": copy.deepcopy(self.groups),
            "functions": {item["FunctionName"]: _lasting(item) for item in functions},
            "permissions": {item["FunctionName"]: await self._policy(item["FunctionName"]) for item in functions},
            "roles": {item["RoleName"]: await self._role(item["RoleName"]) for item in roles},
            "policies": [item["Arn"] for item in (await self.call("ListPolicies", "iam", Scope="Local"))["Policies"]],
            "buckets": [item["Name"] for item in (await self.call("ListBuckets", "s3"))["Buckets"]],
            "apis": {item["id"]: await self._api(item["id"]) for item in apis},
        }

    async def _policy(self, name: str) -> Any:
        try:
            return json.loads((await self.call("GetPolicy", "lambda", FunctionName=name))["Policy"])
        except ServiceError:
            return None

    async def _role(self, name: str) -> Any:
        attached = (await self.call("ListAttachedRolePolicies", "iam", RoleName=name))["AttachedPolicies"]
        return {
            "attached": sorted(item["PolicyArn"] for item in attached),
            "inline": (await self.call("ListRolePolicies", "iam", RoleName=name))["PolicyNames"],
        }

    async def _api(self, api: str) -> Any:
        resources = (await self.call("GetResources", "apigateway", restApiId=api, embed=["methods"]))["items"]
        stages = (await self.call("GetStages", "apigateway", restApiId=api))["item"]
        return {
            "resources": sorted(
                (item["path"], item["id"], json.dumps(item.get("resourceMethods"), sort_keys=True)) for item in resources
            ),
            "deployments": sorted(item["id"] for item in await self._items("GetDeployments", api)),
            "stages": sorted((item["stageName"], item["deploymentId"]) for item in stages),
            "models": sorted(item["name"] for item in await self._items("GetModels", api)),
            "validators": sorted(item["id"] for item in await self._items("GetRequestValidators", api)),
        }

    async def _items(self, name: str, api: str) -> list[dict[str, Any]]:
        return list((await self.call(name, "apigateway", restApiId=api))["items"])


def _lasting(configuration: dict[str, Any]) -> dict[str, Any]:
    """A function's configuration without what changes with every update, undone or not."""
    passing = ("RevisionId", "LastModified", "LastUpdateStatus", "State", "StateReason", "StateReasonCode")
    passing += ("LastUpdateStatusReason", "LastUpdateStatusReasonCode")
    no_variables = {"Environment": {"Variables": {}}}
    return {name: value for name, value in configuration.items() if name not in passing and value != no_variables.get(name)}


def zip_of(source: str) -> bytes:
    """A deployment package with one file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("lambda_function.py", (2026, 1, 1, 0, 0, 0)), source)
    return buffer.getvalue()


def group(name: str | None = None, **properties: Any) -> dict[str, Any]:
    """A log group resource: the simplest thing that a stack can have."""
    named = {"LogGroupName": name} if name else {}
    return {"Type": "AWS::Logs::LogGroup", "Properties": {**named, **properties}}


def groups(**names: Any) -> dict[str, Any]:
    """A template of log groups, logical id to name."""
    return {"Resources": {logical_id: group(name) for logical_id, name in names.items()}}


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(Documents(None), tmp_path)
