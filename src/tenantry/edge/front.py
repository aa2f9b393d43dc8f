"""READ THIS FIRST. The dispatch: which of the platform's doors a request goes through.

    Host: {api}.execute-api.{anything}       a deployed API, data plane      path is /{stage}/...
    /_api/{api}/{stage}/...                  the same, for clients without names under localhost
    /_tenantry/health, /_tenantry/status     the platform about itself; what names tenants needs the operator's token
    /_code/{key}?...                         a deployment package, by a link that GetFunction gave
    anything else                            an AWS operation (edge/aws.py): signature, parse, validate, operation, serialise

One process, one port, no chain of handlers: from here a request takes one step into its door, and the door answers it. Code in
an execution environment comes in through a socket of its own (edge/inside.py) and `Front.inside`, which lacks the platform's
door.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson

from tenantry.edge.code_links import PREFIX as CODE_PREFIX
from tenantry.edge.limits import BodyLimit, Limits
from tenantry.edge.reply import message_response
from tenantry.model.http import Request, Response

Door = Callable[[Request], Awaitable[Response]]
ApiDoor = Callable[[Request, str, str], Awaitable[Response]]
"""(request, api id, path) -> response. The path is as sent, still encoded, and begins with `/{stage}`."""

Page = Callable[[], Mapping[str, Any]]

API_PREFIX = "/_api/"
PLATFORM_PREFIX = "/_tenantry/"
_EXECUTE_API = ".execute-api."
_NOT_S3 = re.compile(r"/(?:20\d\d-\d\d-\d\d|restapis|tags|_api|_code|_tenantry)/")


class Front:
    """The listener's handler.

    pages: the platform's own, by the last part of their path; token: what opens those besides `health` (as `Authorization:
    Bearer`), known to whoever can read the data folder.
    """

    def __init__(self, aws: Door, api: ApiDoor, code: Door, pages: Mapping[str, Page], token: str) -> None:
        self._aws = aws
        self._code = code
        self._api = api
        self._pages = pages
        self._bearer = f"Bearer {token}".encode()

    async def __call__(self, request: Request) -> Response:
        """Answer a request, whatever it asks."""
        path = request.path
        api_id = api_of_host(request.header("host", "") or "")
        if api_id is not None:
            return await self._api(request, api_id, path)
        if path.startswith(API_PREFIX):
            api_id, _, rest = path[len(API_PREFIX) :].partition("/")
            return await self._api(request, api_id, f"/{rest}")
        if path.startswith(PLATFORM_PREFIX):
            return self._platform(request)
        if path.startswith(CODE_PREFIX):
            return await self._code(request)
        return await self._aws(request)

    async def inside(self, request: Request) -> Response:
        """Answer a request from inside an execution environment: the platform's own pages are not there."""
        if request.path.startswith(PLATFORM_PREFIX):
            return message_response(404, "There is no such page.")
        return await self(request)

    def _platform(self, request: Request) -> Response:
        page = self._pages.get(request.path[len(PLATFORM_PREFIX) :])
        if page is None:
            known = ", ".join(f"{PLATFORM_PREFIX}{name}" for name in sorted(self._pages))
            return message_response(404, f"There is no such page. There are: {known}.")
        if request.method not in ("GET", "HEAD"):
            return message_response(405, "This page can only be read.")
        given = (request.header("authorization") or "").encode("latin-1")
        if request.path != f"{PLATFORM_PREFIX}health" and not hmac.compare_digest(given, self._bearer):
            return message_response(401, "This page is for the operator: use `tenantry status`.")
        headers = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
        return Response(200, headers, orjson.dumps(page(), option=orjson.OPT_INDENT_2) + b"\n")


def api_of_host(host: str) -> str | None:
    """The API id in a Host header `{api}.execute-api.{suffix}[:port]`, or None. Names are compared without case."""
    if _EXECUTE_API not in host and _EXECUTE_API not in host.lower():
        return None
    api_id, _, _ = host.lower().partition(_EXECUTE_API)
    return api_id if api_id and "." not in api_id else None


def body_limit(limits: Limits) -> BodyLimit:
    """How large bodies may be, by where they go: S3 uploads (PUT of an object or a part) larger than everything else."""

    def limit(method: str, host: str, path: str) -> int:
        # Other services' paths are dated (/2015-03-31/functions/...) or begin with a fixed word.
        if method != "PUT" or _NOT_S3.match(path) or api_of_host(host) is not None:
            return limits.body_bytes
        return limits.large_body_bytes

    return limit
