"""Who needs whom: a template's references checked, its effective resources put in order, and what we lack named.

effective(template, condition)            the resources whose conditions hold
check_references(template, kinds)         ValidationError for names that lead nowhere
order(resources, condition)               {logical id: (those it comes after)}, in creation order
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tenantry.services.cloudformation import errors
from tenantry.services.cloudformation.intrinsics import PSEUDO_PARAMETERS, references
from tenantry.services.cloudformation.template import unique

Condition = Callable[[str], bool]


def effective(template: Mapping[str, Any], condition: Condition) -> dict[str, dict[str, Any]]:
    """The resources that exist in this situation, in the template's order."""
    return {
        name: definition
        for name, definition in template["Resources"].items()
        if "Condition" not in definition or condition(definition["Condition"])
    }


def depends_on(definition: Mapping[str, Any]) -> list[str]:
    """The explicit dependencies of a resource."""
    explicit = definition.get("DependsOn", [])
    return [explicit] if isinstance(explicit, str) else list(explicit)


def check_references(
    template: Mapping[str, Any], attributes: Callable[[str], frozenset[str] | None], condition: Condition
) -> None:
    """Raise ValidationError for a name that is no parameter and no resource, or an attribute that a type does not have.

    attributes: the attributes of a type, None for a type that is not known (then nothing is said about them).
    """
    all_resources = template["Resources"]
    present = effective(template, condition)
    outputs = {
        name: definition
        for name, definition in (template.get("Outputs") or {}).items()
        if "Condition" not in definition or condition(definition["Condition"])
    }
    parameters = {*(template.get("Parameters") or {}), *PSEUDO_PARAMETERS}
    for name, node in (template.get("Conditions") or {}).items():
        condition(name)
        _resolved([name for name, _ in references(node) if name not in parameters], "Conditions")
    for block, node in (("Resources", [_body(item) for item in all_resources.values()]), ("Outputs", list(outputs.values()))):
        _resolved([name for name, _ in references(node) if name not in parameters and name not in all_resources], block)
    for block, members in (("Resources", present), ("Outputs", outputs)):
        for definition in members.values():
            body = _body(definition) if block == "Resources" else definition
            used = list(references(body, condition))
            _resolved([name for name, _ in used if name not in parameters and name not in present], block)
            for name, attribute in used:
                if attribute is not None:
                    _check_attribute(name, attribute, present, attributes)
    for definition in present.values():
        # A DependsOn on a resource whose condition does not hold is fine; on one that is nowhere, it is not.
        _resolved([name for name in depends_on(definition) if name not in all_resources], "Resources")


def order(resources: Mapping[str, Mapping[str, Any]], condition: Condition) -> dict[str, tuple[str, ...]]:
    """Creation order with each resource's dependencies. Raises ValidationError for a circle.

    Among resources that are free to go next, the template's order decides.
    """
    needs = {
        name: {
            other
            for other in [*depends_on(definition), *(target for target, _ in references(_body(definition), condition))]
            if other in resources
        }
        for name, definition in resources.items()
    }
    place = {name: index for index, name in enumerate(resources)}
    open_needs = {name: set(others) for name, others in needs.items()}
    wanted: dict[str, list[str]] = {name: [] for name in resources}
    for name, others in needs.items():
        for other in others:
            wanted[other].append(name)
    ready = [place[name] for name, others in open_needs.items() if not others]
    heapq.heapify(ready)
    names, ordered = list(resources), {}
    while ready:
        name = names[heapq.heappop(ready)]
        ordered[name] = tuple(sorted(needs[name], key=place.__getitem__))
        for follower in wanted[name]:
            open_needs[follower].discard(name)
            if not open_needs[follower]:
                heapq.heappush(ready, place[follower])
    if len(ordered) < len(resources):
        circle = _circle({name: others for name, others in open_needs.items() if name not in ordered})
        raise errors.ANY_TEXT(problem=f"Circular dependency between resources: [{', '.join(circle)}]")
    return ordered


def unsupported(template: Mapping[str, Any]) -> Iterator[str]:
    """What a template uses that is no resource type and that we do not do, one text for each."""
    for section in ("Rules", "Hooks"):
        if template.get(section):
            yield f"template section {section}"
    for name, definition in template["Resources"].items():
        for member in ("CreationPolicy", "UpdatePolicy"):
            if member in definition:
                yield f"{member} ({name})"
        if any(key.startswith("Fn::ForEach") for key in definition):
            yield f"Fn::ForEach ({name})"
        for what in sorted(set(_outside(_body(definition)))):
            yield f"{what} ({name})"


def _outside(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "Fn::Transform" or key.startswith("Fn::ForEach"):
                yield key
            else:
                yield from _outside(value)
    elif isinstance(node, list):
        for item in node:
            yield from _outside(item)
    elif isinstance(node, str) and "{{resolve:" in node:
        yield "dynamic reference {{resolve:" + node.partition("{{resolve:")[2].partition(":")[0] + ":...}}"


def _body(definition: Mapping[str, Any]) -> list[Any]:
    return [definition.get("Properties"), definition.get("Metadata")]


def _resolved(missing: list[str], block: str) -> None:
    if missing:
        raise errors.FORMAT(
            problem=f"Unresolved resource dependencies [{', '.join(unique(missing))}] in the {block} block of the template"
        )


def _check_attribute(
    name: str, attribute: Any, present: Mapping[str, Any], attributes: Callable[[str], frozenset[str] | None]
) -> None:
    if name not in present:
        raise errors.TEMPLATE_ERROR(problem=f"instance of Fn::GetAtt references undefined resource {name}")
    known = attributes(present[name]["Type"])
    if known is not None and isinstance(attribute, str) and attribute not in known:
        raise errors.TEMPLATE_ERROR(problem=f"resource {name} does not support attribute type {attribute} in Fn::GetAtt")


def _circle(open_needs: Mapping[str, set[str]]) -> list[str]:
    """The resources that are on some circle or between two, in the template's order (those merely behind one are left out)."""
    remaining = {name: {other for other in others if other in open_needs} for name, others in open_needs.items()}
    while True:
        wanted = set().union(*remaining.values()) if remaining else set()
        dropped = [name for name in remaining if name not in wanted]
        if not dropped:
            return list(remaining)
        for name in dropped:
            del remaining[name]
