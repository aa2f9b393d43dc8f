"""Numbered checks of aws-behaviour 8, 53 to 70, against a function double: what Lambda is asked, and what the client gets."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.services.apigateway.conftest import Desk, body_of, header_of

from tenantry.model.errors import ServiceError

TENANT = "integration.request.header.X-Amz-Tenant-Id"
ENABLED = "The invoked function is enabled with tenancy configuration. Add a valid tenant ID in your request and try again."
NOT_ENABLED = (
    "The invoked function is not enabled with tenancy configuration. Remove the tenant ID from your request and try again."
)
BROKEN = {"message": "Internal server error"}
MISSING_TOKEN = {"message": "Missing Authentication Token"}


async def sample(desk: Desk) -> str:
    """The public sample's API."""
    api = await desk.api()
    validator = (await desk.call("CreateRequestValidator", restApiId=api, name="v", validateRequestParameters=True))["id"]
    await desk.method(
        api,
        "/isolated",
        requestParameters={"method.request.header.x-tenant-id": True},
        requestValidatorId=validator,
        integration={"requestParameters": {TENANT: "method.request.header.x-tenant-id"}},
    )
    await desk.method(
        api,
        "/standard",
        requestParameters={"method.request.header.tenant-id": False},
        integration={"requestParameters": {TENANT: "method.request.header.tenant-id"}},
    )
    await options(
        desk, api, "/isolated", {"Headers": "'Content-Type,x-tenant-id'", "Methods": "'GET,OPTIONS'", "Origin": "'*'"}
    )
    await desk.deploy(api)
    return api


async def options(desk: Desk, api: str, path: str, allow: dict[str, str]) -> None:
    where = {"restApiId": api, "resourceId": await desk.resource(api, path), "httpMethod": "OPTIONS"}
    names = {f"method.response.header.Access-Control-Allow-{name}": value for name, value in allow.items()}
    await desk.call("PutMethod", **where, authorizationType="NONE")
    await desk.call("PutMethodResponse", **where, statusCode="200", responseParameters=dict.fromkeys(names, False))
    await desk.call("PutIntegration", **where, type="MOCK", requestTemplates={"application/json": '{"statusCode": 200}'})
    await desk.call(
        "PutIntegrationResponse",
        **where,
        statusCode="200",
        responseParameters=names,
        responseTemplates={"application/json": ""},
    )


async def test_53_missing_header(desk: Desk) -> None:
    api = await sample(desk)
    response = await desk.get(api, "/dev/isolated")
    assert response.status == 400
    assert response.body == b'{"message": "Missing required request parameters: [x-tenant-id]"}'
    assert header_of(response, "x-amzn-ErrorType") == "BadRequestException"
    assert desk.invoker.seen == []


async def test_54_answer_of_the_function(desk: Desk) -> None:
    api = await sample(desk)
    headers = {"Content-Type": "application/json", "Cache-Control": "no-cache"}
    desk.invoker.answer = {"statusCode": 200, "headers": headers, "body": '{"counter": 1}'}
    response = await desk.get(api, "/dev/isolated", headers={"x-tenant-id": "BlueTenant"})
    assert (response.status, response.body) == (200, b'{"counter": 1}')
    assert header_of(response, "cache-control") == "no-cache"
    assert header_of(response, "content-type") == "application/json"
    asked = desk.invoker.seen[0]
    assert (asked.function, asked.qualifier, asked.tenant_id) == ("f", None, "BlueTenant")
    assert asked.source_service == "apigateway.amazonaws.com"
    assert asked.source_arn == f"arn:aws:execute-api:us-east-1:000000000000:{api}/dev/GET/isolated"
    assert asked.request_id == header_of(response, "x-amzn-requestid")


@pytest.mark.parametrize("name", ["x-tenant-id", "X-TENANT-ID", "X-Tenant-Id"])
async def test_55_header_names_have_no_case(desk: Desk, name: str) -> None:
    api = await sample(desk)
    assert (await desk.get(api, "/dev/isolated", headers={name: "Blue"})).status == 200
    assert desk.invoker.tenant == "Blue"


async def test_56_unmapped_header_names_no_tenant(desk: Desk) -> None:
    api = await sample(desk)
    assert (await desk.get(api, "/dev/standard", headers={"x-tenant-id": "Blue"})).status == 200
    assert desk.invoker.tenant is None


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("InvalidParameterValueException", NOT_ENABLED),  # 57
        ("InvalidParameterValueException", ENABLED),  # 58
        ("ValidationException", "1 validation error detected: Value 'bad!id' at 'tenantId' failed"),  # 59
    ],
)
async def test_57_to_59_lambdas_words_about_tenancy_reach_the_client(desk: Desk, code: str, message: str) -> None:
    api = await sample(desk)
    desk.invoker.answer = ServiceError(code, message)
    response = await desk.get(api, "/dev/standard", headers={"tenant-id": "bad!id"})
    assert desk.invoker.tenant == "bad!id"
    assert (response.status, body_of(response)) == (400, {"message": message})


async def test_58_lambdas_own_header_from_a_client_names_no_tenant(desk: Desk) -> None:
    api = await sample(desk)
    assert (await desk.get(api, "/dev/isolated", headers={"X-Amz-Tenant-Id": "Blue"})).status == 400
    assert (await desk.get(api, "/dev/standard", headers={"X-Amz-Tenant-Id": "Blue"})).status == 200
    assert desk.invoker.tenant is None
    assert desk.invoker.event["headers"]["X-Amz-Tenant-Id"] == "Blue"


async def test_61_options(desk: Desk) -> None:
    api = await sample(desk)
    response = await desk.get(api, "/dev/isolated", "OPTIONS")
    assert (response.status, response.body) == (200, b"")
    allowed = {name.lower(): value for name, value in response.headers if name.startswith("Access-Control")}
    assert allowed == {
        "access-control-allow-headers": "Content-Type,x-tenant-id",
        "access-control-allow-methods": "GET,OPTIONS",
        "access-control-allow-origin": "*",
    }
    assert header_of(response, "X-Amzn-Trace-Id") is None
    assert desk.invoker.seen == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/dev/isolated"),
        ("GET", "/dev/nope"),
        ("GET", "/prod/isolated"),
        ("GET", "/dev"),
        ("GET", "/"),
        ("GET", "/dev/"),
    ],
)
async def test_62_what_is_not_there(desk: Desk, method: str, path: str) -> None:
    api = await sample(desk)
    response = await desk.get(api, path, method)
    assert (response.status, response.body) == (403, b'{"message":"Missing Authentication Token"}')
    assert header_of(response, "x-amzn-ErrorType") == "MissingAuthenticationTokenException"


async def test_62_unknown_api(desk: Desk) -> None:
    response = await desk.get("nosuchapi0", "/dev/isolated")
    assert (response.status, response.body) == (403, b'{"message":"Forbidden"}')


async def test_63_event(desk: Desk) -> None:
    api = await sample(desk)
    await desk.get(api, "/dev/isolated", headers={"x-tenant-id": "Blue", "user-agent": "curl/8"})
    event = desk.invoker.event
    assert list(event) == [
        "resource",
        "path",
        "httpMethod",
        "headers",
        "multiValueHeaders",
        "queryStringParameters",
        "multiValueQueryStringParameters",
        "pathParameters",
        "stageVariables",
        "requestContext",
        "body",
        "isBase64Encoded",
    ]
    for name in ("queryStringParameters", "multiValueQueryStringParameters", "pathParameters", "stageVariables", "body"):
        assert event[name] is None
    assert (event["path"], event["resource"], event["httpMethod"]) == ("/isolated", "/isolated", "GET")
    assert event["headers"]["x-tenant-id"] == "Blue"
    assert "x-amz-tenant-id" not in {name.lower() for name in event["headers"]}
    context = event["requestContext"]
    assert (context["path"], context["stage"], context["apiId"]) == ("/dev/isolated", "dev", api)
    assert (context["requestTime"], context["requestTimeEpoch"]) == ("01/Jan/2026:00:00:00 +0000", 1767225600000)
    assert context["identity"]["userAgent"] == "curl/8"
    assert context["identity"]["sourceIp"] == "127.0.0.1"
    assert context["accountId"] == "000000000000"
    assert context["domainName"] == f"{api}.execute-api.us-east-1.amazonaws.com"


async def test_64_ids(desk: Desk) -> None:
    api = await sample(desk)
    for path in ("/dev/isolated", "/dev/standard", "/dev/nope", "/nope"):
        response = await desk.get(api, path)
        assert header_of(response, "x-amzn-RequestId")
        assert header_of(response, "x-amz-apigw-id")
        assert (header_of(response, "X-Amzn-Trace-Id") is not None) == (path == "/dev/standard")


@pytest.mark.parametrize(
    "answer",
    [
        [1],
        None,
        "text",
        b"not json",
        {"statusCode": "abc"},
        {"statusCode": 99},
        {"statusCode": 700},
        {"statusCode": 200.5},
        {"statusCode": True},
        {"statusCode": 200, "extra": 1},
        {"body": 5},
        {"body": {}},
        {"headers": []},
        {"headers": {"a": ["b"]}},
        {"headers": {"a": None}},
        {"headers": {"a": "b\r\nSet-Cookie: c"}},
        {"multiValueHeaders": {"a": "b"}},
        {"isBase64Encoded": "yes"},
    ],
)
async def test_65_malformed_result(desk: Desk, answer: Any) -> None:
    api = await sample(desk)
    desk.invoker.answer = answer
    response = await desk.get(api, "/dev/standard")
    assert (response.status, response.body) == (502, b'{"message": "Internal server error"}')
    assert header_of(response, "x-amzn-ErrorType") == "InternalServerErrorException"


async def test_65_function_error(desk: Desk) -> None:
    api = await sample(desk)
    desk.invoker.function_error = "Unhandled"
    assert (await desk.get(api, "/dev/standard")).status == 502


async def test_66_timeout(desk: Desk) -> None:
    api = await desk.api()
    await desk.method(api, "/slow", integration={"timeoutInMillis": 50})
    await desk.deploy(api)
    desk.invoker.delay_s = 0.2
    response = await desk.get(api, "/dev/slow")
    assert (response.status, response.body) == (504, b'{"message": "Endpoint request timed out"}')


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ServiceError("AccessDeniedException", "no", status=403), 500),  # 67
        (ServiceError("ResourceNotFoundException", "no", status=404), 500),
        (ServiceError("TooManyRequestsException", "Rate Exceeded.", status=429), 500),
        (ServiceError("ResourceConflictException", "pending", status=409), 500),
        (ServiceError("RequestTooLargeException", "big", status=413), 413),
    ],
)
async def test_67_lambdas_other_refusals(desk: Desk, error: ServiceError, status: int) -> None:
    api = await sample(desk)
    desk.invoker.answer = error
    response = await desk.get(api, "/dev/standard")
    assert response.status == status
    if status == 500:
        assert body_of(response) == BROKEN


async def test_68_changes_show_after_a_deployment_only(desk: Desk) -> None:
    api = await sample(desk)
    where = {"restApiId": api, "resourceId": await desk.resource(api, "/standard"), "httpMethod": "GET"}
    await desk.call("DeleteMethod", **where)
    assert (await desk.get(api, "/dev/standard")).status == 200
    deployment = (await desk.call("CreateDeployment", restApiId=api))["id"]
    assert (await desk.get(api, "/dev/standard")).status == 200
    operations = [{"op": "replace", "path": "/deploymentId", "value": deployment}]
    await desk.call("UpdateStage", restApiId=api, stageName="dev", patchOperations=operations)
    assert (await desk.get(api, "/dev/standard")).status == 403


SOURCES = {
    "header": ("method.request.header.who", "/dev/p/x", {"Who": "Blue"}),
    "last of repeated headers": ("method.request.header.who", "/dev/p/x", [("Who", "Red"), ("who", "Blue")]),
    "multivalueheader": ("method.request.multivalueheader.who", "/dev/p/x", {"who": "Blue"}),
    "querystring": ("method.request.querystring.tenant", "/dev/p/x?tenant=Bl%75e", {}),
    "multivaluequerystring": ("method.request.multivaluequerystring.tenant", "/dev/p/x?tenant=Blue", {}),
    "path": ("method.request.path.t", "/dev/p/Blue", {}),
    "encoded path": ("method.request.path.t", "/dev/p/%42lue", {}),
    "body": ("method.request.body.who[0].name", "/dev/p/x", {}),
    "stage variable": ("stageVariables.t", "/dev/p/x", {}),
    "literal": ("'Blue'", "/dev/p/x", {}),
    "context": ("context.identity.userAgent", "/dev/p/x", {"User-Agent": "Blue"}),
    "spaces around": ("'  Blue '", "/dev/p/x", {}),
}


@pytest.mark.parametrize("source", SOURCES)
async def test_69_tenant_from_every_source(desk: Desk, source: str) -> None:
    expression, path, headers = SOURCES[source]
    api = await desk.api()
    declared = {expression: False} if expression.startswith("method.") and ".body" not in expression else {}
    await desk.method(
        api, "/p/{t}", "POST", requestParameters=declared, integration={"requestParameters": {TENANT: expression}}
    )
    await desk.deploy(api, variables={"t": "Blue"})
    response = await desk.get(api, path, "POST", headers=headers, body=b'{"who": [{"name": "Blue"}]}')
    assert response.status == 200
    assert desk.invoker.tenant == "Blue"


@pytest.mark.parametrize(
    "expression", ["method.request.header.who", "method.request.querystring.who", "stageVariables.no", "context.no", "''"]
)
async def test_69_absent_source_names_no_tenant(desk: Desk, expression: str) -> None:
    api = await desk.api()
    declared = {expression: False} if expression.startswith("method.") else {}
    await desk.method(api, "/", requestParameters=declared, integration={"requestParameters": {TENANT: expression}})
    await desk.deploy(api)
    assert (await desk.get(api, "/dev")).status == 200
    assert desk.invoker.tenant is None


async def test_69_value_that_would_split_a_header_is_refused(desk: Desk) -> None:
    api = await desk.api()
    await desk.method(
        api,
        "/",
        requestParameters={"method.request.querystring.t": False},
        integration={"requestParameters": {TENANT: "method.request.querystring.t"}},
    )
    await desk.deploy(api)
    response = await desk.get(api, "/dev?t=Blue%0d%0aX-Other:+1")
    assert (response.status, body_of(response)) == (500, BROKEN)
    assert desk.invoker.seen == []


@pytest.mark.parametrize(
    "target", ["Authorization", "connection", "Expect", "Proxy-Authenticate", "TE", "content-length", "Transfer-Encoding"]
)
async def test_illegal_targets_fail_when_called(desk: Desk, target: str) -> None:
    api = await desk.api()
    await desk.method(api, "/", integration={"requestParameters": {f"integration.request.header.{target}": "'x'"}})
    await desk.deploy(api)
    response = await desk.get(api, "/dev")
    assert (response.status, body_of(response)) == (500, BROKEN)
    assert header_of(response, "x-amzn-ErrorType") == "InternalServerErrorException"
    assert desk.invoker.seen == []


async def test_mapped_headers_never_alter_the_event(desk: Desk) -> None:
    api = await desk.api()
    mapping = {"integration.request.header.headerVar": "method.request.header.foobar"}
    await desk.method(
        api, "/", requestParameters={"method.request.header.foobar": False}, integration={"requestParameters": mapping}
    )
    await desk.deploy(api)
    await desk.get(api, "/dev", headers={"headerVar": "own", "foobar": "other"})
    assert desk.invoker.event["headers"]["headerVar"] == "own"


async def test_70_throttle(desk: Desk) -> None:
    api = await sample(desk)
    operations = [
        {"op": "replace", "path": "/*/*/throttling/rateLimit", "value": "1"},
        {"op": "replace", "path": "/*/*/throttling/burstLimit", "value": "1"},
    ]
    stage = await desk.call("UpdateStage", restApiId=api, stageName="dev", patchOperations=operations)
    assert stage["methodSettings"]["*/*"]["throttlingRateLimit"] == 1.0
    assert (await desk.get(api, "/dev/standard")).status == 200
    response = await desk.get(api, "/dev/standard")
    assert (response.status, response.body) == (429, b'{"message":"Too Many Requests"}')
    assert header_of(response, "x-amzn-ErrorType") == "TooManyRequestsException"
    assert (await desk.get(api, "/dev/isolated", headers={"x-tenant-id": "Blue"})).status == 200
    desk.clock.advance(1.0)
    assert (await desk.get(api, "/dev/standard")).status == 200


async def test_70_a_methods_own_throttle_comes_first(desk: Desk) -> None:
    api = await sample(desk)
    operations = [
        {"op": "replace", "path": "/~1standard/GET/throttling/burstLimit", "value": "2"},
        {"op": "replace", "path": "/~1standard/GET/throttling/rateLimit", "value": "0"},
        {"op": "replace", "path": "/*/*/throttling/burstLimit", "value": "0"},
    ]
    stage = await desk.call("UpdateStage", restApiId=api, stageName="dev", patchOperations=operations)
    assert set(stage["methodSettings"]) == {"~1standard/GET", "*/*"}
    assert [(await desk.get(api, "/dev/standard")).status for _ in range(3)] == [200, 200, 429]
    assert (await desk.get(api, "/dev/isolated", headers={"x-tenant-id": "Blue"})).status == 429
