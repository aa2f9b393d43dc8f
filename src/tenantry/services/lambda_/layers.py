"""Layers: versioned packages that lie at /opt. A version's number is never given twice; deleting one leaves functions that use
it as they are."""

from __future__ import annotations

from typing import Any

from tenantry.services.lambda_ import answers, errors, names, paging
from tenantry.services.lambda_.functions import CodeUrl
from tenantry.services.lambda_.records import LayerCounter, LayerVersionRecord, key
from tenantry.services.lambda_.registry import Registry
from tenantry.services.operation import Context, operation


class LayerOperations:
    """Operations on layers."""

    name = "lambda"

    def __init__(self, registry: Registry, code_url: CodeUrl) -> None:
        self._registry = registry
        self._store = registry.store
        self._code_url = code_url

    @operation("PublishLayerVersion")
    async def publish_layer_version(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Keep a package as the layer's next version."""
        name = names.layer_name(ctx, params["LayerName"], "PublishLayerVersion")
        data = await self._registry.packages.fetch(params["Content"], ctx)
        async with self._registry.packages.stored(data) as package:
            counter = self._store.layer_counters.get(key(ctx.region, name)) or LayerCounter(1)
            record = LayerVersionRecord(
                name=name,
                version=counter.next_version,
                package=package,
                created=self._registry.clock.now(),
                description=params.get("Description") or "",
                runtimes=_tuple(params.get("CompatibleRuntimes")),
                architectures=_tuple(params.get("CompatibleArchitectures")),
                license=params.get("LicenseInfo"),
            )
            with self._store.transaction():
                self._store.layer_counters.put(key(ctx.region, name), LayerCounter(record.version + 1))
                self._store.layers.put(_key(ctx, name, record.version), record)
        return self._answer(ctx, record)

    @operation("GetLayerVersion")
    async def get_layer_version(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """One version, and where its content is."""
        name = names.layer_name(ctx, params["LayerName"], "GetLayerVersion")
        return self._answer(ctx, self._record(ctx, name, params["VersionNumber"]))

    @operation("GetLayerVersionByArn")
    async def get_layer_version_by_arn(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """The same by ARN."""
        name, version = names.layer_version(ctx, params["Arn"])
        return self._answer(ctx, self._record(ctx, name, version))

    @operation("ListLayerVersions")
    async def list_layer_versions(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """The versions of a layer, newest first."""
        name = names.layer_name(ctx, params["LayerName"], "ListLayerVersions")
        found = [record for record in self._store.layers.values(f"{ctx.region}/{name}/") if _compatible(record, params)]
        rows = [(f"{10**8 - record.version:08d}", record) for record in reversed(found)]
        arn = names.layer_arn(ctx.region, ctx.account_id, name)
        shown, marker = paging.page(rows, params, lambda record: answers.layer_version(record, arn))
        return {"LayerVersions": shown, "NextMarker": marker}

    @operation("ListLayers")
    async def list_layers(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Every layer with its newest version that fits."""
        newest = {record.name: record for record in self._store.layers.values(f"{ctx.region}/") if _compatible(record, params)}

        def show(record: LayerVersionRecord) -> dict[str, Any]:
            arn = names.layer_arn(ctx.region, ctx.account_id, record.name)
            latest = answers.layer_version(record, arn)
            return {"LayerName": record.name, "LayerArn": arn, "LatestMatchingVersion": latest}

        shown, marker = paging.page(sorted(newest.items()), params, show)
        return {"Layers": shown, "NextMarker": marker}

    @operation("DeleteLayerVersion")
    async def delete_layer_version(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Forget a version; one that is not there is deleted already."""
        name = names.layer_name(ctx, params["LayerName"], "DeleteLayerVersion")
        record = self._store.layers.get(_key(ctx, name, params["VersionNumber"]))
        if record is not None:
            self._store.layers.delete(_key(ctx, name, record.version))
            self._registry.packages.release({record.package.key})
        return {}

    def _record(self, ctx: Context, name: str, version: int) -> LayerVersionRecord:
        record = self._store.layers.get(_key(ctx, name, version))
        if record is None:
            raise errors.LAYER_NOT_FOUND()
        return record

    def _answer(self, ctx: Context, record: LayerVersionRecord) -> dict[str, Any]:
        arn = names.layer_arn(ctx.region, ctx.account_id, record.name)
        content = {
            "Location": self._code_url(ctx, record.package.key),
            "CodeSha256": record.package.sha256,
            "CodeSize": record.package.size,
        }
        return {"Content": content, "LayerArn": arn, **answers.layer_version(record, arn)}


def _key(ctx: Context, name: str, version: int) -> str:
    return key(ctx.region, name, f"{version:08d}")


def _tuple(values: list[str] | None) -> tuple[str, ...] | None:
    return None if values is None else tuple(values)


def _compatible(record: LayerVersionRecord, params: dict[str, Any]) -> bool:
    runtime, architecture = params.get("CompatibleRuntime"), params.get("CompatibleArchitecture")
    return (runtime is None or runtime in (record.runtimes or ())) and (
        architecture is None or architecture in (record.architectures or ("x86_64",))
    )
