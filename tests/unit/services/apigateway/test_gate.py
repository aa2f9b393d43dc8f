"""What stands before an integration (validation, authorizers, limits), and the gateway's own answers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.services.apigateway.conftest import FUNCTION, Desk, body_of, header_of, uri

from tenantry.model.errors import ServiceError
from tenantry.model.invocation import InvokeRequest
from tenantry.services.apigateway.authorize import evaluate

JSON = "application/json"
AUTHORIZER = FUNCTION.removesuffix("f") + "authorizer"
TENANT = "integration.request.header.X-Amz-Tenant-Id"


async def validated(desk: Desk, *, body: bool = False, **options: Any) -> str:
    api = await desk.api()
    pet = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}, "owner": {"$ref": ""}}}
    pet["properties"]["owner"]["$ref"] = f"https://apigateway.amazonaws.com/restapis/{api}/models/Owner"  # type: ignore[index]
    owner = {"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}}
    await desk.call("CreateModel", restApiId=api, name="Owner", contentType=JSON, schema=json.dumps(owner))
    await desk.call("CreateModel", restApiId=api, name="Pet", contentType=JSON, schema=json.dumps(pet))
    validator = await desk.call(
        "CreateRequestValidator", restApiId=api, name="v", validateRequestParameters=not body, validateRequestBody=body
    )
    await desk.method(api, "/{p}", "POST", requestValidatorId=validator["id"], requestModels={JSON: "Pet"}, **options)
    await desk.deploy(api)
    return api


async def test_missing_parameters_are_listed_in_aws_order(desk: Desk) -> None:
    declared = {
        "method.request.querystring.qs1": True,
        "method.request.path.issuer": True,
        "method.request.header.x-b": True,
        "method.request.header.x-a": True,
        "method.request.header.optional": False,
    }
    api = await validated(desk, requestParameters=declared)
    response = await desk.get(api, "/dev/x", "POST", headers={"X-B": ""})
    assert body_of(response) == {"message": "Missing required request parameters: [x-a, x-b, issuer, qs1]"}
    assert header_of(response, "x-amzn-errortype") == "BadRequestException"


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b'{"name": "Rex"}', JSON, 200),
        (b'{"name": "Rex", "owner": {"id": 1}}', JSON, 200),
        (b'{"name": "Rex", "owner": {"id": "one"}}', JSON, 400),
        (b'{"name": 5}', "application/json; charset=utf-8", 400),
        (b'{"name": ', JSON, 400),
        (b"", JSON, 400),
        (b"[]", JSON, 400),
        (b"free text", "text/plain", 200),
    ],
)
async def test_body(desk: Desk, body: bytes, content_type: str, status: int) -> None:
    api = await validated(desk, body=True)
    response = await desk.get(api, "/dev/x", "POST", headers={"Content-Type": content_type}, body=body)
    assert response.status == status
    assert len(desk.invoker.seen) == (status == 200)
    if status == 400:
        assert response.body == b'{"message": "Invalid request body"}'


async def authorized(
    desk: Desk, kind: str = "TOKEN", source: str = "method.request.header.Authorization", **options: Any
) -> str:
    """An API whose functions `f` is behind the function `authorizer`; `context.authorizer.tenantId` names the tenant."""
    api = await desk.api()
    authorizer = await desk.call(
        "CreateAuthorizer",
        restApiId=api,
        name="a",
        type=kind,
        authorizerUri=uri(AUTHORIZER),
        identitySource=source,
        **options,
    )
    await desk.method(
        api,
        "/{x}",
        authorizationType="CUSTOM",
        authorizerId=authorizer["id"],
        integration={"requestParameters": {TENANT: "context.authorizer.tenantId"}},
    )
    await desk.deploy(api)
    return api


def answering(policy: Any = "Allow", **extra: Any) -> Any:
    """The invoker's answer: the authorizer's by its name, the function's otherwise."""

    def answer(request: InvokeRequest) -> Any:
        if request.function != "authorizer":
            return {"statusCode": 200}
        if isinstance(policy, Exception):
            return policy
        document: Any = policy
        if isinstance(policy, str):
            document = {"Statement": [{"Effect": policy, "Action": "execute-api:Invoke", "Resource": "*"}]}
        return {"principalId": "me", "policyDocument": document, "context": {"tenantId": "Blue", "n": 1, "b": True}, **extra}

    return answer


def asked(desk: Desk, function: str) -> list[InvokeRequest]:
    return [request for request in desk.invoker.seen if request.function == function]


async def test_token_authorizer_names_the_tenant(desk: Desk) -> None:
    api = await authorized(desk)
    desk.invoker.answer = answering()
    assert (await desk.get(api, "/dev/a", headers={"authorization": "token"})).status == 200
    question = asked(desk, "authorizer")[0]
    arn = f"arn:aws:execute-api:us-east-1:000000000000:{api}"
    assert json.loads(question.payload) == {"type": "TOKEN", "methodArn": f"{arn}/dev/GET/a", "authorizationToken": "token"}
    assert question.source_arn is not None
    assert question.source_arn.startswith(f"{arn}/authorizers/")
    assert question.tenant_id is None
    assert asked(desk, "f")[0].tenant_id == "Blue"
    context = desk.invoker.event["requestContext"]["authorizer"]
    assert context == {"principalId": "me", "tenantId": "Blue", "n": "1", "b": "true"}


async def test_answers_are_remembered_by_identity(desk: Desk) -> None:
    api = await authorized(desk, authorizerResultTtlInSeconds=60)
    desk.invoker.answer = answering()
    for token in ("one", "one", "two", "one"):
        await desk.get(api, "/dev/a", headers={"Authorization": token})
    assert len(asked(desk, "authorizer")) == 2
    desk.clock.advance(61)
    await desk.get(api, "/dev/a", headers={"Authorization": "one"})
    assert len(asked(desk, "authorizer")) == 3
    await desk.call("FlushStageAuthorizersCache", restApiId=api, stageName="dev")
    await desk.get(api, "/dev/a", headers={"Authorization": "one"})
    assert len(asked(desk, "authorizer")) == 4


async def test_request_authorizer_gets_the_request(desk: Desk) -> None:
    api = await authorized(desk, "REQUEST", "method.request.header.x-key, method.request.querystring.q")
    desk.invoker.answer = answering()
    assert (await desk.get(api, "/dev/a?q=1", headers={"x-key": "k"})).status == 200
    event = json.loads(asked(desk, "authorizer")[0].payload)
    assert (event["type"], event["httpMethod"], event["queryStringParameters"]) == ("REQUEST", "GET", {"q": "1"})
    assert event["methodArn"].endswith(f"{api}/dev/GET/a")
    assert event["requestContext"]["apiId"] == api
    assert "body" not in event
    assert (await desk.get(api, "/dev/a", headers={"x-key": "k"})).status == 401


DENIED = "User is not authorized to access this resource"
OUTCOMES: list[tuple[Any, int, dict[str, Any]]] = [
    (answering("Deny"), 403, {"Message": f"{DENIED} with an explicit deny"}),
    (answering({"Statement": []}), 403, {"Message": DENIED}),
    (answering(ServiceError("AccessDeniedException", "no", status=403)), 500, {"message": None}),
    (lambda request: {"principalId": 5}, 500, {"message": None}),
    (lambda request: b"null", 500, {"message": None}),
    (answering(context={"nested": {}}), 500, {"message": None}),
]


@pytest.mark.parametrize(("answer", "status", "body"), OUTCOMES)
async def test_authorizer_outcomes(desk: Desk, answer: Any, status: int, body: dict[str, Any]) -> None:
    api = await authorized(desk)
    desk.invoker.answer = answer
    response = await desk.get(api, "/dev/a", headers={"Authorization": "t"})
    assert (response.status, body_of(response)) == (status, body)
    assert asked(desk, "f") == []


async def test_missing_or_ill_formed_token_is_unauthorized(desk: Desk) -> None:
    api = await authorized(desk, identityValidationExpression="^Bearer .+")
    for headers in ({}, {"Authorization": "Basic x"}):
        response = await desk.get(api, "/dev/a", headers=headers)
        assert (response.status, response.body) == (401, b'{"message":"Unauthorized"}')
    assert desk.invoker.seen == []


@pytest.mark.parametrize(("message", "status"), [("Unauthorized", 401), ("else", 500)])
async def test_failing_authorizer(desk: Desk, message: str, status: int) -> None:
    api = await authorized(desk)
    desk.invoker.answer, desk.invoker.function_error = {"errorMessage": message}, "Unhandled"
    assert (await desk.get(api, "/dev/a", headers={"Authorization": "t"})).status == status


ARN = "arn:aws:execute-api:us-east-1:000000000000:api/dev/GET/a/b"
STATEMENTS: list[tuple[Any, str | None]] = [
    ({"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": ARN}, "Allow"),
    ({"Effect": "Allow", "Action": "*", "Resource": ["x", "arn:aws:execute-api:*/dev/*/a/?"]}, "Allow"),
    ({"Effect": "Allow", "Action": ["execute-api:*"], "Resource": ARN[:-1]}, None),
    ({"Effect": "Allow", "Action": "lambda:Invoke", "Resource": "*"}, None),
    ({"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"Bool": {}}}, None),
    ({"Effect": "Deny", "Action": "*", "Resource": "x", "Condition": {"Bool": {}}}, "Deny"),
    ([{"Effect": "Allow", "Action": "*", "Resource": "*"}, {"Effect": "Deny", "Action": "*", "Resource": ARN}], "Deny"),
    ([], None),
    ("nonsense", None),
]


@pytest.mark.parametrize(("statement", "outcome"), STATEMENTS)
def test_policies(statement: Any, outcome: str | None) -> None:
    assert evaluate({"Statement": statement}, ARN) == outcome


async def test_custom_gateway_responses(desk: Desk) -> None:
    api = await desk.api()
    await desk.method(api, "/a")
    await desk.call(
        "PutGatewayResponse",
        restApiId=api,
        responseType="MISSING_AUTHENTICATION_TOKEN",
        statusCode="404",
        responseParameters={"gatewayresponse.header.Access-Control-Allow-Origin": "'*'"},
        responseTemplates={
            JSON: '{"m":$context.error.messageString,"t":"$context.error.responseType","id":"$context.requestId"}',
            "text/plain": "no $context.error.message here",
        },
    )
    await desk.call("PutGatewayResponse", restApiId=api, responseType="DEFAULT_5XX", statusCode="503")
    await desk.deploy(api)
    response = await desk.get(api, "/dev/nope")
    assert response.status == 404
    assert header_of(response, "access-control-allow-origin") == "*"
    assert body_of(response) == {
        "m": "Missing Authentication Token",
        "t": "MISSING_AUTHENTICATION_TOKEN",
        "id": header_of(response, "x-amzn-requestid"),
    }
    response = await desk.get(api, "/dev/nope", headers={"Accept": "text/plain, */*"})
    assert (response.body, header_of(response, "content-type")) == (b"no Missing Authentication Token here", "text/plain")
    desk.invoker.answer = "malformed"
    response = await desk.get(api, "/dev/a")
    assert (response.status, body_of(response)) == (503, {"message": "Internal server error"})


async def test_limits(desk: Desk) -> None:
    api = await desk.api()
    await desk.method(api, "/a", "ANY")
    await desk.deploy(api)
    response = await desk.get(api, "/dev/a", "POST", body=b"x" * (10 * 1024 * 1024 + 1))
    assert (response.status, response.body) == (413, b'{"message":"Request Too Long"}')
    assert (await desk.get(api, "/dev/a", headers={"x": "y" * 10_240})).status == 431
    assert desk.invoker.seen == []
    assert (await desk.get(api, "/dev/a", headers={"x": "y" * 10_000})).status == 200


@pytest.mark.parametrize("path", ["/ping", "/sping"])
async def test_reserved_paths(desk: Desk, path: str) -> None:
    assert (await desk.get(await desk.api(), path)).status == 200


async def test_access_log(desk: Desk) -> None:
    api = await desk.api()
    await desk.method(api, "/a")
    await desk.deploy(api)
    arn = "arn:aws:logs:us-east-1:000000000000:log-group:/api/log"
    operations = [
        {"op": "replace", "path": "/accessLogSettings/destinationArn", "value": arn},
        {"op": "replace", "path": "/accessLogSettings/format", "value": "$context.httpMethod $context.status $context.nope"},
    ]
    await desk.call("UpdateStage", restApiId=api, stageName="dev", patchOperations=operations)
    await desk.get(api, "/dev/a")
    assert desk.log.lines == [("us-east-1", "/api/log", "GET 200 -")]
    firehose = [{"op": "replace", "path": "/accessLogSettings/destinationArn", "value": "arn:aws:firehose:us-east-1:1:x"}]
    refused = await desk.refused("UpdateStage", restApiId=api, stageName="dev", patchOperations=firehose)
    assert refused.code == "BadRequestException"
