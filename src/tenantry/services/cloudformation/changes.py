"""From a stack as it is and a template: what would change, how, and what we cannot do.

    plan(...) -> (ResourceChange, ...)      as DescribeChangeSet shows them, Modify before or after nothing in particular:
                                            template order, removals last

Values that only deployment will know (a new resource's id) are LATER in the planned properties; a property that contains one
has changed for certain only where the resource it comes from is replaced, which AWS calls a Dynamic evaluation.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tenantry.services.cloudformation import errors, graph
from tenantry.services.cloudformation.intrinsics import Evaluator, references, same
from tenantry.services.cloudformation.records import Resource
from tenantry.services.cloudformation.resources.contract import ResourceType, Schema
from tenantry.services.cloudformation.resources.shape import LATER, extraneous, is_function, shaped

_POLICY_ATTRIBUTES = (("DeletionPolicy", "deletion_policy"), ("UpdateReplacePolicy", "replace_policy"))


@dataclass(slots=True)
class Plan:
    """A planned deployment. `properties` are the planned ones by logical id, `problems` what is wrong with them."""

    changes: list[dict[str, Any]] = field(default_factory=list)
    properties: dict[str, dict[str, Any]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def unsupported_parts(
    template: Mapping[str, Any], resources: Mapping[str, Any], types: Mapping[str, ResourceType]
) -> list[str]:
    """Everything of a template that we cannot deploy, each part named with where it stands."""
    parts = list(graph.unsupported(template))
    for name, definition in resources.items():
        kind = types.get(definition["Type"])
        if kind is None:
            parts.append(f"resource type {definition['Type']} ({name})")
            continue
        properties = definition.get("Properties") or {}
        if is_function(properties):
            continue
        parts += [f"property {path} of {definition['Type']} ({name})" for path in extraneous(properties, kind.schema.shape)]
    return list(dict.fromkeys(parts))


def checked_properties(schema: Schema, value: Any) -> tuple[dict[str, Any], list[str]]:
    """Resolved properties in the shape of their type, and what is wrong with them."""
    if not isinstance(value, dict):
        return {}, ["#: expected type: JSONObject"]
    problems = [f"#: required key [{name}] not found" for name in schema.required if name not in value]
    return shaped(value, dict(schema.shape), "#", problems), problems


def plan(
    template: Mapping[str, Any],
    evaluator: Callable[[Callable[[str, str | None], Any]], Evaluator],
    current: Mapping[str, Resource],
    types: Mapping[str, ResourceType],
    stack_tags: Mapping[str, str],
) -> Plan:
    """What deploying a template would do to the current resources (those that exist).

    evaluator: makes one for a way of answering references. Raises ValidationError where the template itself is wrong.
    """
    result = Plan()
    unknown: set[str] = set()  # logical ids whose references are not known before deployment

    def reference(logical_id: str, attribute: str | None) -> Any:
        resource = current.get(logical_id)
        if logical_id in unknown or resource is None:
            return LATER
        return resource.physical_id if attribute is None else resource.attributes.get(attribute, LATER)

    values = evaluator(reference)
    resources = graph.effective(template, values.condition)
    order = graph.order(resources, values.condition)
    retyped = [name for name in resources if name in current and current[name].type != resources[name]["Type"]]
    if retyped:
        raise errors.TYPE_CHANGED(names=", ".join(retyped))
    found: dict[str, dict[str, Any]] = {}
    for name in order:
        definition, kind = resources[name], types[resources[name]["Type"]]
        properties, problems = checked_properties(kind.schema, values.value(definition.get("Properties") or {}))
        result.properties[name] = properties
        result.problems += [f"{name}: {problem}" for problem in problems]
        old = current.get(name)
        if old is None:
            found[name] = _addition(name, kind.schema.type)
            continue
        change = _modification(name, kind.schema, old, properties, definition, stack_tags, values, unknown)
        if change is not None:
            found[name] = change
            if change["Replacement"] != "False":
                unknown.add(name)
    result.changes = [found[name] for name in resources if name in found]
    result.changes += [_removal(resource) for name, resource in current.items() if name not in resources]
    return result


def differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """The names of properties that differ, sorted."""
    return sorted(name for name in {*old, *new} if not (name in old and name in new and same(old[name], new[name])))


def _addition(name: str, kind: str) -> dict[str, Any]:
    return {"Action": "Add", "LogicalResourceId": name, "ResourceType": kind, "Scope": [], "Details": []}


def _removal(resource: Resource) -> dict[str, Any]:
    change = {
        "Action": "Remove",
        "LogicalResourceId": resource.logical_id,
        "PhysicalResourceId": resource.physical_id,
        "ResourceType": resource.type,
        "Scope": [],
        "Details": [],
    }
    return {**change, "PolicyAction": "Retain" if resource.deletion_policy == "Retain" else "Delete"}


def _modification(
    name: str,
    schema: Schema,
    old: Resource,
    properties: Mapping[str, Any],
    definition: Mapping[str, Any],
    stack_tags: Mapping[str, str],
    values: Evaluator,
    unknown: set[str],
) -> dict[str, Any] | None:
    details: list[dict[str, Any]] = []
    replacement = "False"
    for changed in differing(old.properties, properties):
        dynamic = LATER in json.dumps(properties.get(changed))
        create_only = changed in schema.create_only
        if create_only:
            replacement = "Conditional" if dynamic and replacement != "True" else "True"
        source = (definition.get("Properties") or {}).get(changed)
        details.append(_detail(changed, create_only, dynamic, source, values, unknown))
    scope = ["Properties"] if details else []
    for attribute, ours in _POLICY_ATTRIBUTES:
        if definition.get(attribute, "Delete") != getattr(old, ours):
            scope.append(attribute)
            details.append(_attribute_detail(attribute))
    if not same(values.value(definition.get("Metadata")), old.metadata):
        scope.append("Metadata")
        details.append(_attribute_detail("Metadata"))
    if schema.tagged and dict(stack_tags) != old.tags:
        scope.append("Tags")
        details.append(_attribute_detail("Tags", "Never"))
    if not details:
        return None
    change = {
        "Action": "Modify",
        "LogicalResourceId": name,
        "PhysicalResourceId": old.physical_id,
        "ResourceType": schema.type,
        "Replacement": replacement,
        "Scope": scope,
        "Details": details,
    }
    if replacement == "True":
        change["PolicyAction"] = "ReplaceAndRetain" if old.replace_policy == "Retain" else "ReplaceAndDelete"
    return change


def _attribute_detail(attribute: str, recreation: str | None = None) -> dict[str, Any]:
    target = {"Attribute": attribute} | ({"RequiresRecreation": recreation} if recreation else {})
    return {"Target": target, "Evaluation": "Static", "ChangeSource": "DirectModification"}


def _detail(name: str, create_only: bool, dynamic: bool, source: Any, values: Evaluator, unknown: set[str]) -> dict[str, Any]:
    target = {"Attribute": "Properties", "Name": name, "RequiresRecreation": "Always" if create_only else "Never"}
    detail = {"Target": target, "Evaluation": "Dynamic" if dynamic else "Static", "ChangeSource": "DirectModification"}
    for cause, attribute in _causes(source, values, unknown) if dynamic else ():
        entity = cause if attribute is None else f"{cause}.{attribute}"
        kind = "ResourceReference" if attribute is None else "ResourceAttribute"
        return {**detail, "ChangeSource": kind, "CausingEntity": entity}
    return detail


def _causes(source: Any, values: Evaluator, unknown: set[str]) -> Iterator[tuple[str, Any]]:
    for name, attribute in references(source, values.condition):
        if name in unknown:
            yield name, attribute
