"""Parameters of a template: their values from the call, the stack's previous ones and the defaults, held to their rules.

Values are text, as on the wire; `typed` makes lists of the list types for evaluation. Errors have AWS's words (aws-behaviour
5.6); the types that read other services (AWS::SSM::...) are refused, since nothing here could answer them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tenantry.services.cloudformation import errors

MASK = "****"
_LISTS = ("CommaDelimitedList", "List<")


def resolve(
    template: Mapping[str, Any], given: Sequence[Mapping[str, Any]], previous: Mapping[str, str] | None
) -> dict[str, str]:
    """Effective value of every declared parameter.

    given: Parameters members of a call; previous: the values of the stack that is updated, for UsePreviousValue, or None.
    Raises ValidationError for unknown, missing and unfit values.
    """
    declared: Mapping[str, Any] = template.get("Parameters") or {}
    chosen = _chosen(given, previous)
    unknown = [key for key in chosen if key not in declared]
    if unknown:
        raise errors.ANY_TEXT(problem=f"Parameters: [{', '.join(unknown)}] do not exist in the template")
    values: dict[str, str] = {}
    missing = []
    for name, rules in declared.items():
        _check_declaration(name, rules)
        if name in chosen:
            values[name] = chosen[name]
        elif "Default" in rules:
            values[name] = _text(rules["Default"])
        else:
            missing.append(name)
    if missing:
        raise errors.ANY_TEXT(problem=f"Parameters: [{', '.join(missing)}] must have values")
    for name, value in values.items():
        _check_value(name, declared[name], value)
    return values


def _chosen(given: Sequence[Mapping[str, Any]], previous: Mapping[str, str] | None) -> dict[str, str]:
    chosen: dict[str, str] = {}
    for item in given:
        key = item.get("ParameterKey", "")
        if item.get("UsePreviousValue"):
            why = None
            if "ParameterValue" in item:
                why = "true and non empty value for a parameter"
            elif previous is None or key not in previous:
                why = "true for a parameter key not in the previous template"
            if why is not None:
                raise errors.PREVIOUS_VALUE(key=key, why=why)
            chosen[key] = (previous or {})[key]
        elif "ParameterValue" in item:
            chosen[key] = item["ParameterValue"]
    return chosen


def typed(template: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
    """The values as `Ref` gives them: text, or a list of texts."""
    declared = template.get("Parameters") or {}
    return {name: _parts(value) if is_list(declared.get(name, {})) else value for name, value in values.items()}


def no_echo(template: Mapping[str, Any]) -> tuple[str, ...]:
    """The parameters whose values are not shown."""
    declared = template.get("Parameters") or {}
    return tuple(name for name, rules in declared.items() if _text(rules.get("NoEcho", "false")).lower() == "true")


def shown(values: Mapping[str, str], hidden: Sequence[str]) -> list[dict[str, str]]:
    """Parameters members of an answer, secrets masked."""
    return [{"ParameterKey": name, "ParameterValue": MASK if name in hidden else value} for name, value in values.items()]


def declarations(template: Mapping[str, Any]) -> list[dict[str, Any]]:
    """ParameterDeclaration members for GetTemplateSummary."""
    result = []
    for name, rules in (template.get("Parameters") or {}).items():
        _check_declaration(name, rules)
        row: dict[str, Any] = {
            "ParameterKey": name,
            "ParameterType": rules["Type"],
            "NoEcho": name in no_echo(template),
            "ParameterConstraints": {"AllowedValues": [_text(value) for value in rules["AllowedValues"]]}
            if "AllowedValues" in rules
            else {},
        }
        if "Default" in rules:
            row["DefaultValue"] = _text(rules["Default"])
        if "Description" in rules:
            row["Description"] = str(rules["Description"])
        result.append(row)
    return result


def is_list(rules: Mapping[str, Any]) -> bool:
    """Whether a parameter's `Ref` is a list."""
    return str(rules.get("Type", "")).startswith(_LISTS)


def _check_declaration(name: str, rules: Any) -> None:
    if not isinstance(rules, dict) or not isinstance(rules.get("Type"), str):
        raise errors.FORMAT(problem=f"Every Parameters object must contain a Type member: [{name}]")
    kind = rules["Type"]
    if kind.startswith("AWS::SSM::"):
        raise errors.UNSUPPORTED(parts=f"parameter type {kind} ({name})")
    if kind not in ("String", "Number", "CommaDelimitedList", "List<Number>", "List<String>") and not re.fullmatch(
        r"(List<)?AWS::[A-Za-z0-9]+::[A-Za-z0-9:.]+>?", kind
    ):
        raise errors.FORMAT(problem=f"Unrecognized parameter type: {kind}")
    if "AllowedValues" in rules and not isinstance(rules["AllowedValues"], list):
        raise errors.FORMAT(problem=f"AllowedValues of parameter {name} must be a list.")
    for member in ("MinLength", "MaxLength", "MinValue", "MaxValue"):
        if member in rules and _number(_text(rules[member])) is None:
            raise errors.FORMAT(problem=f"{member} of parameter {name} must be a number.")


def _check_value(name: str, rules: Mapping[str, Any], value: str) -> None:
    kind = rules["Type"]
    parts = _parts(value) if is_list(rules) else [value]
    if "Number" in kind and any(_number(part) is None for part in parts):
        raise errors.ANY_TEXT(problem=f"Parameter '{name}' must be a number")
    constraint = rules.get("ConstraintDescription")
    allowed = [_text(item) for item in rules.get("AllowedValues", [])]
    if "AllowedValues" in rules and any(part not in allowed for part in parts):
        raise errors.ANY_TEXT(problem=_unfit(name, constraint, "must be one of AllowedValues"))
    if kind == "String":
        _check_text(name, rules, value, constraint)
    elif kind == "Number":
        _check_number(name, rules, value, constraint)


def _check_text(name: str, rules: Mapping[str, Any], value: str, constraint: Any) -> None:
    pattern = rules.get("AllowedPattern")
    if pattern is not None:
        try:
            fits = re.fullmatch(str(pattern), value) is not None
        except re.error:
            raise errors.FORMAT(problem=f"AllowedPattern of parameter {name} is not a regular expression.") from None
        if not fits:
            raise errors.ANY_TEXT(problem=_unfit(name, constraint, f"must match pattern {pattern}"))
    if "MinLength" in rules and len(value) < int(rules["MinLength"]):
        raise errors.ANY_TEXT(problem=_unfit(name, constraint, f"must contain at least {rules['MinLength']} characters"))
    if "MaxLength" in rules and len(value) > int(rules["MaxLength"]):
        raise errors.ANY_TEXT(problem=_unfit(name, constraint, f"must contain at most {rules['MaxLength']} characters"))


def _check_number(name: str, rules: Mapping[str, Any], value: str, constraint: Any) -> None:
    if "MinValue" in rules and float(value) < float(rules["MinValue"]):
        raise errors.ANY_TEXT(problem=_unfit(name, constraint, f"must be a number not less than {rules['MinValue']}"))
    if "MaxValue" in rules and float(value) > float(rules["MaxValue"]):
        raise errors.ANY_TEXT(problem=_unfit(name, constraint, f"must be a number not greater than {rules['MaxValue']}"))


def _unfit(name: str, constraint: Any, rule: str) -> str:
    return f"Parameter '{name}' failed to satisfy constraint: {constraint}" if constraint else f"Parameter '{name}' {rule}"


def _number(value: str) -> float | None:
    return float(value) if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)", value.strip()) else None


def _parts(value: str) -> list[str]:
    return [part.strip() for part in value.split(",")] if value else []


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(_text(item) for item in value)
    return str(value)
