"""Integrations with templates: MOCK, and AWS (a function behind templates); which template, which response, which overrides."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.services.apigateway.conftest import Desk, body_of, header_of

JSON = "application/json"


async def mock(
    desk: Desk,
    templates: dict[str, str] | None = None,
    answers: dict[str, dict[str, Any]] | None = None,
    declared: dict[str, bool] | None = None,
    **integration: Any,
) -> str:
    """An API whose POST /{x} has templates; answers are by status code."""
    api = await desk.api()
    where = {"restApiId": api, "resourceId": await desk.resource(api, "/{x}"), "httpMethod": "POST"}
    await desk.call("PutMethod", **where, authorizationType="NONE")
    integration = {"type": "MOCK", "requestTemplates": templates or {}, **integration}
    await desk.call("PutIntegration", **where, **integration)
    for status, answer in (answers or {"200": {}}).items():
        await desk.call("PutMethodResponse", **where, statusCode=status, responseParameters=declared or {})
        await desk.call("PutIntegrationResponse", **where, statusCode=status, **answer)
    await desk.deploy(api, variables={"v": "stage-value"})
    return api


@pytest.mark.parametrize(
    "template", ['{"statusCode": 404}', "{statusCode:404}", '{"statusCode": "404"}', "{ 'statusCode': 404 }"]
)
async def test_mock_chooses_by_status(desk: Desk, template: str) -> None:
    api = await mock(desk, {JSON: template}, {"200": {}, "404": {"responseTemplates": {JSON: '{"gone": true}'}}})
    response = await desk.get(api, "/dev/a", "POST")
    assert (response.status, body_of(response)) == (404, {"gone": True})


async def test_mock_chooses_by_pattern(desk: Desk) -> None:
    api = await mock(desk, {JSON: '{"statusCode": 418}'}, {"200": {}, "500": {"selectionPattern": r"4\d\d"}})
    assert (await desk.get(api, "/dev/a", "POST")).status == 500


@pytest.mark.parametrize("template", ["{}", "nothing", "[]"])
async def test_mock_without_status_is_broken(desk: Desk, template: str) -> None:
    api = await mock(desk, {JSON: template})
    response = await desk.get(api, "/dev/a", "POST")
    assert (response.status, body_of(response)) == (500, {"message": "Internal server error"})


@pytest.mark.parametrize(
    ("behavior", "content_type", "status"),
    [
        ("WHEN_NO_MATCH", JSON, 200),
        ("WHEN_NO_MATCH", "text/plain", 200),  # the body passes, and says the status itself
        ("NEVER", "text/plain", 415),
        ("WHEN_NO_TEMPLATES", "text/plain", 415),
        ("WHEN_NO_TEMPLATES", "application/json; charset=utf-8", 200),
    ],
)
async def test_passthrough(desk: Desk, behavior: str, content_type: str, status: int) -> None:
    api = await mock(desk, {JSON: '{"statusCode": 200}'}, passthroughBehavior=behavior)
    response = await desk.get(api, "/dev/a", "POST", headers={"Content-Type": content_type}, body=b'{"statusCode": 200}')
    assert response.status == status
    if status == 415:
        assert response.body == b'{"message":"Unsupported Media Type"}'


TEMPLATES = {
    "$input.params('x')": "path-value",
    "$input.params('q')": "query-value",
    "$input.params('X-Head')": "header-value",
    "$input.path('$.a.b[1]')": "2",
    "$input.json('$.a')": '{"b":[1,2]}',
    "$input.body": '{"a":{"b":[1,2]}}',
    "$context.httpMethod $context.resourcePath $context.stage": "POST /{x} dev",
    "$context.identity.sourceIp": "127.0.0.1",
    "$stageVariables.v": "stage-value",
    '$util.escapeJavaScript("it\'s")': "it\\'s",
    "$util.base64Encode('a')|$util.base64Decode('YQ==')": "YQ==|a",
    "$util.urlEncode('a b/c')|$util.urlDecode('a+b%2Fc')": "a+b%2Fc|a b/c",
    "#set($o = $util.parseJson('{\"k\": [1, 2]}'))$o.k[1]": "2",
    "#foreach($i in $input.path('$.a.b'))<$i>#end": "<1><2>",
    "#if($input.params('q') == 'query-value')yes#else no#end": "yes",
}


@pytest.mark.parametrize("template", TEMPLATES)
async def test_velocity(desk: Desk, template: str) -> None:
    api = await mock(desk, {JSON: "$input.body"}, type="AWS", **lambda_())
    where = {"restApiId": api, "resourceId": await desk.resource(api, "/{x}"), "httpMethod": "POST"}
    operations = [{"op": "replace", "path": "/requestTemplates/application~1json", "value": template}]
    await desk.call("UpdateIntegration", **where, patchOperations=operations)
    await desk.deploy(api)
    headers = {"x-head": "header-value"}
    await desk.get(api, "/dev/path-value?q=query-value", "POST", headers=headers, body=b'{"a":{"b":[1,2]}}')
    assert desk.invoker.seen[-1].payload.decode() == TEMPLATES[template]


def lambda_() -> dict[str, Any]:
    function = "arn:aws:lambda:us-east-1:000000000000:function:f:live"
    return {
        "integrationHttpMethod": "POST",
        "uri": f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{function}/invocations",
    }


async def test_template_that_fails_is_500(desk: Desk) -> None:
    api = await mock(desk, {JSON: "$util.parseJson('{')"})
    assert (await desk.get(api, "/dev/a", "POST")).status == 500


async def test_response_override(desk: Desk) -> None:
    template = '#set($context.responseOverride.status = 299)#set($context.responseOverride.header.X-Over = "yes"){"a":1}'
    api = await mock(desk, {JSON: '{"statusCode": 200}'}, {"200": {"responseTemplates": {JSON: template}}})
    response = await desk.get(api, "/dev/a", "POST")
    assert (response.status, response.body, header_of(response, "x-over")) == (299, b'{"a":1}', "yes")


async def test_function_behind_templates(desk: Desk) -> None:
    declared = {"method.response.header.X-Id": True, "method.response.header.X-Kind": True}
    answers = {
        "200": {
            "responseParameters": {"method.response.header.X-Id": "integration.response.body.id"},
            "responseTemplates": {JSON: '{"id": $input.path("$.id"), "stage": "$context.stage"}'},
        },
        "409": {
            "selectionPattern": ".*conflict.*",
            "responseParameters": {"method.response.header.X-Kind": "'conflict'"},
            "responseTemplates": {JSON: '{"error": "$input.path("$.errorMessage")"}'},
        },
    }
    mapping = {"requestParameters": {"integration.request.header.x-amz-tenant-id": "context.stage"}}
    api = await mock(desk, None, answers, declared, type="AWS", **lambda_(), **mapping)
    desk.invoker.answer = {"id": 7}
    response = await desk.get(api, "/dev/a", "POST", body=b'{"in": 1}')
    assert (response.status, body_of(response), header_of(response, "x-id")) == (200, {"id": 7, "stage": "dev"}, "7")
    asked = desk.invoker.seen[-1]
    assert (asked.payload, asked.qualifier, asked.tenant_id) == (b'{"in": 1}', "live", "dev")
    desk.invoker.answer, desk.invoker.function_error = {"errorMessage": "a conflict here"}, "Unhandled"
    response = await desk.get(api, "/dev/a", "POST")
    assert (response.status, body_of(response)) == (409, {"error": "a conflict here"})
    assert header_of(response, "x-kind") == "conflict"
    desk.invoker.answer = {"errorMessage": "else"}
    assert (await desk.get(api, "/dev/a", "POST")).status == 200


async def test_no_fitting_response_is_500(desk: Desk) -> None:
    api = await mock(desk, None, {"200": {"selectionPattern": "never"}}, type="AWS", **lambda_())
    assert (await desk.get(api, "/dev/a", "POST")).status == 500
