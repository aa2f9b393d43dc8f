"""AWS::ApiGateway::Stage. Its `Ref` is the stage's name."""

from __future__ import annotations

from typing import Any

from tenantry.services.cloudformation.resources.contract import Base, Made, Properties, Schema, Scope, tag_changes
from tenantry.services.cloudformation.resources.patches import entries, escaped, replaced, scalars
from tenantry.services.cloudformation.resources.shape import BOOLEAN, INTEGER, NUMBER, STRING, TAGS, map_of

_NAME_MAX = 128

# Property of a method setting -> last part of its patch path.
_SETTINGS = {
    "ThrottlingRateLimit": "throttling/rateLimit",
    "ThrottlingBurstLimit": "throttling/burstLimit",
    "LoggingLevel": "logging/loglevel",
    "DataTraceEnabled": "logging/dataTrace",
    "MetricsEnabled": "metrics/enabled",
    "CachingEnabled": "caching/enabled",
    "CacheTtlInSeconds": "caching/ttlInSeconds",
    "CacheDataEncrypted": "caching/dataEncrypted",
}
_PATHS: dict[str, tuple[str, Any]] = {
    "DeploymentId": ("/deploymentId", ""),
    "Description": ("/description", ""),
    "TracingEnabled": ("/tracingEnabled", False),
    "CacheClusterEnabled": ("/cacheClusterEnabled", False),
    "CacheClusterSize": ("/cacheClusterSize", ""),
    "DocumentationVersion": ("/documentationVersion", ""),
}


class Stage(Base):
    """A name under which a deployment is served."""

    schema = Schema(
        type="AWS::ApiGateway::Stage",
        shape={
            "RestApiId": STRING,
            "StageName": STRING,
            "DeploymentId": STRING,
            "Description": STRING,
            "Variables": map_of(STRING),
            "TracingEnabled": BOOLEAN,
            "CacheClusterEnabled": BOOLEAN,
            "CacheClusterSize": STRING,
            "DocumentationVersion": STRING,
            "AccessLogSetting": {"DestinationArn": STRING, "Format": STRING},
            "MethodSettings": [
                {
                    "HttpMethod": STRING,
                    "ResourcePath": STRING,
                    "ThrottlingRateLimit": NUMBER,
                    "ThrottlingBurstLimit": INTEGER,
                    "LoggingLevel": STRING,
                    "DataTraceEnabled": BOOLEAN,
                    "MetricsEnabled": BOOLEAN,
                    "CachingEnabled": BOOLEAN,
                    "CacheTtlInSeconds": INTEGER,
                    "CacheDataEncrypted": BOOLEAN,
                }
            ],
            "Tags": TAGS,
        },
        required=("RestApiId", "DeploymentId"),
        create_only=frozenset({"RestApiId", "StageName"}),
        tagged=True,
    )

    def identity(self, scope: Scope, properties: Properties) -> str | None:
        return properties.get("StageName") or scope.generated_name(_NAME_MAX)

    async def exists(self, scope: Scope, physical_id: str, properties: Properties) -> bool:
        names = {"restApiId": properties["RestApiId"], "stageName": physical_id}
        return await scope.call_unless_gone("apigateway", "GetStage", **names) is not None

    async def create(self, scope: Scope, physical_id: str | None, properties: Properties) -> Made:
        await scope.call(
            "apigateway",
            "CreateStage",
            restApiId=properties["RestApiId"],
            stageName=physical_id,
            deploymentId=properties["DeploymentId"],
            description=properties.get("Description"),
            variables=properties.get("Variables"),
            tracingEnabled=properties.get("TracingEnabled"),
            cacheClusterEnabled=properties.get("CacheClusterEnabled"),
            cacheClusterSize=properties.get("CacheClusterSize"),
            documentationVersion=properties.get("DocumentationVersion"),
            tags=scope.all_tags(properties.get("Tags")) or None,
        )
        await _patch(scope, str(physical_id), properties["RestApiId"], _settings({}, properties))
        return Made(str(physical_id))

    async def update(self, scope: Scope, physical_id: str, old: Properties, new: Properties) -> Made:
        patches = scalars(old, new, _PATHS) + entries("/variables", old.get("Variables", {}), new.get("Variables", {}))
        await _patch(scope, physical_id, new["RestApiId"], patches + _settings(old, new))
        names = {"restApiId": new["RestApiId"], "stageName": physical_id}
        before = (await scope.call("apigateway", "GetStage", **names)).get("tags") or {}
        put, drop = tag_changes(before, scope.all_tags(new.get("Tags")))
        arn = f"arn:{scope.partition}:apigateway:{scope.ctx.region}::/restapis/{new['RestApiId']}/stages/{physical_id}"
        if put:
            await scope.call("apigateway", "TagResource", resourceArn=arn, tags=put)
        if drop:
            await scope.call("apigateway", "UntagResource", resourceArn=arn, tagKeys=drop)
        return Made(physical_id)

    async def delete(self, scope: Scope, physical_id: str, properties: Properties) -> None:
        names = {"restApiId": properties["RestApiId"], "stageName": physical_id}
        await scope.call_unless_gone("apigateway", "DeleteStage", **names)


async def _patch(scope: Scope, stage: str, api: str, patches: list[dict[str, str]]) -> None:
    if patches:
        await scope.call("apigateway", "UpdateStage", restApiId=api, stageName=stage, patchOperations=patches)


def _settings(old: Properties, new: Properties) -> list[dict[str, str]]:
    """Patch operations for access logs and for the settings of methods."""
    patches: list[dict[str, str]] = []
    if old.get("AccessLogSetting") != new.get("AccessLogSetting"):
        if "AccessLogSetting" in new:
            access = new["AccessLogSetting"]
            names = (("DestinationArn", "destinationArn"), ("Format", "format"))
            patches += [replaced(f"/accessLogSettings/{path}", access[name]) for name, path in names if name in access]
        else:
            patches.append({"op": "remove", "path": "/accessLogSettings"})
    before, after = _method_settings(old), _method_settings(new)
    patches += [replaced(path, value) for path, value in after.items() if before.get(path) != value]
    methods_after = {_method(path) for path in after}
    gone = {_method(path) for path in before} - methods_after
    return patches + [{"op": "remove", "path": path} for path in sorted(gone)]


def _method_settings(properties: Properties) -> dict[str, Any]:
    """Patch path -> value of every setting of every method."""
    result = {}
    for setting in properties.get("MethodSettings", []):
        resource = setting.get("ResourcePath", "/*")
        where = "*" if resource == "/*" else escaped(resource)
        for name, path in _SETTINGS.items():
            if name in setting:
                result[f"/{where}/{setting.get('HttpMethod', '*')}/{path}"] = setting[name]
    return result


def _method(path: str) -> str:
    return "/".join(path.split("/")[:3])
