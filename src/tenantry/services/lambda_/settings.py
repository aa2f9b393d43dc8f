"""What is set on a function beside its configuration: reserved concurrency, asynchronous invocation, tags; and the account."""

from __future__ import annotations

from typing import Any

import msgspec

from tenantry.services.lambda_ import errors, names, paging, tags
from tenantry.services.lambda_.names import FunctionRef
from tenantry.services.lambda_.packages import UNZIPPED_MAX, ZIPPED_MAX
from tenantry.services.lambda_.records import LATEST, EventConfigRecord
from tenantry.services.lambda_.registry import Registry
from tenantry.services.operation import Context, operation

UNRESERVED_MIN = 100
CODE_STORAGE_BYTES = 80_530_636_800  # AWS's quota of 75 GB, shown; nothing here enforces it
_SUCCESS_TARGETS = ("sqs", "sns", "lambda", "events")
_FAILURE_TARGETS = (*_SUCCESS_TARGETS, "s3")


class SettingOperations:
    """Operations on settings. account_concurrency: concurrent executions of the whole account, in each region."""

    name = "lambda"

    def __init__(self, registry: Registry, account_concurrency: int) -> None:
        self._registry = registry
        self._store = registry.store
        self._account_concurrency = account_concurrency

    # -- reserved concurrency

    @operation("PutFunctionConcurrency")
    async def put_concurrency(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Reserve concurrency; 0 stops the function. At least 100 units must stay unreserved."""
        ref = names.whole_function(ctx, params["FunctionName"], "PutFunctionConcurrency")
        function = self._registry.function(ref)
        wanted = params["ReservedConcurrentExecutions"]
        if wanted and self._unreserved(ctx.region, without=ref.key) - wanted < UNRESERVED_MIN:
            raise errors.TOO_LITTLE_LEFT()
        with self._registry.changing(ref.key):
            self._store.functions.put(ref.key, msgspec.structs.replace(function, reserved=wanted))
        return {"ReservedConcurrentExecutions": wanted}

    @operation("GetFunctionConcurrency")
    async def get_concurrency(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """The reserved concurrency; empty where there is none."""
        ref = names.whole_function(ctx, params["FunctionName"], "GetFunctionConcurrency")
        return {"ReservedConcurrentExecutions": self._registry.function(ref).reserved}

    @operation("DeleteFunctionConcurrency")
    async def delete_concurrency(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Give the reservation back."""
        ref = names.whole_function(ctx, params["FunctionName"], "DeleteFunctionConcurrency")
        function = self._registry.function(ref)
        with self._registry.changing(ref.key):
            self._store.functions.put(ref.key, msgspec.structs.replace(function, reserved=None))
        return {}

    # -- asynchronous invocation

    @operation("PutFunctionEventInvokeConfig")
    async def put_event_config(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Set retries, age and destinations; what is not given falls back to AWS's default."""
        ref = self._event_target(ctx, params, "PutFunctionEventInvokeConfig")
        return self._write_event_config(ref, EventConfigRecord(modified=0), params)

    @operation("UpdateFunctionEventInvokeConfig")
    async def update_event_config(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Change what is given and keep the rest."""
        ref = self._event_target(ctx, params, "UpdateFunctionEventInvokeConfig")
        return self._write_event_config(ref, self._event_config(ref), params)

    @operation("GetFunctionEventInvokeConfig")
    async def get_event_config(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """The settings of a function, version or alias."""
        ref = self._event_target(ctx, params, "GetFunctionEventInvokeConfig")
        return _event_answer(ref.named_arn, self._event_config(ref))

    @operation("DeleteFunctionEventInvokeConfig")
    async def delete_event_config(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Return to AWS's defaults."""
        ref = self._event_target(ctx, params, "DeleteFunctionEventInvokeConfig")
        self._event_config(ref)
        with self._registry.changing(ref.key):
            self._store.event_configs.delete(f"{ref.key}/{ref.qualifier}")
        return {}

    @operation("ListFunctionEventInvokeConfigs")
    async def list_event_configs(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """The settings of every qualifier that has some."""
        ref = names.function_ref(ctx, params["FunctionName"], action="ListFunctionEventInvokeConfigs")
        self._registry.function(ref)
        prefix = f"{ref.key}/"
        rows = [(key, (key, record)) for key, record in self._store.event_configs.items(prefix)]

        def show(row: tuple[str, EventConfigRecord]) -> dict[str, Any]:
            return _event_answer(f"{ref.arn}:{row[0].removeprefix(prefix)}", row[1])

        shown, marker = paging.page(rows, params, show)
        return {"FunctionEventInvokeConfigs": shown, "NextMarker": marker}

    # -- tags

    @operation("TagResource")
    async def tag_resource(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Add or change tags of a function."""
        ref = self._tagged(ctx, params["Resource"], "TagResource")
        self._write_tags(ref, {**self._registry.function(ref).tags, **params["Tags"]})
        return {}

    @operation("UntagResource")
    async def untag_resource(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Take tags away; those that are not there are no error."""
        ref = self._tagged(ctx, params["Resource"], "UntagResource")
        kept = {key: value for key, value in self._registry.function(ref).tags.items() if key not in params["TagKeys"]}
        self._write_tags(ref, kept)
        return {}

    @operation("ListTags")
    async def list_tags(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """The tags of a function."""
        ref = self._tagged(ctx, params["Resource"], "ListTags")
        return {"Tags": dict(self._registry.function(ref).tags)}

    # -- account

    @operation("GetAccountSettings")
    async def get_account_settings(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Limits and use in this region."""
        prefix = f"{ctx.region}/"
        versions, layers = self._store.versions.values(prefix), self._store.layers.values(prefix)
        size = sum(version.code.size for version in versions) + sum(layer.package.size for layer in layers)
        return {
            "AccountLimit": {
                "TotalCodeSize": CODE_STORAGE_BYTES,
                "CodeSizeUnzipped": UNZIPPED_MAX,
                "CodeSizeZipped": ZIPPED_MAX,
                "ConcurrentExecutions": self._account_concurrency,
                "UnreservedConcurrentExecutions": self._unreserved(ctx.region),
            },
            "AccountUsage": {"TotalCodeSize": size, "FunctionCount": len(self._store.functions.values(prefix))},
        }

    # -- helpers

    def _unreserved(self, region: str, without: str | None = None) -> int:
        functions = self._store.functions.items(f"{region}/")
        return self._account_concurrency - sum(record.reserved or 0 for key, record in functions if key != without)

    def _event_target(self, ctx: Context, params: dict[str, Any], action: str) -> FunctionRef:
        """The function with its qualifier, `$LATEST` where none is given. It must exist."""
        ref = names.function_ref(ctx, params["FunctionName"], params.get("Qualifier"), action)
        ref = FunctionRef(ref.region, ref.account_id, ref.name, ref.qualifier or LATEST)
        self._registry.resolve(ref)
        return ref

    def _event_config(self, ref: FunctionRef) -> EventConfigRecord:
        record = self._store.event_configs.get(f"{ref.key}/{ref.qualifier}")
        if record is None:
            raise errors.EVENT_CONFIG_NOT_FOUND(arn=ref.named_arn)
        return record

    def _write_event_config(self, ref: FunctionRef, record: EventConfigRecord, params: dict[str, Any]) -> dict[str, Any]:
        changes: dict[str, Any] = {"modified": self._registry.clock.now()}
        for member, name in (("MaximumRetryAttempts", "retries"), ("MaximumEventAgeInSeconds", "max_age_s")):
            if params.get(member) is not None:
                changes[name] = params[member]
        destinations = params.get("DestinationConfig") or {}
        for member, name, services in (
            ("OnSuccess", "on_success", _SUCCESS_TARGETS),
            ("OnFailure", "on_failure", _FAILURE_TARGETS),
        ):
            if destinations.get(member) is not None:
                changes[name] = _destination(destinations[member].get("Destination"), member, services)
        if len(changes) == 1:
            raise errors.EVENT_CONFIG_EMPTY()
        record = msgspec.structs.replace(record, **changes)
        with self._registry.changing(ref.key):
            self._store.event_configs.put(f"{ref.key}/{ref.qualifier}", record)
        return _event_answer(ref.named_arn, record)

    def _tagged(self, ctx: Context, resource: str, action: str) -> FunctionRef:
        ref = names.function_ref(ctx, resource, action=action)
        if ref.qualifier is not None:
            raise errors.TAGS_ON_QUALIFIED()
        return ref

    def _write_tags(self, ref: FunctionRef, wanted: dict[str, str]) -> None:
        tags.check(wanted)
        function = self._registry.function(ref)
        with self._registry.changing(ref.key):
            self._store.functions.put(ref.key, msgspec.structs.replace(function, tags=wanted))


def _destination(arn: str | None, member: str, services: tuple[str, ...]) -> str | None:
    if arn and arn.split(":")[2:3] not in [[service] for service in services]:
        raise errors.BAD_DESTINATION(arn=arn, member=member)
    return arn or None


def _event_answer(arn: str, record: EventConfigRecord) -> dict[str, Any]:
    destinations = {"OnSuccess": record.on_success, "OnFailure": record.on_failure}
    return {
        "LastModified": record.modified,
        "FunctionArn": arn,
        "MaximumRetryAttempts": record.retries,
        "MaximumEventAgeInSeconds": record.max_age_s,
        "DestinationConfig": {member: {"Destination": target} if target else {} for member, target in destinations.items()},
    }
