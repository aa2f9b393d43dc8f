"""Operations that only look: stacks, resources, events, templates, exports."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from tenantry.model.errors import ServiceError
from tenantry.services.cloudformation import errors, parameters
from tenantry.services.cloudformation.core import Core
from tenantry.services.cloudformation.outputs import api_ids, local_addresses
from tenantry.services.cloudformation.records import Event, Resource, Stack
from tenantry.services.cloudformation.resources.contract import not_found
from tenantry.services.cloudformation.source import template_text
from tenantry.services.cloudformation.store import paged
from tenantry.services.cloudformation.template import parsed, required_capabilities, transforms, unique
from tenantry.services.operation import Context, operation

_PAGE = 100
_DRIFT = {"StackDriftStatus": "NOT_CHECKED"}
_RESOURCE_DRIFT = {"StackResourceDriftStatus": "NOT_CHECKED"}


class ReadingOperations(Core):
    """See the module's docstring."""

    @operation("DescribeStacks")
    async def describe_stacks(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """One stack, by name or ARN (deleted ones by ARN only), or all that are not deleted."""
        self._warm_up()
        if params.get("StackName"):
            found, token = [self._known(ctx, params["StackName"])], None
        else:
            alive = [stack for stack in self._store.stacks(ctx.region) if stack.status != "DELETE_COMPLETE"]
            found, token = paged(alive, params.get("NextToken"), _PAGE)
        shown = await self._shown_outputs(ctx)
        return _given({"Stacks": [await _stack(stack, shown) for stack in found], "NextToken": token})

    @operation("ListStacks")
    async def list_stacks(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Summaries of stacks in any of the asked statuses, deleted ones too."""
        wanted = params.get("StackStatusFilter") or None
        stacks = [stack for stack in self._store.stacks(ctx.region) if wanted is None or stack.status in wanted]
        page, token = paged(stacks, params.get("NextToken"), _PAGE)
        return _given({"StackSummaries": [_stack_summary(stack) for stack in page], "NextToken": token})

    @operation("DescribeStackEvents")
    async def describe_stack_events(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """A stack's events, newest first."""
        stack = self._known(ctx, params["StackName"])
        page, token = paged(self._store.events(stack), params.get("NextToken"), _PAGE)
        return _given({"StackEvents": [_event(stack, event) for event in page], "NextToken": token})

    @operation("DescribeStackResource")
    async def describe_stack_resource(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """One resource of a stack, with its metadata."""
        stack, logical_id = self._known(ctx, params["StackName"]), params["LogicalResourceId"]
        resource = self._store.resource(stack.key, logical_id)
        if resource is None:
            raise errors.RESOURCE_UNKNOWN(logical_id=logical_id, name=stack.name)
        metadata = None if resource.metadata is None else json.dumps(resource.metadata)
        detail = {
            **_resource(resource),
            "StackName": stack.name,
            "StackId": stack.stack_id,
            "LastUpdatedTimestamp": resource.updated_at,
            "Metadata": metadata,
        }
        return {"StackResourceDetail": _given(detail)}

    @operation("DescribeStackResources")
    async def describe_stack_resources(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """The resources of a stack, or of the stack that a physical id belongs to."""
        if params.get("StackName"):
            stack = self._known(ctx, params["StackName"])
        elif params.get("PhysicalResourceId"):
            owner = self._store.owner(ctx.region, params["PhysicalResourceId"])
            if owner is None:
                raise errors.PHYSICAL_UNKNOWN(physical_id=params["PhysicalResourceId"])
            stack = owner
        else:
            raise errors.STACK_OR_RESOURCE()
        wanted = params.get("LogicalResourceId")
        resources = self._store.resources(stack.key)
        if wanted is not None and wanted not in resources:
            raise errors.RESOURCE_UNKNOWN(logical_id=wanted, name=stack.name)
        chosen = [resource for name, resource in resources.items() if wanted is None or name == wanted][:_PAGE]
        names = {"StackName": stack.name, "StackId": stack.stack_id}
        return {"StackResources": [{**_resource(item), **names, "Timestamp": item.updated_at} for item in chosen]}

    @operation("ListStackResources")
    async def list_stack_resources(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """The resources of a stack, a page at a time."""
        stack = self._known(ctx, params["StackName"])
        page, token = paged(list(self._store.resources(stack.key).values()), params.get("NextToken"), _PAGE)
        rows = [{**_resource(item), "LastUpdatedTimestamp": item.updated_at} for item in page]
        return _given({"StackResourceSummaries": rows, "NextToken": token})

    @operation("GetTemplate")
    async def get_template(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """The template of a stack or change set, as given (Original) or as transformed (Processed)."""
        if params.get("ChangeSetName"):
            desired = self._change_set(ctx, params)[1].desired
        else:
            desired = self._known(ctx, params.get("StackName", "")).desired
        stage = params.get("TemplateStage", "Original")
        transformed = bool(desired.processed) and bool(transforms(await parsed(desired.original)))
        text = desired.processed if stage == "Processed" and transformed else desired.original
        return {"TemplateBody": text, "StagesAvailable": ["Original", "Processed"] if desired.processed else ["Original"]}

    @operation("GetTemplateSummary")
    async def get_template_summary(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """What a template, or a stack's, declares."""
        if params.get("StackName"):
            stack = self._known(ctx, params["StackName"])
            template = await parsed(stack.desired.original)
        else:
            template = await parsed(await template_text(self._operations, ctx, params, None))
        kinds: dict[str, list[str]] = {}
        for name, definition in template["Resources"].items():
            kinds.setdefault(definition["Type"], []).append(name)
        summaries = [{"ResourceType": kind, "LogicalResourceIds": names} for kind, names in kinds.items()]
        return _given(
            {
                **_capabilities(template),
                "Parameters": parameters.declarations(template),
                "Description": template.get("Description"),
                "ResourceTypes": unique(kinds),
                "Version": template.get("AWSTemplateFormatVersion"),
                "Metadata": json.dumps(template["Metadata"]) if "Metadata" in template else None,
                "DeclaredTransforms": transforms(template),
                "ResourceIdentifierSummaries": summaries,
            }
        )

    @operation("ValidateTemplate")
    async def validate_template(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Check a template's text and structure, as AWS does: not whether its resources could be made."""
        template = await parsed(await template_text(self._operations, ctx, params, None))
        members = ("ParameterKey", "DefaultValue", "NoEcho", "Description")
        declared = [{name: row[name] for name in members if name in row} for row in parameters.declarations(template)]
        answer = {
            **_capabilities(template),
            "Parameters": declared,
            "Description": template.get("Description"),
            "DeclaredTransforms": transforms(template),
        }
        return _given(answer)

    @operation("ListExports")
    async def list_exports(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Every export of the region."""
        exports = sorted(self._saga.exports(ctx.region).items())
        page, token = paged(exports, params.get("NextToken"), _PAGE)
        rows = [{"ExportingStackId": stack.stack_id, "Name": name, "Value": value} for name, (stack, value) in page]
        return _given({"Exports": rows, "NextToken": token})

    @operation("ListImports")
    async def list_imports(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """The stacks that import an export. Raises ValidationError where none does."""
        users = self._saga.importers(ctx.region, params["ExportName"])
        if not users:
            raise errors.EXPORT_UNUSED(name=params["ExportName"])
        page, token = paged(users, params.get("NextToken"), _PAGE)
        return _given({"Imports": page, "NextToken": token})

    async def _shown_outputs(self, ctx: Context) -> Callable[[str], Awaitable[str]]:
        """How an output's value is shown: with addresses that work here, unless that is switched off."""
        here: dict[str, bool] = {}

        async def shown(value: str) -> str:
            if not self._rewrite_outputs:
                return value
            for api in api_ids(value) - here.keys():
                here[api] = await self._api_exists(ctx, api)
            return local_addresses(value, ctx.endpoint, lambda api: here[api])

        return shown

    async def _api_exists(self, ctx: Context, api: str) -> bool:
        try:
            await self._operations.call("apigateway", "GetRestApi", {"restApiId": api}, ctx)
        except ServiceError as error:
            if not_found(error):
                return False
            raise
        return True


async def _stack(stack: Stack, shown: Callable[[str], Awaitable[str]]) -> dict[str, Any]:
    desired = stack.desired
    rows = [
        {
            "OutputKey": output.key,
            "OutputValue": await shown(output.value),
            "Description": output.description,
            "ExportName": output.export_name,
        }
        for output in stack.outputs
    ]
    return _given(
        {
            "StackId": stack.stack_id,
            "StackName": stack.name,
            "ChangeSetId": stack.change_set_id,
            "Description": desired.description,
            "Parameters": parameters.shown(desired.parameters, desired.no_echo),
            "CreationTime": stack.created_at,
            "LastUpdatedTime": stack.updated_at,
            "DeletionTime": stack.deleted_at,
            "RollbackConfiguration": desired.rollback_configuration or {},
            "StackStatus": stack.status,
            "StackStatusReason": stack.reason,
            "DisableRollback": stack.disable_rollback,
            "NotificationARNs": list(desired.notification_arns),
            "TimeoutInMinutes": stack.timeout_minutes,
            "Capabilities": list(desired.capabilities),
            "Outputs": [_given(row) for row in rows],
            "RoleARN": desired.role_arn,
            "Tags": [{"Key": key, "Value": value} for key, value in desired.tags.items()],
            "EnableTerminationProtection": stack.termination_protection,
            "DriftInformation": _DRIFT,
        }
    )


def _stack_summary(stack: Stack) -> dict[str, Any]:
    return _given(
        {
            "StackId": stack.stack_id,
            "StackName": stack.name,
            "TemplateDescription": stack.desired.description,
            "CreationTime": stack.created_at,
            "LastUpdatedTime": stack.updated_at,
            "DeletionTime": stack.deleted_at,
            "StackStatus": stack.status,
            "StackStatusReason": stack.reason,
            "DriftInformation": _DRIFT,
        }
    )


def _event(stack: Stack, event: Event) -> dict[str, Any]:
    return _given(
        {
            "StackId": stack.stack_id,
            "EventId": event.event_id,
            "StackName": stack.name,
            "LogicalResourceId": event.logical_id,
            "PhysicalResourceId": event.physical_id,
            "ResourceType": event.type,
            "Timestamp": event.at_ms / 1000,
            "ResourceStatus": event.status,
            "ResourceStatusReason": event.reason,
            "ResourceProperties": event.properties,
            "ClientRequestToken": event.token,
        }
    )


def _resource(resource: Resource) -> dict[str, Any]:
    return _given(
        {
            "LogicalResourceId": resource.logical_id,
            "PhysicalResourceId": resource.physical_id or None,
            "ResourceType": resource.type,
            "ResourceStatus": resource.status,
            "ResourceStatusReason": resource.reason,
            "DriftInformation": _RESOURCE_DRIFT,
        }
    )


def _capabilities(template: dict[str, Any]) -> dict[str, Any]:
    needed, kinds = required_capabilities(template)
    macros = transforms(template)
    if macros:
        needed = [*needed, "CAPABILITY_AUTO_EXPAND"]
    if not needed:
        return {}
    reason = f"The following resource(s) require capabilities: [{', '.join([*kinds, *macros])}]"
    return {"Capabilities": needed, "CapabilitiesReason": reason}


def _given(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}
