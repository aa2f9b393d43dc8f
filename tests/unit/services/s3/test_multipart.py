"""Multipart uploads: what the parts make together, what is checked on the way, and that nothing is left behind."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import zlib
from collections.abc import Sequence
from typing import Any

import pytest

from tenantry.model.errors import ServiceError
from tenantry.services.s3.checksums import ALGORITHMS
from tenantry.services.s3.multipart import PART_BYTES_MIN

from .conftest import Caller

# Each different from the others and large enough for any place.
LARGE = [bytes([index]) * PART_BYTES_MIN for index in range(2)]


async def begin(s3: Caller, **more: Any) -> str:
    return str((await s3("CreateMultipartUpload", Bucket="bucket", Key="k", **more))["UploadId"])


async def send(s3: Caller, upload: str, bodies: Sequence[bytes], algorithm: str | None = None) -> list[dict[str, Any]]:
    rows = []
    for number, body in enumerate(bodies, 1):
        more = {"ChecksumAlgorithm": algorithm} if algorithm else {}
        answer = await s3("UploadPart", Bucket="bucket", Key="k", UploadId=upload, PartNumber=number, Body=body, **more)
        rows.append({"PartNumber": number, "ETag": answer["ETag"]})
    return rows


async def complete(s3: Caller, upload: str, rows: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return await s3(
        "CompleteMultipartUpload", Bucket="bucket", Key="k", UploadId=upload, MultipartUpload={"Parts": rows}, **more
    )


async def test_parts_become_one_object(s3: Caller, bucket: str) -> None:
    upload = await begin(s3, ContentType="text/plain", Metadata={"a": "1"}, Tagging="t=1")
    bodies = [*LARGE, b"end"]
    rows = await send(s3, upload, bodies)
    s3.reopen()
    done = await complete(s3, upload, rows)
    whole = b"".join(bodies)
    joined = b"".join(hashlib.md5(body).digest() for body in bodies)
    assert done["ETag"] == f'"{hashlib.md5(joined).hexdigest()}-3"'
    assert done["Location"] == "http://127.0.0.1:4270/bucket/k"
    s3.reopen()
    got = await s3("GetObject", Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert got["Body"] == whole
    assert (got["ContentType"], got["Metadata"], got["TagCount"], got["ETag"]) == ("text/plain", {"a": "1"}, 1, done["ETag"])
    assert base64.b64decode(got["ChecksumCRC64NVME"]) == ALGORITHMS["CRC64NVME"].compute(whole)
    edge = PART_BYTES_MIN
    middle = await s3("GetObject", Bucket=bucket, Key="k", Range=f"bytes={edge - 2}-{edge + 1}")
    assert middle["Body"] == b"\0\0\1\1"
    last = await s3("GetObject", Bucket=bucket, Key="k", PartNumber=3)
    assert (last["Body"], last["PartsCount"], last["ContentRange"]) == (
        b"end",
        3,
        f"bytes {2 * edge}-{2 * edge + 2}/{len(whole)}",
    )
    assert (await s3("ListMultipartUploads", Bucket=bucket))["Uploads"] == []
    await s3("DeleteObject", Bucket=bucket, Key="k")
    assert s3.blobs() == []


@pytest.mark.parametrize(
    ("algorithm", "kind", "expected"),
    [
        ("CRC32", None, "COMPOSITE"),
        ("CRC32", "FULL_OBJECT", "FULL_OBJECT"),
        ("CRC32C", "COMPOSITE", "COMPOSITE"),
        ("CRC32C", "FULL_OBJECT", "FULL_OBJECT"),
        ("CRC64NVME", None, "FULL_OBJECT"),
        ("SHA1", None, "COMPOSITE"),
        ("SHA256", "COMPOSITE", "COMPOSITE"),
    ],
)
async def test_an_objects_checksum_comes_from_its_parts(
    s3: Caller, bucket: str, algorithm: str, kind: str | None, expected: str
) -> None:
    upload = await begin(s3, ChecksumAlgorithm=algorithm, ChecksumType=kind)
    bodies = [LARGE[0], b"end"]
    done = await complete(s3, upload, await send(s3, upload, bodies, algorithm))
    row = ALGORITHMS[algorithm]
    if expected == "FULL_OBJECT":
        wanted = base64.b64encode(row.compute(b"".join(bodies))).decode()
    else:
        wanted = base64.b64encode(row.compute(b"".join(row.compute(body) for body in bodies))).decode() + "-2"
    assert (done[row.member], done["ChecksumType"]) == (wanted, expected)


@pytest.mark.parametrize(
    ("algorithm", "kind"), [("CRC64NVME", "COMPOSITE"), ("SHA256", "FULL_OBJECT"), (None, "COMPOSITE"), ("CRC9", None)]
)
async def test_a_checksum_type_an_algorithm_lacks_is_refused(
    s3: Caller, bucket: str, algorithm: str | None, kind: str | None
) -> None:
    with pytest.raises(ServiceError, match="InvalidRequest"):
        await begin(s3, ChecksumAlgorithm=algorithm, ChecksumType=kind)
    assert (await s3("ListMultipartUploads", Bucket=bucket))["Uploads"] == []


async def test_a_part_sent_again_replaces_the_first_and_unnamed_parts_go(s3: Caller, bucket: str) -> None:
    upload = await begin(s3)
    await send(s3, upload, [b"first", b"unused"])
    rows = await send(s3, upload, [b"again"])
    listed = await s3("ListParts", Bucket=bucket, Key="k", UploadId=upload)
    assert [(part["PartNumber"], part["Size"]) for part in listed["Parts"]] == [(1, 5), (2, 6)]
    assert len(s3.blobs()) == 2
    await complete(s3, upload, rows)
    assert (await s3("GetObject", Bucket=bucket, Key="k"))["Body"] == b"again"
    assert [path.read_bytes() for path in s3.blobs()] == [b"again"]


async def test_parts_are_listed_in_pages(s3: Caller, bucket: str) -> None:
    upload = await begin(s3)
    await send(s3, upload, [b"1", b"2", b"3", b"4", b"5"])
    found, marker = [], 0
    while True:
        page = await s3("ListParts", Bucket=bucket, Key="k", UploadId=upload, MaxParts=2, PartNumberMarker=marker)
        found += [part["PartNumber"] for part in page["Parts"]]
        if not page["IsTruncated"]:
            break
        marker = page["NextPartNumberMarker"]
    assert found == [1, 2, 3, 4, 5]


async def test_giving_up_leaves_nothing(s3: Caller, bucket: str) -> None:
    upload = await begin(s3)
    await send(s3, upload, [b"1", b"2"])
    await s3("AbortMultipartUpload", Bucket=bucket, Key="k", UploadId=upload)
    assert s3.blobs() == []
    with pytest.raises(ServiceError, match="NoSuchUpload"):
        await s3("ListParts", Bucket=bucket, Key="k", UploadId=upload)


async def test_a_bucket_goes_with_its_uploads(s3: Caller, bucket: str) -> None:
    await send(s3, await begin(s3), [b"1"])
    await s3("DeleteBucket", Bucket=bucket)
    assert s3.blobs() == []
    await s3("CreateBucket", Bucket=bucket)
    assert (await s3("ListMultipartUploads", Bucket=bucket))["Uploads"] == []


async def test_a_part_can_be_a_range_of_an_object(s3: Caller, bucket: str) -> None:
    await s3("PutObject", Bucket=bucket, Key="source", Body=b"0123456789")
    upload = await begin(s3)
    where = {"Bucket": bucket, "Key": "k", "UploadId": upload, "PartNumber": 1}
    part = await s3("UploadPartCopy", **where, CopySource="bucket/source", CopySourceRange="bytes=2-4")
    assert part["CopyPartResult"]["ETag"] == f'"{hashlib.md5(b"234").hexdigest()}"'
    await complete(s3, upload, [{"PartNumber": 1, "ETag": part["CopyPartResult"]["ETag"]}])
    assert (await s3("GetObject", Bucket=bucket, Key="k"))["Body"] == b"234"
    again = await begin(s3)
    for bounds in ("bytes=8-10", "bytes=5-4", "bytes=-3", "2-4"):
        with pytest.raises(ServiceError, match="InvalidArgument"):
            await s3("UploadPartCopy", **where | {"UploadId": again}, CopySource="bucket/source", CopySourceRange=bounds)


async def test_a_copy_of_an_upload_is_an_object_of_one_part(s3: Caller, bucket: str) -> None:
    upload = await begin(s3)
    await complete(s3, upload, await send(s3, upload, [LARGE[0], b"end"]))
    copied = await s3("CopyObject", Bucket=bucket, Key="copy", CopySource="bucket/k")
    assert copied["CopyObjectResult"]["ETag"] == f'"{hashlib.md5(LARGE[0] + b"end").hexdigest()}"'
    await s3("DeleteObject", Bucket=bucket, Key="k")
    assert (await s3("GetObject", Bucket=bucket, Key="copy"))["Body"] == LARGE[0] + b"end"


async def test_a_part_that_arrives_after_the_end_leaves_nothing(s3: Caller, bucket: str) -> None:
    upload = await begin(s3)
    where = {"Bucket": bucket, "Key": "k", "UploadId": upload}
    sending = asyncio.create_task(s3("UploadPart", **where, PartNumber=1, Body=LARGE[0]))
    await asyncio.sleep(0)
    await s3("AbortMultipartUpload", **where)
    with pytest.raises(ServiceError, match="NoSuchUpload"):
        await sending
    assert s3.blobs() == []
    assert len(s3.documents.collection("s3-parts", dict)) == 0


CRC = base64.b64encode(zlib.crc32(b"x").to_bytes(4, "big")).decode()


@pytest.mark.parametrize(
    ("says", "change", "code", "text"),
    [
        ("no parts", {"rows": []}, "MalformedXML", "not well-formed"),
        ("a part that is not there", {"rows": [(1, None), (9, None)]}, "InvalidPart", "could not be found"),
        ("another ETag", {"rows": [(1, '"00"'), (2, None)]}, "InvalidPart", "could not be found"),
        ("backwards", {"rows": [(2, None), (1, None)]}, "InvalidPartOrder", "not in ascending order"),
        ("twice", {"rows": [(1, None), (1, None)]}, "InvalidPartOrder", "not in ascending order"),
        ("a small part that is not last", {"rows": [(1, None), (2, None)]}, "EntityTooSmall", "smaller than the minimum"),
        ("another size", {"rows": [(1, None)], "MpuObjectSize": 4}, "InvalidRequest", "x-amz-mp-object-size"),
        ("a condition that fails", {"rows": [(1, None)], "IfNoneMatch": "*"}, "PreconditionFailed", "pre-conditions"),
        ("another checksum", {"rows": [(1, None)], "ChecksumCRC32": CRC}, "BadDigest", "CRC32"),
        ("another checksum type", {"rows": [(1, None)], "ChecksumType": "FULL_OBJECT"}, "BadDigest", "checksum type"),
    ],
)
async def test_a_completion_that_does_not_fit_changes_nothing(
    s3: Caller, bucket: str, says: str, change: dict[str, Any], code: str, text: str
) -> None:
    await s3("PutObject", Bucket=bucket, Key="k", Body=b"there before")
    upload = await begin(s3, ChecksumAlgorithm="CRC32")
    sent = await send(s3, upload, [b"one", b"two"], "CRC32")
    etags = {row["PartNumber"]: row["ETag"] for row in sent}
    rows = [{"PartNumber": number, "ETag": etag or etags.get(number, '"0"')} for number, etag in change["rows"]]
    with pytest.raises(ServiceError) as caught:
        await complete(s3, upload, rows, **{name: value for name, value in change.items() if name != "rows"})
    assert caught.value.code == code, says
    assert text in caught.value.message
    assert (await s3("GetObject", Bucket=bucket, Key="k"))["Body"] == b"there before"
    assert len((await s3("ListParts", Bucket=bucket, Key="k", UploadId=upload))["Parts"]) == 2
    await complete(s3, upload, sent[:1])
    assert (await s3("GetObject", Bucket=bucket, Key="k"))["Body"] == b"one"
