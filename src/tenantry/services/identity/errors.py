"""What IAM and STS refuse, as a table. Codes and statuses are the service models'; texts from memory of AWS's own."""

from __future__ import annotations

from tenantry.model.errors import Refusal

_SOURCE = "botocore iam 2010-05-08, sts 2011-06-15 (codes and statuses)"


def _row(code: str, status: int, template: str) -> Refusal:
    return Refusal(code, status, template, _SOURCE)


# NoSuchEntity
NO_ROLE = _row("NoSuchEntity", 404, "The role with name {name} cannot be found.")
NO_INLINE_POLICY = _row("NoSuchEntity", 404, "The role policy with name {name} cannot be found.")
NO_POLICY = _row("NoSuchEntity", 404, "Policy {arn} was not found.")
NOT_ATTACHABLE = _row("NoSuchEntity", 404, "Policy {arn} does not exist or is not attachable.")
NO_POLICY_VERSION = _row("NoSuchEntity", 404, "Policy {arn} version {version} does not exist or is not attachable.")
NO_BOUNDARY = _row("NoSuchEntity", 404, "Scope ARN: {arn} does not exist or is not attachable.")
NO_USER = _row("NoSuchEntity", 404, "The user with name {name} cannot be found.")

# EntityAlreadyExists
ROLE_EXISTS = _row("EntityAlreadyExists", 409, "Role with name {name} already exists.")
POLICY_EXISTS = _row("EntityAlreadyExists", 409, "A policy called {name} already exists. Duplicate names are not allowed.")

# DeleteConflict
MUST_DETACH = _row("DeleteConflict", 409, "Cannot delete entity, must detach all policies first.")
MUST_DELETE_INLINE = _row("DeleteConflict", 409, "Cannot delete entity, must delete policies first.")
POLICY_ATTACHED = _row("DeleteConflict", 409, "Cannot delete a policy attached to entities.")
POLICY_HAS_VERSIONS = _row(
    "DeleteConflict",
    409,
    "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. "
    "The default version is deleted with the policy.",
)
DEFAULT_VERSION = _row("DeleteConflict", 409, "Cannot delete the default version of a policy.")

# LimitExceeded
QUOTA = _row("LimitExceeded", 409, "Cannot exceed quota for {quota}: {limit}")
INLINE_SIZE = _row("LimitExceeded", 409, "Maximum policy size of {limit} bytes exceeded for role {name}")
POLICY_VERSIONS = _row(
    "LimitExceeded",
    409,
    "A managed policy can have up to {limit} versions. Before you create a new version, you must delete an existing version.",
)

# InvalidInput and MalformedPolicyDocument
INVALID_INPUT = _row("InvalidInput", 400, "{reason}")
DUPLICATE_TAGS = _row("InvalidInput", 400, "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
INVALID_MARKER = _row("InvalidInput", 400, "Invalid Marker.")
INVALID_ARN = _row("InvalidInput", 400, "ARN {arn} is not valid.")
MALFORMED_POLICY = _row("MalformedPolicyDocument", 400, "{reason}")
AWS_MANAGED = _row("AccessDenied", 403, "User: {user} is not authorized to perform: {action} on resource: policy {arn}")

# STS
NOT_AUTHORIZED = _row("AccessDenied", 403, "User: {user} is not authorized to perform: sts:AssumeRole on resource: {role}")
TOO_LONG = _row("ValidationError", 400, "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
TOO_LONG_CHAINED = _row(
    "ValidationError",
    400,
    "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.",
)
SESSION_FROM_SESSION = _row("AccessDenied", 403, "Cannot call GetSessionToken with session credentials")
TOO_SHORT = _row(
    "ValidationError",
    400,
    "1 validation error detected: Value '{seconds}' at 'durationSeconds' failed to satisfy constraint: "
    "Member must have value greater than or equal to 900",
)
NOT_A_USER = _row("ValidationError", 400, "Must specify userName when calling with non-User credentials")
INVALID_ROLE_ARN = _row("ValidationError", 400, "{arn} is invalid")
