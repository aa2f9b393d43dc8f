"""Evaluation of a template's intrinsic functions, conditions included.

    Evaluator(template, parameters, pseudo, reference, imported).value(node) -> JSON value

`reference(logical_id, attribute)` answers `Ref` (attribute None) and `Fn::GetAtt`; planning and deployment give different
ones. Everything is pure and synchronous; a wrong use raises ValidationError in AWS's words. Functions that call out
(Fn::Transform, dynamic references) never get here: `graph.unsupported` finds them first.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tenantry.services.cloudformation import errors
from tenantry.services.cloudformation.resources.shape import LATER
from tenantry.services.cloudformation.template import LANGUAGE_TRANSFORM, transforms

Reference = Callable[[str, str | None], Any]

NO_VALUE = object()
CONDITION_FUNCTIONS = ("Fn::And", "Fn::Or", "Fn::Not", "Fn::Equals", "Condition")
PSEUDO_PARAMETERS = (
    "AWS::AccountId",
    "AWS::NotificationARNs",
    "AWS::NoValue",
    "AWS::Partition",
    "AWS::Region",
    "AWS::StackId",
    "AWS::StackName",
    "AWS::URLSuffix",
)
_PLACEHOLDER = re.compile(r"\$\{(!?)([^${}]*)\}")


class Evaluator:
    """Values of one template in one situation. Conditions are computed once, on first use."""

    def __init__(
        self,
        template: Mapping[str, Any],
        parameters: Mapping[str, Any],
        pseudo: Mapping[str, Any],
        reference: Reference,
        imported: Callable[[str], str],
    ) -> None:
        self._parameters = parameters
        self._pseudo = pseudo
        self._reference = reference
        self._imported = imported
        self._mappings: Mapping[str, Any] = template.get("Mappings") or {}
        self._conditions: Mapping[str, Any] = template.get("Conditions") or {}
        self._truths: dict[str, bool] = {}
        self._open: list[str] = []
        functions: dict[str, Callable[[Any], Any]] = {
            "Ref": self._ref,
            "Fn::GetAtt": self._get_att,
            "Fn::Sub": self._sub,
            "Fn::Join": self._join,
            "Fn::Select": self._select,
            "Fn::Split": self._split,
            "Fn::FindInMap": self._find_in_map,
            "Fn::If": self._if,
            "Fn::Base64": self._base64,
            "Fn::Cidr": self._cidr,
            "Fn::GetAZs": self._get_azs,
            "Fn::ImportValue": self._import_value,
            "Fn::And": self._and,
            "Fn::Or": self._or,
            "Fn::Not": self._not,
            "Fn::Equals": self._equals,
        }
        self._extended = LANGUAGE_TRANSFORM in transforms(dict(template))
        if self._extended:
            functions |= {"Fn::Length": self._length, "Fn::ToJsonString": self._to_json_string}
        self._functions = functions

    def value(self, node: Any) -> Any:
        """The value of a node. AWS::NoValue takes the member or item it stands in away."""
        result = self._node(node)
        return None if result is NO_VALUE else result

    def text(self, node: Any, what: str) -> str:
        """The value of a node that has to be text (or a scalar, which becomes text)."""
        value = self.value(node)
        if isinstance(value, (dict, list)) or value is None:
            raise errors.FORMAT(problem=f"{what} must be a string.")
        return scalar_text(value)

    def condition(self, name: str) -> bool:
        """Whether a condition of the template holds."""
        if name not in self._truths:
            if name not in self._conditions:
                raise errors.FORMAT(problem=f"Unresolved condition dependency {name} in the Resources block of the template")
            if name in self._open:
                chain = ", ".join([*self._open, name])
                raise errors.FORMAT(problem=f"Found circular condition dependency between conditions: [{chain}]")
            self._open.append(name)
            try:
                self._truths[name] = self._truth(self._conditions[name])
            finally:
                self._open.pop()
        return self._truths[name]

    def _node(self, node: Any) -> Any:
        if isinstance(node, dict):
            if len(node) == 1:
                name, argument = next(iter(node.items()))
                function = self._functions.get(name)
                if function is not None:
                    return function(argument)
                if name.startswith("Fn::"):
                    raise errors.TEMPLATE_ERROR(problem=f"Encountered unsupported function: {name}")
            values = ((key, self._node(value)) for key, value in node.items())
            return {key: value for key, value in values if value is not NO_VALUE}
        if isinstance(node, list):
            return [value for value in map(self._node, node) if value is not NO_VALUE]
        return node

    # ---- references
    def _ref(self, argument: Any) -> Any:
        if not isinstance(argument, str):
            raise errors.TEMPLATE_ERROR(problem="every Ref object must have a single String value.")
        if argument == "AWS::NoValue":
            return NO_VALUE
        if argument in self._pseudo:
            return self._pseudo[argument]
        if argument in self._parameters:
            return self._parameters[argument]
        return self._reference(argument, None)

    def _get_att(self, argument: Any) -> Any:
        logical_id, attribute = get_att_parts(argument)
        name = self.value(attribute)
        if not isinstance(name, str):
            raise errors.TEMPLATE_ERROR(problem="Fn::GetAtt object requires the attribute name to be a string.")
        return self._reference(logical_id, name)

    def _import_value(self, argument: Any) -> str:
        return self._imported(self.text(argument, "Fn::ImportValue"))

    # ---- text
    def _sub(self, argument: Any) -> str:
        text, variables = sub_parts(argument)

        def fill(match: re.Match[str]) -> str:
            if match.group(1):
                return "${" + match.group(2) + "}"
            name = match.group(2).strip()
            if name in variables:
                return self.text(variables[name], f"Fn::Sub variable {name}")
            if "." in name and name not in self._pseudo:
                return scalar_text(self._get_att(name.split(".", 1)))
            value = self._ref(name)
            return ",".join(map(scalar_text, value)) if isinstance(value, list) else scalar_text(value)

        return _PLACEHOLDER.sub(fill, text)

    def _join(self, argument: Any) -> str:
        if not isinstance(argument, list) or len(argument) != 2 or not isinstance(argument[0], str):
            raise errors.TEMPLATE_ERROR(
                problem="every Fn::Join object requires two parameters, (1) a string delimiter and (2) a list of strings to be "
                "joined or a function that returns a list of strings (such as Fn::GetAZs) to be joined."
            )
        return argument[0].join(scalar_text(item) for item in self._list(argument[1], "Fn::Join"))

    def _split(self, argument: Any) -> list[str]:
        if not isinstance(argument, list) or len(argument) != 2 or not isinstance(argument[0], str) or not argument[0]:
            raise errors.TEMPLATE_ERROR(
                problem="every Fn::Split object requires two parameters, (1) a string delimiter and (2) a string to be split "
                "or a function that returns a string to be split."
            )
        return self.text(argument[1], "Fn::Split").split(argument[0])

    def _base64(self, argument: Any) -> str:
        return base64.b64encode(self.text(argument, "Fn::Base64").encode()).decode()

    def _to_json_string(self, argument: Any) -> str:
        return json.dumps(self.value(argument), separators=(",", ":"))

    # ---- lists and maps
    def _select(self, argument: Any) -> Any:
        if not isinstance(argument, list) or len(argument) != 2:
            raise errors.TEMPLATE_ERROR(
                problem="Fn::Select requires a list argument with two elements: an integer index and a list"
            )
        index, items = self.text(argument[0], "Fn::Select index"), self._list(argument[1], "Fn::Select")
        if any(isinstance(item, str) and LATER in item for item in items):
            return LATER  # how many parts it will have is not known yet
        if not index.isdecimal() or int(index) >= len(items):
            raise errors.TEMPLATE_ERROR(problem=f"Fn::Select cannot select nonexistent value at index {index}")
        return items[int(index)]

    def _length(self, argument: Any) -> int:
        return len(self._list(argument, "Fn::Length"))

    def _find_in_map(self, argument: Any) -> Any:
        if not isinstance(argument, list) or len(argument) not in ((3, 4) if self._extended else (3,)):
            raise errors.TEMPLATE_ERROR(
                problem="every Fn::FindInMap object requires three parameters, the map name, map key and the attribute for "
                "return value"
            )
        keys = [self.text(part, "Fn::FindInMap") for part in argument[:3]]
        if any(LATER in key for key in keys):
            return LATER
        found: Any = self._mappings
        for key in keys:
            found = found.get(key, NO_VALUE) if isinstance(found, dict) else NO_VALUE
        if found is NO_VALUE:
            if len(argument) == 4 and isinstance(argument[3], dict) and "DefaultValue" in argument[3]:
                return self._node(argument[3]["DefaultValue"])
            raise errors.TEMPLATE_ERROR(problem=f"Unable to get mapping for {'::'.join(keys)}")
        return found

    def _get_azs(self, argument: Any) -> list[str]:
        region = self.text(argument, "Fn::GetAZs") or str(self._pseudo["AWS::Region"])
        return [f"{region}{letter}" for letter in "abc"]

    def _cidr(self, argument: Any) -> list[str]:
        if not isinstance(argument, list) or len(argument) not in (2, 3):
            raise errors.TEMPLATE_ERROR(problem="every Fn::Cidr object requires an IP block, a count and optionally CIDR bits.")
        texts = [self.text(part, "Fn::Cidr") for part in argument]
        if any(LATER in text for text in texts):
            return [LATER]
        try:
            network = ipaddress.ip_network(texts[0])
            count, bits = int(texts[1]), int(texts[2]) if len(texts) == 3 else 8
            if not 1 <= count <= 256:
                raise ValueError(count)
            subnets = network.subnets(new_prefix=network.max_prefixlen - bits)
            chosen = [str(subnet) for subnet, _ in zip(subnets, range(count), strict=False)]
        except ValueError:
            chosen = []
        if len(chosen) < int(texts[1] if texts[1].isdecimal() else 1):
            raise errors.TEMPLATE_ERROR(problem=f"Fn::Cidr cannot divide {texts[0]} as asked: {texts[1:]}")
        return chosen

    def _list(self, node: Any, function: str) -> list[Any]:
        value = self.value(node)
        if not isinstance(value, list):
            raise errors.TEMPLATE_ERROR(problem=f"{function} requires a list.")
        return value

    # ---- conditions
    def _if(self, argument: Any) -> Any:
        if not isinstance(argument, list) or len(argument) != 3 or not isinstance(argument[0], str):
            raise errors.TEMPLATE_ERROR(problem="Fn::If requires a list argument with the first element being a condition")
        return self._node(argument[1] if self.condition(argument[0]) else argument[2])

    def _and(self, argument: Any) -> bool:
        return all(map(self._truth, _operands("Fn::And", argument, 2, 10)))

    def _or(self, argument: Any) -> bool:
        return any(map(self._truth, _operands("Fn::Or", argument, 2, 10)))

    def _not(self, argument: Any) -> bool:
        return not self._truth(_operands("Fn::Not", argument, 1, 1)[0])

    def _equals(self, argument: Any) -> bool:
        left, right = (self.value(item) for item in _operands("Fn::Equals", argument, 2, 2))
        return same(left, right)

    def _truth(self, node: Any) -> bool:
        if isinstance(node, dict) and len(node) == 1:
            name, argument = next(iter(node.items()))
            if name == "Condition" and isinstance(argument, str):
                return self.condition(argument)
            if name in CONDITION_FUNCTIONS:
                return bool(self._functions[name](argument))
        raise errors.FORMAT(
            problem="Every Condition member must be a condition function: Fn::And, Fn::Or, Fn::Not, Fn::Equals or Condition."
        )


def references(node: Any, condition: Callable[[str], bool] | None = None) -> Iterator[tuple[str, Any]]:
    """(name, attribute) of every reference in a node; attribute None for `Ref`. `${a.b}` in Fn::Sub counts too.

    With `condition`, only the branch that Fn::If takes is looked at; without, both are.
    """
    if isinstance(node, list):
        for item in node:
            yield from references(item, condition)
        return
    if not isinstance(node, dict):
        return
    if len(node) == 1:
        name, argument = next(iter(node.items()))
        if name == "Ref" and isinstance(argument, str):
            yield argument, None
            return
        if name == "Fn::GetAtt":
            yield get_att_parts(argument)
            return
        if name == "Fn::Sub":
            yield from _sub_references(argument, condition)
            return
        if name == "Fn::If" and condition is not None and isinstance(argument, list) and len(argument) == 3:
            yield from references(argument[1] if condition(argument[0]) else argument[2], condition)
            return
    for value in node.values():
        yield from references(value, condition)


def _sub_references(argument: Any, condition: Callable[[str], bool] | None) -> Iterator[tuple[str, Any]]:
    text, variables = sub_parts(argument)
    yield from references(list(variables.values()), condition)
    for literal, raw in _PLACEHOLDER.findall(text):
        name = raw.strip()
        if not literal and name not in variables:
            logical_id, dot, attribute = name.partition(".")
            yield (logical_id, attribute) if dot else (name, None)


def get_att_parts(argument: Any) -> tuple[str, Any]:
    """(logical id, attribute node) of a Fn::GetAtt argument in its list or `a.b` form."""
    if isinstance(argument, str) and "." in argument:
        logical_id, _, attribute = argument.partition(".")
        return logical_id, attribute
    if isinstance(argument, list) and len(argument) >= 2 and isinstance(argument[0], str):
        if all(isinstance(part, str) for part in argument):
            return argument[0], ".".join(argument[1:])
        if len(argument) == 2:
            return argument[0], argument[1]
    raise errors.TEMPLATE_ERROR(
        problem="Fn::GetAtt object requires two non-empty parameters, the resource name and the resource attribute"
    )


def sub_parts(argument: Any) -> tuple[str, Mapping[str, Any]]:
    """(text, variables) of a Fn::Sub argument in its text or list form."""
    if isinstance(argument, str):
        return argument, {}
    if isinstance(argument, list) and len(argument) == 2 and isinstance(argument[0], str) and isinstance(argument[1], dict):
        return argument[0], argument[1]
    raise errors.TEMPLATE_ERROR(
        problem="One or more Fn::Sub intrinsic functions don't specify expected arguments. Specify a string as first argument, "
        "and an optional second argument to specify a mapping of values to replace in the string"
    )


def scalar_text(value: Any) -> str:
    """A scalar as CloudFormation writes it into text. Raises ValidationError for lists and maps."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dict, list)) or value is None or value is NO_VALUE:
        raise errors.TEMPLATE_ERROR(problem="a value that becomes part of a text must be a string.")
    return str(value)


def same(left: Any, right: Any) -> bool:
    """Whether two values are equal, scalars compared as text (`14` and `"14"`, `true` and `"true"` are one)."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(value, right[key]) for key, value in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, (dict, list)) or isinstance(right, (dict, list)) or left is None or right is None:
        return bool(left == right)
    return scalar_text(left) == scalar_text(right)


def _operands(function: str, argument: Any, least: int, most: int) -> list[Any]:
    if not isinstance(argument, list) or not least <= len(argument) <= most:
        count = str(least) if least == most else f"at least {least} and at most {most}"
        raise errors.TEMPLATE_ERROR(problem=f"every {function} object requires a list of {count} parameters.")
    return argument
