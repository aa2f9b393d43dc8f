"""What tenantry does not offer, and says so: function URLs, provisioned concurrency, event source mappings.

An isolated function gets AWS's refusal (aws-behaviour 1.2), any other one ours; reading finds nothing. Three settings that
deployment tools read on every function answer with AWS's defaults.
"""

from __future__ import annotations

from typing import Any

from tenantry.model.errors import Refusal
from tenantry.services.lambda_ import errors, names
from tenantry.services.lambda_.registry import Registry
from tenantry.services.operation import Context, operation


class RefusingOperations:
    """See the module's docstring."""

    name = "lambda"

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    # -- function URLs

    @operation("CreateFunctionUrlConfig")
    async def create_url(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Refused."""
        self._refuse(ctx, params, "CreateFunctionUrlConfig", errors.URL_WITH_TENANCY, "function URLs")
        return {}

    @operation("UpdateFunctionUrlConfig")
    async def update_url(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Not found."""
        self._exists(ctx, params, "UpdateFunctionUrlConfig")
        raise errors.URL_NOT_FOUND()

    @operation("GetFunctionUrlConfig")
    async def get_url(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Not found."""
        self._exists(ctx, params, "GetFunctionUrlConfig")
        raise errors.URL_NOT_FOUND()

    @operation("DeleteFunctionUrlConfig")
    async def delete_url(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Not found."""
        self._exists(ctx, params, "DeleteFunctionUrlConfig")
        raise errors.URL_NOT_FOUND()

    @operation("ListFunctionUrlConfigs")
    async def list_urls(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """None."""
        self._exists(ctx, params, "ListFunctionUrlConfigs")
        return {"FunctionUrlConfigs": []}

    # -- provisioned concurrency

    @operation("PutProvisionedConcurrencyConfig")
    async def put_provisioned(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Refused; parked environments (the tag `tenantry:parked`) serve the same purpose here."""
        refusal = errors.PROVISIONED_WITH_TENANCY
        self._refuse(ctx, params, "PutProvisionedConcurrencyConfig", refusal, "provisioned concurrency")
        return {}

    @operation("GetProvisionedConcurrencyConfig")
    async def get_provisioned(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Not found."""
        self._exists(ctx, params, "GetProvisionedConcurrencyConfig")
        raise errors.PROVISIONED_NOT_FOUND()

    @operation("DeleteProvisionedConcurrencyConfig")
    async def delete_provisioned(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """There is none to delete, which AWS takes for success."""
        self._exists(ctx, params, "DeleteProvisionedConcurrencyConfig")
        return {}

    @operation("ListProvisionedConcurrencyConfigs")
    async def list_provisioned(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """None."""
        self._exists(ctx, params, "ListProvisionedConcurrencyConfigs")
        return {"ProvisionedConcurrencyConfigs": []}

    # -- event source mappings

    @operation("CreateEventSourceMapping")
    async def create_mapping(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Refused."""
        self._refuse(ctx, params, "CreateEventSourceMapping", errors.MAPPING_WITH_TENANCY, "event source mappings")
        return {}

    @operation("GetEventSourceMapping")
    async def get_mapping(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Not found."""
        raise errors.MAPPING_NOT_FOUND()

    @operation("UpdateEventSourceMapping")
    async def update_mapping(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Not found."""
        raise errors.MAPPING_NOT_FOUND()

    @operation("DeleteEventSourceMapping")
    async def delete_mapping(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Not found."""
        raise errors.MAPPING_NOT_FOUND()

    @operation("ListEventSourceMappings")
    async def list_mappings(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """None; a function that is named must exist."""
        if params.get("FunctionName"):
            self._exists(ctx, params, "ListEventSourceMappings")
        return {"EventSourceMappings": []}

    # -- read by deployment tools

    @operation("GetFunctionCodeSigningConfig")
    async def get_code_signing(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """No code signing: AWS leaves the ARN empty then."""
        ref = names.whole_function(ctx, params["FunctionName"], "GetFunctionCodeSigningConfig")
        self._registry.function(ref)
        return {"CodeSigningConfigArn": "", "FunctionName": ref.name}

    @operation("GetFunctionRecursionConfig")
    async def get_recursion(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """AWS's default. No loop through queues or topics can arise here."""
        self._exists(ctx, params, "GetFunctionRecursionConfig")
        return {"RecursiveLoop": "Terminate"}

    @operation("GetRuntimeManagementConfig")
    async def get_runtime_management(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """AWS's default."""
        ref = names.function_ref(ctx, params["FunctionName"], params.get("Qualifier"), "GetRuntimeManagementConfig")
        self._registry.resolve(ref)
        return {"UpdateRuntimeOn": "Auto", "FunctionArn": ref.named_arn}

    # -- helpers

    def _refuse(self, ctx: Context, params: dict[str, Any], action: str, isolated: Refusal, what: str) -> None:
        ref = names.function_ref(ctx, params["FunctionName"], params.get("Qualifier"), action)
        _, version = self._registry.resolve(ref)
        raise isolated() if version.tenancy else errors.NOT_OFFERED(what=what)

    def _exists(self, ctx: Context, params: dict[str, Any], action: str) -> None:
        self._registry.resolve(names.function_ref(ctx, params["FunctionName"], params.get("Qualifier"), action))
