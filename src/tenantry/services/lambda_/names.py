"""The many ways a caller may name a function or a layer (aws-behaviour 2.5), reduced to name and qualifier."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tenantry.services.lambda_ import errors
from tenantry.services.lambda_.records import LATEST
from tenantry.services.operation import Context

NAME_LENGTH_MAX = 64
FUNCTION_PATTERN = (
    r"(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?"
    r"([a-zA-Z0-9-_\.]+)(:(\$LATEST(\.PUBLISHED)?|[a-zA-Z0-9-_]+))?"
)
_FUNCTION = re.compile(
    r"(?:arn:aws[a-zA-Z-]*:lambda:)?(?:(?P<region>[a-z]{2}(?:-[a-z]+)+-\d):)?(?:(?P<account>\d{12}):)?(?:function:)?"
    r"(?P<name>[a-zA-Z0-9_-]+)(?::(?P<qualifier>\$LATEST|[a-zA-Z0-9_-]+))?"
)
_LAYER = re.compile(
    r"arn:aws[a-zA-Z-]*:lambda:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):layer:(?P<name>[a-zA-Z0-9_-]+)(?::(?P<version>\d+))?"
)


@dataclass(frozen=True, slots=True)
class FunctionRef:
    """A function as a caller named it. qualifier: version, alias, `$LATEST` or None."""

    region: str
    account_id: str
    name: str
    qualifier: str | None = None

    @property
    def key(self) -> str:
        """The function's key in every collection."""
        return f"{self.region}/{self.name}"

    @property
    def arn(self) -> str:
        """The unqualified ARN."""
        return function_arn(self.region, self.account_id, self.name)

    @property
    def named_arn(self) -> str:
        """The ARN with the qualifier, where one was given."""
        return self.arn if self.qualifier is None else f"{self.arn}:{self.qualifier}"


def function_arn(region: str, account_id: str, name: str) -> str:
    """The unqualified ARN of a function."""
    return f"arn:aws:lambda:{region}:{account_id}:function:{name}"


def layer_arn(region: str, account_id: str, name: str) -> str:
    """The ARN of a layer, without a version."""
    return f"arn:aws:lambda:{region}:{account_id}:layer:{name}"


def function_ref(ctx: Context, text: str, qualifier: str | None = None, action: str = "GetFunction") -> FunctionRef:
    """Read a name, partial ARN or ARN, and the `Qualifier` beside it.

    Raises ValidationException for what is none of these, ResourceNotFoundException for another region,
    AccessDeniedException for another account, InvalidParameterValueException for two qualifiers that differ.
    """
    match = _FUNCTION.fullmatch(text)
    if match is None:
        constraint = f"Member must satisfy regular expression pattern: {FUNCTION_PATTERN}"
        raise errors.CONSTRAINT(value=text, member="functionName", constraint=constraint)
    region, account, name = match["region"] or ctx.region, match["account"] or ctx.account_id, match["name"]
    if len(name) > NAME_LENGTH_MAX:
        raise errors.NAME_TOO_LONG(name=name)
    if region != ctx.region:
        raise errors.FOREIGN_REGION(theirs=region, ours=ctx.region)
    if account != ctx.account_id:
        raise errors.FOREIGN_ACCOUNT(user=ctx.principal.arn, action=action, arn=function_arn(region, account, name))
    if match["qualifier"] and qualifier and match["qualifier"] != qualifier:
        raise errors.QUALIFIER_MISMATCH()
    return FunctionRef(region, account, name, qualifier or match["qualifier"])


def whole_function(ctx: Context, text: str, action: str) -> FunctionRef:
    """Like `function_ref`, for operations on the function itself: a version or alias is refused, `$LATEST` means the same."""
    ref = function_ref(ctx, text, action=action)
    if ref.qualifier not in (None, LATEST):
        raise errors.UNQUALIFIED_ONLY()
    return FunctionRef(ref.region, ref.account_id, ref.name)


def layer_name(ctx: Context, text: str, action: str) -> str:
    """Read a layer's name or its ARN without a version. Raises AccessDeniedException for another account's."""
    match = _LAYER.fullmatch(text)
    if match is None:
        return text
    if match["region"] != ctx.region:
        raise errors.LAYER_NOT_FOUND()
    if match["account"] != ctx.account_id:
        raise errors.FOREIGN_ACCOUNT(user=ctx.principal.arn, action=action, arn=text)
    return match["name"]


def layer_version(ctx: Context, arn: str) -> tuple[str, int]:
    """Name and version of a layer version's ARN. Raises InvalidParameterValueException where it can be none of ours."""
    match = _LAYER.fullmatch(arn)
    if match is None or match["version"] is None:
        raise errors.LAYER_ABSENT(arn=arn)
    if match["region"] != ctx.region:
        raise errors.LAYER_ELSEWHERE(region=ctx.region)
    if match["account"] != ctx.account_id:
        raise errors.FOREIGN_ACCOUNT(user=ctx.principal.arn, action="GetLayerVersion", arn=arn)
    return match["name"], int(match["version"])
