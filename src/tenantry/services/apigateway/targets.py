"""Lambda functions as integrations and authorizers name them.

    arn:aws:apigateway:{region}:lambda:path/2015-03-31/functions/{function ARN[:qualifier]}/invocations

The function's ARN may hold `${stageVariables.name}`; it is resolved when a stage is compiled.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from tenantry.services.apigateway import errors

_ARN = re.compile(r"arn:aws[\w-]*:apigateway:[\w-]+:([\w.-]+):(path|action)/(.*)", re.DOTALL)
_INVOCATIONS = re.compile(r"/?\d{4}-\d\d-\d\d/functions/(.+)/(invocations|response-streaming-invocations)")
_FUNCTION = re.compile(
    r"arn:aws[\w-]*:lambda:([a-z0-9-]+):(\d{12}):function:([A-Za-z0-9_-]{1,64})(?::(\$LATEST|[A-Za-z0-9_-]+))?"
)
_VARIABLE = re.compile(r"\$\{stageVariables\.(\w+)\}")


@dataclass(frozen=True, slots=True)
class Target:
    """A function to invoke. `qualifier` is a version, an alias, `$LATEST` or None."""

    region: str
    account_id: str
    name: str
    qualifier: str | None


def check_lambda_uri(uri: str, *, proxy: bool) -> None:
    """Refuse, as AWS words it, an integration URI that names no Lambda function."""
    if not uri.startswith("arn:"):
        raise errors.BAD_ARN()
    arn = _ARN.fullmatch(uri)
    if arn is None:
        raise errors.NO_PATH_OR_ACTION()
    found = _INVOCATIONS.fullmatch(arn[3]) if arn[1] == "lambda" and arn[2] == "path" else None
    if found is None:
        if proxy:
            raise errors.ONLY_LAMBDA()
        raise errors.unsupported("integrations of type AWS with other services than Lambda's Invoke")
    if found[2] != "invocations":
        raise errors.unsupported("streamed integration responses")
    if not _FUNCTION.fullmatch(_VARIABLE.sub("x", found[1])) and "${stageVariables." not in found[1]:
        raise errors.BAD_LAMBDA_ARN()


def target_of(uri: str, stage_variables: Mapping[str, str]) -> Target | None:
    """The function a checked URI names in a stage, or None where the stage's variables make no function of it."""
    arn = _ARN.fullmatch(uri)
    found = _INVOCATIONS.fullmatch(arn[3]) if arn is not None else None
    if found is None:
        return None
    function = _FUNCTION.fullmatch(_VARIABLE.sub(lambda match: stage_variables.get(match[1], ""), found[1]))
    return Target(function[1], function[2], function[3], function[4]) if function is not None else None
