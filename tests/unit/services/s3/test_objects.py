"""Objects: what is written is what is read, whole, in parts, on conditions, through versions and restarts."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import zlib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenantry.model.errors import ServiceError
from tenantry.services.operation import Operations
from tenantry.services.s3.conditions import not_modified, span_of
from tenantry.services.s3.content import OFF_LOOP_BYTES
from tenantry.services.s3.records import Version
from tenantry.services.s3.service import S3Service
from tenantry.store.blobs import Blobs

from .conftest import Caller

ETAG = '"5d41402abc4b2a76b9719d911017c592"'


async def test_an_object_comes_back_as_it_was_sent(s3: Caller, bucket: str) -> None:
    sent = {"ContentType": "text/plain", "CacheControl": "no-store", "Metadata": {"Colour": "blue"}, "Tagging": "a=1&b=two"}
    put = await s3("PutObject", Bucket=bucket, Key="a/b", Body=b"hello", **sent)
    assert (put["ETag"], put["VersionId"], put["ServerSideEncryption"]) == (ETAG, None, "AES256")
    got = await s3("GetObject", Bucket=bucket, Key="a/b")
    assert (got["Body"], got["ContentLength"], got["ETag"], got["TagCount"]) == (b"hello", 5, ETAG, 2)
    assert (got["ContentType"], got["CacheControl"], got["Metadata"]) == ("text/plain", "no-store", {"colour": "blue"})
    assert got["LastModified"] == s3.clock.now()
    assert "__status__" not in got
    head = await s3("HeadObject", Bucket=bucket, Key="a/b")
    assert head == {name: value for name, value in got.items() if name != "Body"}


@pytest.mark.parametrize("size", [0, 1, OFF_LOOP_BYTES, OFF_LOOP_BYTES + 1])
async def test_sizes_on_both_sides_of_the_thread_hop(s3: Caller, bucket: str, size: int) -> None:
    body = bytes(range(256)) * (size // 256) + bytes(size % 256)
    await s3("PutObject", Bucket=bucket, Key="k", Body=body)
    assert (await s3("GetObject", Bucket=bucket, Key="k"))["Body"] == body
    s3.reopen()
    assert (await s3("GetObject", Bucket=bucket, Key="k"))["Body"] == body
    assert s3.service.sweep() == 0


async def test_equal_bytes_are_kept_once_and_go_with_their_last_object(s3: Caller, bucket: str) -> None:
    for key in ("one", "two"):
        await s3("PutObject", Bucket=bucket, Key=key, Body=b"same")
    await s3("CopyObject", Bucket=bucket, Key="three", CopySource=f"{bucket}/one")
    assert len(s3.blobs()) == 1
    await s3("PutObject", Bucket=bucket, Key="one", Body=b"same")
    await s3("DeleteObject", Bucket=bucket, Key="one")
    s3.reopen()
    await s3("DeleteObject", Bucket=bucket, Key="two")
    assert (await s3("GetObject", Bucket=bucket, Key="three"))["Body"] == b"same"
    await s3("PutObject", Bucket=bucket, Key="three", Body=b"other")
    assert [path.read_bytes() for path in s3.blobs()] == [b"other"]
    await s3("DeleteObject", Bucket=bucket, Key="three")
    assert s3.blobs() == []


async def test_a_read_survives_the_deletion_of_what_it_reads(s3: Caller, bucket: str) -> None:
    body = bytes(OFF_LOOP_BYTES * 4)
    await s3("PutObject", Bucket=bucket, Key="k", Body=body)
    reading = asyncio.create_task(s3("GetObject", Bucket=bucket, Key="k"))
    await asyncio.sleep(0)
    await s3("DeleteObject", Bucket=bucket, Key="k")
    assert (await reading)["Body"] == body
    assert s3.blobs() == []


async def test_racing_writers_on_a_condition_have_one_winner(s3: Caller, bucket: str) -> None:
    bodies = [bytes([index]) * (OFF_LOOP_BYTES + 1) for index in range(6)]
    writes = [s3("PutObject", Bucket=bucket, Key="k", Body=body, IfNoneMatch="*") for body in bodies]
    results = await asyncio.gather(*writes, return_exceptions=True)
    refused = [result for result in results if isinstance(result, ServiceError)]
    assert [error.code for error in refused] == ["PreconditionFailed"] * 5
    winner = next(index for index, result in enumerate(results) if isinstance(result, dict))
    assert (await s3("GetObject", Bucket=bucket, Key="k"))["Body"] == bodies[winner]
    assert len(s3.blobs()) == 1


async def test_a_bucket_deleted_during_a_write_takes_the_write_with_it(s3: Caller, bucket: str) -> None:
    writing = asyncio.create_task(s3("PutObject", Bucket=bucket, Key="k", Body=bytes(OFF_LOOP_BYTES * 2)))
    await asyncio.sleep(0)
    await s3("DeleteBucket", Bucket=bucket)
    with pytest.raises(ServiceError, match="NoSuchBucket"):
        await writing
    assert s3.blobs() == []


class FullDisk(Blobs):
    """A directory on a disk that is full."""

    def put(self, data: bytes) -> str:
        raise OSError(28, "No space left on device")


async def test_a_full_disk_loses_the_write_and_nothing_else(s3: Caller, bucket: str) -> None:
    await s3("PutObject", Bucket=bucket, Key="k", Body=b"hello")
    full = Operations(lambda service, operation, params: None)
    full.add(S3Service(s3.documents, FullDisk(s3.folder / "blobs"), s3.clock))
    working, s3.operations = s3.operations, full
    with pytest.raises(OSError, match="No space left"):
        await s3("PutObject", Bucket=bucket, Key="k", Body=b"other")
    upload = (await s3("CreateMultipartUpload", Bucket=bucket, Key="u"))["UploadId"]
    with pytest.raises(OSError, match="No space left"):
        await s3("UploadPart", Bucket=bucket, Key="u", UploadId=upload, PartNumber=1, Body=b"other")
    assert (await s3("ListParts", Bucket=bucket, Key="u", UploadId=upload))["Parts"] == []
    s3.operations = working
    assert (await s3("GetObject", Bucket=bucket, Key="k"))["Body"] == b"hello"


async def test_a_copy_that_comes_too_late_gives_its_bytes_back(s3: Caller, bucket: str) -> None:
    """The new checksum is computed off the loop; meanwhile both ends of the copy disappear."""
    await s3("PutObject", Bucket=bucket, Key="k", Body=bytes(OFF_LOOP_BYTES * 4))
    await s3("CreateBucket", Bucket="target")
    copying = asyncio.create_task(
        s3("CopyObject", Bucket="target", Key="c", CopySource=f"{bucket}/k", ChecksumAlgorithm="SHA256")
    )
    await asyncio.sleep(0)
    await s3("DeleteBucket", Bucket="target")
    await s3("DeleteObject", Bucket=bucket, Key="k")
    with pytest.raises(ServiceError, match="NoSuchBucket"):
        await copying
    assert s3.blobs() == []


async def test_what_a_crash_leaves_is_swept(s3: Caller, bucket: str) -> None:
    await s3("PutObject", Bucket=bucket, Key="k", Body=b"kept")
    stray = s3.folder / "blobs" / "ab" / ("ab" * 32)
    stray.parent.mkdir()
    stray.write_bytes(b"stray")
    s3.reopen()
    assert s3.service.sweep() == 1
    assert (await s3("GetObject", Bucket=bucket, Key="k"))["Body"] == b"kept"


# Ranges


@given(
    size=st.integers(0, 20),
    first=st.one_of(st.none(), st.integers(0, 25)),
    last=st.one_of(st.none(), st.integers(0, 25)),
)
def test_ranges_take_what_slices_take(size: int, first: int | None, last: int | None) -> None:
    header = f"bytes={'' if first is None else first}-{'' if last is None else last}"
    body = bytes(range(size))
    if first is None and last is None:
        expected: bytes | None = None  # no range at all
    elif first is None:
        expected = body[-last:] if last else b""
    elif last is not None and last < first:
        expected = None  # not a range: ignored
    else:
        expected = body[first : None if last is None else last + 1]
    if expected == b"":
        with pytest.raises(ServiceError) as caught:
            span_of(header, size)
        assert (caught.value.code, caught.value.status) == ("InvalidRange", 416)
        return
    span = span_of(header, size)
    if expected is None:
        assert span is None
    else:
        assert span is not None
        assert body[span.start : span.stop] == expected
        assert span.content_range == f"bytes {span.start}-{span.stop - 1}/{size}"


@pytest.mark.parametrize("header", [None, "", "bytes=", "bytes=a-b", "bytes=0-1,3-4", "octets=0-1", "bytes=--1"])
def test_a_range_that_cannot_be_read_is_none(header: str | None) -> None:
    assert span_of(header, 10) is None


async def test_a_part_is_206_with_its_place(s3: Caller, bucket: str) -> None:
    await s3("PutObject", Bucket=bucket, Key="k", Body=b"hello")
    got = await s3("GetObject", Bucket=bucket, Key="k", Range="bytes=1-3", ChecksumMode="ENABLED")
    assert (got["Body"], got["ContentLength"], got["ContentRange"], got["__status__"]) == (b"ell", 3, "bytes 1-3/5", 206)
    assert not any(name.startswith("Checksum") for name in got), "a checksum of the whole says nothing about a part"
    head = await s3("HeadObject", Bucket=bucket, Key="k", Range="bytes=-2")
    assert (head["ContentLength"], head["ContentRange"], head["__status__"]) == (2, "bytes 3-4/5", 206)
    part = await s3("GetObject", Bucket=bucket, Key="k", PartNumber=1)
    assert (part["Body"], part["__status__"], part["PartsCount"]) == (b"hello", 206, None)


# Conditions


class Timeline:
    """Moments around an object's last change, at 100 seconds."""

    before, at, after = 99.0, 100.0, 101.0


@pytest.mark.parametrize(
    ("conditions", "outcome"),
    [
        ({}, 200),
        ({"IfMatch": '"etag"'}, 200),
        ({"IfMatch": "etag"}, 200),
        ({"IfMatch": "*"}, 200),
        ({"IfMatch": '"x", "etag"'}, 200),
        ({"IfMatch": '"other"'}, 412),
        ({"IfUnmodifiedSince": Timeline.at}, 200),
        ({"IfUnmodifiedSince": Timeline.before}, 412),
        ({"IfMatch": '"etag"', "IfUnmodifiedSince": Timeline.before}, 200),
        ({"IfMatch": '"other"', "IfUnmodifiedSince": Timeline.after}, 412),
        ({"IfNoneMatch": '"etag"'}, 304),
        ({"IfNoneMatch": 'W/"etag"'}, 304),
        ({"IfNoneMatch": "*"}, 304),
        ({"IfNoneMatch": '"other"'}, 200),
        ({"IfModifiedSince": Timeline.at}, 304),
        ({"IfModifiedSince": Timeline.before}, 200),
        ({"IfNoneMatch": '"other"', "IfModifiedSince": Timeline.after}, 200),
        ({"IfNoneMatch": '"etag"', "IfModifiedSince": Timeline.before}, 304),
        ({"IfMatch": '"other"', "IfNoneMatch": '"etag"'}, 412),
        ({"IfMatch": '"etag"', "IfNoneMatch": '"etag"'}, 304),
    ],
)
def test_conditions_of_reading(conditions: dict[str, Any], outcome: int) -> None:
    version = Version("k", etag="etag", modified=Timeline.at)
    if outcome == 412:
        with pytest.raises(ServiceError) as caught:
            not_modified(conditions, version)
        assert (caught.value.code, caught.value.status) == ("PreconditionFailed", 412)
    else:
        assert not_modified(conditions, version) is (outcome == 304)
    copying = {f"CopySource{name}": value for name, value in conditions.items()}
    if outcome == 200:
        assert not_modified(copying, version, "CopySource") is False
    else:
        with pytest.raises(ServiceError, match="PreconditionFailed"):
            not_modified(copying, version, "CopySource")


async def test_304_has_no_body(s3: Caller, bucket: str) -> None:
    await s3("PutObject", Bucket=bucket, Key="k", Body=b"hello")
    got = await s3("GetObject", Bucket=bucket, Key="k", IfNoneMatch=ETAG)
    assert got["__status__"] == 304
    assert got["ETag"] == ETAG
    assert "Body" not in got


@pytest.mark.parametrize(
    ("exists", "conditions", "outcome"),
    [
        (False, {"IfNoneMatch": "*"}, None),
        (True, {"IfNoneMatch": "*"}, "PreconditionFailed"),
        (True, {"IfMatch": ETAG}, None),
        (True, {"IfMatch": "*"}, None),
        (True, {"IfMatch": '"other"'}, "PreconditionFailed"),
        (False, {"IfMatch": ETAG}, "NoSuchKey"),
        (True, {"IfNoneMatch": ETAG}, "NotImplemented"),
        (True, {"IfNoneMatch": "*", "IfMatch": "*"}, "NotImplemented"),
    ],
)
async def test_conditions_of_writing(
    s3: Caller, bucket: str, exists: bool, conditions: dict[str, str], outcome: str | None
) -> None:
    if exists:
        await s3("PutObject", Bucket=bucket, Key="k", Body=b"hello")
    if outcome is None:
        await s3("PutObject", Bucket=bucket, Key="k", Body=b"new", **conditions)
        assert (await s3("GetObject", Bucket=bucket, Key="k"))["Body"] == b"new"
        return
    with pytest.raises(ServiceError) as caught:
        await s3("PutObject", Bucket=bucket, Key="k", Body=b"new", **conditions)
    assert caught.value.code == outcome
    assert await s3.keys() == (["k"] if exists else [])
    assert len(s3.blobs()) == int(exists)


# Versions


async def test_versions_pile_up_and_markers_hide_them(s3: Caller, bucket: str) -> None:
    await s3("PutObject", Bucket=bucket, Key="k", Body=b"zero")
    await s3("PutBucketVersioning", Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    first = (await s3("PutObject", Bucket=bucket, Key="k", Body=b"one"))["VersionId"]
    second = (await s3("PutObject", Bucket=bucket, Key="k", Body=b"two"))["VersionId"]
    marker = await s3("DeleteObject", Bucket=bucket, Key="k")
    assert marker["DeleteMarker"] is True
    with pytest.raises(ServiceError) as hidden:
        await s3("GetObject", Bucket=bucket, Key="k")
    assert (hidden.value.code, hidden.value.members["__headers__"]["x-amz-delete-marker"]) == ("NoSuchKey", "true")
    with pytest.raises(ServiceError) as refused:
        await s3("GetObject", Bucket=bucket, Key="k", VersionId=marker["VersionId"])
    assert (refused.value.code, refused.value.status) == ("MethodNotAllowed", 405)
    for version, body in ((first, b"one"), (second, b"two"), ("null", b"zero")):
        got = await s3("GetObject", Bucket=bucket, Key="k", VersionId=version)
        assert (got["Body"], got["VersionId"]) == (body, version)
    s3.reopen()
    undone = await s3("DeleteObject", Bucket=bucket, Key="k", VersionId=marker["VersionId"])
    assert undone == {"VersionId": marker["VersionId"], "DeleteMarker": True}
    assert (await s3("GetObject", Bucket=bucket, Key="k"))["Body"] == b"two"
    await s3("DeleteObject", Bucket=bucket, Key="k", VersionId=second)
    assert (await s3("GetObject", Bucket=bucket, Key="k"))["VersionId"] == first


async def test_suspended_versioning_writes_over_the_null_version_only(s3: Caller, bucket: str) -> None:
    await s3("PutBucketVersioning", Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    kept = (await s3("PutObject", Bucket=bucket, Key="k", Body=b"kept"))["VersionId"]
    await s3("PutBucketVersioning", Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    for body in (b"one", b"two"):
        assert (await s3("PutObject", Bucket=bucket, Key="k", Body=body))["VersionId"] == "null"
    marker = await s3("DeleteObject", Bucket=bucket, Key="k")
    assert marker == {"VersionId": "null", "DeleteMarker": True}
    listed = await s3("ListObjectVersions", Bucket=bucket)
    assert [row["VersionId"] for row in listed["Versions"]] == [kept]
    assert [(row["VersionId"], row["IsLatest"]) for row in listed["DeleteMarkers"]] == [("null", True)]
    assert (await s3("GetObject", Bucket=bucket, Key="k", VersionId=kept))["Body"] == b"kept"


async def test_deleting_many_tells_each_ones_fate(s3: Caller, bucket: str) -> None:
    for key in ("a", "b"):
        await s3("PutObject", Bucket=bucket, Key=key, Body=b"hello")
    rows = [
        {"Key": "a"},
        {"Key": "absent"},
        {"Key": "b", "ETag": '"other"'},
        {"Key": "c", "VersionId": "no"},
        {"Key": "x" * 1025},
    ]
    answer = await s3("DeleteObjects", Bucket=bucket, Delete={"Objects": rows})
    assert [row["Key"] for row in answer["Deleted"]] == ["a", "absent"]
    codes = {row["Key"][:1]: row["Code"] for row in answer["Errors"]}
    assert codes == {"b": "PreconditionFailed", "c": "InvalidArgument", "x": "KeyTooLongError"}
    assert await s3.keys() == ["b"]
    quiet = await s3("DeleteObjects", Bucket=bucket, Delete={"Objects": [{"Key": "b"}], "Quiet": True})
    assert quiet == {"Deleted": [], "Errors": []}
    assert s3.blobs() == []


# Checksums

HELLO = {
    "ChecksumCRC32": base64.b64encode(zlib.crc32(b"hello").to_bytes(4, "big")).decode(),
    "ChecksumCRC32C": "mnG7TA==",
    "ChecksumSHA1": base64.b64encode(hashlib.sha1(b"hello").digest()).decode(),
    "ChecksumSHA256": base64.b64encode(hashlib.sha256(b"hello").digest()).decode(),
    "ChecksumSHA512": base64.b64encode(hashlib.sha512(b"hello").digest()).decode(),
}


@pytest.mark.parametrize(("member", "value"), HELLO.items())
async def test_checksums_are_verified_kept_and_shown_when_asked(s3: Caller, bucket: str, member: str, value: str) -> None:
    put = await s3("PutObject", Bucket=bucket, Key="k", Body=b"hello", **{member: value})
    assert (put[member], put["ChecksumType"]) == (value, "FULL_OBJECT")
    with pytest.raises(ServiceError) as caught:
        await s3("PutObject", Bucket=bucket, Key="k", Body=b"hallo", **{member: value})
    assert (caught.value.code, caught.value.status) == ("BadDigest", 400)
    assert member not in await s3("HeadObject", Bucket=bucket, Key="k")
    shown = await s3("HeadObject", Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert shown[member] == value
    facts = await s3("GetObjectAttributes", Bucket=bucket, Key="k", ObjectAttributes=["Checksum", "ObjectSize,ETag"])
    assert (facts["Checksum"][member], facts["ObjectSize"], facts["ETag"]) == (value, 5, ETAG.strip('"'))


async def test_the_checksum_of_the_catalogue_is_the_default(s3: Caller, bucket: str) -> None:
    """CRC-64/NVME's check value, of the CRC catalogue: ae8b14860a799888 for the nine digits."""
    put = await s3("PutObject", Bucket=bucket, Key="k", Body=b"123456789")
    assert base64.b64decode(put["ChecksumCRC64NVME"]).hex() == "ae8b14860a799888"


# Copies


async def test_a_copy_takes_description_and_tags_along_unless_told(s3: Caller, bucket: str) -> None:
    sent = {"ContentType": "text/plain", "Metadata": {"a": "1"}, "Tagging": "t=1"}
    await s3("PutObject", Bucket=bucket, Key="from here", Body=b"hello", **sent)
    copied = await s3("CopyObject", Bucket=bucket, Key="to", CopySource=f"/{bucket}/from%20here", ContentType="ignored")
    assert copied["CopyObjectResult"]["ETag"] == ETAG
    got = await s3("GetObject", Bucket=bucket, Key="to")
    assert (got["Body"], got["ContentType"], got["Metadata"], got["TagCount"]) == (b"hello", "text/plain", {"a": "1"}, 1)
    new = {"MetadataDirective": "REPLACE", "TaggingDirective": "REPLACE", "Metadata": {"b": "2"}}
    await s3("CopyObject", Bucket=bucket, Key="to", CopySource=f"{bucket}/to", **new)
    got = await s3("GetObject", Bucket=bucket, Key="to")
    assert (got["ContentType"], got["Metadata"], got["TagCount"]) == ("binary/octet-stream", {"b": "2"}, None)


async def test_a_copy_can_name_a_version(s3: Caller, bucket: str) -> None:
    await s3("PutBucketVersioning", Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    old = (await s3("PutObject", Bucket=bucket, Key="k", Body=b"old"))["VersionId"]
    await s3("PutObject", Bucket=bucket, Key="k", Body=b"new")
    copied = await s3("CopyObject", Bucket=bucket, Key="k", CopySource=f"{bucket}/k?versionId={old}")
    assert copied["CopySourceVersionId"] == old
    assert (await s3("GetObject", Bucket=bucket, Key="k"))["Body"] == b"old"


async def test_a_copy_reads_from_another_region(s3: Caller, bucket: str) -> None:
    await s3("CreateBucket", "eu-west-1", Bucket="far", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    await s3("PutObject", "eu-west-1", Bucket="far", Key="k", Body=b"hello")
    await s3("CopyObject", Bucket=bucket, Key="near", CopySource="far/k")
    assert (await s3("GetObject", Bucket=bucket, Key="near"))["Body"] == b"hello"


# Tags and overrides


async def test_tags_are_put_read_and_taken_off(s3: Caller, bucket: str) -> None:
    await s3("PutObject", Bucket=bucket, Key="k", Body=b"hello")
    tags = [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": ""}]
    await s3("PutObjectTagging", Bucket=bucket, Key="k", Tagging={"TagSet": tags})
    s3.reopen()
    assert (await s3("GetObjectTagging", Bucket=bucket, Key="k"))["TagSet"] == tags
    await s3("DeleteObjectTagging", Bucket=bucket, Key="k")
    assert (await s3("GetObjectTagging", Bucket=bucket, Key="k"))["TagSet"] == []


async def test_a_reader_may_override_headers(s3: Caller, bucket: str) -> None:
    await s3("PutObject", Bucket=bucket, Key="k", Body=b"hello", ContentEncoding="aws-chunked,gzip")
    assert (await s3("GetObject", Bucket=bucket, Key="k"))["ContentEncoding"] == "gzip"
    got = await s3("GetObject", Bucket=bucket, Key="k", ResponseContentType="text/html", ResponseExpires=0.0)
    assert (got["ContentType"], got["Expires"]) == ("text/html", 0.0)


# Any history


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from(["a", "a/b", "é"]), st.binary(max_size=8)),
        st.tuples(st.just("delete"), st.sampled_from(["a", "a/b", "é"]), st.just(b"")),
        st.tuples(st.just("drop"), st.sampled_from(["a", "a/b", "é"]), st.just(b"")),
        st.tuples(st.just("versioning"), st.sampled_from(["Enabled", "Suspended"]), st.just(b"")),
        st.tuples(st.just("reopen"), st.just(""), st.just(b"")),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(actions=ACTIONS)
def test_any_history_leaves_what_a_naive_model_says(
    tmp_path_factory: pytest.TempPathFactory, actions: list[tuple[str, str, bytes]]
) -> None:
    """The model: per key a list of (version id, bytes or None for a marker), newest first."""

    async def run() -> None:
        s3 = Caller(tmp_path_factory.mktemp("history"))
        model: dict[str, list[tuple[str, bytes | None]]] = {}
        status = ""
        await s3("CreateBucket", Bucket="bucket")
        for kind, key, body in actions:
            if kind == "reopen":
                s3.reopen()
            elif kind == "versioning":
                status = key
                await s3("PutBucketVersioning", Bucket="bucket", VersioningConfiguration={"Status": status})
            elif kind == "drop":
                history = model.get(key, [])
                if history:
                    gone = history.pop()
                    await s3("DeleteObject", Bucket="bucket", Key=key, VersionId=gone[0])
            else:
                written: bytes | None = body if kind == "put" else None
                call = {"Body": body} if kind == "put" else {}
                answer = await s3("PutObject" if kind == "put" else "DeleteObject", Bucket="bucket", Key=key, **call)
                history = model.setdefault(key, [])
                version = answer.get("VersionId") or "null"
                if status != "Enabled":
                    history[:] = [row for row in history if row[0] != "null"]
                if kind == "put" or status:
                    history.insert(0, (version, written))
        found: dict[str, list[str]] = {}
        listed = await s3("ListObjectVersions", Bucket="bucket")
        for row in listed["Versions"] + listed["DeleteMarkers"]:
            found.setdefault(row["Key"], []).append(row["VersionId"])
        assert {key: sorted(ids) for key, ids in found.items()} == {
            key: sorted(version for version, _ in history) for key, history in model.items() if history
        }
        latest = {key: history[0][1] for key, history in model.items() if history and history[0][1] is not None}
        assert await s3.keys() == sorted(latest)
        for key, expected in latest.items():
            assert (await s3("GetObject", Bucket="bucket", Key=key))["Body"] == expected
        bodies = {written for history in model.values() for _, written in history if written}
        assert {path.read_bytes() for path in s3.blobs()} == bodies
        s3.documents.close()

    asyncio.run(run())
