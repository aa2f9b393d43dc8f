"""Policy documents: checked for what IAM checks when one is stored, and read where STS needs to know who may assume a role.

Nothing here grants or denies an operation: permissions policies are not evaluated (docs/iam.md).
Source: IAM user guide, "Policy grammar"; texts from memory.
"""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase
from typing import Any

from tenantry.model.errors import ServiceError
from tenantry.services.identity.errors import MALFORMED_POLICY

_VERSIONS = ("2008-10-17", "2012-10-17")
_TOP = {"Version", "Id", "Statement"}
_COMMON = {"Sid", "Effect", "Action", "NotAction", "Condition"}
_RESOURCES = {"Resource", "NotResource"}
_PRINCIPALS = {"Principal", "NotPrincipal"}
_PRINCIPAL_TYPES = {"AWS", "Service", "Federated", "CanonicalUser"}
_ACTION = re.compile(r"\*|[a-zA-Z0-9-]+:[\w*?]+")
_SID = re.compile(r"[A-Za-z0-9]*")
_ACCOUNT = re.compile(r"\d{12}")
_PRINCIPAL_ARN = re.compile(r"arn:[a-z-]+:(iam|sts)::(\d{12}|cloudfront|aws):.+")
_SERVICE = re.compile(r"[a-z0-9][a-z0-9.-]*\.(amazonaws\.com(\.cn)?|aws\.internal)")


def check_permissions(text: str) -> None:
    """A policy that says what may be done. Raises MalformedPolicyDocument."""
    for statement in _statements(text):
        if _PRINCIPALS & statement.keys():
            raise _malformed("Policy document should not specify a principal.")
        _check_statement(statement, _COMMON | _RESOURCES)
        if not _listed(statement.get("Resource", statement.get("NotResource"))):
            raise _malformed("Policy statement must contain resources.")
        for resource in _listed(statement.get("Resource", statement.get("NotResource"))):
            if resource != "*" and not resource.startswith("arn:"):
                raise _malformed(f'Resource {resource} must be in ARN format or "*".')
            if resource != "*" and resource.count(":") < 5 and "*" not in resource:
                raise _malformed("The policy failed legacy parsing")


def check_trust(text: str) -> None:
    """A policy that says who may assume a role. Raises MalformedPolicyDocument."""
    for statement in _statements(text):
        if _RESOURCES & statement.keys():
            raise _malformed("Has prohibited field Resource")
        _check_statement(statement, _COMMON | _PRINCIPALS)
        for action in _listed(statement.get("Action", statement.get("NotAction"))):
            if not action.lower().startswith("sts:") and action != "*":
                raise _malformed("AssumeRole policy may only specify STS AssumeRole actions.")
        if not _PRINCIPALS & statement.keys():
            raise _malformed("Missing required field Principal cannot be empty!")
        _check_principal(statement.get("Principal", statement.get("NotPrincipal")))


def trusts(text: str, account_id: str, arns: set[str], external_id: str | None) -> bool:
    """Whether a trust policy lets a principal of the account assume the role: named by one of its `arns`, or by its account.

    A Deny that matches wins. Conditions on sts:ExternalId are decided; a statement with any other condition never allows.
    """
    allowed = False
    for statement in _statements(text):
        if not _names_action(statement) or not _names_principal(statement, account_id, arns):
            continue
        if statement["Effect"] == "Deny":
            return False
        allowed = allowed or _condition_holds(statement.get("Condition") or {}, external_id)
    return allowed


def compact_size(text: str) -> int:
    """A document's size as IAM's quotas count it: without white space."""
    return len(re.sub(r"\s", "", text))


def _statements(text: str) -> list[dict[str, Any]]:
    try:
        document = json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        raise _malformed("This policy contains invalid Json") from None
    if not isinstance(document, dict) or not document.keys() <= _TOP:
        raise _malformed("Syntax errors in policy.")
    if document.get("Version", "2008-10-17") not in _VERSIONS:
        raise _malformed("The policy must contain a valid version string")
    statements = document.get("Statement")
    statements = [statements] if isinstance(statements, dict) else statements
    if not isinstance(statements, list) or not statements or not all(isinstance(row, dict) for row in statements):
        raise _malformed("Syntax errors in policy.")
    named = [row["Sid"] for row in statements if row.get("Sid")]
    if len({str(sid) for sid in named}) < len(named):
        raise _malformed("Statement IDs (SID) in a single policy must be unique.")
    return statements


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is there twice")
    return found


def _check_statement(statement: dict[str, Any], fields: set[str]) -> None:
    if "Effect" not in statement:
        raise _malformed("Missing required field Effect cannot be empty!")
    if statement["Effect"] not in ("Allow", "Deny"):
        raise _malformed(f"Invalid effect: {statement['Effect']}")
    if not statement.keys() <= fields:
        raise _malformed("Syntax errors in policy.")
    if not isinstance(statement.get("Sid", ""), str) or not _SID.fullmatch(statement.get("Sid", "")):
        raise _malformed(
            "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*"
        )
    actions = _listed(statement.get("Action", statement.get("NotAction")))
    if not actions:
        raise _malformed("Policy statement must contain actions.")
    for action in actions:
        if not _ACTION.fullmatch(action):
            raise _malformed("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")
    condition = statement.get("Condition", {})
    if not isinstance(condition, dict) or not all(isinstance(row, dict) for row in condition.values()):
        raise _malformed("Syntax errors in policy.")


def _check_principal(principal: Any) -> None:
    if principal == "*":
        return
    if not isinstance(principal, dict) or not principal or not principal.keys() <= _PRINCIPAL_TYPES:
        raise _malformed("Syntax errors in policy.")
    for kind, value in principal.items():
        names = _listed(value)
        if not names:
            raise _malformed("Missing required field Principal cannot be empty!")
        for name in names:
            if kind == "AWS" and not (name == "*" or _ACCOUNT.fullmatch(name) or _PRINCIPAL_ARN.fullmatch(name)):
                raise _malformed(f'Invalid principal in policy: "AWS":"{name}"')
            if kind == "Service" and not _SERVICE.fullmatch(name):
                raise _malformed(f'Invalid principal in policy: "SERVICE":"{name}"')


def _names_action(statement: dict[str, Any]) -> bool:
    actions = [action.lower() for action in _listed(statement.get("Action"))]
    return any(fnmatchcase("sts:assumerole", action) for action in actions)


def _names_principal(statement: dict[str, Any], account_id: str, arns: set[str]) -> bool:
    principal = statement.get("Principal")
    if principal == "*":
        return True
    names = _listed(principal.get("AWS")) if isinstance(principal, dict) else []
    ours = {"*", account_id, f"arn:aws:iam::{account_id}:root", *arns}
    return any(name in ours for name in names)


def _condition_holds(condition: dict[str, Any], external_id: str | None) -> bool:
    for operator, row in condition.items():
        for key, value in row.items():
            if key.lower() != "sts:externalid" or operator not in ("StringEquals", "StringLike"):
                return False
            match = (lambda sent, wanted: sent == wanted) if operator == "StringEquals" else fnmatchcase
            if external_id is None or not any(match(external_id, wanted) for wanted in _listed(value)):
                return False
    return True


def _listed(value: Any) -> list[str]:
    """A field that may hold one text or several. Raises MalformedPolicyDocument for anything else."""
    if value is None:
        return []
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(item, str) for item in values):
        raise _malformed("Syntax errors in policy.")
    return values


def _malformed(reason: str) -> ServiceError:
    return MALFORMED_POLICY(reason=reason)
