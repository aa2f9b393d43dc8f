"""Operations on deployments (frozen copies of an API) and stages (the names they answer under).

Kept without an effect: the cache cluster (answers are never cached), tracing, documentation version. Refused: canaries, client
certificates, web ACLs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from tenantry.services.apigateway import errors
from tenantry.services.apigateway.access_log import log_group
from tenantry.services.apigateway.base import Base, checked_tags, page
from tenantry.services.apigateway.patch import Edit, boolean, entry, flag, patch, refused, text
from tenantry.services.apigateway.records import Deployment, Snapshot, Stage, shape
from tenantry.services.apigateway.store import CHILD_ID_LENGTH, new_id
from tenantry.services.operation import Context, operation

_STAGE_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
_RESERVED_STAGE = "test-invoke-stage"
_VARIABLE_NAME = re.compile(r"\w{1,64}", re.ASCII)
_VARIABLE_VALUE = re.compile(r"[A-Za-z0-9\-._~:/?#&=,@ ]{0,512}")
_SETTINGS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "metrics/enabled": ("metricsEnabled", boolean),
    "logging/loglevel": ("loggingLevel", str),
    "logging/dataTrace": ("dataTraceEnabled", boolean),
    "throttling/burstLimit": ("throttlingBurstLimit", int),
    "throttling/rateLimit": ("throttlingRateLimit", float),
    "caching/enabled": ("cachingEnabled", boolean),
    "caching/ttlInSeconds": ("cacheTtlInSeconds", int),
    "caching/dataEncrypted": ("cacheDataEncrypted", boolean),
    "caching/requireAuthorizationForCacheControl": ("requireAuthorizationForCacheControl", boolean),
    "caching/unauthorizedCacheControlHeaderStrategy": ("unauthorizedCacheControlHeaderStrategy", str),
}


def _setting(name: str) -> Edit:
    """One setting of one method; removing any of a method's settings removes them all, as on AWS."""
    member, convert = _SETTINGS[name]

    def edit(record: dict[str, Any], op: str, key: str, value: Any) -> None:
        if op == "remove":
            _no_settings(record, op, key, value)
            return
        key = _setting_key(key)
        settings = record["methodSettings"] = dict(record.get("methodSettings") or {})
        settings[key] = {**settings.get(key, {}), member: convert(value)}

    return edit


def _setting_key(text: str) -> str:
    """`/a/b/GET` as the settings' key `~1a~1b/GET`."""
    return text.replace("/", "~1", max(0, text.count("/") - 1))


def _no_settings(record: dict[str, Any], op: str, key: str, value: Any) -> None:
    """Remove all settings of a method (`/~1a/GET`); KeyError where there are none."""
    if op != "remove":
        raise KeyError(op)
    settings = record["methodSettings"] = dict(record.get("methodSettings") or {})
    del settings[_setting_key(key)]


def _log_setting(name: str) -> Edit:
    def edit(record: dict[str, Any], op: str, key: str, value: Any) -> None:
        settings = dict(record.get("accessLogSettings") or {})
        settings[name] = None if op == "remove" else value
        record["accessLogSettings"] = settings if any(settings.values()) else None

    return edit


def _no_log(record: dict[str, Any], op: str, key: str, value: Any) -> None:
    if op != "remove":
        raise ValueError(op)
    record["accessLogSettings"] = None


_STAGE_PATCHES: dict[str, Edit] = {
    "/description": text("description"),
    "/deploymentId": text("deploymentId"),
    "/documentationVersion": text("documentationVersion"),
    "/tracingEnabled": flag("tracingEnabled"),
    "/cacheClusterEnabled": flag("cacheClusterEnabled"),
    "/cacheClusterSize": text("cacheClusterSize"),
    "/variables/{key}": entry("variables"),
    "/accessLogSettings": _no_log,
    "/accessLogSettings/format": _log_setting("format"),
    "/accessLogSettings/destinationArn": _log_setting("destinationArn"),
    "/clientCertificateId": refused("client certificates"),
    "/webAclArn": refused("web ACLs"),
    **{f"/{{key}}/{name}": _setting(name) for name in _SETTINGS},
    "/{key}": _no_settings,
}
_DEPLOYMENT_PATCHES = {"/description": text("description")}


class Deployments(Base):
    """CreateDeployment, CreateStage and their kin."""

    @operation("CreateDeployment")
    async def create_deployment(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Freeze the API as it is; with `stageName`, let that stage (new or not) point to the copy."""
        api = self._store.api(ctx.region, params["restApiId"])
        if params.get("canarySettings"):
            raise errors.unsupported("canary deployments")
        prefix = f"{ctx.region}/{api.id}/"
        deployment = Deployment(
            id=new_id(CHILD_ID_LENGTH),
            created_date=self._clock.now(),
            snapshot=self._frozen(prefix, api.binary_media_types or (), disabled=api.disable_execute_api_endpoint),
            description=params.get("description"),
        )
        stage = self._stage_of(prefix, params, deployment.id) if params.get("stageName") else None
        with self._store.transaction():
            self._store.deployments.put(prefix + deployment.id, deployment)
            if stage is not None:
                self._store.stages.put(prefix + stage.stage_name, stage)
        return shape(deployment, "snapshot")

    def _frozen(self, prefix: str, binary: tuple[str, ...], *, disabled: bool) -> Snapshot:
        resources = self._store.resources.values(prefix)
        methods = [method for resource in resources for method in resource.resource_methods.values()]
        if not methods:
            raise errors.NO_METHODS()
        if any(method.method_integration is None for method in methods):
            raise errors.METHOD_WITHOUT_INTEGRATION()
        return Snapshot(
            resources=tuple(resources),
            models=tuple(self._store.models.values(prefix)),
            validators=tuple(self._store.validators.values(prefix)),
            gateway_responses=tuple(self._store.gateway_responses.values(prefix)),
            authorizers=tuple(self._store.authorizers.values(prefix)),
            binary_media_types=binary,
            disabled=disabled,
        )

    def _stage_of(self, prefix: str, params: dict[str, Any], deployment_id: str) -> Stage:
        """The stage CreateDeployment names, pointing to the new deployment."""
        now = self._clock.now()
        old = self._store.stages.get(prefix + params["stageName"])
        if old is None:
            description = params.get("stageDescription")
            return self._new_stage({**params, "deploymentId": deployment_id, "description": description})
        variables = old.variables if params.get("variables") is None else checked_variables(params["variables"])
        return replace(
            old,
            deployment_id=deployment_id,
            last_updated_date=now,
            variables=variables,
            description=params.get("stageDescription") or old.description,
        )

    @operation("GetDeployment")
    async def get_deployment(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """A deployment; with `embed=apisummary`, which methods it froze."""
        deployment = self._deployment(ctx, params)
        answer = shape(deployment, "snapshot")
        if "apisummary" in (params.get("embed") or ()):
            answer["apiSummary"] = {
                resource.path: {
                    name: {"authorizationType": method.authorization_type, "apiKeyRequired": method.api_key_required}
                    for name, method in resource.resource_methods.items()
                }
                for resource in deployment.snapshot.resources
                if resource.resource_methods
            }
        return answer

    @operation("GetDeployments")
    async def get_deployments(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """All deployments, by id."""
        api = self._store.api(ctx.region, params["restApiId"])
        rows = ((item.id, item) for item in self._store.deployments.values(f"{ctx.region}/{api.id}/"))
        return page(rows, params, "snapshot")

    @operation("UpdateDeployment")
    async def update_deployment(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Change a deployment's description."""
        deployment = patch(self._deployment(ctx, params), params.get("patchOperations"), _DEPLOYMENT_PATCHES)
        self._store.deployments.put(f"{ctx.region}/{params['restApiId']}/{deployment.id}", deployment)
        return shape(deployment, "snapshot")

    @operation("DeleteDeployment")
    async def delete_deployment(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Forget a deployment that no stage points to."""
        deployment = self._deployment(ctx, params)
        prefix = f"{ctx.region}/{params['restApiId']}/"
        if any(stage.deployment_id == deployment.id for stage in self._store.stages.values(prefix)):
            raise errors.DEPLOYMENT_ACTIVE()
        self._store.deployments.delete(prefix + deployment.id)
        return {}

    def _deployment(self, ctx: Context, params: dict[str, Any]) -> Deployment:
        api = self._store.api(ctx.region, params["restApiId"])
        deployment = self._store.deployments.get(f"{ctx.region}/{api.id}/{params['deploymentId']}")
        if deployment is None:
            raise errors.NO_DEPLOYMENT()
        return deployment

    @operation("CreateStage")
    async def create_stage(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """A new stage for a deployment."""
        api = self._store.api(ctx.region, params["restApiId"])
        prefix = f"{ctx.region}/{api.id}/"
        if params.get("canarySettings"):
            raise errors.unsupported("canary deployments")
        stage = self._new_stage(params)
        if prefix + stage.deployment_id not in self._store.deployments:
            raise errors.UNKNOWN_DEPLOYMENT()
        if prefix + stage.stage_name in self._store.stages:
            raise errors.STAGE_EXISTS()
        self._store.stages.put(prefix + stage.stage_name, stage)
        return shape(stage)

    def _new_stage(self, params: dict[str, Any]) -> Stage:
        name, now = params["stageName"], self._clock.now()
        if not _STAGE_NAME.fullmatch(name) or name == _RESERVED_STAGE:
            raise errors.BAD_STAGE_NAME()
        return Stage(
            stage_name=name,
            deployment_id=params["deploymentId"],
            created_date=now,
            last_updated_date=now,
            description=params.get("description"),
            cache_cluster_enabled=bool(params.get("cacheClusterEnabled")),
            cache_cluster_size=params.get("cacheClusterSize"),
            variables=checked_variables(params.get("variables")),
            documentation_version=params.get("documentationVersion"),
            tracing_enabled=bool(params.get("tracingEnabled")),
            tags=checked_tags(params.get("tags")),
        )

    @operation("GetStage")
    async def get_stage(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """A stage."""
        return shape(self._stage(ctx, params))

    @operation("GetStages")
    async def get_stages(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """All stages, or those of one deployment. The list's name is `item`, without an s."""
        api = self._store.api(ctx.region, params["restApiId"])
        wanted = params.get("deploymentId")
        stages = self._store.stages.values(f"{ctx.region}/{api.id}/")
        return {"item": [shape(stage) for stage in stages if not wanted or stage.deployment_id == wanted]}

    @operation("UpdateStage")
    async def update_stage(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Change a stage: its deployment, variables, settings of methods, access log."""
        stage = patch(self._stage(ctx, params), params.get("patchOperations"), _STAGE_PATCHES)
        prefix = f"{ctx.region}/{params['restApiId']}/"
        if prefix + stage.deployment_id not in self._store.deployments:
            raise errors.UNKNOWN_DEPLOYMENT()
        checked_variables(stage.variables)
        for setting in stage.method_settings.values():
            if setting.throttling_rate_limit < 0 or setting.throttling_burst_limit < 0:
                raise errors.BAD_PATCH_VALUE(path="throttling", value="a negative number")
        log = stage.access_log_settings
        if log is not None and log.destination_arn and log_group(log.destination_arn) is None:
            raise errors.unsupported(f"access logs to {log.destination_arn}: only to log groups")
        stage = replace(stage, last_updated_date=self._clock.now())
        self._store.stages.put(prefix + stage.stage_name, stage)
        return shape(stage)

    @operation("DeleteStage")
    async def delete_stage(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Forget a stage; its address is a missing token from then on."""
        stage = self._stage(ctx, params)
        self._store.stages.delete(f"{ctx.region}/{params['restApiId']}/{stage.stage_name}")
        return {}

    @operation("FlushStageAuthorizersCache")
    async def flush_stage_authorizers_cache(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Forget what the stage's authorizers said: the stage is compiled anew."""
        stage = self._stage(ctx, params)
        self._store.stages.put(f"{ctx.region}/{params['restApiId']}/{stage.stage_name}", replace(stage))
        return {}

    def _stage(self, ctx: Context, params: dict[str, Any]) -> Stage:
        api = self._store.api(ctx.region, params["restApiId"])
        stage = self._store.stages.get(f"{ctx.region}/{api.id}/{params['stageName']}")
        if stage is None:
            raise errors.NO_STAGE()
        return stage


def checked_variables(variables: Mapping[str, str] | None) -> dict[str, str]:
    """Stage variables within AWS's limits; BadRequestException otherwise."""
    for name, value in (variables or {}).items():
        if not _VARIABLE_NAME.fullmatch(name) or not _VARIABLE_VALUE.fullmatch(value):
            raise errors.BAD_VARIABLE(name=name)
    return dict(variables or {})
