"""Functions and APIs made for one test, through the wire, and taken away after it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from tests.support.aws import Aws, Reply, eventually, zip_of

PROBE = (Path(__file__).resolve().parents[1] / "clients" / "handlers" / "probe.py").read_text()
PER_TENANT = {"TenantIsolationMode": "PER_TENANT"}


@dataclass
class Function:
    """A function on the platform, and how to call it."""

    aws: Aws
    name: str
    arn: str

    def invoke(self, tenant: str | None = None, *, event: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
        """Invoke; botocore's answer with the payload read."""
        if tenant is not None:
            options["TenantId"] = tenant
        payload = json.dumps(event or {}).encode()
        answer = self.aws.client("lambda").invoke(FunctionName=self.name, Payload=payload, **options)
        return {**answer, "Payload": answer["Payload"].read()}

    def ask(self, tenant: str | None = None, **event: Any) -> dict[str, Any]:
        """Invoke and return the handler's result; AssertionError on a function error."""
        answer = self.invoke(tenant, event=event)
        assert "FunctionError" not in answer, answer
        return dict(json.loads(answer["Payload"]))

    def update(self, **configuration: Any) -> None:
        """Change the configuration and wait until it is done."""
        client = self.aws.client("lambda")
        client.update_function_configuration(FunctionName=self.name, **configuration)
        eventually(
            lambda: client.get_function_configuration(FunctionName=self.name)["LastUpdateStatus"],
            lambda status: status == "Successful",
        )

    def events(self) -> list[dict[str, Any]]:
        """Its log events so far; none while its group does not exist."""
        logs = self.aws.client("logs")
        try:
            return list(logs.filter_log_events(logGroupName=f"/aws/lambda/{self.name}")["events"])
        except logs.exceptions.ResourceNotFoundException:
            return []

    def events_when(self, good: Callable[[list[str]], bool]) -> list[dict[str, Any]]:
        """Its log events once their messages satisfy `good`."""
        return eventually(self.events, lambda events: good([event["message"] for event in events]), what="the log")


@dataclass
class Workshop:
    """Makes functions and APIs, and remembers them."""

    aws: Aws
    role: str
    functions: list[str] = field(default_factory=list)
    apis: list[str] = field(default_factory=list)

    def function(
        self, *, code: str = PROBE, handler: str = "probe.lambda_handler", isolated: bool = True, **options: Any
    ) -> Function:
        """A new, active function."""
        client = self.aws.client("lambda")
        name = f"check-{uuid4().hex[:8]}"
        if isolated:
            options["TenancyConfig"] = PER_TENANT
        made = client.create_function(
            FunctionName=name,
            Runtime="python3.14",
            Handler=handler,
            Role=self.role,
            Code={"ZipFile": zip_of({"probe.py": code})},
            **options,
        )
        self.functions.append(name)
        eventually(lambda: client.get_function(FunctionName=name)["Configuration"]["State"], lambda state: state == "Active")
        return Function(self.aws, name, made["FunctionArn"])

    def api(self, function: Function, *, declared: dict[str, bool], mapping: dict[str, str], **options: Any) -> Api:
        """A REST API with GET on its root leading to the function; deployed to the stage `dev`."""
        client = self.aws.client("apigateway")
        api = client.create_rest_api(name="check")["id"]
        self.apis.append(api)
        root = client.get_resources(restApiId=api)["items"][0]["id"]
        if options.pop("validated", False):
            options["requestValidatorId"] = client.create_request_validator(
                restApiId=api, name="v", validateRequestParameters=True
            )["id"]
        resource = client.create_resource(restApiId=api, parentId=root, pathPart="{tenant}")["id"]
        where = {"restApiId": api, "resourceId": resource, "httpMethod": "GET"}
        client.put_method(**where, authorizationType="NONE", requestParameters=declared, **options)
        client.put_integration(
            **where,
            type="AWS_PROXY",
            integrationHttpMethod="POST",
            uri=f"arn:aws:apigateway:{self.aws.region}:lambda:path/2015-03-31/functions/{function.arn}/invocations",
            requestParameters=mapping,
        )
        self.aws.client("lambda").add_permission(
            FunctionName=function.name,
            StatementId="api",
            Action="lambda:InvokeFunction",
            Principal="apigateway.amazonaws.com",
            SourceArn=f"arn:aws:execute-api:{self.aws.region}:000000000000:{api}/*/GET/*",
        )
        client.create_deployment(restApiId=api, stageName="dev", variables={"t": "FromStage"})
        return Api(self.aws, api, resource)


@dataclass
class Api:
    """A deployed API and how to call it."""

    aws: Aws
    id: str
    resource: str

    def get(self, path: str = "/dev/x", method: str = "GET", **headers: str) -> Reply:
        """A request; underscores in header names stand for hyphens."""
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.aws.http(f"{self.aws.endpoint}/_api/{self.id}{path}", method, fields)


@pytest.fixture(scope="session")
def role(aws: Aws) -> str:
    """An execution role for every test's functions."""
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
    }
    made = aws.client("iam").create_role(RoleName=f"checks-{uuid4().hex[:8]}", AssumeRolePolicyDocument=json.dumps(trust))
    return str(made["Role"]["Arn"])


@pytest.fixture
def workshop(aws: Aws, role: str) -> Iterator[Workshop]:
    """Make what a test needs; it is deleted after the test."""
    made = Workshop(aws, role)
    yield made
    for api in made.apis:
        aws.client("apigateway").delete_rest_api(restApiId=api)
    for name in made.functions:
        aws.client("lambda").delete_function(FunctionName=name)


@pytest.fixture(scope="module")
def shared(aws: Aws, role: str) -> Iterator[Workshop]:
    """The same for a whole module."""
    made = Workshop(aws, role)
    yield made
    for name in made.functions:
        aws.client("lambda").delete_function(FunctionName=name)


@pytest.fixture(scope="module")
def isolated(shared: Workshop) -> Function:
    """One isolated function for the tests of a module that do not change it."""
    return shared.function()


@pytest.fixture(scope="module")
def plain(shared: Workshop) -> Function:
    """One function without isolation, likewise."""
    return shared.function(isolated=False)
