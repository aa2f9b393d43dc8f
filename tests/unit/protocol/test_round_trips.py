"""Every operation of every service we speak for, there and back with botocore on the other side.

parameters -> botocore's serialiser -> our router and parser -> the same parameters
result     -> our serialiser -> botocore's parser            -> the same result
"""

from __future__ import annotations

import functools
import io
import zlib
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import botocore.parsers
import botocore.serialize
import botocore.session
import pytest
from botocore.awsrequest import HeadersDict, prepare_request_dict
from tests.unit.protocol.values import Values

from tenantry.model.http import Request, Response
from tenantry.protocol.model import Shape
from tenantry.protocol.scalars import write_http_date
from tenantry.protocol.serialize import S3_NAMESPACE
from tenantry.protocol.wire import SERVICES, Protocol

SEEDS = range(4)
ALIASES = {"GetBucketLifecycle", "PutBucketLifecycle", "GetBucketNotification", "PutBucketNotification", "ListDirectoryBuckets"}
"""S3 operations that have another's method and path, and are not the one meant (deprecated, or of another kind of bucket)."""

OWN_TESTS = {("s3", "GetBucketLocation"), ("logs", "StartLiveTail"), ("logs", "GetLogObject")}
"""Operations whose answers are no ordinary structures: tested below, and in test_clients.py."""


@functools.cache
def session() -> Any:
    """One, for its models."""
    return botocore.session.Session()


@functools.cache
def theirs(service: str) -> Any:
    """botocore's model of a service."""
    return session().get_service_model(service)


def operations() -> list[Any]:
    """Every (service, operation)."""
    return [
        pytest.param(service, name, id=f"{service}.{name}")
        for service in SERVICES
        for name in theirs(service).operation_names
        if name not in ALIASES
    ]


def sent(service: str, operation: str, params: dict[str, Any]) -> Request:
    """The request of botocore's serialiser, as the listener hands it over."""
    model = theirs(service).operation_model(operation)
    serializer = botocore.serialize.create_serializer(SERVICES[service].protocol, include_validation=False)
    parts = serializer.serialize_to_request(params, model)
    parts.setdefault("context", {})
    prepare_request_dict(parts, f"https://{service}.example.com", context={"is_presign_request": False, "timestamp": ""})
    url = urlsplit(botocore.awsrequest.create_request_object(parts).prepare().url)
    prepared = botocore.awsrequest.create_request_object(parts).prepare()
    body = prepared.body or b""
    headers = [(name, value.decode() if isinstance(value, bytes) else str(value)) for name, value in prepared.headers.items()]
    return Request(prepared.method, url.path, url.query, headers, body if isinstance(body, bytes) else body.encode())


def comparable(shape: Shape, value: Any, *, answer: bool = False) -> Any:
    """Both sides' values in one form: times to the millisecond, streams read."""
    if hasattr(value, "read"):
        value = value.read()
    if shape.is_document:
        return value
    if shape.type == "structure":
        members = shape.members()
        return {name: comparable(members[name], one, answer=answer) for name, one in value.items() if name in members}
    if shape.type == "list":
        return [comparable(shape.element(), one) for one in value]
    if shape.type == "map":
        return {key: comparable(shape.value(), one) for key, one in value.items()}
    if isinstance(value, datetime) and shape.type == "string":
        return write_http_date(value)  # S3's Expires: text in the model, a time to botocore
    if shape.type == "timestamp":
        return round(value.timestamp() if isinstance(value, datetime) else value, 3)
    return value


@pytest.mark.parametrize(("service", "name"), operations())
def test_parameters_come_back(protocol: Protocol, service: str, name: str) -> None:
    shape = protocol.plans(service).model.operation(name).input()
    for seed in SEEDS:
        values = Values(zlib.crc32(f"{service}{name}{seed}".encode()), SERVICES[service].protocol, sparse=seed / 4)
        params = values.structure(shape) if shape is not None else {}
        params.update({key: value for key, value in {"Bucket": "a-bucket", "RequestRoute": "route"}.items() if key in params})
        request = sent(service, name, params)
        target = protocol.wire(service).target(request)
        assert target.plan.name == name
        found = target.parse(request)
        if shape is None:
            assert found == {}
            continue
        for key in set(found) - set(params):
            # The client adds these itself: a body for no structure at all, the length of the body.
            assert found[key] == {} or key == "ContentLength", f"{key} came from nowhere"
            del found[key]
        absent = {key for key, member in shape.members().items() if params.get(key) in ({}, b"", "") and key not in found}
        expected = {key: one for key, one in comparable(shape, params).items() if key not in absent}
        assert comparable(shape, found) == expected


@pytest.mark.parametrize(("service", "name"), [case for case in operations() if case.values not in OWN_TESTS])
def test_results_come_back(protocol: Protocol, service: str, name: str) -> None:
    plan = protocol.plans(service).plan(name, SERVICES[service].protocol)
    shape = protocol.plans(service).model.operation(name).output()
    parser = botocore.parsers.create_parser(SERVICES[service].protocol)
    for seed in SEEDS:
        values = Values(zlib.crc32(f"{name}{service}{seed}".encode()), SERVICES[service].protocol, sparse=seed / 4)
        result = values.structure(shape) if shape is not None else {}
        status_member = next(
            (key for key, member in (shape.members() if shape else {}).items() if member.get("location") == "statusCode"), None
        )
        if status_member:
            result[status_member] = 202
        if shape is not None and shape.event_stream() is not None:
            result[shape.event_stream()[0]] = nothing()
        response = plan.serialize(result, "0f0f0f0f-0000-4000-8000-000000000000")
        assert response.status == (202 if status_member else protocol.plans(service).model.operation(name).response_code)
        parsed = parse(parser, response, theirs(service).operation_model(name))
        assert parsed.pop("ResponseMetadata")["RequestId"] == request_id(service)
        if shape is None:
            assert parsed == {}
            continue
        streamed = shape.event_stream()
        if streamed:
            result.pop(streamed[0])
            parsed.pop(streamed[0])
        expected = comparable(shape, result)
        got = comparable(shape, parsed)
        got.pop("ResponseStreamContentType", None)  # the type of the stream itself
        expected.pop("ResponseStreamContentType", None)
        for key in set(got) - set(expected):
            assert got[key] in ("", b"", {}, [], "binary/octet-stream"), f"{key} came from nowhere"
            del got[key]
        assert got == expected


def request_id(service: str) -> str:
    return "0F0F0F0F00004000" if service == "s3" else "0f0f0f0f-0000-4000-8000-000000000000"


async def nothing() -> Any:
    """An event stream without events."""
    return
    yield


def parse(parser: Any, response: Response, model: Any) -> Any:
    """botocore's reading of our response."""
    headers = HeadersDict()
    for name, value in response.headers:
        headers[name] = value
    context = {"operation_name": "x"}
    answer = {"status_code": response.status, "headers": headers, "body": response.body, "context": context}
    if model.has_streaming_output:
        answer["body"] = io.BytesIO(response.body)
    return parser.parse(answer, model.output_shape)


def test_the_bucket_location_is_the_root_itself(protocol: Protocol) -> None:
    plan = protocol.plans("s3").plan("GetBucketLocation", "rest-xml")
    for where, text in ((None, ""), ("eu-west-1", "eu-west-1")):
        body = plan.serialize({"LocationConstraint": where}, "id").body
        assert body.endswith(f'<LocationConstraint xmlns="{S3_NAMESPACE}">{text}</LocationConstraint>'.encode())
