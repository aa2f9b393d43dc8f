"""Numbered checks of aws-behaviour 8, API Gateway's part (53 to 70), over HTTP."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from tests.conformance.conftest import Api, Function, Workshop
from tests.support.aws import Aws

pytestmark = [pytest.mark.client]

ENABLED = "The invoked function is enabled with tenancy configuration. Add a valid tenant ID in your request and try again."
TENANT_HEADER = "integration.request.header.X-Amz-Tenant-Id"
BROKEN = {"message": "Internal server error"}


@pytest.fixture
def function(workshop: Workshop) -> Function:
    return workshop.function(handler="probe.proxy")


@pytest.fixture
def api(workshop: Workshop, function: Function) -> Api:
    """GET maps the client's x-tenant-id, which is required."""
    return workshop.api(
        function,
        declared={"method.request.header.x-tenant-id": True},
        mapping={TENANT_HEADER: "method.request.header.x-tenant-id"},
        validated=True,
    )


def test_missing_header_is_refused_without_an_invocation(api: Api, function: Function) -> None:
    reply = api.get()
    assert (reply.status, reply.json) == (400, {"message": "Missing required request parameters: [x-tenant-id]"})
    assert reply.headers["x-amzn-errortype"] == "BadRequestException"
    assert function.events() == []


def test_header_name_has_no_case(api: Api) -> None:
    assert api.get(X_TENANT_ID="Blue").json["tenant"] == "Blue"
    assert api.get(x_tenant_id="Blue").json["tenant"] == "Blue"


def test_lambdas_own_header_from_a_client_selects_no_tenant(api: Api, workshop: Workshop, function: Function) -> None:
    assert api.get(X_Amz_Tenant_Id="Blue").status == 400
    other = workshop.function(handler="probe.proxy")
    unmapped = workshop.api(other, declared={}, mapping={})
    reply = unmapped.get(X_Amz_Tenant_Id="Blue")
    assert (reply.status, reply.json) == (400, {"message": ENABLED})


def test_invalid_id_is_refused(api: Api) -> None:
    reply = api.get(x_tenant_id="bad!id")
    assert reply.status == 400
    assert "tenantId" in reply.json["message"]


def test_event_is_as_the_client_sent_it(api: Api) -> None:
    reply = api.get(x_tenant_id="Blue")
    event: dict[str, Any] = reply.json["event"]
    names = {name.lower(): value for name, value in event["headers"].items()}
    assert names["x-tenant-id"] == "Blue"
    assert "x-amz-tenant-id" not in names
    absent = ("queryStringParameters", "multiValueQueryStringParameters", "body")
    assert {name: event[name] for name in absent} == dict.fromkeys(absent)
    assert (event["resource"], event["path"], event["httpMethod"]) == ("/{tenant}", "/x", "GET")
    assert event["pathParameters"] == {"tenant": "x"}
    assert event["stageVariables"] == {"t": "FromStage"}
    assert event["isBase64Encoded"] is False
    context = event["requestContext"]
    assert (context["path"], context["stage"], context["apiId"]) == ("/dev/x", "dev", api.id)
    assert context["identity"]["sourceIp"] == "127.0.0.1"
    assert context["requestId"] == reply.headers["x-amzn-requestid"]


def test_every_answer_carries_its_ids(api: Api) -> None:
    for reply in (api.get(), api.get(x_tenant_id="Blue"), api.get("/dev/a/b"), api.get("/nostage/x")):
        assert reply.headers["x-amzn-requestid"]
        assert reply.headers["x-amz-apigw-id"]
    assert "x-amzn-trace-id" in api.get(x_tenant_id="Blue").headers
    assert "x-amzn-trace-id" not in api.get().headers


@pytest.mark.parametrize(("method", "path"), [("POST", "/dev/x"), ("GET", "/dev/a/b"), ("GET", "/prod/x"), ("GET", "/dev")])
def test_what_is_not_there_is_a_missing_token(api: Api, method: str, path: str) -> None:
    reply = api.get(path, method, x_tenant_id="Blue")
    assert (reply.status, reply.json) == (403, {"message": "Missing Authentication Token"})
    assert reply.headers["x-amzn-errortype"] == "MissingAuthenticationTokenException"


@pytest.mark.parametrize(
    "result",
    ["[1]", '{"statusCode": "abc"}', '{"statusCode": 200, "extra": 1}', '"text"', '{"statusCode": 200, "body": 5}', "null"],
)
def test_malformed_result_is_502(api: Api, result: str) -> None:
    reply = api.get(f"/dev/x?raw={quote(result)}", x_tenant_id="Blue")
    assert (reply.status, reply.json) == (502, BROKEN)
    assert reply.headers["x-amzn-errortype"] == "InternalServerErrorException"


def test_function_error_is_502(api: Api) -> None:
    reply = api.get("/dev/x?fail=1", x_tenant_id="Blue")
    assert (reply.status, reply.json) == (502, BROKEN)


def test_slow_function_is_504_and_goes_on(aws: Aws, workshop: Workshop) -> None:
    function = workshop.function(handler="probe.proxy", Timeout=10)
    api = workshop.api(function, declared={}, mapping={TENANT_HEADER: "'T'"})
    client = aws.client("apigateway")
    operations = [{"op": "replace", "path": "/timeoutInMillis", "value": "300"}]
    client.update_integration(restApiId=api.id, resourceId=api.resource, httpMethod="GET", patchOperations=operations)
    client.create_deployment(restApiId=api.id, stageName="dev")
    reply = api.get("/dev/x?sleep=1.5")
    assert (reply.status, reply.json) == (504, {"message": "Endpoint request timed out"})
    function.events_when(lambda messages: any(message.startswith("REPORT") for message in messages))


def test_removed_permission_breaks_the_route(aws: Aws, api: Api, function: Function) -> None:
    assert api.get(x_tenant_id="Blue").status == 200
    aws.client("lambda").remove_permission(FunctionName=function.name, StatementId="api")
    reply = api.get(x_tenant_id="Blue")
    assert (reply.status, reply.json) == (500, BROKEN)


def test_change_shows_after_a_deployment_only(aws: Aws, api: Api) -> None:
    client = aws.client("apigateway")
    where = {"restApiId": api.id, "resourceId": api.resource, "httpMethod": "GET"}
    client.delete_method(**where)
    assert api.get(x_tenant_id="Blue").status == 200
    client.put_method(**where, authorizationType="NONE")
    client.put_integration(**where, type="MOCK", requestTemplates={"application/json": '{"statusCode": 200}'})
    client.put_method_response(**where, statusCode="200")
    client.put_integration_response(**where, statusCode="200", responseTemplates={"application/json": '{"mock": true}'})
    assert api.get(x_tenant_id="Blue").json["tenant"] == "Blue"
    client.create_deployment(restApiId=api.id, stageName="dev")
    assert api.get(x_tenant_id="Blue").json == {"mock": True}


def test_stage_throttle_answers_429(aws: Aws, api: Api) -> None:
    operations = [
        {"op": "replace", "path": "/*/*/throttling/rateLimit", "value": "0.2"},
        {"op": "replace", "path": "/*/*/throttling/burstLimit", "value": "1"},
    ]
    aws.client("apigateway").update_stage(restApiId=api.id, stageName="dev", patchOperations=operations)
    replies = [api.get(x_tenant_id="Blue") for _ in range(2)]
    assert [reply.status for reply in replies] == [200, 429]
    assert replies[1].json == {"message": "Too Many Requests"}


SOURCES = {
    "querystring": ("method.request.querystring.who", "/dev/x?who=FromQuery", {}, "FromQuery"),
    "path": ("method.request.path.tenant", "/dev/FromPath", {}, "FromPath"),
    "header": ("method.request.header.who", "/dev/x", {"who": "FromHeader"}, "FromHeader"),
    "stage variable": ("stageVariables.t", "/dev/x", {}, "FromStage"),
    "literal": ("'FromLiteral'", "/dev/x", {}, "FromLiteral"),
    "context": ("context.stage", "/dev/x", {}, "dev"),
}


@pytest.mark.parametrize("source", SOURCES)
def test_tenant_comes_from_every_kind_of_source(workshop: Workshop, function: Function, source: str) -> None:
    expression, path, headers, tenant = SOURCES[source]
    declared = {expression: False} if expression.startswith("method.") else {}
    api = workshop.api(function, declared=declared, mapping={TENANT_HEADER: expression})
    reply = api.get(path, **headers)
    assert reply.status == 200, reply
    assert json.loads(reply.body)["tenant"] == tenant
