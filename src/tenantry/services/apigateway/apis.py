"""Operations on APIs as a whole, on tags and on the account.

Honoured: name, binary media types, disableExecuteApiEndpoint, tags. Kept and returned, without an effect here: description,
version, minimumCompressionSize (answers are not compressed), securityPolicy and endpointAccessMode (TLS is the caller's).
Refused: a resource policy and private endpoints, because they would not be enforced, and cloneFrom.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from tenantry.services.apigateway import errors
from tenantry.services.apigateway.base import Base, checked_tags, page
from tenantry.services.apigateway.patch import entry, flag, member, number, patch, refused, text, unescape
from tenantry.services.apigateway.records import Model, Resource, RestApi, Stage, shape
from tenantry.services.apigateway.store import API_ID_LENGTH, CHILD_ID_LENGTH, new_id
from tenantry.services.operation import Context, operation

_ENDPOINT_TYPES = ("EDGE", "REGIONAL")
_PATCHES = {
    "/name": text("name"),
    "/description": text("description"),
    "/version": text("version"),
    "/apiKeySource": text("apiKeySource"),
    "/minimumCompressionSize": number("minimumCompressionSize"),
    "/disableExecuteApiEndpoint": flag("disableExecuteApiEndpoint"),
    "/binaryMediaTypes/{key}": member("binaryMediaTypes"),
    "/endpointConfiguration/types/{key}": entry("endpointConfiguration"),
    "/securityPolicy": text("securityPolicy"),
    "/endpointAccessMode": text("endpointAccessMode"),
    "/policy": refused("resource policies of APIs: they would not be enforced"),
}

# The two models every new API has (aws-behaviour 4.1); the schemas are our own words for the same shapes.
_EMPTY_SCHEMA = (
    '{\n  "$schema": "http://json-schema.org/draft-04/schema#",\n  "title" : "Empty Schema",\n  "type" : "object"\n}'
)
_ERROR_SCHEMA = (
    '{\n  "$schema" : "http://json-schema.org/draft-04/schema#",\n  "title" : "Error Schema",\n  "type" : "object",\n'
    '  "properties" : {\n    "message" : { "type" : "string" }\n  }\n}'
)


class Apis(Base):
    """CreateRestApi and its kin."""

    @operation("CreateRestApi")
    async def create_rest_api(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """A new API with its root resource and the models Empty and Error."""
        if params.get("cloneFrom"):
            raise errors.unsupported("cloneFrom")
        if params.get("policy"):
            raise errors.unsupported("resource policies of APIs: they would not be enforced")
        if not params["name"].strip():
            raise errors.BAD_NAME(what="Name")
        root = Resource(id=new_id(API_ID_LENGTH), path="/")
        api = RestApi(
            id=self._store.new_api_id(),
            name=params["name"],
            root_resource_id=root.id,
            created_date=self._clock.now(),
            description=params.get("description"),
            version=params.get("version"),
            binary_media_types=tuple(map(unescape, params["binaryMediaTypes"])) if params.get("binaryMediaTypes") else None,
            minimum_compression_size=params.get("minimumCompressionSize"),
            api_key_source=params.get("apiKeySource") or "HEADER",
            endpoint_configuration=endpoint(params.get("endpointConfiguration")),
            tags=checked_tags(params.get("tags")),
            disable_execute_api_endpoint=bool(params.get("disableExecuteApiEndpoint")),
            security_policy=params.get("securityPolicy"),
            endpoint_access_mode=params.get("endpointAccessMode"),
        )
        self._keep_new(ctx.region, api, root)
        return shape(api)

    def _keep_new(self, region: str, api: RestApi, root: Resource) -> None:
        prefix = f"{region}/{api.id}"
        with self._store.transaction():
            self._store.apis.put(prefix, api)
            self._store.resources.put(f"{prefix}/{root.id}", root)
            for model in default_models():
                self._store.models.put(f"{prefix}/{model.name}", model)
        self._store.regions[api.id] = region

    @operation("GetRestApi")
    async def get_rest_api(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """One API."""
        return shape(self._store.api(ctx.region, params["restApiId"]))

    @operation("GetRestApis")
    async def get_rest_apis(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """The region's APIs, by id."""
        return page(((api.id, api) for api in self._store.apis.values(f"{ctx.region}/")), params)

    @operation("UpdateRestApi")
    async def update_rest_api(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Change an API. Takes effect on requests with the next deployment."""
        api = patch(self._store.api(ctx.region, params["restApiId"]), params.get("patchOperations"), _PATCHES)
        if not api.name:
            raise errors.BAD_NAME(what="Name")
        configuration = endpoint(_moved_types(api.endpoint_configuration))
        api = _with_endpoint(api, configuration)
        self._store.apis.put(f"{ctx.region}/{api.id}", api)
        return shape(api)

    @operation("DeleteRestApi")
    async def delete_rest_api(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Forget an API and everything under it; its address answers Forbidden from then on."""
        api = self._store.api(ctx.region, params["restApiId"])
        with self._store.transaction():
            self._store.remove_children(ctx.region, api.id, *self._store.children)
            self._store.apis.delete(f"{ctx.region}/{api.id}")
        self._store.regions.pop(api.id, None)
        return {}

    @operation("GetAccount")
    async def get_account(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """The account's throttle, which AWS sets and which is not enforced here (a stage's own is)."""
        return {"throttleSettings": {"burstLimit": 5000, "rateLimit": 10_000.0}, "features": [], "apiKeyVersion": "4"}

    @operation("TagResource")
    async def tag_resource(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Add tags to an API or a stage."""
        key, record = self._tagged(ctx.region, params["resourceArn"])
        self._retag(key, record, checked_tags({**record.tags, **params["tags"]}))
        return {}

    @operation("UntagResource")
    async def untag_resource(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Take tags away."""
        key, record = self._tagged(ctx.region, params["resourceArn"])
        self._retag(key, record, {name: value for name, value in record.tags.items() if name not in params["tagKeys"]})
        return {}

    @operation("GetTags")
    async def get_tags(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """The tags of an API or a stage."""
        return {"tags": dict(self._tagged(ctx.region, params["resourceArn"])[1].tags)}

    def _tagged(self, region: str, arn: str) -> tuple[str, RestApi | Stage]:
        """The record an ARN `arn:aws:apigateway:{region}::/restapis/{id}[/stages/{name}]` names."""
        parts = arn.partition("::/")[2].split("/")
        key = "/".join([region, *parts[1::2]])
        kinds = parts[0::2]
        record: RestApi | Stage | None = None
        if kinds == ["restapis"]:
            record = self._store.apis.get(key)
        elif kinds == ["restapis", "stages"]:
            record = self._store.stages.get(key)
        if record is None:
            raise errors.NO_TAGGED(arn=arn)
        return key, record

    def _retag(self, key: str, record: RestApi | Stage, tags: dict[str, str]) -> None:
        if isinstance(record, RestApi):
            self._store.apis.put(key, replace(record, tags=tags))
        else:
            self._store.stages.put(key, replace(record, tags=tags))


def default_models() -> tuple[Model, Model]:
    """Empty and Error."""
    return (
        Model(new_id(CHILD_ID_LENGTH), "Empty", description="This is a default empty schema model", schema=_EMPTY_SCHEMA),
        Model(new_id(CHILD_ID_LENGTH), "Error", description="This is a default error schema model", schema=_ERROR_SCHEMA),
    )


def endpoint(given: dict[str, Any] | None) -> dict[str, Any]:
    """An endpoint configuration; EDGE where nothing is said. Everything is served from here, so the type changes nothing."""
    configuration = {"types": ["EDGE"], "ipAddressType": "ipv4", **{k: v for k, v in (given or {}).items() if v is not None}}
    if configuration.get("vpcEndpointIds") or any(kind not in _ENDPOINT_TYPES for kind in configuration["types"]):
        raise errors.unsupported("private endpoints: they would be reachable by everyone")
    return configuration


def _moved_types(configuration: dict[str, Any]) -> dict[str, Any]:
    """A patch of `/endpointConfiguration/types/{old}` leaves `{old: new}` beside `types`: fold it in."""
    kinds = {name: value for name, value in configuration.items() if name not in ("types", "ipAddressType", "vpcEndpointIds")}
    rest = {name: value for name, value in configuration.items() if name not in kinds}
    return {**rest, "types": list(kinds.values())} if kinds else rest


def _with_endpoint(api: RestApi, configuration: dict[str, Any]) -> RestApi:
    return replace(api, endpoint_configuration=configuration)
