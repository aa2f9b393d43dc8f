"""Which door a request goes through, with doors that only say their names."""

from __future__ import annotations

import orjson
import pytest

from tenantry.edge.front import Front, api_of_host, body_limit
from tenantry.edge.limits import Limits
from tenantry.model.http import Request, Response


async def aws(request: Request) -> Response:
    return Response(200, [], b"aws")


async def api(request: Request, api_id: str, path: str) -> Response:
    return Response(200, [], f"api {api_id} {path}".encode())


async def code(request: Request) -> Response:
    return Response(200, [], b"code")


FRONT = Front(aws, api, code, {"health": lambda: {"status": "ok"}, "status": lambda: {"tenants": ["Blue"]}}, "secret")


def ask(path: str, host: str = "127.0.0.1:4270", method: str = "GET", **headers: str) -> Request:
    return Request(method, path, "", [("Host", host), *headers.items()])


@pytest.mark.parametrize(
    ("host", "path", "door"),
    [
        ("127.0.0.1:4270", "/", "aws"),
        ("localhost", "/bucket/key", "aws"),
        ("localhost", "/2015-03-31/functions", "aws"),
        ("abc123.execute-api.localhost:4270", "/dev/x%2Fy", "api abc123 /dev/x%2Fy"),
        ("ABC123.Execute-API.LocalHost", "/dev", "api abc123 /dev"),
        ("abc123.execute-api.us-east-1.amazonaws.com", "/dev/", "api abc123 /dev/"),
        ("abc123.execute-api.localhost", "/_tenantry/status", "api abc123 /_tenantry/status"),
        ("abc123.execute-api.localhost", "/_api/other/dev", "api abc123 /_api/other/dev"),
        ("localhost", "/_api/abc123/dev/isolated", "api abc123 /dev/isolated"),
        ("localhost", "/_api/abc123", "api abc123 /"),
        ("localhost", "/_api/", "api  /"),
        ("execute-api.localhost", "/x", "aws"),
        (".execute-api.localhost", "/x", "aws"),
        ("a.b.execute-api.localhost", "/x", "aws"),
        ("localhost", "/_apix/abc", "aws"),
        ("localhost", "/_code/abc", "code"),
    ],
)
async def test_door(host, path, door):
    assert (await FRONT(ask(path, host))).body.decode() == door


async def test_health_is_open_and_status_is_the_operators():
    assert orjson.loads((await FRONT(ask("/_tenantry/health"))).body) == {"status": "ok"}
    assert (await FRONT(ask("/_tenantry/status"))).status == 401
    assert (await FRONT(ask("/_tenantry/status", Authorization="Bearer wrong"))).status == 401
    answer = await FRONT(ask("/_tenantry/status", Authorization="Bearer secret"))
    assert orjson.loads(answer.body) == {"tenants": ["Blue"]}


async def test_pages_are_read_only_and_few():
    assert (await FRONT(ask("/_tenantry/health", method="POST"))).status == 405
    assert (await FRONT(ask("/_tenantry/nothing"))).status == 404
    assert (await FRONT(ask("/_tenantry/"))).status == 404


async def test_code_inside_an_environment_does_not_see_the_platforms_pages():
    assert (await FRONT.inside(ask("/_tenantry/status", Authorization="Bearer secret"))).status == 404
    assert (await FRONT.inside(ask("/_tenantry/health"))).status == 404
    assert (await FRONT.inside(ask("/2015-03-31/functions"))).body == b"aws"


def test_api_of_host_needs_one_label():
    assert api_of_host("x1.execute-api.localhost") == "x1"
    assert api_of_host("localhost") is None


@pytest.mark.parametrize(
    ("method", "host", "path", "large"),
    [
        ("PUT", "localhost", "/bucket/key", True),
        ("PUT", "localhost", "/2026-backups/key", True),
        ("POST", "localhost", "/bucket/key", False),
        ("PUT", "localhost", "/2015-03-31/functions/f/code", False),
        ("PUT", "localhost", "/restapis/x/resources", False),
        ("PUT", "localhost", "/_api/x/dev/y", False),
        ("PUT", "x.execute-api.localhost", "/dev/y", False),
    ],
)
def test_only_uploads_may_be_large(method, host, path, large):
    limits = Limits()
    assert body_limit(limits)(method, host, path) == (limits.large_body_bytes if large else limits.body_bytes)
