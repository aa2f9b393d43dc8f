"""May a role's session call this operation? Its role's permissions policies decide, as IAM evaluates them.

Who holds temporary credentials of a role - above all the code of a function - may do what the role's policies allow and nothing
else: a tenant's code must not read other tenants' logs or invoke as another tenant just because the platform is within its
reach. The root key may do everything.

Evaluation: an explicit Deny wins; something must allow; a permissions boundary must allow as well. What is not understood never
widens: an Allow with a Condition or a policy variable does not allow, a Deny with one denies. Creating or changing a function
needs `iam:PassRole` for its role. Actions and resources: service authorization reference, from memory.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable
from typing import Any

from tenantry.model.errors import Refusal
from tenantry.services.identity import managed
from tenantry.services.identity.directory import Directory, Role
from tenantry.services.operation import Context

_ALWAYS = frozenset({("sts", "GetCallerIdentity")})
_DENIED = (
    "User: {arn} is not authorized to perform: {action} on resource: {resource} because no identity-based policy allows the "
    "{action} action"
)
_REFUSALS = {
    "lambda": Refusal("AccessDeniedException", 403, _DENIED, "aws-behaviour 3.2"),
    "apigateway": Refusal("AccessDeniedException", 403, _DENIED, "from memory"),
    "logs": Refusal("AccessDeniedException", 400, _DENIED, "from memory"),
}
_OTHERS = Refusal("AccessDenied", 403, _DENIED, "from memory")

# Operations whose action has another name.
_ACTIONS = {
    ("lambda", "Invoke"): "lambda:InvokeFunction",
    ("lambda", "InvokeAsync"): "lambda:InvokeFunction",
    ("lambda", "InvokeWithResponseStream"): "lambda:InvokeFunction",
    ("lambda", "GetLayerVersionByArn"): "lambda:GetLayerVersion",
    ("s3", "HeadObject"): "s3:GetObject",
    ("s3", "GetObjectAttributes"): "s3:GetObject",
    ("s3", "HeadBucket"): "s3:ListBucket",
    ("s3", "ListObjects"): "s3:ListBucket",
    ("s3", "ListObjectsV2"): "s3:ListBucket",
    ("s3", "ListObjectVersions"): "s3:ListBucketVersions",
    ("s3", "ListBuckets"): "s3:ListAllMyBuckets",
    ("s3", "ListMultipartUploads"): "s3:ListBucketMultipartUploads",
    ("s3", "ListParts"): "s3:ListMultipartUploadParts",
    ("s3", "CreateMultipartUpload"): "s3:PutObject",
    ("s3", "UploadPart"): "s3:PutObject",
    ("s3", "UploadPartCopy"): "s3:PutObject",
    ("s3", "CompleteMultipartUpload"): "s3:PutObject",
    ("s3", "CopyObject"): "s3:PutObject",
    ("s3", "DeleteObjects"): "s3:DeleteObject",
}
_METHODS = (("Get", "GET"), ("Delete", "DELETE"), ("Update", "PATCH"), ("Put", "PUT"), ("Tag", "PUT"), ("Untag", "DELETE"))


class Authorizer:
    """Decides for sessions of roles. Every other principal passes."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def check(self, ctx: Context, service: str, operation: str, params: dict[str, Any]) -> None:
        """Raises AccessDenied in the service's own words."""
        arn = ctx.principal.arn
        if ":assumed-role/" not in arn or (service, operation) in _ALWAYS:
            return
        role = self._directory.find_role(arn.split("/")[1])
        for action, resource in _asked(ctx, service, operation, params):
            if role is None or not self._allows(role, action, resource):
                raise _REFUSALS.get(service, _OTHERS)(arn=arn, action=action, resource=resource)

    def _allows(self, role: Role, action: str, resource: str) -> bool:
        own = [*role.inline.values(), *(self._document(arn) for arn in role.attached)]
        if not _evaluate(own, action, resource):
            return False
        return role.boundary is None or _evaluate([self._document(role.boundary)], action, resource)

    def _document(self, arn: str) -> str:
        """The text of a managed policy; one that is gone allows nothing."""
        known = managed.MANAGED.get(arn)
        if known is not None:
            return known.document
        if not self._directory.has_policy(arn):
            return '{"Statement": []}'
        policy = self._directory.policy(arn)
        return next(version.document for version in policy.versions if version.version_id == policy.default)


def _asked(ctx: Context, service: str, operation: str, params: dict[str, Any]) -> Iterable[tuple[str, str]]:
    """Every (action, resource) that one call needs."""
    action = _ACTIONS.get((service, operation), f"{service}:{operation}")
    if service == "apigateway":
        method = next((method for prefix, method in _METHODS if operation.startswith(prefix)), "POST")
        yield f"apigateway:{method}", f"arn:aws:apigateway:{ctx.region}::/{params.get('restApiId', '')}"
        return
    for resource in _RESOURCES.get(service, _everything)(ctx, params):
        yield action, resource
    if operation in ("CopyObject", "UploadPartCopy"):
        yield "s3:GetObject", f"arn:aws:s3:::{str(params.get('CopySource', '')).lstrip('/').partition('?')[0]}"
    if service == "lambda" and params.get("Role"):
        yield "iam:PassRole", str(params["Role"])


def _everything(ctx: Context, params: dict[str, Any]) -> list[str]:
    return ["*"]


def _lambda_resources(ctx: Context, params: dict[str, Any]) -> list[str]:
    base = f"arn:aws:lambda:{ctx.region}:{ctx.account_id}"
    name = str(params.get("FunctionName") or "")
    if name:
        name = name.rpartition(":function:")[2] if ":function:" in name else name
        qualifier = params.get("Qualifier")
        return [f"{base}:function:{name}{f':{qualifier}' if qualifier and ':' not in name else ''}"]
    if params.get("LayerName"):
        return [f"{base}:layer:{str(params['LayerName']).rpartition(':layer:')[2]}"]
    return [str(params.get("Resource") or "*")]


def _log_resources(ctx: Context, params: dict[str, Any]) -> list[str]:
    one = params.get("logGroupName") or params.get("logGroupIdentifier")
    many = [*params.get("logGroupNames", ()), *params.get("logGroupIdentifiers", ())]
    names = [str(name) for name in ([one] if one else many)]
    stream = f":log-stream:{params['logStreamName']}" if params.get("logStreamName") else ":*"
    groups = [name.rpartition(":log-group:")[2].removesuffix(":*") for name in names]
    return [f"arn:aws:logs:{ctx.region}:{ctx.account_id}:log-group:{group}{stream}" for group in groups] or ["*"]


def _s3_resources(ctx: Context, params: dict[str, Any]) -> list[str]:
    bucket = params.get("Bucket")
    if bucket is None:
        return ["*"]
    keys = [params["Key"]] if "Key" in params else [entry["Key"] for entry in params.get("Delete", {}).get("Objects", ())]
    return [f"arn:aws:s3:::{bucket}/{key}" for key in keys] or [f"arn:aws:s3:::{bucket}"]


def _iam_resources(ctx: Context, params: dict[str, Any]) -> list[str]:
    if params.get("RoleName"):
        return [f"arn:aws:iam::{ctx.account_id}:role/{params['RoleName']}"]
    return [str(params.get("PolicyArn") or "*")]


def _stack_resources(ctx: Context, params: dict[str, Any]) -> list[str]:
    name = str(params.get("StackName") or "")
    if not name or name.startswith("arn:"):
        return [name or "*"]
    return [f"arn:aws:cloudformation:{ctx.region}:{ctx.account_id}:stack/{name}/-"]


def _sts_resources(ctx: Context, params: dict[str, Any]) -> list[str]:
    return [str(params.get("RoleArn") or "*")]


_RESOURCES = {
    "lambda": _lambda_resources,
    "logs": _log_resources,
    "s3": _s3_resources,
    "iam": _iam_resources,
    "cloudformation": _stack_resources,
    "sts": _sts_resources,
}


def _evaluate(documents: Iterable[str], action: str, resource: str) -> bool:
    allowed = False
    for text in documents:
        for statement in _statements(text):
            deny = statement["Effect"] == "Deny"
            if _applies(statement, action, resource, deny):
                if deny:
                    return False
                allowed = True
    return allowed


def _applies(statement: dict[str, Any], action: str, resource: str, deny: bool) -> bool:
    if "Condition" in statement and not deny:
        return False
    actions = _one_of(statement, "Action", "NotAction", action.lower(), deny, lower=True)
    return actions and _one_of(statement, "Resource", "NotResource", resource, deny, lower=False)


def _one_of(statement: dict[str, Any], name: str, negated: str, value: str, deny: bool, *, lower: bool) -> bool:
    if negated in statement:
        return not any(_like(pattern.lower() if lower else pattern, value, False) for pattern in _list(statement[negated]))
    return any(_like(pattern.lower() if lower else pattern, value, deny) for pattern in _list(statement.get(name, ())))


def _list(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else [str(entry) for entry in value]


def _like(pattern: str, value: str, unknown: bool) -> bool:
    """Whether a pattern with `*` and `?` names the value; `unknown` for one with policy variables, which are not filled in."""
    if "${" in pattern:
        return unknown
    # A policy may name a log group with or without `:*`, and a resource of "*" in the call needs "*" in the policy.
    return _compiled(pattern).fullmatch(value) is not None or (value.endswith(":*") and pattern == value[:-2])


@functools.lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile("".join(".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern), re.DOTALL)


@functools.lru_cache(maxsize=1024)
def _statements(text: str) -> tuple[dict[str, Any], ...]:
    found = json.loads(text).get("Statement", [])
    return tuple([found] if isinstance(found, dict) else found)
