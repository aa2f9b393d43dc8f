"""Resource policies: who may invoke a function, an alias or a version (aws-behaviour 3.2).

Statements are kept as AWS writes them; what placement can evaluate of them is published (see publish.py).
"""

from __future__ import annotations

import json
import re
from typing import Any

from tenantry.services.lambda_ import errors, names
from tenantry.services.lambda_.names import FunctionRef
from tenantry.services.lambda_.records import LATEST, PolicyRecord
from tenantry.services.lambda_.registry import Registry, new_id
from tenantry.services.operation import Context, operation

POLICY_BYTES_MAX = 20_480
_SERVICE = re.compile(r"[a-z0-9][a-z0-9.-]*\.(amazonaws\.com(\.cn)?|amazon\.com|aws\.internal)")
_PRINCIPAL_ARN = re.compile(r"arn:aws[a-zA-Z-]*:(iam|sts)::\d{12}:.+")

# Parameter -> (operator, condition key) of the statement, in the order in which they are written.
_CONDITIONS = {
    "SourceArn": ("ArnLike", "AWS:SourceArn"),
    "SourceAccount": ("StringEquals", "AWS:SourceAccount"),
    "EventSourceToken": ("StringEquals", "lambda:EventSourceToken"),
    "FunctionUrlAuthType": ("StringEquals", "lambda:FunctionUrlAuthType"),
    "PrincipalOrgID": ("StringEquals", "aws:PrincipalOrgID"),
    "InvokedViaFunctionUrl": ("Bool", "lambda:InvokedViaFunctionUrl"),
}


class PermissionOperations:
    """Operations on resource policies."""

    name = "lambda"

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._store = registry.store

    @operation("AddPermission")
    async def add_permission(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Add one statement."""
        ref, key = self._target(ctx, params, "AddPermission")
        policy = self._store.policies.get(key)
        self._check_revision(policy, params)
        before = policy.statements if policy is not None else ()
        if any(statement["Sid"] == params["StatementId"] for statement in before):
            raise errors.STATEMENT_EXISTS(sid=params["StatementId"])
        statement = _statement(params, ref.named_arn)
        after = (*before, statement)
        size = len(_document(after))
        if size > POLICY_BYTES_MAX:
            raise errors.POLICY_TOO_LONG(size=size)
        with self._registry.changing(ref.key):
            self._store.policies.put(key, PolicyRecord(after, new_id()))
        return {"Statement": _json(statement)}

    @operation("GetPolicy")
    async def get_policy(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """The policy as a JSON document."""
        _, key = self._target(ctx, params, "GetPolicy")
        policy = self._store.policies.get(key)
        if policy is None:
            raise errors.POLICY_NOT_FOUND()
        return {"Policy": _document(policy.statements), "RevisionId": policy.revision_id}

    @operation("RemovePermission")
    async def remove_permission(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Take one statement away; with the last one goes the policy."""
        ref, key = self._target(ctx, params, "RemovePermission")
        policy = self._store.policies.get(key)
        if policy is None:
            raise errors.NO_POLICY()
        self._check_revision(policy, params)
        after = tuple(statement for statement in policy.statements if statement["Sid"] != params["StatementId"])
        if len(after) == len(policy.statements):
            raise errors.STATEMENT_NOT_FOUND(sid=params["StatementId"])
        with self._registry.changing(ref.key):
            if after:
                self._store.policies.put(key, PolicyRecord(after, new_id()))
            else:
                self._store.policies.delete(key)
        return {}

    def _target(self, ctx: Context, params: dict[str, Any], action: str) -> tuple[FunctionRef, str]:
        """What the policy belongs to, and its key: `.../` for the function, `.../<qualifier>` for a version or alias."""
        ref = names.function_ref(ctx, params["FunctionName"], params.get("Qualifier"), action)
        self._registry.function(ref)
        if ref.qualifier == LATEST:
            raise errors.POLICY_ON_LATEST()
        if ref.qualifier is not None:
            self._check_qualifier(ref, ref.qualifier)
        return ref, f"{ref.key}/{ref.qualifier or ''}"

    def _check_qualifier(self, ref: FunctionRef, qualifier: str) -> None:
        key = f"{ref.key}/{qualifier}"
        if key in self._store.versions or key in self._store.aliases:
            return
        raise (errors.FUNCTION_NOT_FOUND if qualifier.isdigit() else errors.ALIAS_NOT_FOUND)(arn=ref.named_arn)

    def _check_revision(self, policy: PolicyRecord | None, params: dict[str, Any]) -> None:
        given = params.get("RevisionId")
        if given is not None and (policy is None or given != policy.revision_id):
            raise errors.STALE_POLICY()


def _statement(params: dict[str, Any], resource: str) -> dict[str, Any]:
    statement: dict[str, Any] = {
        "Sid": params["StatementId"],
        "Effect": "Allow",
        "Principal": _principal(params["Principal"]),
        "Action": params["Action"],
        "Resource": resource,
    }
    condition: dict[str, dict[str, str]] = {}
    for member, (operator, name) in _CONDITIONS.items():
        value = params.get(member)
        if value:
            condition.setdefault(operator, {})[name] = str(value).lower() if value is True else value
    if condition:
        statement["Condition"] = condition
    return statement


def _principal(text: str) -> str | dict[str, str]:
    if text == "*":
        return text
    if re.fullmatch(r"\d{12}", text):
        return {"AWS": f"arn:aws:iam::{text}:root"}
    if _PRINCIPAL_ARN.fullmatch(text):
        return {"AWS": text}
    if _SERVICE.fullmatch(text):
        return {"Service": text}
    raise errors.BAD_PRINCIPAL()


def _document(statements: tuple[dict[str, Any], ...]) -> str:
    return _json({"Version": "2012-10-17", "Id": "default", "Statement": list(statements)})


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
