"""From a call's parameters to a stack's desired state and the changes that lead there.

Everything that can be known beforehand is checked here, before anything exists: the template's text and structure,
parameters, capabilities, the SAM transform, references and their order, what we do not support, and properties against AWS's
own resource schemas.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from tenantry.model.errors import ServiceError
from tenantry.services.cloudformation import changes, errors, graph, outputs, parameters
from tenantry.services.cloudformation.intrinsics import Evaluator
from tenantry.services.cloudformation.records import Desired, Output, Resource, Stack
from tenantry.services.cloudformation.resources.contract import Caller, ResourceType
from tenantry.services.cloudformation.resources.shape import LATER
from tenantry.services.cloudformation.saga import Saga, imported_value, pseudo_parameters
from tenantry.services.cloudformation.source import template_text
from tenantry.services.cloudformation.store import Store
from tenantry.services.cloudformation.template import (
    SAM_TRANSFORM,
    TRANSFORMS,
    check,
    parsed,
    required_capabilities,
    transforms,
)
from tenantry.services.cloudformation.transform import Transformer, TransformError
from tenantry.services.operation import Context

NO_CHANGES = (
    "The submitted information didn't contain changes. Submit different information to create a change set."  # 5.4 step 9
)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A desired state, checked. `failure` says why a change set of it fails; then `changes` are empty."""

    desired: Desired
    changes: tuple[dict[str, Any], ...] = ()
    failure: str | None = None
    outputs: tuple[Output, ...] = field(default=())


class Planner:
    """Plans for all stacks."""

    def __init__(
        self,
        store: Store,
        saga: Saga,
        types: Mapping[str, ResourceType],
        operations: Caller,
        transformer: Transformer,
    ) -> None:
        self._store = store
        self._saga = saga
        self._types = types
        self._operations = operations
        self._transformer = transformer

    async def prepare(self, ctx: Context, params: Mapping[str, Any], stack: Stack, *, exists: bool, direct: bool) -> Prepared:
        """Check a call's parameters for a stack.

        stack: as it is, or (exists false) as it would be. direct: for CreateStack and UpdateStack, which answer every fault
        with an error; a change set is created all the same where AWS does so, and fails.
        """
        previous = stack.desired if exists else None
        text = await template_text(self._operations, ctx, params, previous.original if previous else None)
        template = await parsed(text)
        macros = transforms(template)
        chosen = parameters.resolve(template, params.get("Parameters", []), previous.parameters if previous else None)
        capabilities = tuple(params.get("Capabilities", []))
        _check_capabilities(template, capabilities)
        if direct and macros and "CAPABILITY_AUTO_EXPAND" not in capabilities:
            raise errors.CAPABILITIES(missing="CAPABILITY_AUTO_EXPAND")
        desired = Desired(
            original=text,
            processed="",
            parameters=chosen,
            no_echo=parameters.no_echo(template),
            capabilities=capabilities,
            tags=previous.tags if previous is not None and "Tags" not in params else checked_tags(params.get("Tags", [])),
            description=template.get("Description"),
            notification_arns=tuple(params.get("NotificationARNs", previous.notification_arns if previous else ())),
            role_arn=params.get("RoleARN", previous.role_arn if previous else None),
            rollback_configuration=params.get("RollbackConfiguration"),
        )
        try:
            return await self._plan(ctx, template, desired, stack, exists, check_schemas=not params.get("DisableValidation"))
        except ServiceError as error:
            if direct or error.code != "ValidationError" or not (macros or isinstance(error, _FailsLaterError)):
                raise
            return Prepared(desired, failure=error.message)

    async def _plan(
        self, ctx: Context, template: dict[str, Any], desired: Desired, stack: Stack, exists: bool, *, check_schemas: bool
    ) -> Prepared:
        processed = await self.processed(ctx, template, desired.parameters, stack)
        _check_capabilities(processed, desired.capabilities)
        desired = replace(desired, processed=json.dumps(processed))
        candidate = replace(stack, desired=desired)
        make = self._evaluators(processed, candidate)
        condition = make(_nothing).condition
        graph.check_references(processed, self._attributes, condition)
        resources = graph.effective(processed, condition)
        graph.order(resources, condition)
        unrecognized = [item["Type"] for item in resources.values() if "::" not in item["Type"]]
        if unrecognized:
            raise errors.FORMAT(problem=f"Unrecognized resource types: [{', '.join(sorted(set(unrecognized)))}]")
        parts = changes.unsupported_parts(processed, resources, self._types)
        if parts:
            raise _FailsLaterError(errors.UNSUPPORTED(parts="; ".join(parts)))
        current = self._store.resources(stack.key) if exists else {}
        current = {name: resource for name, resource in current.items() if resource.exists}
        plan = changes.plan(processed, make, current, self._types, desired.tags)
        await self._check_properties(plan, resources, check_schemas=check_schemas)
        found = outputs.compute(processed, make(_references(current, plan)))
        if exists and stack.status != "REVIEW_IN_PROGRESS" and not plan.changes and found == stack.outputs:
            return Prepared(desired, failure=NO_CHANGES)
        return Prepared(desired, tuple(plan.changes), None, found)

    async def _check_properties(self, plan: changes.Plan, resources: Mapping[str, Any], *, check_schemas: bool) -> None:
        problems = list(plan.problems)
        changed = [change["LogicalResourceId"] for change in plan.changes if change["Action"] != "Remove"]
        if not problems and check_schemas and changed:
            asked = {name: {"Type": resources[name]["Type"], "Properties": plan.properties[name]} for name in changed}
            try:
                problems = await self._transformer.check(asked)
            except TransformError as error:
                raise errors.ANY_TEXT(problem=f"Template validation failed: {error}") from None
        if problems:
            names = ", ".join(dict.fromkeys(problem.partition(":")[0] for problem in problems))
            raise _FailsLaterError(errors.PROPERTIES(logical_id=names, problems="\n".join(problems)))

    async def processed(
        self, ctx: Context, template: dict[str, Any], values: Mapping[str, str], stack: Stack
    ) -> dict[str, Any]:
        """The template after its transforms. Raises ValidationError where one is unknown or fails."""
        for name in transforms(template):
            if name not in TRANSFORMS:
                raise errors.TRANSFORM_UNKNOWN(name=name)
        if SAM_TRANSFORM not in transforms(template):
            return template
        known = {**parameters.typed(template, values), **pseudo_parameters(stack)}
        try:
            expanded = await self._transformer.transform(template, known, ctx.region)
        except TransformError as error:
            raise errors.TRANSFORM_FAILED(name=SAM_TRANSFORM, message=str(error)) from None
        remaining = [name for name in transforms(template) if name != SAM_TRANSFORM]
        expanded.pop("Transform", None)
        if remaining:
            expanded["Transform"] = remaining
        check(expanded)
        return expanded

    def _attributes(self, kind: str) -> frozenset[str] | None:
        known = self._types.get(kind)
        return None if known is None else known.schema.attributes

    def _evaluators(self, template: dict[str, Any], stack: Stack) -> Callable[[Callable[[str, str | None], Any]], Evaluator]:
        exports = self._saga.exports(stack.region)

        def make(reference: Callable[[str, str | None], Any]) -> Evaluator:
            return Evaluator(
                template,
                parameters.typed(template, stack.desired.parameters),
                pseudo_parameters(stack),
                reference,
                lambda name: imported_value(exports, name),
            )

        return make


class _FailsLaterError(ServiceError):
    """A refusal for which AWS creates the change set and lets it fail, rather than refusing the call."""

    def __init__(self, error: ServiceError) -> None:
        super().__init__(error.code, error.message, status=error.status)


def checked_tags(tags: list[dict[str, str]]) -> dict[str, str]:
    """Tags of a call as a map. Raises ValidationError for repeated or reserved keys."""
    result: dict[str, str] = {}
    for tag in tags:
        if tag["Key"] in result:
            raise errors.TAG_TWICE(key=tag["Key"])
        if tag["Key"].lower().startswith("aws:"):
            raise errors.TAG_RESERVED(key=tag["Key"])
        result[tag["Key"]] = tag["Value"]
    return result


def _check_capabilities(template: dict[str, Any], given: tuple[str, ...]) -> None:
    needed, _ = required_capabilities(template)
    accepted = {"CAPABILITY_IAM": ("CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"), "CAPABILITY_NAMED_IAM": ("CAPABILITY_NAMED_IAM",)}
    missing = [name for name in needed if not set(accepted[name]).intersection(given)]
    if missing:
        raise errors.CAPABILITIES(missing=", ".join(missing))


def _references(current: Mapping[str, Resource], plan: changes.Plan) -> Callable[[str, str | None], Any]:
    """References as they will be where that is known: of resources that are neither made nor replaced."""
    unsure = {change["LogicalResourceId"] for change in plan.changes if change.get("Replacement", "True") != "False"}

    def reference(logical_id: str, attribute: str | None) -> Any:
        resource = current.get(logical_id)
        if resource is None or logical_id in unsure:
            return LATER
        return resource.physical_id if attribute is None else resource.attributes.get(attribute, LATER)

    return reference


def _nothing(logical_id: str, attribute: str | None) -> Any:
    return LATER
