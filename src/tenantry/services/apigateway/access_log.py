"""Access logs of a stage: one line a request, in the stage's own format, to the log group the stage names."""

from __future__ import annotations

import re

from tenantry.model.http import Response
from tenantry.model.logging import LogSink
from tenantry.services.apigateway.call import Call
from tenantry.services.apigateway.records import AccessLogSettings

_VARIABLE = re.compile(r"\$context\.([A-Za-z][\w.]*\w)")
_GROUP = re.compile(r"arn:aws[\w-]*:logs:([a-z0-9-]+):\d{12}:log-group:([^:*]+)(?::\*)?")
_STREAM = "access"


def log_group(arn: str) -> tuple[str, str] | None:
    """(region, name) of a log group's ARN, or None."""
    found = _GROUP.fullmatch(arn)
    return (found[1], found[2]) if found is not None else None


def write_line(log: LogSink, settings: AccessLogSettings, call: Call, response: Response) -> None:
    """Queue the line of a request. An absent value is `-`, as AWS writes it."""
    where = log_group(settings.destination_arn or "")
    if where is None or not settings.format:
        return
    length = len(response.body) if isinstance(response.body, bytes) else 0
    extra = {"status": str(response.status), "responseLength": str(length), "error.message": "-"}
    line = _VARIABLE.sub(lambda match: extra.get(match[1]) or call.context(match[1]) or "-", settings.format)
    log.append(where[0], where[1], _STREAM, [(int(call.now * 1000), line)])
