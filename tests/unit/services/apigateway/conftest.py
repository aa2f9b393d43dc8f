"""API Gateway on a store in memory, with a function that is a recording double."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import botocore.session
import pytest

from tenantry.model.clock import ManualClock
from tenantry.model.errors import ServiceError
from tenantry.model.http import Request, Response
from tenantry.model.identity import Principal
from tenantry.model.invocation import InvokeRequest, InvokeResult
from tenantry.services.apigateway.dataplane import DataPlane
from tenantry.services.apigateway.service import ApiGatewayService
from tenantry.services.operation import Context, Operations
from tenantry.store.documents import Documents

REGION = "us-east-1"
ACCOUNT = "000000000000"
FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f"


def uri(function: str = FUNCTION) -> str:
    """An integration URI."""
    return f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{function}/invocations"


@lru_cache
def model() -> Any:
    """botocore's model of the service."""
    return botocore.session.Session().get_service_model("apigateway")


def check_answer(operation: str, answer: dict[str, Any]) -> None:
    """An answer has no member that the operation's output shape lacks, and plain types only, at any depth."""
    output = model().operation_model(operation).output_shape
    if output is None:
        assert answer == {}
    else:
        check_shape(output, answer, operation)


def check_shape(shape: Any, value: Any, where: str) -> None:
    if shape.type_name == "structure":
        assert set(value) <= set(shape.members), where
        for name, item in value.items():
            check_shape(shape.members[name], item, f"{where}.{name}")
    elif shape.type_name == "list":
        assert isinstance(value, list), where
        for item in value:
            check_shape(shape.member, item, where)
    elif shape.type_name == "map":
        for key, item in value.items():
            check_shape(shape.value, item, f"{where}.{key}")
    else:
        kinds = {"string": str, "boolean": bool, "integer": int, "double": float, "timestamp": float}
        assert isinstance(value, kinds[shape.type_name]), (where, value)


@dataclass
class Recorder:
    """An Invoker that remembers what it was asked and answers as told: a payload, an exception, or a function."""

    answer: Any = field(default_factory=lambda: {"statusCode": 200, "body": "ok"})
    function_error: str | None = None
    delay_s: float = 0.0
    seen: list[InvokeRequest] = field(default_factory=list)
    finished: int = 0

    async def invoke(self, request: InvokeRequest) -> InvokeResult:
        self.seen.append(request)
        answer = self.answer(request) if callable(self.answer) else self.answer
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        self.finished += 1
        if isinstance(answer, Exception):
            raise answer
        payload = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        return InvokeResult(200, payload, self.function_error)

    @property
    def event(self) -> dict[str, Any]:
        """The last event."""
        return dict(json.loads(self.seen[-1].payload))

    @property
    def tenant(self) -> str | None:
        """The last tenant id."""
        return self.seen[-1].tenant_id


@dataclass
class Lines:
    """A LogSink that keeps what it gets."""

    lines: list[tuple[str, str, str]] = field(default_factory=list)

    def append(self, region: str, group: str, stream: str, events: Any) -> None:
        self.lines.extend((region, group, message) for _, message in events)


class Desk:
    """The service, the data plane and everything around them."""

    def __init__(self, documents: Documents | None = None, region: str = REGION) -> None:
        self.documents = documents or Documents(None)
        self.clock = ManualClock()
        self.invoker = Recorder()
        self.log = Lines()
        self.service = ApiGatewayService(self.documents, self.clock, ACCOUNT)
        self.plane = DataPlane(self.service.store, self.invoker, self.clock, self.log)
        self.operations = Operations(lambda service, operation, params: None)
        self.operations.add(self.service)
        principal = Principal(f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT)
        self.context = Context(region, ACCOUNT, "id", principal, "http://127.0.0.1:4270")

    async def call(self, operation: str, **params: Any) -> dict[str, Any]:
        """An operation, as another service would call it."""
        answer = await self.operations.call("apigateway", operation, params, self.context)
        check_answer(operation, answer)
        return answer

    async def refused(self, operation: str, **params: Any) -> ServiceError:
        """The refusal of an operation; the store is as before."""
        before = self.everything()
        with pytest.raises(ServiceError) as caught:
            await self.call(operation, **params)
        assert self.everything() == before
        return caught.value

    def everything(self) -> dict[str, list[Any]]:
        """All records."""
        store = self.service.store
        return {collection.name: list(collection.items()) for collection in (store.apis, *store.children)}

    async def api(self, **settings: Any) -> str:
        """A new API's id."""
        return str((await self.call("CreateRestApi", name="api", **settings))["id"])

    async def resource(self, api: str, path: str) -> str:
        """The id of the resource at a path, made with all above it."""
        items = (await self.call("GetResources", restApiId=api, limit=500))["items"]
        ids = {item["path"]: item["id"] for item in items}
        at = ""
        for part in path.strip("/").split("/") if path != "/" else ():
            parent, at = ids[at or "/"], f"{at}/{part}"
            if at not in ids:
                ids[at] = (await self.call("CreateResource", restApiId=api, parentId=parent, pathPart=part))["id"]
        return str(ids[at or "/"])

    async def method(self, api: str, path: str, method: str = "GET", **options: Any) -> dict[str, str]:
        """A method that leads to the function; returns the parameters that name it."""
        where = {"restApiId": api, "resourceId": await self.resource(api, path), "httpMethod": method}
        integration = {"type": "AWS_PROXY", "integrationHttpMethod": "POST", "uri": uri(), **options.pop("integration", {})}
        await self.call("PutMethod", **where, authorizationType=options.pop("authorizationType", "NONE"), **options)
        await self.call("PutIntegration", **where, **integration)
        return where

    async def deploy(self, api: str, stage: str = "dev", **options: Any) -> str:
        """Deploy to a stage; the deployment's id."""
        return str((await self.call("CreateDeployment", restApiId=api, stageName=stage, **options))["id"])

    async def get(
        self, api: str, path: str, method: str = "GET", headers: Any = (), body: bytes = b"", query: str | None = None
    ) -> Response:
        """A request to a stage."""
        raw, _, found = path.partition("?")
        pairs = list(headers.items()) if isinstance(headers, dict) else list(headers)
        request = Request(
            method, f"/_api/{api}{raw}", found if query is None else query, [("Host", "127.0.0.1:4270"), *pairs], body
        )
        return await self.plane.handle(request, api, raw)


def body_of(response: Response) -> Any:
    """A response's JSON body."""
    assert isinstance(response.body, bytes)
    return json.loads(response.body)


def header_of(response: Response, name: str) -> str | None:
    """A response's header, or None."""
    return next((value for key, value in response.headers if key.lower() == name.lower()), None)


@pytest.fixture
def desk() -> Desk:
    return Desk()


Make = Callable[..., Desk]
