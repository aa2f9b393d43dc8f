"""Whole botocore clients against the wire, without a socket: signed by them, verified, parsed, answered and read back.

What the round trips leave out is here: endpoints, signatures, checksums and chunks, event streams, errors, presigned URLs.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import hmac
import io
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import urlsplit

import botocore.session
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError
from tests.unit.protocol.conftest import KEY, TEMPORARY, Credentials

from tenantry.model.clock import SystemClock
from tenantry.model.errors import ServiceError
from tenantry.model.http import Request, Response
from tenantry.model.identity import Credential
from tenantry.protocol.dialect import REST_JSON, S3
from tenantry.protocol.sigv4 import Signature, canonical_request, presign_url, sign, signing_key, string_to_sign
from tenantry.protocol.wire import Protocol

REQUEST_ID = "11111111-2222-4333-8444-555555555555"
Handler = Callable[[str, str, dict[str, Any]], dict[str, Any]]


@functools.cache
def session() -> Any:
    """One for all: it keeps the models that it has read."""
    return botocore.session.Session()


class Permanent(Credentials):
    """The temporary key pair does not end here: these tests use the machine's own clock, as botocore does."""

    def lookup(self, access_key_id: str, session_token: str | None) -> Credential | None:
        if access_key_id == TEMPORARY.access_key_id and session_token == TEMPORARY.session_token:
            return Credential(
                TEMPORARY.access_key_id, TEMPORARY.secret_access_key, TEMPORARY.arn, TEMPORARY.user_id, session_token
            )
        return super().lookup(access_key_id, session_token)


class Platform:
    """A protocol with one handler behind it; remembers what it was asked."""

    def __init__(self, handler: Handler | None = None) -> None:
        self.protocol = Protocol(Permanent(), SystemClock())
        self.handler = handler or (lambda service, operation, params: {})
        self.asked: list[tuple[str, str, dict[str, Any]]] = []
        self.regions: list[str] = []

    def answer(self, request: Request) -> Response:
        wire = self.protocol.identify(request)
        try:
            verified = self.protocol.verify(request, wire)
            target = wire.target(verified.request)
            params = target.parse(verified.request)
            target.plan.validate(params)
            self.asked.append((target.plan.service, target.plan.name, params))
            self.regions.append(verified.region)
            return target.plan.serialize(self.handler(target.plan.service, target.plan.name, params), REQUEST_ID)
        except ServiceError as error:
            return wire.error(error, REQUEST_ID, request)

    def client(
        self, service: str, credential: Credential = KEY, *, secret: str | None = None, scheme: str = "http", **config: Any
    ) -> Any:
        """A botocore client whose requests end here."""
        client = session().create_client(
            service,
            region_name="eu-west-1",
            endpoint_url=f"{scheme}://127.0.0.1:4270",
            aws_access_key_id=credential.access_key_id,
            aws_secret_access_key=secret or credential.secret_access_key,
            aws_session_token=credential.session_token,
            config=Config(retries={"total_max_attempts": 1}, parameter_validation=False, inject_host_prefix=False, **config),
        )
        client.meta.events.register("before-send", self._send)
        return client

    def _send(self, request: Any, **_: Any) -> AWSResponse:
        response = self.answer(request_of(request))
        body = response.body if isinstance(response.body, bytes) else asyncio.run(collected(response.body))
        headers = dict(response.headers)
        return AWSResponse(request.url, response.status, headers, Raw(body))


class Raw(io.BytesIO):
    """What urllib3 would hand to botocore."""

    def stream(self, amount: int = 1024, **_: Any) -> Any:
        yield self.read()


async def collected(body: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in body])


def request_of(prepared: Any) -> Request:
    """A client's request as the listener hands it over."""
    url = urlsplit(prepared.url)
    body = prepared.body or b""
    if hasattr(body, "read"):
        body = body.read()
    headers = [(name, value.decode() if isinstance(value, bytes) else str(value)) for name, value in prepared.headers.items()]
    if not any(name.lower() == "host" for name, _ in headers):
        headers.insert(0, ("Host", url.netloc))
    return Request(prepared.method, url.path, url.query, headers, body.encode() if isinstance(body, str) else body)


def code(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, int, str]:
    response = error.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Message"]


def test_an_invocation() -> None:
    platform = Platform(
        lambda *_: {"StatusCode": 200, "Payload": b'{"a": 1}', "ExecutedVersion": "$LATEST", "LogResult": "bG9n"}
    )
    answer = platform.client("lambda").invoke(
        FunctionName="f:q", Payload=b'{"k": "\xc3\xa9"}', TenantId="Blue Team", LogType="Tail"
    )
    assert answer["Payload"].read() == b'{"a": 1}'
    assert (answer["StatusCode"], answer["ExecutedVersion"], answer["LogResult"]) == (200, "$LATEST", "bG9n")
    assert answer["ResponseMetadata"]["RequestId"] == REQUEST_ID
    assert platform.asked == [
        (
            "lambda",
            "Invoke",
            {"FunctionName": "f:q", "TenantId": "Blue Team", "LogType": "Tail", "Payload": b'{"k": "\xc3\xa9"}'},
        )
    ]
    assert platform.regions == ["eu-west-1"]


def test_temporary_credentials() -> None:
    platform = Platform(lambda *_: {"Account": "000000000000"})
    assert platform.client("sts", TEMPORARY).get_caller_identity()["Account"] == "000000000000"


@pytest.mark.parametrize(
    ("service", "call", "unknown", "wrong"),
    [
        ("lambda", "list_functions", ("UnrecognizedClientException", 403), ("InvalidSignatureException", 403)),
        ("logs", "describe_log_groups", ("UnrecognizedClientException", 400), ("InvalidSignatureException", 400)),
        ("iam", "list_roles", ("InvalidClientTokenId", 403), ("SignatureDoesNotMatch", 403)),
        ("s3", "list_buckets", ("InvalidAccessKeyId", 403), ("SignatureDoesNotMatch", 403)),
    ],
)
def test_keys_that_do_not_fit(service: str, call: str, unknown: tuple[str, int], wrong: tuple[str, int]) -> None:
    platform = Platform()
    stranger = Credential("AKIASTRANGER", "x", "", "")
    with pytest.raises(ClientError) as error:
        getattr(platform.client(service, stranger), call)()
    assert code(error)[:2] == unknown
    with pytest.raises(ClientError) as error:
        getattr(platform.client(service, secret="wrong"), call)()
    assert code(error)[:2] == wrong
    assert platform.asked == []


def test_errors_have_their_shapes_members() -> None:
    def refuse(*_: Any) -> dict[str, Any]:
        members = {"Reason": "ReservedFunctionConcurrentInvocationLimitExceeded", "retryAfterSeconds": "3"}
        raise ServiceError("TooManyRequestsException", "Rate Exceeded.", status=429, members=members)

    client = Platform(refuse).client("lambda")
    with pytest.raises(client.exceptions.TooManyRequestsException) as error:
        client.invoke(FunctionName="f")
    response = error.value.response
    assert response["Error"]["Message"] == "Rate Exceeded."
    assert (response["Type"], response["Reason"]) == ("User", "ReservedFunctionConcurrentInvocationLimitExceeded")
    assert response["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "3"


def test_what_validation_says() -> None:
    platform = Platform()
    with pytest.raises(ClientError) as error:
        platform.client("lambda").invoke(FunctionName="f", TenantId="bad!id")
    assert code(error) == (
        "ValidationException",
        400,
        "1 validation error detected: Value 'bad!id' at 'tenantId' failed to satisfy constraint: Member must satisfy regular "
        "expression pattern: [a-zA-Z0-9\\._:\\/=+\\-@ ]+",
    )
    with pytest.raises(ClientError) as error:
        platform.client("cloudformation").create_stack()
    assert code(error)[:2] == ("ValidationError", 400)
    assert code(error)[2].startswith(
        "1 validation error detected: Value null at 'stackName' failed to satisfy constraint: Member"
    )
    with pytest.raises(ClientError) as error:
        platform.client("logs").create_log_group(logGroupName="no good")
    assert code(error)[:2] == ("InvalidParameterException", 400)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_upload_and_its_checksum(scheme: str) -> None:
    platform = Platform(lambda *_: {"ETag": '"abc"'})
    body = bytes(range(256)) * 1024
    answer = platform.client("s3", scheme=scheme).put_object(
        Bucket="a-bucket", Key="a/ключ (1)//+&.txt", Body=io.BytesIO(body), Metadata={"note": "text"}, ContentEncoding="gzip"
    )
    assert answer["ETag"] == '"abc"'
    ((service, operation, params),) = platform.asked
    assert (service, operation) == ("s3", "PutObject")
    assert (params["Bucket"], params["Key"], params["Body"]) == ("a-bucket", "a/ключ (1)//+&.txt", body)
    assert params["Metadata"] == {"note": "text"}
    assert params["ContentEncoding"] == "gzip"
    assert params["ChecksumCRC32"]  # a header over http, a trailer of the chunks over https


def test_a_body_that_was_changed_on_the_way() -> None:
    platform = Platform()
    request = sign(
        Request("PUT", "/b/k", "", [("host", "127.0.0.1")], b"sent"),
        KEY,
        region="r",
        service="s3",
        now=SystemClock().now(),
        dialect=S3,
    )
    request.body = b"sunk"
    response = platform.answer(request)
    assert response.status == 400
    assert b"<Code>XAmzContentSHA256Mismatch</Code>" in response.body  # type: ignore[operator]  # it is bytes


def test_an_object_is_read_in_part() -> None:
    result = {
        "Body": b"part",
        "ContentRange": "bytes 0-3/10",
        "__status__": 206,
        "ContentLength": 4,
        "__headers__": {"x-amz-meta-a": "b"},
    }
    client = Platform(lambda *_: result).client("s3")
    answer = client.get_object(Bucket="a-bucket", Key="k", Range="bytes=0-3")
    assert answer["Body"].read() == b"part"
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert answer["Metadata"] == {"a": "b"}


def test_s3_errors_and_heads() -> None:
    def refuse(*_: Any) -> dict[str, Any]:
        raise ServiceError(
            "NoSuchKey", "The specified key does not exist.", status=404, members={"Key": "<k>", "__headers__": {"x-a": "b"}}
        )

    client = Platform(refuse).client("s3")
    with pytest.raises(client.exceptions.NoSuchKey) as error:
        client.get_object(Bucket="a-bucket", Key="<k>")
    assert error.value.response["Error"]["Key"] == "<k>"
    assert error.value.response["ResponseMetadata"]["HTTPHeaders"]["x-a"] == "b"
    assert error.value.response["ResponseMetadata"]["RequestId"] == "1111111122224333"
    with pytest.raises(ClientError) as head:
        client.head_object(Bucket="a-bucket", Key="k")
    assert head.value.response["Error"]["Code"] == "404"


def test_listing_and_deleting() -> None:
    results: dict[str, dict[str, Any]] = {
        "ListObjectsV2": {
            "Contents": [{"Key": "a%20b", "Size": 3, "LastModified": 1_767_225_600}],
            "EncodingType": "url",
            "KeyCount": 1,
        },
        "DeleteObjects": {"Deleted": [{"Key": "a b"}]},
        "CreateMultipartUpload": {"UploadId": "u"},
        "GetBucketLocation": {"LocationConstraint": "eu-west-1"},
    }
    platform = Platform(lambda _, operation, params: results[operation])
    client = platform.client("s3")
    assert client.list_objects_v2(Bucket="a-bucket", Prefix="a")["Contents"][0]["Key"] == "a b"
    assert client.delete_objects(Bucket="a-bucket", Delete={"Objects": [{"Key": "a b"}]})["Deleted"] == [{"Key": "a b"}]
    assert client.create_multipart_upload(Bucket="a-bucket", Key="k")["UploadId"] == "u"
    assert client.get_bucket_location(Bucket="a-bucket")["LocationConstraint"] == "eu-west-1"
    assert [operation for _, operation, _ in platform.asked] == list(results)


def test_buckets_in_the_host() -> None:
    platform = Platform()
    client = platform.client("s3")
    request = sign(
        Request("GET", "/a/key", "", [("Host", "a-bucket.s3.eu-west-1.amazonaws.com")]),
        KEY,
        region="eu-west-1",
        service="s3",
        now=SystemClock().now(),
        dialect=S3,
    )
    assert platform.answer(request).status == 200
    assert platform.asked == [("s3", "GetObject", {"Bucket": "a-bucket", "Key": "a/key"})]
    assert client.meta.endpoint_url


def test_presigned_urls_of_clients() -> None:
    platform = Platform(lambda *_: {"Body": b"x"})
    client = platform.client("s3", signature_version="s3v4")
    url = client.generate_presigned_url("get_object", Params={"Bucket": "a-bucket", "Key": "k e/y"}, ExpiresIn=60)
    assert platform.answer(get(url)).status == 200
    assert platform.asked[0][2] == {"Bucket": "a-bucket", "Key": "k e/y"}
    assert platform.answer(get(url.replace("k%20e", "other"))).status == 403
    identity = platform.client("sts").generate_presigned_url("get_caller_identity", ExpiresIn=60, HttpMethod="GET")
    assert platform.answer(get(identity)).status == 200
    assert platform.asked[1][:2] == ("sts", "GetCallerIdentity")


def test_presigned_urls_of_our_own() -> None:
    platform = Platform(lambda *_: {"Body": b"x"})
    now = SystemClock().now()

    def made(at: float) -> str:
        url = "http://127.0.0.1:4270/b/k?response-content-type=a/b"
        return presign_url(TEMPORARY, "GET", url, region="eu-west-1", service="s3", expires_s=600, now=at, dialect=S3)

    assert platform.answer(get(made(now))).status == 200
    assert platform.asked[0][2] == {"Bucket": "b", "Key": "k", "ResponseContentType": "a/b"}
    expired = platform.answer(get(made(now - 601)))
    assert expired.status == 403
    assert b"<Message>Request has expired</Message>" in expired.body  # type: ignore[operator]  # it is bytes
    assert platform.answer(get(made(now) + "0")).status == 403


def get(url: str) -> Request:
    parts = urlsplit(url)
    return Request("GET", parts.path, parts.query, [("Host", parts.netloc)])


async def chunks() -> AsyncIterator[dict[str, Any]]:
    yield {"PayloadChunk": {"Payload": b"one"}}
    yield {"PayloadChunk": {"Payload": b"two"}}
    yield {"InvokeComplete": {"LogResult": "bG9n"}}


def test_a_streamed_invocation() -> None:
    client = Platform(lambda *_: {"StatusCode": 200, "EventStream": chunks()}).client("lambda")
    answer = client.invoke_with_response_stream(FunctionName="f")
    assert list(answer["EventStream"]) == [
        {"PayloadChunk": {"Payload": b"one"}},
        {"PayloadChunk": {"Payload": b"two"}},
        {"InvokeComplete": {"LogResult": "bG9n"}},
    ]


async def tail() -> AsyncIterator[dict[str, Any]]:
    yield {"sessionStart": {"requestId": "r", "sessionId": "s", "logGroupIdentifiers": ["g"]}}
    yield {"sessionUpdate": {"sessionMetadata": {"sampled": False}, "sessionResults": [{"message": "m", "timestamp": 5}]}}
    raise ServiceError("SessionTimeoutException", "The session has ended.")


def test_a_live_tail_that_ends() -> None:
    client = Platform(lambda *_: {"responseStream": tail()}).client("logs")
    stream = iter(client.start_live_tail(logGroupIdentifiers=["g"])["responseStream"])
    assert next(stream)["sessionStart"]["logGroupIdentifiers"] == ["g"]
    assert next(stream)["sessionUpdate"]["sessionResults"] == [{"message": "m", "timestamp": 5}]
    with pytest.raises(ClientError) as error:
        next(stream)
    assert error.value.response["Error"]["Code"] == "SessionTimeoutException"


def test_a_service_that_is_not_ours() -> None:
    for service, call, status in (
        ("sqs", "list_queues", 501),
        ("dynamodb", "list_tables", 501),
        ("cloudwatch", "list_metrics", 501),
    ):
        with pytest.raises(ClientError) as error:
            getattr(Platform().client(service), call)()
        assert code(error)[1] == status
        assert "tenantry does not serve" in code(error)[2]


def test_signing_by_hand() -> None:
    platform = Platform()
    request = Request("GET", "/2015-03-31/functions/a%2Fb/../f", "b=2&a=1&a=%20", [("host", "h")])
    signed = sign(request, TEMPORARY, region="r", service="lambda", now=SystemClock().now(), dialect=REST_JSON)
    assert platform.protocol.verify(signed, platform.protocol.wire("lambda")).principal.arn == TEMPORARY.arn


def test_a_chunked_upload_signed_chunk_by_chunk() -> None:
    pieces = [b"a" * 65536, b"b" * 1024, b""]
    platform = Platform()
    request = chunk_signed(pieces)
    assert platform.answer(request).status == 200
    assert platform.asked[0][2]["Body"] == b"".join(pieces)
    damaged = chunk_signed(pieces)
    damaged.body = damaged.body.replace(b"bbbb", b"bbbc", 1)
    assert platform.answer(damaged).status == 403


def test_a_chunked_upload_with_a_signed_trailer() -> None:
    platform = Platform()
    request = chunk_signed([b"a" * 100, b""], trailer=("x-amz-checksum-crc32", "AAAAAA=="))
    assert platform.answer(request).status == 200
    assert platform.asked[0][2]["Body"] == b"a" * 100
    assert platform.asked[0][2]["ChecksumCRC32"] == "AAAAAA=="
    damaged = chunk_signed([b"a" * 100, b""], trailer=("x-amz-checksum-crc32", "AAAAAA=="))
    damaged.body = damaged.body.replace(b"AAAAAA==", b"BAAAAA==")
    assert platform.answer(damaged).status == 403


def test_a_presigned_upload_holds_for_the_body_that_was_signed() -> None:
    platform = Platform()
    client = platform.client("s3", signature_version="s3v4")
    digest = hashlib.sha256(b"body").hexdigest()
    client.meta.events.register(
        "before-sign.s3.PutObject", lambda request, **_: request.headers.add_header("x-amz-content-sha256", digest)
    )
    url = urlsplit(client.generate_presigned_url("put_object", Params={"Bucket": "a-bucket", "Key": "k"}, ExpiresIn=60))
    headers = [("Host", url.netloc), ("x-amz-content-sha256", digest)]
    assert platform.answer(Request("PUT", url.path, url.query, headers, b"body")).status == 200
    assert platform.answer(Request("PUT", url.path, url.query, headers, b"other")).status == 400


def chunk_signed(pieces: list[bytes], trailer: tuple[str, str] | None = None) -> Request:
    """An upload as the SDKs for Java sign it, from the description of the format."""
    now = SystemClock().now()
    length = sum(map(len, pieces))
    dated = sign(Request("PUT", "/b/k", "", []), KEY, region="r", service="s3", now=now, dialect=S3)
    sent = next(value for name, value in dated.headers if name == "X-Amz-Date")
    variant = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" + ("-TRAILER" if trailer else "")
    headers = [
        ("host", "h"),
        ("content-encoding", "aws-chunked"),
        ("x-amz-content-sha256", variant),
        ("x-amz-date", sent),
        ("x-amz-decoded-content-length", str(length)),
    ]
    if trailer:
        headers.append(("x-amz-trailer", trailer[0]))
    request = Request("PUT", "/b/k", "", headers)
    names = tuple(sorted(name for name, _ in headers))
    claim = Signature(KEY.access_key_id, sent[:8], "r", "s3", sent, names, "", None)
    key = signing_key(KEY.secret_access_key, sent[:8], "r", "s3")
    previous = hmac.digest(
        key, string_to_sign(claim, canonical_request(request, claim, S3, headers[2][1])).encode(), "sha256"
    ).hex()
    authorization = (
        f"AWS4-HMAC-SHA256 Credential={KEY.access_key_id}/{claim.scope},SignedHeaders={';'.join(names)},Signature={previous}"
    )
    headers.append(("Authorization", authorization))
    empty = hashlib.sha256(b"").hexdigest()
    body = b""
    for piece in pieces:
        text = "\n".join(("AWS4-HMAC-SHA256-PAYLOAD", sent, claim.scope, previous, empty, hashlib.sha256(piece).hexdigest()))
        previous = hmac.digest(key, text.encode(), "sha256").hex()
        body += b"%x;chunk-signature=%s\r\n%s" % (len(piece), previous.encode(), piece + b"\r\n" if piece else b"")
    if trailer:
        line = ":".join(trailer)
        text = "\n".join(
            ("AWS4-HMAC-SHA256-TRAILER", sent, claim.scope, previous, hashlib.sha256(f"{line}\n".encode()).hexdigest())
        )
        signed = hmac.digest(key, text.encode(), "sha256").hex()
        body += f"{line}\r\nx-amz-trailer-signature:{signed}\r\n".encode()
    body += b"\r\n"
    return Request("PUT", "/b/k", "", headers, body)


def test_zip_files_in_parameters() -> None:
    platform = Platform()
    platform.client("lambda").create_function(
        FunctionName="f",
        Role="arn:aws:iam::000000000000:role/r",
        Code={"ZipFile": b"\x00zip"},
        Tags={"k": "v"},
        Runtime="python3.13",
    )
    assert platform.asked[0][2]["Code"] == {"ZipFile": b"\x00zip"}
