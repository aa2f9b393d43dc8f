"""Functions: create, read, update, delete (aws-behaviour 3.1, 3.2)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import msgspec

from tenantry.model.errors import ServiceError
from tenantry.services.lambda_ import answers, configuration, errors, names, paging, runtimes, tags
from tenantry.services.lambda_.names import FunctionRef
from tenantry.services.lambda_.packages import Packages
from tenantry.services.lambda_.records import LATEST, FunctionRecord, Package, Store, VersionRecord
from tenantry.services.lambda_.registry import Registry, new_id
from tenantry.services.lambda_.versions import publish_version
from tenantry.services.operation import Context, Operations, operation

CodeUrl = Callable[[Context, str], str]
"""(context, package key) -> an address from which the zip can be fetched for some minutes without signing."""

_LAMBDA = "lambda.amazonaws.com"


class FunctionOperations:
    """Operations on functions as a whole."""

    name = "lambda"

    def __init__(self, registry: Registry, operations: Operations, code_url: CodeUrl) -> None:
        self._registry = registry
        self._operations = operations
        self._code_url = code_url

    @property
    def _store(self) -> Store:
        return self._registry.store

    @property
    def _packages(self) -> Packages:
        return self._registry.packages

    @operation("CreateFunction")
    async def create_function(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Keep the package and the record; the function is Pending for a moment. Publish makes version 1 at once."""
        registry = self._registry
        ref = names.function_ref(ctx, params["FunctionName"], action="CreateFunction")
        if ref.qualifier is not None:
            raise errors.UNQUALIFIED_ONLY()
        self._check_free(ref)
        configuration.check(params, tenancy=bool(params.get("TenancyConfig")))
        if not params.get("Runtime") or not params.get("Handler"):
            raise errors.RUNTIME_AND_HANDLER()
        tags.check(params.get("Tags") or {})
        registry.layers(params.get("Layers") or [], ctx)
        await self._check_role(params["Role"], ctx)
        await registry.resolve_runtime(params["Runtime"])
        data = await self._packages.fetch(params["Code"], ctx)
        async with self._packages.stored(data) as package:
            self._check_free(ref)  # again: another creation may have come while the package was unpacked
            version = self._new_latest(ref, params, package, ctx)
            function = FunctionRecord(region=ref.region, name=ref.name, tags=dict(params.get("Tags") or {}))
            shown, arn = version, ref.arn
            with registry.changing(ref.key):
                self._store.versions.put(f"{ref.key}/{LATEST}", version)
                if params.get("Publish"):
                    function, shown = publish_version(self._store, ref, function, version)
                    arn = f"{ref.arn}:{shown.version}"
                self._store.functions.put(ref.key, function)
            registry.settle_later(ref)
        return self._configuration(function, shown, arn)

    @operation("GetFunction")
    async def get_function(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Configuration, where the code is, tags and reserved concurrency."""
        ref = names.function_ref(ctx, params["FunctionName"], params.get("Qualifier"), "GetFunction")
        function, version = self._registry.resolve(ref)
        answer: dict[str, Any] = {
            "Configuration": self._configuration(function, version, ref.named_arn),
            "Code": {"RepositoryType": "S3", "Location": self._code_url(ctx, version.code.key)},
        }
        if function.tags:
            answer["Tags"] = dict(function.tags)
        if function.reserved is not None:
            answer["Concurrency"] = {"ReservedConcurrentExecutions": function.reserved}
        return answer

    @operation("GetFunctionConfiguration")
    async def get_function_configuration(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """The configuration of a function, version or alias."""
        ref = names.function_ref(ctx, params["FunctionName"], params.get("Qualifier"), "GetFunctionConfiguration")
        function, version = self._registry.resolve(ref)
        return self._configuration(function, version, ref.named_arn)

    @operation("ListFunctions")
    async def list_functions(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """`$LATEST` of every function, or with FunctionVersion=ALL every version."""
        prefix = f"{ctx.region}/"
        every = params.get("FunctionVersion") == "ALL"
        if params.get("MasterRegion") not in (None, "ALL", ctx.region):
            prefix = "\0"  # functions replicated from elsewhere: there are none
        rows = [
            (f"{key}/{paging.number_key(version.version)}", (function, version))
            for key, function in self._store.functions.items(prefix)
            for version in self._versions(key, every)
        ]
        rows.sort(key=lambda row: row[0])

        def show(row: tuple[FunctionRecord, VersionRecord]) -> dict[str, Any]:
            function, version = row
            arn = names.function_arn(ctx.region, ctx.account_id, function.name)
            return answers.configuration(function, version, f"{arn}:{version.version}" if every else arn, listed=True)

        shown, marker = paging.page(rows, params, show)
        return {"Functions": shown, "NextMarker": marker}

    @operation("UpdateFunctionCode")
    async def update_function_code(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Give `$LATEST` another package. DryRun checks everything and changes nothing."""
        registry = self._registry
        ref = names.whole_function(ctx, params["FunctionName"], "UpdateFunctionCode")
        registry.check_updatable(ref, params.get("RevisionId"))
        configuration.check({"PublishTo": params.get("PublishTo")}, tenancy=False)
        data = await self._packages.fetch(params, ctx)
        if params.get("DryRun"):
            package = await self._packages.examine(data)
            function = registry.check_updatable(ref, params.get("RevisionId"))
            return self._configuration(function, self._recoded(ref, params, package), ref.arn)
        async with self._packages.stored(data) as package:
            function = registry.check_updatable(ref, params.get("RevisionId"))  # again: time has passed
            before = registry.latest(ref)
            return self._update(ref, function, before, self._recoded(ref, params, package), bool(params.get("Publish")))

    @operation("UpdateFunctionConfiguration")
    async def update_function_configuration(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Change what is given. TenancyConfig cannot be: the operation has no such member (aws-behaviour 1.1)."""
        registry = self._registry
        ref = names.whole_function(ctx, params["FunctionName"], "UpdateFunctionConfiguration")
        registry.check_updatable(ref, params.get("RevisionId"))
        configuration.check(params, registry.latest(ref).tenancy)
        if params.get("Role") is not None:
            await self._check_role(params["Role"], ctx)
        if params.get("Runtime") is not None:
            await registry.resolve_runtime(params["Runtime"])
        function = registry.check_updatable(ref, params.get("RevisionId"))  # again: time has passed
        before = registry.latest(ref)
        layers = registry.layers(params["Layers"], ctx) if params.get("Layers") is not None else None
        after = configuration.changed(before, params, layers)
        return self._update(ref, function, before, self._renewed(after), publish=False)

    @operation("DeleteFunction")
    async def delete_function(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Delete a function with everything of its, or one published version. Its log group stays, as on AWS."""
        ref = names.function_ref(ctx, params["FunctionName"], params.get("Qualifier"), "DeleteFunction")
        self._registry.function(ref)
        if ref.qualifier is None:
            self._delete(ref)
        else:
            self._delete_version(ref, ref.qualifier)
        return {"StatusCode": 204}

    # -- helpers

    def _new_latest(self, ref: FunctionRef, params: dict[str, Any], package: Package, ctx: Context) -> VersionRecord:
        identity = {"version": LATEST, "revision": new_id(), "revision_id": new_id(), "modified": self._registry.clock.now()}
        layers = self._registry.layers(params.get("Layers") or [], ctx)
        return configuration.created(params, ref.name, package, layers, identity)

    def _recoded(self, ref: FunctionRef, params: dict[str, Any], package: Package) -> VersionRecord:
        latest = self._registry.latest(ref)
        runtimes.check(latest.runtime)
        configuration.check_size(package, latest.layers)
        architectures = tuple(params.get("Architectures") or latest.architectures)
        return self._renewed(msgspec.structs.replace(latest, code=package, architectures=architectures))

    def _renewed(self, record: VersionRecord) -> VersionRecord:
        now = self._registry.clock.now()
        return msgspec.structs.replace(record, revision=new_id(), revision_id=new_id(), modified=now)

    def _update(
        self, ref: FunctionRef, function: FunctionRecord, before: VersionRecord, after: VersionRecord, publish: bool
    ) -> dict[str, Any]:
        function = msgspec.structs.replace(function, update="InProgress")
        shown, arn = after, ref.arn
        with self._registry.changing(ref.key):
            self._store.versions.put(f"{ref.key}/{LATEST}", after)
            if publish:
                function, shown = publish_version(self._store, ref, function, after)
                arn = f"{ref.arn}:{shown.version}"
            self._store.functions.put(ref.key, function)
        self._registry.settle_later(ref)
        self._packages.release(_package_keys([before]))
        return self._configuration(function, shown, arn)

    def _delete(self, ref: FunctionRef) -> None:
        packages = _package_keys(self._store.versions.values(f"{ref.key}/"))
        with self._registry.changing(ref.key):
            for collection in self._store.of_function():
                for key, _ in list(collection.items(f"{ref.key}/")):
                    collection.delete(key)
            self._store.functions.delete(ref.key)
        self._packages.release(packages)

    def _delete_version(self, ref: FunctionRef, qualifier: str) -> None:
        if qualifier == LATEST:
            raise errors.LATEST_NOT_DELETABLE()
        if not qualifier.isdigit():
            raise errors.ALIAS_NOT_DELETABLE()
        version = self._store.versions.get(f"{ref.key}/{qualifier}")
        if version is None:
            return  # deleting a version that is not there succeeds on AWS
        for alias in self._store.aliases.values(f"{ref.key}/"):
            if qualifier == alias.version or qualifier in alias.weights:
                raise errors.VERSION_IN_USE(version=qualifier, alias=alias.name)
        with self._registry.changing(ref.key):
            for collection in (self._store.versions, self._store.policies, self._store.event_configs):
                collection.delete(f"{ref.key}/{qualifier}")
        self._packages.release(_package_keys([version]))

    def _versions(self, function_key: str, every: bool) -> list[VersionRecord]:
        if every:
            return self._store.versions.values(f"{function_key}/")
        latest = self._store.versions.get(f"{function_key}/{LATEST}")
        return [] if latest is None else [latest]

    def _configuration(self, function: FunctionRecord, version: VersionRecord, arn: str) -> dict[str, Any]:
        return answers.configuration(function, version, arn, self._registry.runtime_warning(version.runtime))

    def _check_free(self, ref: FunctionRef) -> None:
        if ref.key in self._store.functions:
            raise errors.FUNCTION_EXISTS(name=ref.name)

    async def _check_role(self, arn: str, ctx: Context) -> None:
        """The role must exist in this account and let Lambda assume it."""
        if arn.split(":")[4] != ctx.account_id:
            raise errors.ROLE_ELSEWHERE()
        try:
            answer = await self._operations.call("iam", "GetRole", {"RoleName": arn.rpartition("/")[2]}, ctx)
        except ServiceError as error:
            if error.status != 404:
                raise
            raise errors.ROLE_NOT_ASSUMABLE() from None
        role = answer["Role"]
        if role["Arn"] != arn or not trusts_lambda(role.get("AssumeRolePolicyDocument") or "{}"):
            raise errors.ROLE_NOT_ASSUMABLE()


def trusts_lambda(document: str) -> bool:
    """Whether a trust policy, as IAM stores or shows it (percent-encoded), lets Lambda assume the role."""
    policy = json.loads(document if document.lstrip().startswith("{") else unquote(document))
    for statement in _listed(policy.get("Statement")):
        principal = statement.get("Principal")
        services = ["*"] if principal == "*" else _listed((principal or {}).get("Service"))
        actions = _listed(statement.get("Action"))
        if statement.get("Effect") != "Allow" or not {"sts:AssumeRole", "sts:*", "*"}.intersection(actions):
            continue
        if _LAMBDA in services or "*" in services:
            return True
    return False


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _package_keys(versions: list[VersionRecord]) -> set[str]:
    keys = {version.code.key for version in versions}
    return keys.union(layer.package.key for version in versions for layer in version.layers)
