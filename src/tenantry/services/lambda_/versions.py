"""Versions and aliases: immutable copies of `$LATEST`, and names that point at them."""

from __future__ import annotations

from typing import Any

import msgspec

from tenantry.services.lambda_ import answers, configuration, errors, names, paging
from tenantry.services.lambda_.names import FunctionRef
from tenantry.services.lambda_.records import LATEST, AliasRecord, FunctionRecord, Store, VersionRecord
from tenantry.services.lambda_.registry import Registry, new_id
from tenantry.services.operation import Context, operation


def publish_version(
    store: Store, ref: FunctionRef, function: FunctionRecord, latest: VersionRecord, description: str | None = None
) -> tuple[FunctionRecord, VersionRecord]:
    """Write the next version, made from `$LATEST`; the function's new record (not written yet) and the version."""
    number = str(function.next_version)
    version = msgspec.structs.replace(
        latest,
        version=number,
        revision=new_id(),
        revision_id=new_id(),
        description=latest.description if description is None else description,
        published_from=latest.revision,
    )
    store.versions.put(f"{ref.key}/{number}", version)
    return msgspec.structs.replace(function, next_version=function.next_version + 1), version


class VersionOperations:
    """Operations on versions and aliases."""

    name = "lambda"

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._store = registry.store

    @operation("PublishVersion")
    async def publish_version(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Publish `$LATEST`; where nothing has changed since the last version, that one is the answer."""
        registry = self._registry
        ref = names.whole_function(ctx, params["FunctionName"], "PublishVersion")
        function = registry.check_updatable(ref, params.get("RevisionId"))
        configuration.check({"PublishTo": params.get("PublishTo")}, tenancy=False)
        latest = registry.latest(ref)
        given = params.get("CodeSha256")
        if given and given != latest.code.sha256:
            raise errors.CODE_DIFFERS(given=given, current=latest.code.sha256)
        published = registry.published(ref)
        if published and published[-1].published_from == latest.revision:
            version = published[-1]
        else:
            with registry.changing(ref.key):
                function, version = publish_version(self._store, ref, function, latest, params.get("Description"))
                self._store.functions.put(ref.key, function)
        warning = registry.runtime_warning(version.runtime)
        return answers.configuration(function, version, f"{ref.arn}:{version.version}", warning)

    @operation("ListVersionsByFunction")
    async def list_versions(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """`$LATEST` and every published version, in order."""
        ref = names.function_ref(ctx, params["FunctionName"], action="ListVersionsByFunction")
        function = self._registry.function(ref)
        versions = (self._registry.latest(ref), *self._registry.published(ref))
        rows = [(paging.number_key(version.version), version) for version in versions]

        def show(version: VersionRecord) -> dict[str, Any]:
            return answers.configuration(function, version, f"{ref.arn}:{version.version}", listed=True)

        shown, marker = paging.page(rows, params, show)
        return {"Versions": shown, "NextMarker": marker}

    @operation("CreateAlias")
    async def create_alias(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Name a version."""
        ref = names.whole_function(ctx, params["FunctionName"], "CreateAlias")
        self._registry.function(ref)
        key = f"{ref.key}/{params['Name']}"
        if key in self._store.aliases:
            raise errors.ALIAS_EXISTS(arn=f"{ref.arn}:{params['Name']}")
        version, weights = params["FunctionVersion"], _weights(params.get("RoutingConfig"))
        self._check_target(ref, version, weights)
        description = params.get("Description") or ""
        record = AliasRecord(
            name=params["Name"], version=version, revision_id=new_id(), description=description, weights=weights
        )
        self._write(ref, record)
        return answers.alias(record, ref.arn)

    @operation("GetAlias")
    async def get_alias(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Where an alias points."""
        ref = names.whole_function(ctx, params["FunctionName"], "GetAlias")
        self._registry.function(ref)
        record = self._store.aliases.get(f"{ref.key}/{params['Name']}")
        if record is None:
            raise errors.ALIAS_NOT_FOUND(arn=f"{ref.arn}:{params['Name']}")
        return answers.alias(record, ref.arn)

    @operation("UpdateAlias")
    async def update_alias(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Point an alias elsewhere; an empty RoutingConfig ends the sharing."""
        ref = names.whole_function(ctx, params["FunctionName"], "UpdateAlias")
        self._registry.function(ref)
        record = self._store.aliases.get(f"{ref.key}/{params['Name']}")
        if record is None:
            raise errors.ALIAS_NOT_UPDATABLE(arn=f"{ref.arn}:{params['Name']}")
        if params.get("RevisionId") is not None and params["RevisionId"] != record.revision_id:
            raise errors.STALE_REVISION()
        version = params.get("FunctionVersion") or record.version
        weights = record.weights if params.get("RoutingConfig") is None else _weights(params["RoutingConfig"])
        self._check_target(ref, version, weights)
        description = record.description if params.get("Description") is None else params["Description"]
        record = AliasRecord(name=record.name, version=version, revision_id=new_id(), description=description, weights=weights)
        self._write(ref, record)
        return answers.alias(record, ref.arn)

    @operation("DeleteAlias")
    async def delete_alias(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Forget an alias, its policy and its settings; one that is not there is deleted already."""
        ref = names.whole_function(ctx, params["FunctionName"], "DeleteAlias")
        self._registry.function(ref)
        key = f"{ref.key}/{params['Name']}"
        if key in self._store.aliases:
            with self._registry.changing(ref.key):
                for collection in (self._store.aliases, self._store.policies, self._store.event_configs):
                    collection.delete(key)
        return {}

    @operation("ListAliases")
    async def list_aliases(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Aliases of a function, or of one of its versions."""
        ref = names.whole_function(ctx, params["FunctionName"], "ListAliases")
        self._registry.function(ref)
        version = params.get("FunctionVersion")
        rows = [
            (record.name, record)
            for record in self._store.aliases.values(f"{ref.key}/")
            if version in (None, record.version) or version in record.weights
        ]
        shown, marker = paging.page(rows, params, lambda record: answers.alias(record, ref.arn))
        return {"Aliases": shown, "NextMarker": marker}

    def _write(self, ref: FunctionRef, record: AliasRecord) -> None:
        with self._registry.changing(ref.key):
            self._store.aliases.put(f"{ref.key}/{record.name}", record)

    def _check_target(self, ref: FunctionRef, version: str, weights: dict[str, float]) -> None:
        for target in (version, *weights):
            if f"{ref.key}/{target}" not in self._store.versions:
                raise errors.FUNCTION_NOT_FOUND(arn=f"{ref.arn}:{target}")
        if len(weights) > 1:
            raise errors.TOO_MANY_WEIGHTS()
        if weights and LATEST in (version, *weights):
            raise errors.WEIGHTED_LATEST()
        if version in weights:
            raise errors.WEIGHTED_TWICE(version=version)


def _weights(routing: dict[str, Any] | None) -> dict[str, float]:
    return dict((routing or {}).get("AdditionalVersionWeights") or {})
