"""The Smithy protocol test vectors: our parser must read what clients send, our serialiser must say what clients understand.

input:   the request a client serialises for some parameters  ->  our parser must read the same parameters back
output:  our serialiser's answer for a result, through botocore's own parser  ->  must be what the vector's answer means

`wire_exclusions.toml` lists every vector that does not hold, each with its reason; one listed there that holds fails.
"""

from __future__ import annotations

import base64
import json
import math
import tomllib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import botocore.model
import botocore.parsers
import pytest
from botocore.awsrequest import HeadersDict
from tests.conformance.vectors import conformance_place

from tenantry.model.errors import ServiceError
from tenantry.model.http import Request
from tenantry.protocol.dialect import dialect_of
from tenantry.protocol.errors import error_writer
from tenantry.protocol.model import ServiceModel, Shape
from tenantry.protocol.plan import ServicePlans
from tenantry.protocol.route import PathRouter

HERE = Path(__file__).parent
EXCLUDED: dict[str, dict[str, str]] = tomllib.loads((HERE / "wire_exclusions.toml").read_text())
FILES = ("json", "json_1_0", "query", "rest-json", "rest-xml", "smithy-rpc-v2-cbor")
PASSING_MIN = {"input": 304, "output": 321}
"""How many vectors hold. They may only become more."""


def vectors(data: Path, kind: str, name: str) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """(id, suite, case) of a file's vectors."""
    for suite in json.loads((data / "protocols" / kind / f"{name}.json").read_text()):
        for case in suite["cases"]:
            yield f"{name}:{case['id']}", suite, case


def model_of(suite: dict[str, Any], case: dict[str, Any], shapes: dict[str, Any]) -> ServiceModel:
    """A service with the one operation of a case."""
    operations = {case["given"]["name"]: case["given"]}
    return ServiceModel("vectors", {"metadata": suite["metadata"], "shapes": shapes, "operations": operations})


def named(kind: str) -> dict[str, str]:
    """The exclusions of one kind."""
    return EXCLUDED.get(kind, {})


def cases(kind: str) -> list[Any]:
    """Every vector of a kind as a test's parameters; one that is skipped where there are none."""
    place = conformance_place()
    if place is None:
        return [pytest.param({}, {}, id="absent", marks=pytest.mark.skip("no conformance data (set TENANTRY_CONFORMANCE)"))]
    found = []
    for name in FILES:
        for identity, suite, case in vectors(place, kind, name):
            reason = named(kind).get(identity)
            marks = [pytest.mark.xfail(strict=True, reason=reason)] if reason else []
            found.append(pytest.param(suite, case, id=identity, marks=marks))
    return found


@pytest.mark.parametrize(("suite", "case"), cases("input"))
def test_request_is_read(suite: dict[str, Any], case: dict[str, Any]) -> None:
    check_input(suite, case)


@pytest.mark.parametrize(("suite", "case"), cases("output"))
def test_answer_is_understood(suite: dict[str, Any], case: dict[str, Any]) -> None:
    check_output(suite, case)


def test_the_number_that_holds_only_rises(conformance_data: Path) -> None:
    for kind, least in PASSING_MIN.items():
        ids = [identity for name in FILES for identity, _, _ in vectors(conformance_data, kind, name)]
        holding = len([identity for identity in ids if identity not in named(kind)])
        assert holding >= least, (kind, holding)
        assert set(named(kind)) <= set(ids), "an exclusion names no vector"


def check_input(suite: dict[str, Any], case: dict[str, Any]) -> None:
    """Our parser reads a client's request."""
    model = model_of(suite, case, suite.get("shapes", {}))
    protocol = suite["metadata"]["protocol"]
    request = request_of(case["serialized"], protocol)
    operation = model.operation(case["given"]["name"])
    labels: Any = ()
    if protocol.startswith("rest-"):
        found = PathRouter(model).match(request, request.path)
        assert found is not None, f"no route for {request.method} {request.path}"
        assert found[0] == operation.name
        labels = found[1]
    params = ServicePlans(model).plan(operation.name, protocol).parse(request, labels)
    shape = operation.input()
    expected = case.get("params") or {}
    assert plain(shape, params) == plain(shape, expected) if shape else params == {}


def request_of(sent: dict[str, Any], protocol: str) -> Request:
    """The request as the listener would hand it over."""
    parts = urlsplit(sent["uri"])
    body = sent.get("body") or ""
    data = base64.b64decode(body) if protocol == "smithy-rpc-v2-cbor" else body.encode()
    headers = list(sent.get("headers", {}).items())
    return Request(sent.get("method", "POST"), parts.path, parts.query, headers, data)


def check_output(suite: dict[str, Any], case: dict[str, Any]) -> None:
    """Our serialiser's answer means to botocore what the vector's answer means."""
    protocol = suite["metadata"]["protocol"]
    shapes = json.loads(json.dumps(suite.get("shapes", {})))
    model = model_of(suite, case, shapes)
    parser = botocore.parsers.create_parser(protocol)
    if "error" in case or "errorCode" in case:
        check_error(suite, case, model, parser)
        return
    operation = model.operation(case["given"]["name"])
    shape = operation.output()
    expected = case.get("result") or {}
    if shape is not None:
        expected = ours(shape, expected)
    response = ServicePlans(model).plan(operation.name, protocol).serialize(expected, "request")
    theirs = botocore_shape(suite, case)
    parsed = parser.parse(as_botocore(response), theirs)
    parsed.pop("ResponseMetadata", None)
    assert parsed_plain(shape, parsed) == plain(shape, case.get("result") or {}) if shape else parsed == {}


def check_error(suite: dict[str, Any], case: dict[str, Any], model: ServiceModel, parser: Any) -> None:
    """The same for errors."""
    protocol = suite["metadata"]["protocol"]
    code = case.get("errorCode", "")
    shape_name = next((error["shape"] for error in case["given"].get("errors", [])), None)
    members = case.get("error") or {}
    message = next((value for name, value in members.items() if name.lower() == "message"), case.get("errorMessage") or "")
    error = ServiceError(code, message, status=case["response"]["status_code"], members=members)
    response = error_writer(model, protocol, dialect_of("vectors", protocol))(error, "request", "POST", "/")
    parsed = parser.parse(as_botocore(response), botocore_shape(suite, case))
    if shape_name is not None:
        parsed.update(parser.parse(as_botocore(response), botocore_resolver(suite).get_shape_by_name(shape_name)))
    assert parsed["Error"]["Code"] == code
    if "errorMessage" in case:
        assert parsed["Error"]["Message"] == case["errorMessage"]
    if shape_name is not None:
        shape = model.shape(shape_name)
        found = {name: value for name, value in parsed.items() if name not in ("Error", "ResponseMetadata")}
        assert parsed_plain(shape, found) == plain(shape, members)


def botocore_resolver(suite: dict[str, Any]) -> Any:
    return botocore.model.ShapeResolver(suite.get("shapes", {}))


def botocore_shape(suite: dict[str, Any], case: dict[str, Any]) -> Any:
    output = case["given"].get("output")
    if output is None:
        return None
    return botocore_resolver(suite).resolve_shape_ref(output)


def as_botocore(response: Any) -> dict[str, Any]:
    headers = HeadersDict()
    for name, value in response.headers:
        headers[name] = value
    return {"status_code": response.status, "headers": headers, "body": response.body, "context": {}}


def ours(shape: Shape, value: Any) -> Any:
    """A vector's value as a handler returns it: blobs as bytes, special floats as floats."""
    if value is None or shape.is_document:
        return value
    if shape.type == "structure":
        members = shape.members()
        return {name: ours(members[name], one) for name, one in value.items()}
    if shape.type == "list":
        return [ours(shape.element(), one) for one in value]
    if shape.type == "map":
        return {name: ours(shape.value(), one) for name, one in value.items()}
    if shape.type == "blob" and isinstance(value, str):
        return value.encode()
    if shape.type in ("float", "double") and isinstance(value, str):
        return float(value)
    return value


def plain(shape: Shape | None, value: Any) -> Any:
    """Values brought to one form: bytes, floats with NaN comparable, None left out."""
    if shape is None or value is None or shape.is_document:
        return value
    if shape.type == "structure":
        members = shape.members()
        return {name: plain(members[name], one) for name, one in value.items() if one is not None}
    if shape.type == "list":
        return [plain(shape.element(), one) for one in value if one is not None]
    if shape.type == "map":
        return {name: plain(shape.value(), one) for name, one in value.items() if one is not None}
    if shape.type == "blob":
        return value.encode() if isinstance(value, str) else value
    if shape.type in ("float", "double"):
        number = float(value)
        return "NaN" if math.isnan(number) else number
    if shape.type == "timestamp":
        return round(value.timestamp() if isinstance(value, datetime) else value, 3)
    return value


def parsed_plain(shape: Shape | None, value: Any) -> Any:
    """`plain` for what botocore parsed: streams read, members it knows only."""
    if hasattr(value, "read"):
        value = value.read()
    return plain(shape, value)
