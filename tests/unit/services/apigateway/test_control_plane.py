"""The control plane: what is kept and returned, what is refused leaving nothing behind, and that a restart changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.services.apigateway.conftest import FUNCTION, Desk, model, uri

from tenantry.services.apigateway.service import invoke_url
from tenantry.store.documents import Documents

JSON = "application/json"


async def test_new_api(desk: Desk) -> None:
    made = await desk.call(
        "CreateRestApi",
        name="n",
        description="d",
        endpointConfiguration={"types": ["REGIONAL"]},
        securityPolicy="SecurityPolicy_TLS13_1_3_2025_09",
        endpointAccessMode="BASIC",
        tags={"a": "b"},
    )
    assert len(made["id"]) == 10
    assert made["id"].isalnum()
    assert made["endpointConfiguration"]["types"] == ["REGIONAL"]
    assert (made["securityPolicy"], made["endpointAccessMode"]) == ("SecurityPolicy_TLS13_1_3_2025_09", "BASIC")
    assert await desk.call("GetRestApi", restApiId=made["id"]) == made
    resources = (await desk.call("GetResources", restApiId=made["id"]))["items"]
    assert resources == [{"id": made["rootResourceId"], "path": "/"}]
    models = (await desk.call("GetModels", restApiId=made["id"]))["items"]
    assert {model["name"]: model["description"] for model in models} == {
        "Empty": "This is a default empty schema model",
        "Error": "This is a default error schema model",
    }


async def test_delete_removes_everything(desk: Desk) -> None:
    other = await desk.api()
    before = desk.everything()
    api = await desk.api()
    await desk.method(api, "/a/b")
    await desk.deploy(api)
    await desk.call("PutGatewayResponse", restApiId=api, responseType="THROTTLED", statusCode="420")
    await desk.call("CreateRequestValidator", restApiId=api, name="v")
    await desk.call("DeleteRestApi", restApiId=api)
    assert desk.everything() == before
    assert (await desk.get(api, "/dev/a/b")).body == b'{"message":"Forbidden"}'
    assert (await desk.refused("GetRestApi", restApiId=api)).message == f"Invalid API identifier specified 000000000000:{api}"
    assert await desk.call("GetRestApi", restApiId=other)


async def test_regions_are_apart(desk: Desk) -> None:
    api = await desk.api()
    elsewhere = Desk(desk.documents, "eu-west-1")
    assert (await elsewhere.call("GetRestApis"))["items"] == []
    assert (await elsewhere.refused("GetRestApi", restApiId=api)).code == "NotFoundException"


async def test_pages(desk: Desk) -> None:
    ids = sorted([await desk.api() for _ in range(5)])
    first = await desk.call("GetRestApis", limit=2)
    second = await desk.call("GetRestApis", limit=2, position=first["position"])
    third = await desk.call("GetRestApis", limit=2, position=second["position"])
    assert [item["id"] for page in (first, second, third) for item in page["items"]] == ids
    assert "position" not in third


async def test_resources(desk: Desk) -> None:
    api = await desk.api()
    await desk.method(api, "/pets/{id}")
    items = (await desk.call("GetResources", restApiId=api))["items"]
    paths = {item["path"]: item for item in items}
    assert set(paths) == {"/", "/pets", "/pets/{id}"}
    assert paths["/pets/{id}"]["resourceMethods"] == {"GET": {}}
    embedded = await desk.call("GetResource", restApiId=api, resourceId=paths["/pets/{id}"]["id"], embed=["methods"])
    assert embedded["resourceMethods"]["GET"]["methodIntegration"]["type"] == "AWS_PROXY"
    operations = [{"op": "replace", "path": "/pathPart", "value": "animals"}]
    renamed = await desk.call("UpdateResource", restApiId=api, resourceId=paths["/pets"]["id"], patchOperations=operations)
    assert renamed["path"] == "/animals"
    items = (await desk.call("GetResources", restApiId=api))["items"]
    assert {item["path"] for item in items} == {"/", "/animals", "/animals/{id}"}
    await desk.call("DeleteResource", restApiId=api, resourceId=renamed["id"])
    assert [item["path"] for item in (await desk.call("GetResources", restApiId=api))["items"]] == ["/"]


async def test_method_with_everything(desk: Desk) -> None:
    api = await desk.api()
    where = await desk.method(api, "/a")
    put = await desk.call("GetIntegration", **where)
    assert (put["timeoutInMillis"], put["cacheNamespace"], put["cacheKeyParameters"]) == (29000, where["resourceId"], [])
    assert (put["httpMethod"], put["passthroughBehavior"]) == ("POST", "WHEN_NO_MATCH")
    await desk.call("PutMethodResponse", **where, statusCode="200", responseModels={JSON: "Empty"})
    await desk.call("PutIntegrationResponse", **where, statusCode="200", responseTemplates={JSON: ""})
    operations = [
        {"op": "add", "path": "/requestParameters/method.request.header.x", "value": "true"},
        {"op": "replace", "path": "/operationName", "value": "doIt"},
    ]
    method = await desk.call("UpdateMethod", **where, patchOperations=operations)
    assert method["requestParameters"] == {"method.request.header.x": True}
    assert method["operationName"] == "doIt"
    assert method["methodResponses"]["200"] == {"statusCode": "200", "responseModels": {JSON: "Empty"}}
    assert method["methodIntegration"]["integrationResponses"]["200"]["statusCode"] == "200"
    operations = [{"op": "add", "path": "/requestTemplates/application~1json", "value": "{}"}]
    integration = await desk.call("UpdateIntegration", **where, patchOperations=operations)
    assert integration["requestTemplates"] == {JSON: "{}"}
    await desk.call("DeleteIntegrationResponse", **where, statusCode="200")
    await desk.call("DeleteMethodResponse", **where, statusCode="200")
    await desk.call("DeleteIntegration", **where)
    assert (await desk.refused("GetIntegration", **where)).message == "Invalid Integration identifier specified"
    await desk.call("DeleteMethod", **where)
    assert (await desk.refused("GetMethod", **where)).message == "Invalid Method identifier specified"


async def test_stages_and_deployments(desk: Desk) -> None:
    api = await desk.api()
    await desk.method(api, "/a")
    first = (await desk.call("CreateDeployment", restApiId=api, description="one"))["id"]
    stage = await desk.call("CreateStage", restApiId=api, stageName="dev", deploymentId=first, variables={"a": "b"})
    assert (stage["variables"], stage["cacheClusterStatus"], stage["deploymentId"]) == ({"a": "b"}, "NOT_AVAILABLE", first)
    second = await desk.deploy(api)
    stage = await desk.call("GetStage", restApiId=api, stageName="dev")
    assert (stage["deploymentId"], stage["variables"]) == (second, {"a": "b"})
    assert [item["stageName"] for item in (await desk.call("GetStages", restApiId=api))["item"]] == ["dev"]
    assert (await desk.call("GetStages", restApiId=api, deploymentId=first))["item"] == []
    summary = (await desk.call("GetDeployment", restApiId=api, deploymentId=second, embed=["apisummary"]))["apiSummary"]
    assert summary == {"/a": {"GET": {"authorizationType": "NONE", "apiKeyRequired": False}}}
    refused = await desk.refused("DeleteDeployment", restApiId=api, deploymentId=second)
    assert refused.message == "Active stages pointing to this deployment must be moved or deleted"
    await desk.call("DeleteDeployment", restApiId=api, deploymentId=first)
    await desk.call("DeleteStage", restApiId=api, stageName="dev")
    await desk.call("DeleteDeployment", restApiId=api, deploymentId=second)
    assert (await desk.call("GetDeployments", restApiId=api))["items"] == []


async def test_settings_of_methods(desk: Desk) -> None:
    api = await desk.api()
    await desk.method(api, "/a")
    await desk.deploy(api)

    async def settings(*operations: tuple[str, str, str]) -> Any:
        patches = [{"op": op, "path": path, "value": value} for op, path, value in operations]
        return (await desk.call("UpdateStage", restApiId=api, stageName="dev", patchOperations=patches)).get("methodSettings")

    made = await settings(
        ("replace", "/~1a~1b/GET/throttling/burstLimit", "7"),
        ("replace", "/*/*/logging/loglevel", "INFO"),
        ("replace", "/*/*/metrics/enabled", "true"),
    )
    assert made["~1a~1b/GET"]["throttlingBurstLimit"] == 7
    assert (made["*/*"]["loggingLevel"], made["*/*"]["metricsEnabled"]) == ("INFO", True)
    assert set(await settings(("remove", "/~1a~1b/GET", ""))) == {"*/*"}
    assert await settings(("remove", "/*/*/logging/loglevel", "")) is None
    operations = [{"op": "remove", "path": "/~1a/GET"}]
    assert (await desk.refused("UpdateStage", restApiId=api, stageName="dev", patchOperations=operations)).status == 400


async def test_gateway_responses(desk: Desk) -> None:
    api = await desk.api()
    kinds = (await desk.call("GetGatewayResponses", restApiId=api))["items"]
    assert len(kinds) == 21
    assert all(kind["defaultResponse"] for kind in kinds)
    await desk.call("PutGatewayResponse", restApiId=api, responseType="THROTTLED", statusCode="420")
    kind = await desk.call("GetGatewayResponse", restApiId=api, responseType="THROTTLED")
    assert (kind["statusCode"], kind["defaultResponse"]) == ("420", False)
    await desk.call("DeleteGatewayResponse", restApiId=api, responseType="THROTTLED")
    kind = await desk.call("GetGatewayResponse", restApiId=api, responseType="THROTTLED")
    assert (kind["statusCode"], kind["defaultResponse"]) == ("429", True)


async def test_tags(desk: Desk) -> None:
    api = await desk.api()
    arn = f"arn:aws:apigateway:us-east-1::/restapis/{api}"
    await desk.call("TagResource", resourceArn=arn, tags={"a": "1", "b": "2"})
    await desk.call("UntagResource", resourceArn=arn, tagKeys=["a"])
    assert await desk.call("GetTags", resourceArn=arn) == {"tags": {"b": "2"}}
    assert (await desk.refused("TagResource", resourceArn=arn, tags={"aws:x": "1"})).code == "BadRequestException"
    assert (await desk.refused("GetTags", resourceArn=arn + "0")).code == "NotFoundException"


async def test_api_patches(desk: Desk) -> None:
    api = await desk.api()
    operations = [
        {"op": "replace", "path": "/name", "value": "new"},
        {"op": "add", "path": "/binaryMediaTypes/image~1png"},
        {"op": "replace", "path": "/endpointConfiguration/types/EDGE", "value": "REGIONAL"},
        {"op": "replace", "path": "/disableExecuteApiEndpoint", "value": "true"},
    ]
    changed = await desk.call("UpdateRestApi", restApiId=api, patchOperations=operations)
    assert (changed["name"], changed["binaryMediaTypes"]) == ("new", ["image/png"])
    assert changed["endpointConfiguration"]["types"] == ["REGIONAL"]
    await desk.method(api, "/a")
    await desk.deploy(api)
    assert (await desk.get(api, "/dev/a")).body == b'{"message":"Forbidden"}'


PATCHES: list[tuple[str, Any, Any]] = [
    ("replace", "/nope", "x"),
    ("move", "/name", "x"),
    ("replace", "/name", ""),
    ("replace", "/minimumCompressionSize", "x"),
    ("replace", "/disableExecuteApiEndpoint", "perhaps"),
    ("replace", "/policy", "{}"),
    ("replace", "/endpointConfiguration/types/EDGE", "PRIVATE"),
]


@pytest.mark.parametrize(("op", "path", "value"), PATCHES)
async def test_bad_patches(desk: Desk, op: str, path: str, value: Any) -> None:
    api = await desk.api()
    operations = [{"op": op, "path": path, "value": value}]
    assert (await desk.refused("UpdateRestApi", restApiId=api, patchOperations=operations)).code == "BadRequestException"


def invalid(expression: str) -> str:
    return (
        "Invalid mapping expression specified: Validation Result: warnings : [], errors : "
        f"[Invalid mapping expression specified: {expression}]"
    )


METHOD_REFUSALS = [
    ({"httpMethod": "FETCH"}, None),
    ({"authorizationType": "AWS_IAM"}, "tenantry does not support authorizationType AWS_IAM: it would not be enforced."),
    ({"authorizationType": "COGNITO_USER_POOLS"}, None),
    ({"authorizationType": "CUSTOM", "authorizerId": "none"}, None),
    ({"apiKeyRequired": True}, None),
    ({"requestModels": {JSON: "Nope"}}, "Invalid model identifier specified: Nope"),
    ({"requestValidatorId": "nope"}, "Invalid Request Validator identifier specified"),
    ({"requestParameters": {"x": True}}, invalid("x")),
]


@pytest.mark.parametrize(("change", "message"), METHOD_REFUSALS)
async def test_put_method_refusals(desk: Desk, change: dict[str, Any], message: str | None) -> None:
    api = await desk.api()
    where = {"restApiId": api, "resourceId": await desk.resource(api, "/a"), "httpMethod": "GET"}
    refused = await desk.refused("PutMethod", **{**where, "authorizationType": "NONE", **change})
    assert (refused.code, refused.status) == ("BadRequestException", 400)
    assert message in (None, refused.message)


S3_URI = "arn:aws:apigateway:us-east-1:s3:path/bucket"
INTEGRATION_REFUSALS = [
    ({"integrationHttpMethod": None}, "Enumeration value for HttpMethod must be non-empty"),
    (
        {"uri": S3_URI},
        "Integrations of type 'AWS_PROXY' currently only supports Lambda function and Firehose stream invocations.",
    ),
    ({"uri": "arn:aws:apigateway:us-east-1:lambda:nothing"}, "AWS ARN for integration must contain path or action"),
    ({"uri": "https://example.com"}, "Invalid ARN specified in the request"),
    ({"uri": None}, "Invalid ARN specified in the request"),
    ({"uri": uri("arn:aws:lambda:us-east-1:1:function:f")}, None),
    ({"uri": uri().replace("/invocations", "/response-streaming-invocations")}, None),
    ({"type": "AWS", "uri": S3_URI}, None),
    ({"type": "HTTP", "uri": "https://example.com"}, None),
    ({"type": "HTTP_PROXY", "uri": "https://example.com"}, None),
    ({"connectionType": "VPC_LINK"}, None),
    ({"responseTransferMode": "STREAM"}, None),
    ({"timeoutInMillis": 49}, "Timeout should be between 50 ms and 29000 ms"),
    ({"timeoutInMillis": 29001}, "Timeout should be between 50 ms and 29000 ms"),
    ({"passthroughBehavior": "SOMETIMES"}, None),
    ({"requestParameters": {"integration.request.header.a": "x"}}, invalid("x")),
    ({"requestParameters": {"x": "'a'"}}, invalid("x")),
    (
        {"requestParameters": {"integration.request.header.a": "method.request.header.undeclared"}},
        "Invalid mapping expression parameter specified: method.request.header.undeclared",
    ),
    ({"requestTemplates": {JSON: "$input.__class__"}}, None),
    ({"requestTemplates": {JSON: '#set($a = "")$a.format($input)'}}, None),
    ({"requestTemplates": {JSON: "x" * 307201}}, None),
]


@pytest.mark.parametrize(("change", "message"), INTEGRATION_REFUSALS)
async def test_put_integration_refusals(desk: Desk, change: dict[str, Any], message: str | None) -> None:
    api = await desk.api()
    where = await desk.method(api, "/a")
    params = {**where, "type": "AWS_PROXY", "integrationHttpMethod": "POST", "uri": uri(), **change}
    refused = await desk.refused("PutIntegration", **params)
    assert (refused.code, refused.status) == ("BadRequestException", 400)
    assert message in (None, refused.message)


async def test_other_refusals(desk: Desk) -> None:
    api = await desk.api()
    where = await desk.method(api, "/a")
    root, a = await desk.resource(api, "/"), await desk.resource(api, "/a")
    greedy = await desk.resource(api, "/g/{p+}")
    await desk.resource(api, "/v/{one}")
    v = await desk.resource(api, "/v")
    empty = await desk.api()
    table: list[tuple[str, dict[str, Any], str, str | None]] = [
        ("CreateRestApi", {"name": " "}, "BadRequestException", None),
        ("CreateRestApi", {"name": "n", "policy": "{}"}, "BadRequestException", None),
        ("CreateRestApi", {"name": "n", "endpointConfiguration": {"types": ["PRIVATE"]}}, "BadRequestException", None),
        (
            "CreateResource",
            {"restApiId": api, "parentId": root, "pathPart": "a"},
            "ConflictException",
            "Another resource with the same parent already has this name: a",
        ),
        ("CreateResource", {"restApiId": api, "parentId": root, "pathPart": "a/b"}, "BadRequestException", None),
        ("CreateResource", {"restApiId": api, "parentId": root, "pathPart": "{b"}, "BadRequestException", None),
        ("CreateResource", {"restApiId": api, "parentId": greedy, "pathPart": "b"}, "BadRequestException", None),
        ("CreateResource", {"restApiId": api, "parentId": v, "pathPart": "{two}"}, "ConflictException", None),
        (
            "CreateResource",
            {"restApiId": api, "parentId": "nope", "pathPart": "b"},
            "NotFoundException",
            "Invalid Resource identifier specified",
        ),
        ("DeleteResource", {"restApiId": api, "resourceId": root}, "BadRequestException", None),
        (
            "UpdateResource",
            {"restApiId": api, "resourceId": a, "patchOperations": [{"op": "replace", "path": "/parentId", "value": a}]},
            "BadRequestException",
            None,
        ),
        ("PutMethod", {**where, "authorizationType": "NONE"}, "ConflictException", "Method already exists for this resource"),
        ("GetMethod", {**where, "httpMethod": "PUT"}, "NotFoundException", "Invalid Method identifier specified"),
        ("PutMethodResponse", {**where, "statusCode": "42"}, "BadRequestException", None),
        (
            "PutIntegrationResponse",
            {**where, "statusCode": "200"},
            "NotFoundException",
            "Invalid Response status code specified",
        ),
        ("CreateModel", {"restApiId": api, "name": "a-b", "contentType": JSON}, "BadRequestException", None),
        ("CreateModel", {"restApiId": api, "name": "Empty", "contentType": JSON}, "ConflictException", None),
        ("CreateModel", {"restApiId": api, "name": "M", "contentType": JSON, "schema": "{"}, "BadRequestException", None),
        (
            "CreateModel",
            {"restApiId": api, "name": "M", "contentType": JSON, "schema": '{"$ref": "https://example.com/x"}'},
            "BadRequestException",
            None,
        ),
        ("GetModel", {"restApiId": api, "modelName": "Nope"}, "NotFoundException", "Invalid model name specified: Nope"),
        ("CreateDeployment", {"restApiId": empty}, "BadRequestException", "The REST API doesn't contain any methods"),
        (
            "CreateDeployment",
            {"restApiId": api, "stageName": "a b"},
            "BadRequestException",
            "Stage name only allows a-zA-Z0-9_-",
        ),
        ("CreateStage", {"restApiId": api, "stageName": "s", "deploymentId": "nope"}, "BadRequestException", None),
        ("GetStage", {"restApiId": api, "stageName": "s"}, "NotFoundException", "Invalid Stage identifier specified"),
        ("CreateAuthorizer", {"restApiId": api, "name": "a", "type": "COGNITO_USER_POOLS"}, "BadRequestException", None),
        (
            "CreateAuthorizer",
            {"restApiId": api, "name": "a", "type": "REQUEST", "authorizerUri": uri()},  # remembered, but by nothing
            "BadRequestException",
            None,
        ),
        (
            "PutGatewayResponse",
            {"restApiId": api, "responseType": "THROTTLED", "responseParameters": {"x": "'a'"}},
            "BadRequestException",
            None,
        ),
    ]
    for operation, params, code, message in table:
        refused = await desk.refused(operation, **params)
        assert refused.code == code, (operation, params)
        assert message in (None, refused.message), (operation, params)


async def test_method_without_integration_is_not_deployed(desk: Desk) -> None:
    api = await desk.api()
    where = {"restApiId": api, "resourceId": await desk.resource(api, "/a"), "httpMethod": "GET"}
    await desk.call("PutMethod", **where, authorizationType="NONE")
    assert (await desk.refused("CreateDeployment", restApiId=api)).message == "No integration defined for method"


async def test_parts_in_use_are_kept(desk: Desk) -> None:
    api = await desk.api()
    validator = (await desk.call("CreateRequestValidator", restApiId=api, name="v"))["id"]
    await desk.method(api, "/a", requestModels={JSON: "Empty"}, requestValidatorId=validator)
    assert (await desk.refused("DeleteModel", restApiId=api, modelName="Empty")).code == "ConflictException"
    refused = await desk.refused("DeleteRequestValidator", restApiId=api, requestValidatorId=validator)
    assert refused.code == "ConflictException"


async def test_a_restart_answers_the_same(tmp_path: Path) -> None:
    desk = Desk(Documents(tmp_path / "state.db"))
    api = await desk.api(binaryMediaTypes=["image/png"])
    await desk.method(api, "/a/{b}", "ANY")
    await desk.deploy(api, variables={"x": "y"})
    before = desk.everything()
    first = await desk.get(api, "/dev/a/1", "PUT")
    event = desk.invoker.event
    desk.documents.close()
    again = Desk(Documents(tmp_path / "state.db"))
    assert again.everything() == before
    assert (await again.get(api, "/dev/a/1", "PUT")).status == first.status == 200
    assert again.invoker.event["pathParameters"] == event["pathParameters"] == {"b": "1"}
    assert again.invoker.event["stageVariables"] == {"x": "y"}
    again.documents.close()


def test_invoke_url() -> None:
    assert invoke_url("abc", "us-east-1") == "https://abc.execute-api.us-east-1.amazonaws.com"
    assert FUNCTION.endswith(":f")


def test_every_operation_is_one_of_botocores(desk: Desk) -> None:
    names = [name for _, name in desk.operations.names()]
    assert len(names) > 60
    assert set(names) <= set(model().operation_names)
