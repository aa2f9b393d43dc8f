"""AWS::ApiGateway::RestApi, built up from resources of its own or from an OpenAPI `Body` (what SAM's APIs are)."""

from __future__ import annotations

import json
from typing import Any

from tenantry.model.errors import ServiceError
from tenantry.services.cloudformation.resources.contract import Base, Made, Properties, Schema, Scope, document, tag_changes
from tenantry.services.cloudformation.resources.patches import members, replaced, scalars
from tenantry.services.cloudformation.resources.shape import BOOLEAN, INTEGER, JSON, STRING, TAGS, map_of

# CreateRestApi member -> property
_MEMBERS = {
    "description": "Description",
    "version": "Version",
    "binaryMediaTypes": "BinaryMediaTypes",
    "minimumCompressionSize": "MinimumCompressionSize",
    "apiKeySource": "ApiKeySourceType",
    "disableExecuteApiEndpoint": "DisableExecuteApiEndpoint",
    "securityPolicy": "SecurityPolicy",
    "endpointAccessMode": "EndpointAccessMode",
}
_PATHS: dict[str, tuple[str, Any]] = {
    "Name": ("/name", ""),
    "Description": ("/description", ""),
    "ApiKeySourceType": ("/apiKeySource", "HEADER"),
    "DisableExecuteApiEndpoint": ("/disableExecuteApiEndpoint", False),
    "MinimumCompressionSize": ("/minimumCompressionSize", ""),
    "SecurityPolicy": ("/securityPolicy", "TLS_1_0"),
    "EndpointAccessMode": ("/endpointAccessMode", "BASIC"),
}


class RestApi(Base):
    """An API; its `Ref` is the id."""

    schema = Schema(
        type="AWS::ApiGateway::RestApi",
        shape={
            "Name": STRING,
            "Description": STRING,
            "Version": STRING,
            "Body": JSON,
            "BodyS3Location": {"Bucket": STRING, "Key": STRING, "Version": STRING, "ETag": STRING},
            "Mode": STRING,
            "Parameters": map_of(STRING),
            "FailOnWarnings": BOOLEAN,
            "BinaryMediaTypes": [STRING],
            "MinimumCompressionSize": INTEGER,
            "ApiKeySourceType": STRING,
            "EndpointConfiguration": {"Types": [STRING], "IpAddressType": STRING},
            "DisableExecuteApiEndpoint": BOOLEAN,
            "Policy": JSON,
            "SecurityPolicy": STRING,
            "EndpointAccessMode": STRING,
            "Tags": TAGS,
        },
        attributes=frozenset({"RootResourceId", "RestApiId"}),
        tagged=True,
    )

    async def create(self, scope: Scope, physical_id: str | None, properties: Properties) -> Made:
        answer = await scope.call(
            "apigateway",
            "CreateRestApi",
            name=_name(scope, properties),
            endpointConfiguration=_endpoint(properties),
            policy=document(properties["Policy"]) if "Policy" in properties else None,
            tags=scope.all_tags(properties.get("Tags")) or None,
            **{member: properties[name] for member, name in _MEMBERS.items() if name in properties},
        )
        scope.claim(answer["id"])
        await _import(scope, answer["id"], properties)
        return await _made(scope, answer["id"])

    async def update(self, scope: Scope, physical_id: str, old: Properties, new: Properties) -> Made:
        patches = scalars({**old, "Name": _name(scope, old)}, {**new, "Name": _name(scope, new)}, _PATHS)
        patches += members("/binaryMediaTypes", old.get("BinaryMediaTypes", []), new.get("BinaryMediaTypes", []))
        if old.get("Policy") != new.get("Policy"):
            patches.append(replaced("/policy", document(new["Policy"]) if "Policy" in new else ""))
        if old.get("EndpointConfiguration") != new.get("EndpointConfiguration"):
            kinds = (new.get("EndpointConfiguration") or {}).get("Types") or ["EDGE"]
            patches.append(replaced("/endpointConfiguration/types/0", kinds[0]))
        if patches:
            await scope.call("apigateway", "UpdateRestApi", restApiId=physical_id, patchOperations=patches)
        if any(old.get(name) != new.get(name) for name in ("Body", "BodyS3Location", "Parameters", "Mode")):
            await _import(scope, physical_id, new)
        arn = f"arn:{scope.partition}:apigateway:{scope.ctx.region}::/restapis/{physical_id}"
        before = (await scope.call("apigateway", "GetRestApi", restApiId=physical_id)).get("tags") or {}
        put, drop = tag_changes(before, scope.all_tags(new.get("Tags")))
        if put:
            await scope.call("apigateway", "TagResource", resourceArn=arn, tags=put)
        if drop:
            await scope.call("apigateway", "UntagResource", resourceArn=arn, tagKeys=drop)
        return await _made(scope, physical_id)

    async def delete(self, scope: Scope, physical_id: str, properties: Properties) -> None:
        await scope.call_unless_gone("apigateway", "DeleteRestApi", restApiId=physical_id)

    async def find(self, scope: Scope, properties: Properties, since_s: float) -> list[str]:
        name = _name(scope, properties)
        apis = (await scope.call("apigateway", "GetRestApis", limit=500)).get("items", [])
        return [api["id"] for api in apis if api["name"] == name and seconds(api.get("createdDate")) >= int(since_s)]


def seconds(moment: Any) -> float:
    """A timestamp of an answer (seconds or a datetime) in seconds since the epoch; 0 for none."""
    if moment is None:
        return 0.0
    return float(moment.timestamp()) if hasattr(moment, "timestamp") else float(moment)


def _name(scope: Scope, properties: Properties) -> str:
    body = properties.get("Body")
    title = body.get("info", {}).get("title") if isinstance(body, dict) else None
    return str(properties.get("Name") or title or scope.logical_id)


def _endpoint(properties: Properties) -> dict[str, Any] | None:
    given = properties.get("EndpointConfiguration")
    if given is None:
        return None
    named = {"types": given.get("Types"), "ipAddressType": given.get("IpAddressType")}
    return {name: value for name, value in named.items() if value is not None}


async def _import(scope: Scope, api_id: str, properties: Properties) -> None:
    body = properties.get("Body")
    if body is not None:
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    elif "BodyS3Location" in properties:
        place = properties["BodyS3Location"]
        answer = await scope.call("s3", "GetObject", Bucket=place["Bucket"], Key=place["Key"], VersionId=place.get("Version"))
        data = bytes(answer["Body"])
    else:
        return
    await scope.call(
        "apigateway",
        "PutRestApi",
        restApiId=api_id,
        mode=properties.get("Mode", "overwrite"),
        failOnWarnings=properties.get("FailOnWarnings"),
        parameters=properties.get("Parameters"),
        body=data,
    )


async def _made(scope: Scope, api_id: str) -> Made:
    resources = (await scope.call("apigateway", "GetResources", restApiId=api_id, limit=500)).get("items", [])
    root = next((item["id"] for item in resources if item.get("path") == "/"), None)
    if root is None:
        raise ServiceError("InternalFailure", f"API {api_id} has no root resource.", status=500, sender=False)
    return Made(api_id, {"RootResourceId": root, "RestApiId": api_id})
