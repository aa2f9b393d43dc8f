"""S3, IAM and STS as boto3 speaks to them: real sockets, real signatures, the real client, in one process with the services.

No Lambda, no sandbox: a listener, the AWS door, and the services under test over a temporary folder.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import http.client
import json
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError
from tests.support.aws import Aws

from tenantry.edge.aws import AwsDoor
from tenantry.edge.front import body_limit
from tenantry.edge.limits import Limits
from tenantry.edge.listener import Listener, bind
from tenantry.model.clock import SystemClock
from tenantry.model.identity import Credential
from tenantry.protocol.wire import Protocol
from tenantry.services.identity.credentials import PlatformCredentials
from tenantry.services.identity.directory import Directory
from tenantry.services.identity.iam import IamService
from tenantry.services.identity.sts import StsService
from tenantry.services.operation import Operations
from tenantry.services.s3.service import S3Service
from tenantry.store.blobs import Blobs
from tenantry.store.documents import Documents

ACCOUNT = "000000000000"
ROOT = Credential("AKIAROOTROOTROOTROOT", "r" * 40, f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT)
MIB = 1024 * 1024


class SkewedClock(SystemClock):
    """The machine's clock, some seconds ahead."""

    ahead_s = 0.0

    def now(self) -> float:
        return time.time() + self.ahead_s


class House:
    """The services behind a listener, on an event loop in a thread of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = SkewedClock()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.port = self._run(self._open())
        self.environment = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": ROOT.access_key_id,
            "AWS_SECRET_ACCESS_KEY": ROOT.secret_access_key,
        }

    async def _open(self) -> int:
        documents = self.documents = Documents(self.folder / "state.db")
        directory = Directory(documents)
        self.credentials = PlatformCredentials(ROOT, self.clock, role_id=directory.role_id)
        protocol = Protocol(self.credentials, self.clock)
        operations = Operations(protocol.validate)
        operations.add(S3Service(documents, Blobs(self.folder / "blobs"), self.clock))
        operations.add(IamService(directory, self.clock))
        operations.add(StsService(directory, self.credentials))
        limits = Limits()
        self.listener = Listener(AwsDoor(protocol, operations, ACCOUNT), limits, self.clock, body_limit(limits))
        server = bind("127.0.0.1", 0)
        await self.listener.start(server)
        return int(server.getsockname()[1])

    def close(self) -> None:
        self._run(self.listener.drain(0))
        self.loop.call_soon_threadsafe(self.documents.close)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    opened = House(tmp_path_factory.mktemp("house"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def here(house: House) -> Iterator[Aws]:
    clients = Aws(house.environment)
    yield clients
    clients.close()


@pytest.fixture(scope="module")
def s3(here: Aws) -> Any:
    return here.client("s3")


@pytest.fixture
def bucket(s3: Any, request: pytest.FixtureRequest) -> str:
    name = "b-" + "".join(letter if letter.isalnum() else "-" for letter in request.node.name.lower())[:50].strip("-")
    s3.create_bucket(Bucket=name)
    return name


def code(caught: pytest.ExceptionInfo[ClientError]) -> tuple[str, int]:
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def test_a_round_trip(s3: Any, bucket: str) -> None:
    put = s3.put_object(Bucket=bucket, Key="a/b c+d&é.txt", Body=b"hello", Metadata={"k": "v"}, Tagging="t=1")
    assert put["ChecksumCRC32"] == "NhCmhg=="
    got = s3.get_object(Bucket=bucket, Key="a/b c+d&é.txt")
    assert got["Body"].read() == b"hello"
    assert (got["ETag"], got["Metadata"], got["ContentType"]) == (put["ETag"], {"k": "v"}, "binary/octet-stream")
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 200
    head = s3.head_object(Bucket=bucket, Key="a/b c+d&é.txt")
    assert (head["ContentLength"], head["LastModified"], head["TagCount"]) == (5, got["LastModified"], 1)
    listed = s3.list_objects_v2(Bucket=bucket)
    assert [(row["Key"], row["Size"]) for row in listed["Contents"]] == [("a/b c+d&é.txt", 5)]
    assert listed["Contents"][0]["LastModified"] == got["LastModified"]
    answer = s3.delete_object(Bucket=bucket, Key="a/b c+d&é.txt")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
    with pytest.raises(ClientError) as caught:
        s3.head_object(Bucket=bucket, Key="a/b c+d&é.txt")
    assert code(caught) == ("404", 404)


def test_ranges_and_conditions(s3: Any, bucket: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"hello")["ETag"]
    part = s3.get_object(Bucket=bucket, Key="k", Range="bytes=1-3")
    assert (part["Body"].read(), part["ContentRange"], part["ResponseMetadata"]["HTTPStatusCode"]) == (
        b"ell",
        "bytes 1-3/5",
        206,
    )
    modified = s3.head_object(Bucket=bucket, Key="k")["LastModified"]
    for condition in ({"IfNoneMatch": etag}, {"IfModifiedSince": modified}):
        with pytest.raises(ClientError) as caught:
            s3.get_object(Bucket=bucket, Key="k", **condition)
        assert code(caught) == ("304", 304)
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket=bucket, Key="k", IfMatch='"other"')
    assert code(caught) == ("PreconditionFailed", 412)
    assert caught.value.response["Error"]["Condition"] == "If-Match"
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket=bucket, Key="k", Range="bytes=9-")
    assert code(caught) == ("InvalidRange", 416)
    with pytest.raises(ClientError) as caught:
        s3.put_object(Bucket=bucket, Key="k", Body=b"x", IfNoneMatch="*")
    assert code(caught) == ("PreconditionFailed", 412)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", IfMatch=etag)


@pytest.mark.parametrize("version", [None, "s3v4"])
def test_presigned_addresses(house: House, here: Aws, bucket: str, version: str | None) -> None:
    """Both kinds: boto3 makes the old one in us-east-1 unless it is told."""
    s3 = boto3.session.Session(ROOT.access_key_id, ROOT.secret_access_key).client(
        "s3",
        endpoint_url=here.endpoint,
        region_name="us-east-1",
        config=Config(signature_version=version, s3={"addressing_style": "path"}),
    )
    s3.put_object(Bucket=bucket, Key="k", Body=b"hello")
    disposition = {"ResponseContentDisposition": 'attachment; filename="x y"'}
    url = s3.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "k", **disposition}, ExpiresIn=60)
    reply = here.http(url)
    assert (reply.status, reply.body, reply.headers["content-disposition"]) == (200, b"hello", 'attachment; filename="x y"')
    later = re.sub(r"Expires=\d+", lambda match: f"{match[0]}0", url)
    for forged in (url.replace("/k?", "/other?"), later, url.replace("x%20y", "z"), url.partition("?")[0]):
        reply = here.http(forged)
        assert reply.status == 403
    upload = s3.generate_presigned_url("put_object", {"Bucket": bucket, "Key": "new"}, ExpiresIn=60)
    assert here.http(upload, "PUT", body=b"sent").status == 200
    assert s3.get_object(Bucket=bucket, Key="new")["Body"].read() == b"sent"
    gone = s3.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "k"}, ExpiresIn=1)
    house.clock.ahead_s = 5
    try:
        reply = here.http(gone)
    finally:
        house.clock.ahead_s = 0
    assert (reply.status, reply.error_code) == (403, "AccessDenied")
    assert b"Request has expired" in reply.body
    s3.close()


def test_what_the_transfer_manager_does(s3: Any, bucket: str, tmp_path: Path) -> None:
    """Above the threshold boto3 uploads in parts with checksums, and downloads in ranges, several at a time."""
    source, copy = tmp_path / "source", tmp_path / "copy"
    source.write_bytes(bytes(range(256)) * (4096 * 13) + b"end")
    config = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB, max_concurrency=3)
    s3.upload_file(str(source), bucket, "large", Config=config, ExtraArgs={"Metadata": {"a": "1"}})
    head = s3.head_object(Bucket=bucket, Key="large", ChecksumMode="ENABLED")
    assert head["ETag"].endswith('-3"')
    assert head["ContentLength"] == source.stat().st_size
    assert "ChecksumCRC32" in head
    s3.download_file(bucket, "large", str(copy), Config=config)
    assert copy.read_bytes() == source.read_bytes()
    s3.copy({"Bucket": bucket, "Key": "large"}, bucket, "copied", Config=config)
    assert s3.head_object(Bucket=bucket, Key="copied")["ContentLength"] == source.stat().st_size
    assert s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256"])
def test_checksums_of_the_client(s3: Any, bucket: str, algorithm: str) -> None:
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"hello", ChecksumAlgorithm=algorithm)
    got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert got["Body"].read() == b"hello", "the client checks it itself"
    assert got[f"Checksum{algorithm}"] == put[f"Checksum{algorithm}"]


def test_chunked_upload_with_a_checksum_behind_the_body(here: Aws, s3: Any, bucket: str) -> None:
    """What clients do over https: aws-chunked with a trailer. Written by hand, as this listener speaks http."""
    body = b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n"
    headers = {
        "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "x-amz-trailer": "x-amz-checksum-crc32",
        "x-amz-decoded-content-length": "5",
        "Content-Encoding": "aws-chunked",
    }
    reply = _signed_put(here, f"/{bucket}/k", headers, body)
    assert reply == (200, "NhCmhg=="), reply
    got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert (got["Body"].read(), got["ChecksumCRC32"], got.get("ContentEncoding")) == (b"hello", "NhCmhg==", None)
    bad = body.replace(b"hello", b"hallo")
    assert _signed_put(here, f"/{bucket}/k2", headers, bad)[0] == 400


def _signed_put(here: Aws, path: str, headers: dict[str, str], body: bytes) -> tuple[int, str | None]:
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    request = AWSRequest("PUT", here.endpoint + path, headers=headers, data=body)
    request.context["payload_signing_enabled"] = False

    class Signer(S3SigV4Auth):  # type: ignore[misc]  # botocore has no types
        def payload(self, request: AWSRequest) -> str:
            return headers["x-amz-content-sha256"]

        def _modify_request_before_signing(self, request: AWSRequest) -> None:
            super()._modify_request_before_signing(request)
            del request.headers["X-Amz-Content-SHA256"]
            request.headers["X-Amz-Content-SHA256"] = headers["x-amz-content-sha256"]

    Signer(Credentials(here.key, here.secret), "s3", "us-east-1").add_auth(request)
    parts = urlsplit(here.endpoint)
    connection = http.client.HTTPConnection("127.0.0.1", parts.port, timeout=10)
    try:
        connection.request("PUT", path, body, dict(request.headers.items()))
        response = connection.getresponse()
        response.read()
        return response.status, response.getheader("x-amz-checksum-crc32")
    finally:
        connection.close()


def test_versions(s3: Any, bucket: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    old = s3.put_object(Bucket=bucket, Key="k", Body=b"old")["VersionId"]
    s3.put_object(Bucket=bucket, Key="k", Body=b"new")
    marker = s3.delete_object(Bucket=bucket, Key="k")
    assert marker["DeleteMarker"] is True
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket=bucket, Key="k")
    assert code(caught) == ("NoSuchKey", 404)
    assert caught.value.response["ResponseMetadata"]["HTTPHeaders"]["x-amz-delete-marker"] == "true"
    assert s3.get_object(Bucket=bucket, Key="k", VersionId=old)["Body"].read() == b"old"
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket, PaginationConfig={"PageSize": 1})
    rows = [row for page in pages for row in page.get("Versions", []) + page.get("DeleteMarkers", [])]
    assert [row["IsLatest"] for row in rows] == [True, False, False]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k", "VersionId": row["VersionId"]} for row in rows]})
    assert len(answer["Deleted"]) == 3
    s3.delete_bucket(Bucket=bucket)


def test_listing_in_pages_with_folders(s3: Any, bucket: str) -> None:
    keys = ["a/1", "a/2", "b b/ü", "b+b", "c", "d/e/f"]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    for operation in ("list_objects", "list_objects_v2"):
        pages = list(s3.get_paginator(operation).paginate(Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": 2}))
        assert [row["Key"] for page in pages for row in page.get("Contents", [])] == ["b+b", "c"]
        assert [row["Prefix"] for page in pages for row in page.get("CommonPrefixes", [])] == ["a/", "b b/", "d/"]
        flat = list(s3.get_paginator(operation).paginate(Bucket=bucket, PaginationConfig={"PageSize": 4}))
        assert [row["Key"] for page in flat for row in page["Contents"]] == keys
    assert s3.list_objects_v2(Bucket=bucket, Prefix="nothing")["KeyCount"] == 0


def test_settings_as_a_stack_makes_them(s3: Any, bucket: str) -> None:
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}, "BucketKeyEnabled": True}
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    assert s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"] == [rule]
    statement = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": f"arn:aws:s3:::{bucket}/*"}
    policy = json.dumps({"Statement": statement})
    s3.put_bucket_policy(Bucket=bucket, Policy=policy)
    assert s3.get_bucket_policy(Bucket=bucket)["Policy"] == policy
    block = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert all(block.values())
    tags = [{"Key": "a", "Value": "1"}]
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags})
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == tags
    rules = [{"ID": "r", "Status": "Enabled", "Filter": {"Prefix": "tmp/"}, "Expiration": {"Days": 1}}]
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})
    assert s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"] == rules
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] is None
    assert s3.get_bucket_acl(Bucket=bucket)["Grants"][0]["Permission"] == "FULL_CONTROL"
    attributes = s3.put_object(Bucket=bucket, Key="k", Body=b"hello") and s3.get_object_attributes(
        Bucket=bucket, Key="k", ObjectAttributes=["ETag", "ObjectSize", "Checksum"]
    )
    assert (attributes["ObjectSize"], attributes["Checksum"]["ChecksumCRC32"]) == (5, "NhCmhg==")


def test_a_bucket_of_another_region_is_found_by_following(here: Aws, s3: Any) -> None:
    there = here.client("s3", region="eu-west-1")
    there.create_bucket(Bucket="far-away", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    there.put_object(Bucket="far-away", Key="k", Body=b"hello")
    assert s3.get_object(Bucket="far-away", Key="k")["Body"].read() == b"hello", "boto3 follows the redirection"
    with pytest.raises(ClientError) as caught:
        there.create_bucket(Bucket="far-away", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    assert code(caught) == ("BucketAlreadyOwnedByYou", 409)


def test_writers_in_parallel(s3: Any, bucket: str) -> None:
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: s3.put_object(Bucket=bucket, Key=f"k{n % 4}", Body=bytes([n]) * 300_000), range(24)))
    for row in s3.list_objects_v2(Bucket=bucket)["Contents"]:
        body = s3.get_object(Bucket=bucket, Key=row["Key"])["Body"].read()
        assert body == body[:1] * 300_000


# Roles and sessions

TRUST = '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"000000000000"},"Action":"sts:AssumeRole"}}'


def session(house: House, credentials: dict[str, Any], service: str = "sts", **change: str) -> Any:
    keys = {
        "aws_access_key_id": credentials["AccessKeyId"],
        "aws_secret_access_key": credentials["SecretAccessKey"],
        "aws_session_token": credentials["SessionToken"],
    }
    config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
    return boto3.session.Session(**(keys | change)).client(
        service, endpoint_url=house.environment["AWS_ENDPOINT_URL"], region_name="us-east-1", config=config
    )


def test_a_role_is_made_assumed_and_used(house: House, here: Aws, s3: Any, bucket: str) -> None:
    iam, sts = here.client("iam"), here.client("sts")
    assert sts.get_caller_identity()["Arn"] == ROOT.arn
    made = iam.create_role(RoleName="runner", AssumeRolePolicyDocument=TRUST, Tags=[{"Key": "a", "Value": "1"}])["Role"]
    assert made["AssumeRolePolicyDocument"]["Statement"]["Principal"] == {"AWS": ACCOUNT}, "boto3 decodes and parses it"
    iam.attach_role_policy(RoleName="runner", PolicyArn="arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole")
    iam.put_role_policy(
        RoleName="runner",
        PolicyName="p",
        PolicyDocument='{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}',
    )
    assert iam.get_role_policy(RoleName="runner", PolicyName="p")["PolicyDocument"]["Statement"][0]["Action"] == "s3:*"
    answer = sts.assume_role(RoleArn=made["Arn"], RoleSessionName="session")
    client = session(house, answer["Credentials"])
    assert client.get_caller_identity()["Arn"] == answer["AssumedRoleUser"]["Arn"]
    s3.put_object(Bucket=bucket, Key="k", Body=b"hello")
    inside = session(house, answer["Credentials"], "s3")
    assert inside.get_object(Bucket=bucket, Key="k")["Body"].read() == b"hello"
    url = inside.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "k"})
    assert here.http(url).body == b"hello"
    with pytest.raises(ClientError) as caught:
        iam.delete_role(RoleName="runner")
    assert code(caught) == ("DeleteConflict", 409)
    roles = [
        row["RoleName"]
        for page in iam.get_paginator("list_roles").paginate(PaginationConfig={"PageSize": 1})
        for row in page["Roles"]
    ]
    assert roles == ["runner"]
    client.close()
    inside.close()


def test_a_session_that_is_altered_or_over_is_refused(house: House, here: Aws) -> None:
    good = here.client("sts").get_session_token(DurationSeconds=900)["Credentials"]
    token = good["SessionToken"]
    changes = [
        {"aws_session_token": token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB")},
        {"aws_access_key_id": "ASIA" + "A" * 16},
        {"aws_secret_access_key": "x" * 40},
        {"aws_access_key_id": ROOT.access_key_id, "aws_secret_access_key": ROOT.secret_access_key},
    ]
    for change in changes:
        client = session(house, good, **change)
        with pytest.raises(ClientError) as caught:
            client.get_caller_identity()
        assert code(caught)[1] == 403
        client.close()
    client = session(house, good)
    client.get_caller_identity()
    client.close()
    made = house.credentials.session(ROOT.arn, ACCOUNT, -1)
    over = {"AccessKeyId": made.access_key_id, "SecretAccessKey": made.secret_access_key, "SessionToken": made.session_token}
    client = session(house, over)
    with pytest.raises(ClientError) as caught:
        client.get_caller_identity()
    assert code(caught) == ("ExpiredToken", 403)
    client.close()
