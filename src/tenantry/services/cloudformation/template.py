"""Template text to template: JSON, or YAML with CloudFormation's short tags, checked for structure.

    parse(text) -> {"Resources": {...}, ...}     plain dictionaries, lists and scalars; `!Sub x` became {"Fn::Sub": "x"}

Raises ValidationError with AWS's words and, for malformed text, the line. Own node conversion instead of PyYAML's
constructors: dates stay text (`2012-10-17`), duplicate keys and aliases are refused (aliases could unfold without bound).
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable
from typing import Any

import yaml

from tenantry.services.cloudformation import errors

BODY_MAX_BYTES = 51_200  # TemplateBody [model]
URL_MAX_BYTES = 1_000_000  # TemplateURL
_ASIDE_MIN = 64 * 1024
DEPTH_MAX = 100  # nesting; far beyond any real template, well below the interpreter's recursion limit
RESOURCES_MAX, PARAMETERS_MAX, OUTPUTS_MAX, MAPPINGS_MAX = 500, 200, 200, 200

SAM_TRANSFORM = "AWS::Serverless-2016-10-31"
LANGUAGE_TRANSFORM = "AWS::LanguageExtensions"
TRANSFORMS = (SAM_TRANSFORM, LANGUAGE_TRANSFORM)

SECTIONS = (
    "AWSTemplateFormatVersion",
    "Description",
    "Metadata",
    "Parameters",
    "Rules",
    "Mappings",
    "Conditions",
    "Transform",
    "Resources",
    "Outputs",
    "Hooks",
)
RESOURCE_MEMBERS = (
    "Type",
    "Properties",
    "DependsOn",
    "Condition",
    "Metadata",
    "DeletionPolicy",
    "UpdateReplacePolicy",
    "CreationPolicy",
    "UpdatePolicy",
    "Description",
    "Version",
)
SAM_MEMBERS = ("Connectors", "IgnoreGlobals")
POLICIES = ("Delete", "Retain", "RetainExceptOnCreate", "Snapshot")

_LOGICAL_ID = re.compile(r"[A-Za-z0-9]+")
_BASE = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def parse(text: str) -> dict[str, Any]:
    """The template in a text, its structure checked. Raises ServiceError (ValidationError)."""
    template = _json(text) if text.lstrip().startswith("{") else _yaml(text)
    if not isinstance(template, dict):
        raise errors.FORMAT(problem="unsupported structure.")
    check(template)
    return template


async def parsed(text: str) -> dict[str, Any]:
    """`parse`, a large text on another thread: a megabyte of YAML takes a second, and requests must not wait for that."""
    return parse(text) if len(text) < _ASIDE_MIN else await asyncio.to_thread(parse, text)


def transforms(template: dict[str, Any]) -> list[str]:
    """The names of the transforms that a template declares. A macro with parameters is named by its `Name`."""
    declared = template.get("Transform", [])
    return [
        str(item.get("Name")) if isinstance(item, dict) else str(item)
        for item in (declared if isinstance(declared, list) else [declared])
    ]


def check(template: dict[str, Any]) -> None:
    """Raise the ValidationError for the first thing about a template's structure that is wrong."""
    allowed = {*SECTIONS, "Globals"} if SAM_TRANSFORM in transforms(template) else set(SECTIONS)
    unknown = [name for name in template if name not in allowed]
    if unknown:
        raise errors.FORMAT(problem=f"Invalid template property or properties [{', '.join(map(str, unknown))}]")
    if str(template.get("AWSTemplateFormatVersion", "2010-09-09")) != "2010-09-09":
        raise errors.FORMAT(problem="unsupported value for AWSTemplateFormatVersion. No such version.")
    if not isinstance(template.get("Description", ""), str):
        raise errors.FORMAT(problem="Template Description must be a string.")
    if len(template.get("Description", "").encode()) > 1024:
        raise errors.FORMAT(problem="Template Description must not be longer than 1024 bytes.")
    for section, limit in (
        ("Parameters", PARAMETERS_MAX),
        ("Mappings", MAPPINGS_MAX),
        ("Conditions", RESOURCES_MAX),
        ("Outputs", OUTPUTS_MAX),
        ("Resources", RESOURCES_MAX),
    ):
        _check_section(template, section, limit)
    if not template.get("Resources"):
        raise errors.FORMAT(problem="At least one Resources member must be defined.")
    for name, definition in template["Resources"].items():
        _check_resource(name, definition, sam=SAM_TRANSFORM in transforms(template))
    for name, definition in (template.get("Outputs") or {}).items():
        _check_output(name, definition)


def _check_section(template: dict[str, Any], section: str, limit: int) -> None:
    members = template.get(section)
    if members is None:
        template.pop(section, None)
        return
    if not isinstance(members, dict):
        raise errors.FORMAT(problem=f"[/{section}] '{section}' section must be an object.")
    if len(members) > limit:
        raise errors.FORMAT(problem=f"Number of {section.lower()}, {len(members)}, is greater than maximum allowed, {limit}")


def _check_resource(name: Any, definition: Any, *, sam: bool) -> None:
    if not isinstance(name, str) or not _LOGICAL_ID.fullmatch(name):
        raise errors.FORMAT(problem=f"Resource name {name} is non alphanumeric.")
    if len(name) > 255:
        raise errors.FORMAT(problem=f"Resource name {name} is longer than 255 characters.")
    if not isinstance(definition, dict):
        raise errors.FORMAT(problem=f"[/Resources/{name}] Every Resources member must be an object.")
    if not isinstance(definition.get("Type"), str):
        raise errors.FORMAT(problem=f"[/Resources/{name}] Every Resources object must contain a Type member.")
    for member in definition:
        if member not in RESOURCE_MEMBERS and not (sam and member in SAM_MEMBERS):
            raise errors.ANY_TEXT(problem=f"Invalid template resource property '{member}'")
    if not isinstance(definition.get("Properties"), dict | None):
        raise errors.FORMAT(problem=f"[/Resources/{name}/Properties] Properties must be an object.")
    depends_on = definition.get("DependsOn", [])
    if not all(isinstance(item, str) for item in (depends_on if isinstance(depends_on, list) else [depends_on])):
        raise errors.FORMAT(problem=f"[/Resources/{name}/DependsOn] DependsOn must be a string or a list of strings.")
    for member in ("DeletionPolicy", "UpdateReplacePolicy"):
        policy = definition.get(member, "Delete")
        if isinstance(policy, str) and policy not in POLICIES:
            raise errors.FORMAT(problem=f"Unrecognized {member} {policy} for resource {name}")


def _check_output(name: Any, definition: Any) -> None:
    if not isinstance(name, str) or not _LOGICAL_ID.fullmatch(name):
        raise errors.FORMAT(problem=f"Output name {name} is non alphanumeric.")
    if not isinstance(definition, dict):
        raise errors.FORMAT(problem=f"[/Outputs/{name}] Every Outputs member must be an object.")
    if "Value" not in definition:
        raise errors.FORMAT(problem=f"[/Outputs/{name}] Every Outputs member must contain a Value object")
    export = definition.get("Export")
    if export is not None and not (isinstance(export, dict) and list(export) == ["Name"]):
        raise errors.FORMAT(problem=f"[/Outputs/{name}/Export] Export must be an object with the one member Name.")


def _json(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_pairs, parse_constant=_constant)
    except json.JSONDecodeError as error:
        raise errors.FORMAT(problem=f"JSON not well-formed. (line {error.lineno}, column {error.colno})") from None
    except RecursionError:
        raise errors.FORMAT(problem="JSON is nested too deeply.") from None


def _constant(name: str) -> Any:
    raise errors.FORMAT(problem=f"JSON not well-formed. ({name} is not a JSON value)")


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        names = [name for name, _ in pairs]
        raise errors.FORMAT(problem=f"Duplicate key '{next(name for name in names if names.count(name) > 1)}'")
    return result


def _yaml(text: str) -> Any:
    try:
        loader = _BASE(text)
        try:
            root = loader.get_single_node()
            return None if root is None else _Nodes(loader).value(root, 0)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise errors.FORMAT(problem=f"YAML not well-formed.{where}") from None
    except yaml.YAMLError:  # a character that YAML does not allow has a position, but no mark
        raise errors.FORMAT(problem="YAML not well-formed.") from None
    except (ValueError, RecursionError):  # a scalar that looks like a number and is none; nesting beyond the parser
        raise errors.FORMAT(problem="YAML not well-formed.") from None


class _Nodes:
    """YAML nodes to values."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader
        self._seen: set[int] = set()

    def value(self, node: Any, depth: int) -> Any:
        where = f"(line {node.start_mark.line + 1}, column {node.start_mark.column + 1})"
        if depth > DEPTH_MAX:
            raise errors.FORMAT(problem=f"YAML is nested too deeply. {where}")
        if id(node) in self._seen:
            raise errors.FORMAT(problem=f"YAML aliases are not allowed in CloudFormation templates. {where}")
        self._seen.add(id(node))
        if node.tag.startswith("!"):
            return self._short(node, depth, where)
        return self._plain(node, depth, where)

    def _plain(self, node: Any, depth: int, where: str) -> Any:
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, depth + 1) for item in node.value]
        if node.tag in ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value", "tag:yaml.org,2002:merge"):
            return node.value
        if not node.tag.startswith("tag:yaml.org,2002:") or node.tag.endswith(("binary", "set", "omap", "pairs")):
            raise errors.FORMAT(problem=f"YAML tag {node.tag} is not supported. {where}")
        return self._loader.construct_object(node)

    def _mapping(self, node: Any, depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            where = f"(line {key_node.start_mark.line + 1}, column {key_node.start_mark.column + 1})"
            if not isinstance(key_node, yaml.ScalarNode):
                raise errors.FORMAT(problem=f"YAML keys must be scalars. {where}")
            key = key_node.value  # as written: a key such as 200 or on is text to CloudFormation
            if key in result:
                raise errors.FORMAT(problem=f"Duplicate key '{key}' {where}")
            result[key] = self.value(value_node, depth + 1)
        return result

    def _short(self, node: Any, depth: int, where: str) -> dict[str, Any]:
        name = node.tag[1:]
        if isinstance(node, yaml.ScalarNode):
            argument: Any = node.value
        elif isinstance(node, yaml.SequenceNode):
            argument = [self.value(item, depth + 1) for item in node.value]
        else:
            argument = self._mapping(node, depth)
        if name in ("Ref", "Condition"):
            return {name: argument}
        if not re.fullmatch(r"[A-Za-z0-9:]+", name):
            raise errors.FORMAT(problem=f"YAML tag {node.tag} is not supported. {where}")
        if name == "GetAtt" and isinstance(argument, str):
            argument = argument.split(".", 1)
        return {f"Fn::{name}": argument}


def required_capabilities(template: dict[str, Any]) -> tuple[list[str], list[str]]:
    """The capabilities that a template needs, and the resource types that need them (aws-behaviour 5.4 step 8)."""
    types: list[str] = []
    named = False
    for definition in template["Resources"].values():
        kind = definition["Type"]
        if kind in IAM_NAMES:
            types.append(kind)
            named = named or IAM_NAMES[kind] in (definition.get("Properties") or {})
    if not types:
        return [], []
    return ["CAPABILITY_NAMED_IAM" if named else "CAPABILITY_IAM"], unique(types)


def unique(items: Iterable[str]) -> list[str]:
    """Without repetitions, in order."""
    return list(dict.fromkeys(items))


# Types that grant rights, and the property that gives them a name of the caller's choice (None-like: they have no such name).
IAM_NAMES = {
    "AWS::IAM::Role": "RoleName",
    "AWS::IAM::User": "UserName",
    "AWS::IAM::Group": "GroupName",
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
    "AWS::IAM::InstanceProfile": "InstanceProfileName",
    "AWS::IAM::Policy": "",
    "AWS::IAM::AccessKey": "",
    "AWS::IAM::UserToGroupAddition": "",
}
