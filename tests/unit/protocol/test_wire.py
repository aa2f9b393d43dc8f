"""Which service, which protocol, which operation; and how each says no."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from tests.unit.protocol.conftest import KEY, TEMPORARY, Credentials

from tenantry.model.clock import ManualClock
from tenantry.model.errors import ServiceError
from tenantry.model.http import Request, Response
from tenantry.protocol import cbor
from tenantry.protocol.dialect import QUERY, REST_JSON, S3, Dialect
from tenantry.protocol.model import ServiceModel
from tenantry.protocol.plan import ServicePlans
from tenantry.protocol.sigv4 import Verifier, presign_url, sign
from tenantry.protocol.wire import Facts, Protocol

FORM = ("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")


def request(target: str = "/", *headers: tuple[str, str], method: str = "GET", body: bytes = b"") -> Request:
    path, _, query = target.partition("?")
    return Request(method, path, query, [("Host", "127.0.0.1:4270"), *headers], body)


def scoped(service: str) -> tuple[str, str]:
    return (
        "Authorization",
        f"AWS4-HMAC-SHA256 Credential=AK/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0",
    )


@pytest.mark.parametrize(
    ("asked", "service", "spoken"),
    [
        (request("/2015-03-31/functions", scoped("lambda")), "lambda", "rest-json"),
        (request("/anything", scoped("apigateway")), "apigateway", "rest-json"),
        (request("/", scoped("cloudcontrolapi")), "cloudcontrol", "json"),
        (request("/", scoped("iam"), method="POST"), "iam", "query"),
        (request("/x?X-Amz-Credential=AK%2F20260101%2Fus-east-1%2Fsts%2Faws4_request"), "sts", "query"),
        (request("/", ("X-Amz-Target", "Logs_20140328.CreateLogGroup"), method="POST"), "logs", "json"),
        (request("/", FORM, method="POST", body=b"Action=DescribeStacks&Version=2010-05-15"), "cloudformation", "query"),
        (request("/?Action=GetCallerIdentity&Version=2011-06-15"), "sts", "query"),
        (request("/service/Logs_20140328/operation/CreateLogGroup", method="POST"), "logs", "smithy-rpc-v2-cbor"),
        (request("/2015-03-31/functions"), "lambda", "rest-json"),
        (request("/restapis/a/stages"), "apigateway", "rest-json"),
        (Request("GET", "/x", "", [("Host", "logs.eu-west-1.amazonaws.com")]), "logs", "json"),
        (request("/bucket/key"), "s3", "rest-xml"),
        (request("/restapis-of-mine/key"), "s3", "rest-xml"),
        (request("/", scoped("dynamodb"), ("X-Amz-Target", "DynamoDB_20120810.ListTables")), "dynamodb", "json"),
        (request("/", scoped("sns"), FORM, body=b"Action=ListTopics"), "sns", "query"),
        (request("/service/Granite/operation/List", scoped("monitoring")), "monitoring", "smithy-rpc-v2-cbor"),
        (request("/x", scoped("batch")), "batch", "rest-json"),
        (request("/x", ("Authorization", "nonsense")), "s3", "rest-xml"),
    ],
)
def test_a_request_is_for(protocol: Protocol, asked: Request, service: str, spoken: str) -> None:
    wire = protocol.identify(asked)
    assert (wire.service, wire.protocol) == (service, spoken)


@pytest.mark.parametrize(
    ("method", "target", "operation", "labels"),
    [
        ("GET", "/", "ListBuckets", ()),
        ("PUT", "/b", "CreateBucket", ("b",)),
        ("PUT", "/b/", "CreateBucket", ("b",)),
        ("GET", "/b", "ListObjects", ("b",)),
        ("GET", "/b?list-type=2&prefix=x", "ListObjectsV2", ("b",)),
        ("GET", "/b?list-type=1", "ListObjects", ("b",)),
        ("GET", "/b?location", "GetBucketLocation", ("b",)),
        ("GET", "/b?location=", "GetBucketLocation", ("b",)),
        ("GET", "/b?inventory", "ListBucketInventoryConfigurations", ("b",)),
        ("GET", "/b?inventory&id=1", "GetBucketInventoryConfiguration", ("b",)),
        ("GET", "/b?lifecycle", "GetBucketLifecycleConfiguration", ("b",)),
        ("GET", "/b/a/b%2Fc//d/", "GetObject", ("b", "a/b%2Fc//d/")),
        ("GET", "/b//", "GetObject", ("b", "/")),
        ("GET", "/b/k?uploadId=1", "ListParts", ("b", "k")),
        ("GET", "/b/k?x-id=GetObject", "GetObject", ("b", "k")),
        ("GET", "/b/k?tagging&versionId=1", "GetObjectTagging", ("b", "k")),
        ("PUT", "/b/k", "PutObject", ("b", "k")),
        ("PUT", "/b/k?partNumber=1&uploadId=u", "UploadPart", ("b", "k")),
        ("POST", "/b/k?uploads", "CreateMultipartUpload", ("b", "k")),
        ("POST", "/b/k?uploadId=u", "CompleteMultipartUpload", ("b", "k")),
        ("DELETE", "/b/k?uploadId=u", "AbortMultipartUpload", ("b", "k")),
        ("DELETE", "/b/k", "DeleteObject", ("b", "k")),
        ("POST", "/b?delete", "DeleteObjects", ("b",)),
        ("HEAD", "/b/k", "HeadObject", ("b", "k")),
        ("POST", "/WriteGetObjectResponse", "WriteGetObjectResponse", ()),
    ],
)
def test_an_s3_request_means(protocol: Protocol, method: str, target: str, operation: str, labels: tuple[str, ...]) -> None:
    found = protocol.wire("s3").target(request(target, method=method))
    assert (found.plan.name, tuple(found.labels)) == (operation, labels)


def test_headers_tell_copies(protocol: Protocol) -> None:
    source = ("x-amz-copy-source", "/b/other")
    wire = protocol.wire("s3")
    assert wire.target(request("/b/k", source, method="PUT")).plan.name == "CopyObject"
    assert wire.target(request("/b/k?partNumber=1&uploadId=u", source, method="PUT")).plan.name == "UploadPartCopy"


@pytest.mark.parametrize(
    ("method", "target", "operation"),
    [
        ("GET", "/2015-03-31/functions/", "ListFunctions"),
        ("GET", "/2015-03-31/functions", "ListFunctions"),
        ("POST", "/2015-03-31/functions/arn%3Aaws%3Alambda/invocations", "Invoke"),
        ("POST", "/2014-11-13/functions/f/invoke-async", "InvokeAsync"),
        ("DELETE", "/2017-03-31/tags/arn%3Aaws?tagKeys=a", "UntagResource"),
        ("POST", "/2021-11-15/functions/f/response-streaming-invocations", "InvokeWithResponseStream"),
    ],
)
def test_a_lambda_request_means(protocol: Protocol, method: str, target: str, operation: str) -> None:
    for _ in range(2):  # the second time it is remembered
        assert protocol.wire("lambda").target(request(target, method=method)).plan.name == operation


def test_an_import_is_told_by_its_query(protocol: Protocol) -> None:
    wire = protocol.wire("apigateway")
    assert wire.target(request("/restapis?mode=import", method="POST")).plan.name == "ImportRestApi"
    assert wire.target(request("/restapis", method="POST")).plan.name == "CreateRestApi"


@pytest.mark.parametrize(
    ("service", "asked", "code", "status"),
    [
        ("lambda", request("/2015-03-31/nonsense"), "UnknownOperationException", 404),
        ("lambda", request("/2015-03-31/functions", method="PATCH"), "UnknownOperationException", 404),
        ("lambda", request("/2015-03-31/functions//invocations", method="POST"), "UnknownOperationException", 404),
        ("logs", request("/", ("X-Amz-Target", "Logs_20140328.Nonsense")), "UnknownOperationException", 400),
        ("logs", request("/", ("X-Amz-Target", "Other.CreateLogGroup")), "UnknownOperationException", 400),
        ("logs", request("/"), "UnknownOperationException", 400),
        ("sts", request("/", FORM, body=b"Action=Nonsense"), "InvalidAction", 400),
        ("sts", request("/"), "InvalidAction", 400),
        ("s3", request("/b", method="POST"), "MethodNotAllowed", 405),
        ("s3", request("/b?" + "&".join(f"a{n}" for n in range(20_001))), "InvalidArgument", 400),
    ],
)
def test_what_is_not_there(protocol: Protocol, service: str, asked: Request, code: str, status: int) -> None:
    with pytest.raises(ServiceError) as error:
        protocol.wire(service).target(asked)
    assert (error.value.code, error.value.status) == (code, status)


@pytest.mark.parametrize(
    ("service", "asked", "code"),
    [
        ("lambda", request("/2015-03-31/functions", method="POST", body=b"{not json"), "SerializationException"),
        ("lambda", request("/2015-03-31/functions", method="POST", body=b"[]"), "SerializationException"),
        ("lambda", request("/2015-03-31/functions", method="POST", body=b'{"Timeout": "soon"}'), "SerializationException"),
        ("lambda", request("/2015-03-31/functions", method="POST", body=b'{"Timeout": 99999999999}'), "SerializationException"),
        (
            "lambda",
            request("/2015-03-31/functions", method="POST", body=b'{"Code": {"ZipFile": "***"}}'),
            "SerializationException",
        ),
        ("lambda", request("/2015-03-31/functions", method="POST", body=b'{"Layers": {}}'), "SerializationException"),
        ("lambda", request("/2015-03-31/functions?MaxItems=many"), "SerializationException"),
        (
            "logs",
            request("/", ("X-Amz-Target", "Logs_20140328.CreateLogGroup"), body=b'{"logGroupName": 5}'),
            "SerializationException",
        ),
        ("sts", request("/", FORM, body=b"Action=AssumeRole&DurationSeconds=long"), "MalformedInput"),
        ("iam", request("/", FORM, body=b"Action=TagRole&Tags.member.x.Key=a"), "MalformedInput"),
        ("iam", request("/", FORM, body=b"Action=TagRole&Tags.member.1=a"), "MalformedInput"),
        ("s3", request("/b?delete", method="POST", body=b"<Delete>"), "MalformedXML"),
        ("s3", request("/b?delete", method="POST", body=b"<!DOCTYPE a><Delete/>"), "MalformedXML"),
        ("s3", request("/b?list-type=2&max-keys=many"), "InvalidArgument"),
        ("s3", request("/b/k", ("If-Modified-Since", "yesterday")), "InvalidArgument"),
    ],
)
def test_what_cannot_be_read(protocol: Protocol, service: str, asked: Request, code: str) -> None:
    target = protocol.wire(service).target(asked)
    with pytest.raises(ServiceError) as error:
        target.parse(asked)
    assert (error.value.code, error.value.status) == (code, 400)


def test_nesting_ends_with_a_refusal(protocol: Protocol) -> None:
    shapes = {"In": {"type": "structure", "members": {"In": {"shape": "In"}}}}
    operations = {"Put": {"name": "Put", "http": {"method": "POST", "requestUri": "/"}, "input": {"shape": "In"}}}
    plan = ServicePlans(ServiceModel("t", {"metadata": {"protocol": "json"}, "shapes": shapes, "operations": operations})).plan(
        "Put", "json"
    )
    with pytest.raises(ServiceError, match="SerializationException"):
        plan.parse(request(body=b'{"In":' * 900 + b"{}" + b"}" * 900), ())


def test_unknown_members_and_nulls_are_let_pass(protocol: Protocol) -> None:
    asked = request(
        "/2015-03-31/functions", method="POST", body=b'{"FunctionName": "f", "New": 1, "Tags": null, "Layers": [null, "l"]}'
    )
    assert protocol.wire("lambda").target(asked).parse(asked) == {"FunctionName": "f", "Layers": ["l"]}


def body_of(response: Response) -> bytes:
    assert isinstance(response.body, bytes)
    return response.body


def test_errors_of_lambda(protocol: Protocol) -> None:
    wire, asked = protocol.wire("lambda"), request("/2015-03-31/functions/f")
    response = wire.error(ServiceError("ResourceNotFoundException", "Function not found: f", status=404), "id", asked)
    assert response.status == 404
    assert ("x-amzn-ErrorType", "ResourceNotFoundException") in response.headers
    assert ("x-amzn-RequestId", "id") in response.headers
    assert body_of(response) == b'{"Type":"User","Message":"Function not found: f"}'
    invalid = ServiceError("InvalidParameterValueException", "no", members={"Type": "User"})
    assert body_of(wire.error(invalid, "id", asked)) == b'{"Type":"User","message":"no"}'
    assert (
        body_of(wire.error(ServiceError("ValidationException", "1 validation"), "id", asked)) == b'{"message":"1 validation"}'
    )
    assert json.loads(body_of(wire.error(wire.internal_error(), "id", asked)))["Type"] == "Service"


def test_errors_of_the_others(protocol: Protocol) -> None:
    asked = request("/b/<k>")
    logs = protocol.wire("logs").error(ServiceError("ResourceNotFoundException", "gone"), "id", asked)
    assert json.loads(body_of(logs)) == {"__type": "ResourceNotFoundException", "message": "gone"}
    assert ("Content-Type", "application/x-amz-json-1.1") in logs.headers
    iam = protocol.wire("iam").error(ServiceError("NoSuchEntityException", "a < b", status=404), "id", asked)
    text = body_of(iam).decode()
    assert "<Type>Sender</Type>" in text
    assert "<Code>NoSuchEntity</Code>" in text
    assert "<Message>a &lt; b</Message>" in text
    assert "<RequestId>id</RequestId>" in text
    assert text.startswith('<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">')
    s3 = protocol.wire("s3").error(ServiceError("NoSuchKey", "none", status=404, members={"Key": "<k>"}), "id", asked)
    assert b"<Key>&lt;k&gt;</Key><Resource>/b/&lt;k&gt;</Resource>" in body_of(s3)
    coded = protocol.wire("logs", "smithy-rpc-v2-cbor").error(ServiceError("X", "y", members={"z": 1}), "id", asked)
    assert cbor.decode(body_of(coded)) == {"__type": "X", "message": "y", "z": 1}
    head = Request("HEAD", "/b", "", [])
    assert [body_of(protocol.wire(name).error(ServiceError("X", "y"), "id", head)) for name in ("s3", "lambda", "iam")] == [
        b""
    ] * 3


def test_a_service_that_is_not_ours(protocol: Protocol) -> None:
    for asked in (request("/", scoped("batch")), request("/", scoped("sns"), FORM, body=b"Action=ListTopics")):
        wire = protocol.identify(asked)
        with pytest.raises(ServiceError) as error:
            wire.target(asked)
        response = wire.error(error.value, "id", asked)
        assert response.status == 501
        assert f"tenantry does not serve {wire.service}".encode() in body_of(response)


class Asked:
    """Signatures at a standing clock, and what is wrong with them."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.verifier = Verifier(Credentials(), self.clock)

    def refusal(self, asked: Request, dialect: Dialect, service: str = "svc") -> tuple[str, int, str]:
        with pytest.raises(ServiceError) as error:
            self.verifier.verify(asked, dialect, [service])
        return error.value.code, error.value.status, error.value.message

    def signed(self, dialect: Dialect, *, age_s: float = 0, service: str = "svc", **changes: Any) -> Request:
        made = sign(
            Request("GET", "/a", "", [("host", "h")]),
            changes.get("credential", KEY),
            region="us-east-1",
            service=service,
            now=self.clock.now() - age_s,
            dialect=dialect,
        )
        headers = [(name, changes.get(name, value)) for name, value in made.headers]
        return Request(made.method, made.path, made.query, headers, made.body)


def test_times_that_are_off() -> None:
    asked = Asked()
    asked.verifier.verify(asked.signed(REST_JSON, age_s=300), REST_JSON, ["svc"])
    asked.verifier.verify(asked.signed(S3, age_s=-900), S3, ["svc"])
    assert asked.refusal(asked.signed(REST_JSON, age_s=301), REST_JSON) == (
        "InvalidSignatureException",
        403,
        "Signature expired: 20251231T235459Z is now earlier than 20251231T235500Z (20260101T000000Z - 5 min.)",
    )
    assert asked.refusal(asked.signed(QUERY, age_s=-301), QUERY) == (
        "SignatureDoesNotMatch",
        403,
        "Signature not yet current: 20260101T000501Z is still later than 20260101T000500Z (20260101T000000Z + 5 min.)",
    )
    assert asked.refusal(asked.signed(S3, age_s=901), S3)[:2] == ("RequestTimeTooSkewed", 403)


def test_scopes_that_are_wrong() -> None:
    asked = Asked()
    assert (
        asked.refusal(asked.signed(REST_JSON, service="other"), REST_JSON)[2]
        == "Credential should be scoped to correct service: 'svc'. "
    )
    stale = asked.signed(REST_JSON)
    stale = Request("GET", "/a", "", [(name, value.replace("20260101/", "20251231/")) for name, value in stale.headers])
    assert asked.refusal(stale, REST_JSON)[2].startswith(
        "Date in Credential scope does not match YYYYMMDD from ISO-8601 version"
    )


@pytest.mark.parametrize(
    ("authorization", "date", "what"),
    [
        ("Bearer x", "20260101T000000Z", "Unsupported AWS 'algorithm': 'Bearer'."),
        ("AWS4-HMAC-SHA256 Credential=a", "20260101T000000Z", "Authorization header requires 'Signature' parameter."),
        (
            "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=0",
            "20260101T000000Z",
            "Credential must have 5 slash",
        ),
        (
            "AWS4-HMAC-SHA256 Credential=a/20260101/r/svc/aws4_request, SignedHeaders=host, Signature=0",
            "now",
            "Date must be in ISO",
        ),
        ("AWS4-HMAC-SHA256 Credential=a/20260101/r/svc/aws4_request, SignedHeaders=host, Signature=0", "20261301T000000Z", ""),
        (
            "AWS4-HMAC-SHA256 Credential=a/20260101/r/svc/aws4_request, SignedHeaders=host, Signature=0",
            "",
            "requires existence of",
        ),
        (
            "AWS4-HMAC-SHA256 Credential=a/20260101/r/svc/aws4_request, SignedHeaders=x, Signature=0",
            "20260101T000000Z",
            "'Host' or",
        ),
    ],
)
def test_authorizations_that_are_not_whole(authorization: str, date: str, what: str) -> None:
    asked = Request("GET", "/a", "", [("host", "h"), ("X-Amz-Date", date), ("Authorization", authorization)])
    code, status, message = Asked().refusal(asked, REST_JSON)
    assert (code, status) == ("IncompleteSignatureException" if what else "InvalidSignatureException", 403)
    assert what in message


def test_tokens() -> None:
    asked = Asked()
    asked.verifier.verify(asked.signed(REST_JSON, credential=TEMPORARY), REST_JSON, ["svc"])
    without = asked.signed(REST_JSON, credential=TEMPORARY)
    without.headers = [(name, value) for name, value in without.headers if name != "X-Amz-Security-Token"]
    assert asked.refusal(Request("GET", "/a", "", without.headers), REST_JSON)[0] == "UnrecognizedClientException"
    asked.clock.advance(3601)
    late = asked.signed(REST_JSON, credential=TEMPORARY)
    assert asked.refusal(late, REST_JSON)[0] == "ExpiredTokenException"
    assert asked.refusal(asked.signed(S3, credential=TEMPORARY), S3)[:2] == ("ExpiredToken", 400)


def test_bodies_are_part_of_what_is_signed() -> None:
    asked = Asked()
    made = asked.signed(REST_JSON)
    made.body = b"changed"
    assert asked.refusal(made, REST_JSON)[0] == "InvalidSignatureException"
    # Only S3 lets a client leave it out.
    unsigned = asked.signed(REST_JSON, **{"X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD"})
    assert asked.refusal(unsigned, REST_JSON)[0] == "InvalidSignatureException"


@pytest.mark.parametrize("expires", ["0x10", "-1", "604801", "99999999999", "", "٣"])
def test_presigned_lifetimes_that_are_none(expires: str) -> None:
    asked = Asked()
    url = presign_url(KEY, "GET", "http://h/a", region="r", service="svc", expires_s=60, now=asked.clock.now(), dialect=S3)
    query = url.partition("?")[2].replace("X-Amz-Expires=60", f"X-Amz-Expires={expires}")
    assert asked.refusal(Request("GET", "/a", query, [("host", "h")]), S3)[0] == "AuthorizationHeaderMalformed"


def test_nothing_is_read_before_it_is_needed() -> None:
    script = (
        "import sys\n"
        "from tenantry.model.clock import SystemClock\n"
        "from tenantry.protocol.wire import Protocol\n"
        "protocol = Protocol(object(), SystemClock())\n"
        "print(sorted(name for name in sys.modules if name.startswith('botocore')), protocol._plans)\n"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[] {}"


def test_a_service_more_is_one_row() -> None:
    protocol = Protocol(Credentials(), ManualClock(), {"sqs": Facts("json", ("sqs",), target_prefix="AmazonSQS")})
    asked = request("/", ("X-Amz-Target", "AmazonSQS.ListQueues"), method="POST", body=b"{}")
    target = protocol.identify(asked).target(asked)
    assert (target.plan.service, target.plan.name, target.parse(asked)) == ("sqs", "ListQueues", {})
