"""Outputs: computed from a template, and shown so that an address in them works on this machine.

The address of an API of ours, `https://{api}.execute-api.{region}.amazonaws.com`, is shown as
`http://{api}.execute-api.localhost:{port}` (names under localhost are this machine), or under `/_api/{api}` of the host by
which the client reached us when that is another machine. Stored and exported values stay as the template says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from tenantry.services.cloudformation import errors
from tenantry.services.cloudformation.intrinsics import Evaluator
from tenantry.services.cloudformation.records import Output

_ADDRESS = re.compile(r"https://([a-z0-9]{10})\.execute-api\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?(?![\w.-])")
_HERE = ("127.0.0.1", "localhost", "::1")


def compute(template: Mapping[str, Any], values: Evaluator) -> tuple[Output, ...]:
    """The outputs of a deployed template whose conditions hold. Raises ValidationError for a value that is no text."""
    result: list[Output] = []
    for name, definition in (template.get("Outputs") or {}).items():
        if "Condition" in definition and not values.condition(definition["Condition"]):
            continue
        export = definition.get("Export")
        description = definition.get("Description")
        result.append(
            Output(
                key=name,
                value=values.text(definition["Value"], f"The Value field of output {name}"),
                description=None if description is None else values.text(description, "An output description"),
                export_name=None if export is None else values.text(export["Name"], f"The Export Name of output {name}"),
            )
        )
    names = [output.export_name for output in result if output.export_name is not None]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise errors.ANY_TEXT(problem=f"Duplicate Export names. Names must be unique: [{twice}]")
    return tuple(result)


def api_ids(value: str) -> set[str]:
    """The ids of the APIs whose addresses stand in a text."""
    return set(_ADDRESS.findall(value))


def local_addresses(value: str, endpoint: str, ours: Callable[[str], bool]) -> str:
    """A text with the addresses of our APIs made local. endpoint: base URL by which the client reached the platform."""
    parts = urlsplit(endpoint)
    port = f":{parts.port}" if parts.port else ""

    def local(match: re.Match[str]) -> str:
        api = match.group(1)
        if not ours(api):
            return match.group(0)
        if parts.hostname in _HERE or (parts.hostname or "").endswith(".localhost"):
            return f"{parts.scheme}://{api}.execute-api.localhost{port}"
        return f"{parts.scheme}://{parts.netloc}/_api/{api}"

    return _ADDRESS.sub(local, value)
