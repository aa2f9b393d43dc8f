"""May this invocation run? Resolution, permission, tenant id, tenancy, state, throttling, payload - in this order, with AWS's
words.

Sources: aws-behaviour 1.3, 1.6 (tenant rules and the order of checks), 2.5 (Invoke), 3.2 (permissions).
"""

from __future__ import annotations

import fnmatch
import functools
import random
import re

import orjson

from tenantry.model.errors import Refusal, ServiceError
from tenantry.model.function import FunctionEntry, FunctionVersion, PolicyStatement
from tenantry.model.invocation import EVENT_BYTES_MAX, REQUEST_BYTES_MAX, InvokeRequest
from tenantry.placement.functions import Functions
from tenantry.placement.pool import Refuse

TENANT_ID_PATTERN = r"[a-zA-Z0-9\._:\/=+\-@ ]+"
TENANT_ID_LENGTH_MAX = 256
_TENANT_ID = re.compile(TENANT_ID_PATTERN)
_USER = (("Type", "User"),)

FUNCTION_NOT_FOUND = Refusal("ResourceNotFoundException", 404, "Function not found: {arn}", "aws-behaviour 2.5", _USER)
TENANT_MISSING = Refusal(
    "InvalidParameterValueException",
    400,
    "The invoked function is enabled with tenancy configuration. Add a valid tenant ID in your request and try again.",
    "aws-behaviour 1.6",
    _USER,
)
TENANT_UNWANTED = Refusal(
    "InvalidParameterValueException",
    400,
    "The invoked function is not enabled with tenancy configuration. Remove the tenant ID from your request and try again.",
    "aws-behaviour 1.6",
    _USER,
)
TENANT_TOO_LONG = Refusal(
    "ValidationException",
    400,
    "1 validation error detected: Value '{value}' at 'tenantId' failed to satisfy constraint: Member must have length "
    "less than or equal to 256",
    "aws-behaviour 1.6",
)
TENANT_MALFORMED = Refusal(
    "ValidationException",
    400,
    "1 validation error detected: Value '{value}' at 'tenantId' failed to satisfy constraint: Member must satisfy regular "
    "expression pattern: {pattern}",
    "aws-behaviour 1.6",
)
NOT_PERMITTED = Refusal(
    "AccessDeniedException",
    403,
    "User: {principal} is not authorized to perform: lambda:InvokeFunction on resource: {arn} because no resource-based policy "
    "allows the lambda:InvokeFunction action",
    "aws-behaviour 3.2",
)
WRONG_STATE = Refusal(
    "ResourceConflictException",
    409,
    "The operation cannot be performed at this time. The function is currently in the following state: {state}",
    "aws-behaviour 2.5",
    _USER,
)
BAD_PAYLOAD = Refusal(
    "InvalidRequestContentException",
    400,
    "Could not parse request body into json: Could not parse payload into json: {reason}",
    "aws-behaviour 2.5",
    _USER,
)
TOO_LARGE = Refusal(
    "RequestTooLargeException",
    413,
    "Request must be smaller than {limit} bytes for the InvokeFunction operation",
    "aws-behaviour 2.5",
    _USER,
)
THROTTLED = Refusal("TooManyRequestsException", 429, "Rate Exceeded.", "aws-behaviour 1.6", _USER)
TOO_MANY_TENANTS = Refusal("TooManyRequestsException", 429, "Rate exceeded", "aws-behaviour 1.5", _USER)
QUEUE_FULL = Refusal("TooManyRequestsException", 429, "Rate Exceeded.", "own: the event queue is full", _USER)
ENVIRONMENT_FAILED = Refusal(
    "ServiceException",
    500,
    "The execution environment could not be made: {reason}",
    "own",
    (("Type", "Service"),),
    sender=False,
)
SHUTTING_DOWN = Refusal(
    "ServiceException",
    503,
    "The platform is shutting down and takes no new invocations.",
    "own",
    (("Type", "Service"),),
    sender=False,
)


def resolve(functions: Functions, request: InvokeRequest) -> tuple[FunctionEntry, FunctionVersion, str]:
    """The function, the version the qualifier names (aliases by weight), and the ARN as invoked."""
    entry = functions.get(request.region, request.function)
    if entry is None:
        raise FUNCTION_NOT_FOUND(arn=f"arn:aws:lambda:{request.region}:{functions.account_id}:function:{request.function}")
    qualifier = request.qualifier
    if qualifier is None:
        return entry, entry.versions["$LATEST"], entry.arn
    arn = f"{entry.arn}:{qualifier}"
    alias = entry.aliases.get(qualifier)
    version = qualifier
    if alias is not None:
        version = alias.version
        for other, weight in alias.weights.items():
            if random.random() < weight:  # noqa: S311 - traffic shifting, not a secret
                version = other
    function = entry.versions.get(version)
    if function is None:
        raise FUNCTION_NOT_FOUND(arn=arn)
    return entry, function, arn


def check(entry: FunctionEntry, function: FunctionVersion, request: InvokeRequest) -> None:
    """Every check after resolution that needs no environment. Raises ServiceError."""
    if request.source_service is not None:
        _permission(entry, request)
    recheck(entry, function, request)
    _payload(request)


def recheck(entry: FunctionEntry, function: FunctionVersion, request: InvokeRequest) -> None:
    """What may have changed since an event was taken: the function may be another, or be made anew. Raises ServiceError."""
    _tenancy(function, request.tenant_id)
    if entry.state not in ("Active", "Inactive"):
        raise WRONG_STATE(state=entry.state)
    if entry.reserved == 0:
        raise throttled(Refuse("ReservedFunctionConcurrentInvocationLimitExceeded"))


def throttled(refusal: Refuse) -> ServiceError:
    """The 429 for a decision of the pool."""
    error = TOO_MANY_TENANTS() if refusal.tenants else THROTTLED()
    error.members = {**error.members, "Reason": refusal.reason, "retryAfterSeconds": "1"}
    return error


def _tenancy(function: FunctionVersion, tenant_id: str | None) -> None:
    if tenant_id:
        if len(tenant_id) > TENANT_ID_LENGTH_MAX:
            raise TENANT_TOO_LONG(value=tenant_id)
        if not _TENANT_ID.fullmatch(tenant_id):
            raise TENANT_MALFORMED(value=tenant_id, pattern=TENANT_ID_PATTERN)
        if not function.tenancy:
            raise TENANT_UNWANTED()
    elif function.tenancy:
        raise TENANT_MISSING()


def _payload(request: InvokeRequest) -> None:
    limit = EVENT_BYTES_MAX if request.invocation_type == "Event" else REQUEST_BYTES_MAX
    if len(request.payload) > limit:
        raise TOO_LARGE(limit=limit)
    if request.payload and request.source_service is None:  # a service's own event is JSON by construction
        try:
            orjson.loads(request.payload)
        except orjson.JSONDecodeError as error:
            raise BAD_PAYLOAD(reason=str(error)) from None


def _permission(entry: FunctionEntry, request: InvokeRequest) -> None:
    qualifier = request.qualifier if request.qualifier not in (None, "$LATEST") else ""
    for statement in entry.policies.get(qualifier or "", ()):
        if _allows(statement, entry, request):
            return
    arn = entry.arn if not qualifier else f"{entry.arn}:{qualifier}"
    raise NOT_PERMITTED(principal=request.source_service, arn=arn)


def _allows(statement: PolicyStatement, entry: FunctionEntry, request: InvokeRequest) -> bool:
    if statement.principal_service not in (request.source_service, "*") or statement.action not in (
        "lambda:InvokeFunction",
        "lambda:*",
        "*",
    ):
        return False
    if statement.source_account is not None and statement.source_account != entry.account_id:
        return False
    return statement.source_arn is None or _matches(statement.source_arn, request.source_arn or "")


@functools.lru_cache(maxsize=4096)
def _matches(pattern: str, arn: str) -> bool:
    """ArnLike: `*` and `?` as wildcards, nothing else special."""
    return fnmatch.fnmatchcase(arn, pattern.replace("[", "[[]"))
