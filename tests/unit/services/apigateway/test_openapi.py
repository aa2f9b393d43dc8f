"""OpenAPI documents as SAM makes them become APIs that answer; what would not be enforced is refused whole."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from tests.unit.services.apigateway.conftest import FUNCTION, Desk, body_of, header_of, uri

PROXY = {"httpMethod": "POST", "type": "aws_proxy", "uri": uri()}

# The shape aws-sam-translator gives an AWS::Serverless::Api with a model, CORS and a gateway response.
SWAGGER: dict[str, Any] = {
    "swagger": "2.0",
    "info": {"version": "1.0", "title": "stack"},
    "paths": {
        "/hello": {
            "post": {
                "x-amazon-apigateway-integration": {**PROXY, "cacheKeyParameters": ["method.request.querystring.b"]},
                "x-amazon-apigateway-request-validator": "body-and-params",
                "responses": {},
                "parameters": [
                    {"required": True, "in": "body", "name": "user", "schema": {"$ref": "#/definitions/user"}},
                    {"required": False, "type": "string", "name": "X-A", "in": "header"},
                    {"required": True, "type": "string", "name": "b", "in": "query"},
                ],
            },
            "options": {
                "x-amazon-apigateway-integration": {
                    "type": "mock",
                    "requestTemplates": {"application/json": '{\n  "statusCode" : 200\n}\n'},
                    "responses": {
                        "default": {
                            "statusCode": "200",
                            "responseTemplates": {"application/json": "{}\n"},
                            "responseParameters": {"method.response.header.Access-Control-Allow-Origin": "'*'"},
                        }
                    },
                },
                "consumes": ["application/json"],
                "responses": {"200": {"headers": {"Access-Control-Allow-Origin": {"type": "string"}}, "description": "CORS"}},
            },
        },
        "/x/{id}": {"x-amazon-apigateway-any-method": {"x-amazon-apigateway-integration": PROXY, "responses": {}}},
    },
    "x-amazon-apigateway-gateway-responses": {
        "DEFAULT_4XX": {"responseParameters": {"gatewayresponse.header.Access-Control-Allow-Origin": "'*'"}}
    },
    "x-amazon-apigateway-binary-media-types": ["image/png"],
    "definitions": {"user": {"required": ["a"], "type": "object"}},
    "x-amazon-apigateway-request-validators": {
        "body-and-params": {"validateRequestParameters": True, "validateRequestBody": True}
    },
}

OPENAPI: dict[str, Any] = {
    "openapi": "3.0.1",
    "info": {"title": "three", "version": 1},
    "components": {
        "schemas": {"pet": {"type": "object", "properties": {"friend": {"$ref": "#/components/schemas/pet"}}}},
        "parameters": {"who": {"in": "header", "name": "who", "required": True}},
        "securitySchemes": {
            "mine": {
                "type": "apiKey",
                "name": "Authorization",
                "in": "header",
                "x-amazon-apigateway-authtype": "custom",
                "x-amazon-apigateway-authorizer": {"type": "token", "authorizerUri": uri(FUNCTION + "-auth")},
            }
        },
    },
    "paths": {
        "/pets": {
            "parameters": [{"$ref": "#/components/parameters/who"}],
            "post": {
                "operationId": "addPet",
                "security": [{"mine": []}],
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/pet"}}}},
                "responses": {"201": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/pet"}}}}},
                "x-amazon-apigateway-integration": {
                    **PROXY,
                    "requestParameters": {"integration.request.header.X-Amz-Tenant-Id": "method.request.header.who"},
                },
            },
        }
    },
}


async def put(desk: Desk, document: Any, mode: str = "overwrite") -> str:
    api = await desk.api()
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    await desk.call("PutRestApi", restApiId=api, mode=mode, body=body)
    return api


async def test_sams_document_answers(desk: Desk) -> None:
    api = await put(desk, SWAGGER)
    await desk.deploy(api, "prod")
    response = await desk.get(api, "/prod/hello", "OPTIONS")
    assert (response.status, response.body, header_of(response, "access-control-allow-origin")) == (200, b"{}\n", "*")
    assert (await desk.get(api, "/prod/hello?b=1", "POST", body=b'{"a": 1}')).status == 200
    response = await desk.get(api, "/prod/hello", "POST", body=b'{"a": 1}')
    assert body_of(response) == {"message": "Missing required request parameters: [b]"}
    assert header_of(response, "access-control-allow-origin") == "*"
    assert (await desk.get(api, "/prod/hello?b=1", "POST", body=b"{}")).status == 400
    assert (await desk.get(api, "/prod/x/7", "DELETE")).status == 200
    assert desk.invoker.event["pathParameters"] == {"id": "7"}
    assert (await desk.get(api, "/prod/x", "GET")).status == 403


async def test_openapi_three(desk: Desk) -> None:
    api = await put(desk, OPENAPI)
    resources = {item["path"]: item for item in (await desk.call("GetResources", restApiId=api, embed=["methods"]))["items"]}
    method = resources["/pets"]["resourceMethods"]["POST"]
    assert (method["operationName"], method["authorizationType"]) == ("addPet", "CUSTOM")
    assert method["requestParameters"] == {"method.request.header.who": True}
    assert method["requestModels"] == {"application/json": "pet"}
    assert method["methodResponses"]["201"]["responseModels"] == {"application/json": "pet"}
    model = await desk.call("GetModel", restApiId=api, modelName="pet")
    assert f"https://apigateway.amazonaws.com/restapis/{api}/models/pet" in model["schema"]
    authorizer = await desk.call("GetAuthorizer", restApiId=api, authorizerId=method["authorizerId"])
    assert (authorizer["type"], authorizer["identitySource"]) == ("TOKEN", "method.request.header.Authorization")
    assert (await desk.call("GetRestApi", restApiId=api))["name"] == "three"


async def test_import_makes_an_api(desk: Desk) -> None:
    made = await desk.call(
        "ImportRestApi", body=json.dumps(SWAGGER).encode(), parameters={"endpointConfigurationTypes": "REGIONAL"}
    )
    assert (made["name"], made["endpointConfiguration"]["types"]) == ("stack", ["REGIONAL"])
    assert made["binaryMediaTypes"] == ["image/png"]
    bad = {**SWAGGER, "x-amazon-apigateway-policy": {"Statement": []}}
    await desk.refused("ImportRestApi", body=json.dumps(bad).encode())


async def test_overwrite_and_merge(desk: Desk) -> None:
    api = await put(desk, SWAGGER)
    before = {item["path"]: item["id"] for item in (await desk.call("GetResources", restApiId=api))["items"]}
    other = {**OPENAPI, "paths": {"/hello": {"get": {"x-amazon-apigateway-integration": PROXY}}, "/new": {}}}
    await desk.call("PutRestApi", restApiId=api, mode="merge", body=json.dumps(other).encode())
    merged = {item["path"]: item for item in (await desk.call("GetResources", restApiId=api))["items"]}
    assert set(merged["/hello"]["resourceMethods"]) == {"GET", "OPTIONS", "POST"}
    assert {path: merged[path]["id"] for path in before} == before
    await desk.call("PutRestApi", restApiId=api, mode="overwrite", body=json.dumps(other).encode())
    over = {item["path"]: item for item in (await desk.call("GetResources", restApiId=api))["items"]}
    assert set(over) == {"/", "/hello", "/new"}
    assert over["/hello"]["id"] == before["/hello"]
    assert set(over["/hello"]["resourceMethods"]) == {"GET"}


async def test_yaml(desk: Desk) -> None:
    text = f"""
swagger: "2.0"
info: {{title: y, version: 1.0}}
paths:
  /a:
    get:
      responses: {{200: {{description: ok}}}}
      x-amazon-apigateway-integration: {{type: aws_proxy, httpMethod: POST, uri: "{uri()}"}}
"""
    api = await put(desk, text.encode())
    await desk.deploy(api)
    assert (await desk.get(api, "/dev/a")).status == 200


def changed(path: list[Any], value: Any, document: dict[str, Any] = SWAGGER) -> dict[str, Any]:
    new = copy.deepcopy(document)
    at: Any = new
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return new


HELLO = ["paths", "/hello", "post"]
BAD: dict[str, Any] = {
    "not json or yaml": b"{[}",
    "a list": b"[]",
    "no version": {"paths": {}},
    "another version": {"openapi": "3.1.0", "paths": {}},
    "yaml aliases": b'swagger: "2.0"\nx: &a [1]\ny: [*a, *a]\npaths: {}\n',
    "paths is a list": changed(["paths"], []),
    "a path is a list": changed(["paths", "/hello"], []),
    "path without slash": changed(["paths", "hello"], {}),
    "bad path part": changed(["paths", "/a b"], {}),
    "policy": changed(["x-amazon-apigateway-policy"], {"Statement": []}),
    "iam": changed([*HELLO, "x-amazon-apigateway-auth"], {"type": "AWS_IAM"}),
    "api key": changed([*HELLO, "security"], [{"api_key": []}]),
    "unknown validator": changed([*HELLO, "x-amazon-apigateway-request-validator"], "nope"),
    "http integration": changed([*HELLO, "x-amazon-apigateway-integration", "type"], "http_proxy"),
    "bad uri": changed([*HELLO, "x-amazon-apigateway-integration", "uri"], "https://example.com"),
    "unknown model": changed([*HELLO, "parameters", 0, "schema", "$ref"], "#/definitions/nope"),
    "bad model name": changed(["definitions", "a-b"], {}),
    "bad gateway response": changed(["x-amazon-apigateway-gateway-responses", "NOPE"], {}),
    "cognito": changed(
        ["components", "securitySchemes", "mine", "x-amazon-apigateway-authorizer", "type"], "cognito_user_pools", OPENAPI
    ),
}


@pytest.mark.parametrize("case", BAD)
async def test_bad_documents_change_nothing(desk: Desk, case: str) -> None:
    api = await put(desk, SWAGGER)
    document = BAD[case]
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    refused = await desk.refused("PutRestApi", restApiId=api, mode="overwrite", body=body)
    assert (refused.code, refused.status) == ("BadRequestException", 400)
