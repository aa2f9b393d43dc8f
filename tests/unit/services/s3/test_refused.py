"""Requests that S3 refuses: each with its code, status and words, and with nothing changed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tenantry.model.errors import ServiceError

from .conftest import Caller

PUT = {"Bucket": "bucket", "Key": "k", "Body": b"new"}
THERE = {"Bucket": "bucket", "Key": "there"}
BUCKET = {"Bucket": "bucket"}


def policy(**statement: Any) -> dict[str, Any]:
    full = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::bucket/*"} | statement
    return {"Policy": json.dumps({"Statement": {name: value for name, value in full.items() if value is not None}})}


def tag_set(*pairs: tuple[str, str]) -> dict[str, Any]:
    return {"Tagging": {"TagSet": [{"Key": key, "Value": value} for key, value in pairs]}}


CASES: list[tuple[str, str, dict[str, Any], str, int, str]] = [
    ("no bucket", "PutObject", PUT | {"Bucket": "absent"}, "NoSuchBucket", 404, "The specified bucket does not exist"),
    ("no key", "GetObject", PUT, "NoSuchKey", 404, "The specified key does not exist."),
    ("no key to describe", "HeadObject", PUT, "NoSuchKey", 404, ""),
    ("no version", "GetObject", THERE | {"VersionId": "0" * 32}, "NoSuchVersion", 404, "The specified version"),
    ("what is no version id", "GetObject", THERE | {"VersionId": "1"}, "InvalidArgument", 400, "Invalid version id specified"),
    ("a key too long", "PutObject", PUT | {"Key": "é" * 513}, "KeyTooLongError", 400, "Your key is too long"),
    ("a key with a NUL", "PutObject", PUT | {"Key": "a\0b"}, "InvalidURI", 400, "Couldn't parse"),
    ("a key that is no text", "PutObject", PUT | {"Key": "a\udcff"}, "InvalidURI", 400, "Couldn't parse"),
    ("another owner", "PutObject", PUT | {"ExpectedBucketOwner": "1" * 12}, "AccessDenied", 403, "Access Denied"),
    ("too much metadata", "PutObject", PUT | {"Metadata": {"a": "x" * 2048}}, "MetadataTooLarge", 400, "metadata headers"),
    ("an unknown storage class", "PutObject", PUT | {"StorageClass": "COLD"}, "InvalidStorageClass", 400, "storage class"),
    ("an unknown encryption", "PutObject", PUT | {"ServerSideEncryption": "rot13"}, "InvalidEncryptionAlgorithmError", 400, ""),
    (
        "a key id without KMS",
        "PutObject",
        PUT | {"ServerSideEncryption": "AES256", "SSEKMSKeyId": "k"},
        "InvalidArgument",
        400,
        "",
    ),
    ("a customer's key", "PutObject", PUT | {"SSECustomerAlgorithm": "AES256"}, "NotImplemented", 501, "not implemented"),
    ("reading with a customer's key", "GetObject", THERE | {"SSECustomerKey": "k"}, "NotImplemented", 501, ""),
    ("appending", "PutObject", PUT | {"WriteOffsetBytes": 5}, "NotImplemented", 501, ""),
    ("a lock", "PutObject", PUT | {"ObjectLockMode": "GOVERNANCE"}, "InvalidRequest", 400, "Object Lock Configuration"),
    ("an ACL", "PutObject", PUT | {"ACL": "public-read"}, "AccessControlListNotSupported", 400, "does not allow ACLs"),
    ("a grant", "PutObject", PUT | {"GrantRead": "id=1"}, "AccessControlListNotSupported", 400, ""),
    ("another MD5", "PutObject", PUT | {"ContentMD5": "1B2M2Y8AsgTpgAmY7PhCfg=="}, "BadDigest", 400, "Content-MD5"),
    (
        "what is no MD5",
        "PutObject",
        PUT | {"ContentMD5": "short"},
        "InvalidDigest",
        400,
        "Content-MD5 you specified was invalid",
    ),
    ("another CRC32", "PutObject", PUT | {"ChecksumCRC32": "AAAAAA=="}, "BadDigest", 400, "The CRC32 you specified"),
    (
        "what is no CRC32",
        "PutObject",
        PUT | {"ChecksumCRC32": "AAAA"},
        "InvalidRequest",
        400,
        "x-amz-checksum-crc32 header is invalid",
    ),
    ("two checksums", "PutObject", PUT | {"ChecksumCRC32": "AAAAAA==", "ChecksumSHA1": "x"}, "InvalidRequest", 400, "single"),
    ("a checksum we lack", "PutObject", PUT | {"ChecksumXXHASH3": "x"}, "NotImplemented", 501, ""),
    ("an unknown checksum", "PutObject", PUT | {"ChecksumAlgorithm": "CRC9"}, "InvalidRequest", 400, "unsupported"),
    ("tags that are no query", "PutObject", PUT | {"Tagging": "a"}, "InvalidArgument", 400, "x-amz-tagging"),
    ("tags twice", "PutObject", PUT | {"Tagging": "a=1&a=2"}, "InvalidArgument", 400, "x-amz-tagging"),
    (
        "eleven tags",
        "PutObject",
        PUT | {"Tagging": "&".join(f"{n}=1" for n in range(11))},
        "BadRequest",
        400,
        "greater than 10",
    ),
    ("a tag key too long", "PutObject", PUT | {"Tagging": "a" * 129 + "=1"}, "InvalidTag", 400, "TagKey"),
    ("a tag value with a star", "PutObject", PUT | {"Tagging": "a=*"}, "InvalidTag", 400, "TagValue"),
    ("a tag of AWS's", "PutObjectTagging", THERE | tag_set(("aws:a", "1")), "InvalidTag", 400, "aws:"),
    ("a tag twice", "PutObjectTagging", THERE | tag_set(("a", "1"), ("a", "2")), "InvalidTag", 400, "same key"),
    ("a tag without a key", "PutBucketTagging", BUCKET | tag_set(("", "1")), "InvalidTag", 400, "TagKey"),
    ("a range behind the end", "GetObject", THERE | {"Range": "bytes=5-"}, "InvalidRange", 416, "not satisfiable"),
    ("the last no bytes", "GetObject", THERE | {"Range": "bytes=-0"}, "InvalidRange", 416, ""),
    ("a second part of one", "GetObject", THERE | {"PartNumber": 2}, "InvalidPartNumber", 416, "partnumber"),
    ("part and range", "GetObject", THERE | {"PartNumber": 1, "Range": "bytes=0-"}, "InvalidRequest", 400, "both Range header"),
    ("deleting another version", "DeleteObject", THERE | {"IfMatch": '"x"'}, "PreconditionFailed", 412, "pre-conditions"),
    ("deleting by size", "DeleteObject", THERE | {"IfMatchSize": 1}, "NotImplemented", 501, ""),
    ("deleting nothing", "DeleteObjects", BUCKET | {"Delete": {"Objects": []}}, "MalformedXML", 400, "not well-formed"),
    ("deleting too many", "DeleteObjects", BUCKET | {"Delete": {"Objects": [{"Key": "k"}] * 1001}}, "MalformedXML", 400, ""),
    ("a copy of nothing", "CopyObject", PUT | {"CopySource": "bucket/absent"}, "NoSuchKey", 404, ""),
    ("a copy from nowhere", "CopyObject", PUT | {"CopySource": "absent/k"}, "NoSuchBucket", 404, ""),
    ("a copy of a bucket", "CopyObject", PUT | {"CopySource": "bucket"}, "InvalidArgument", 400, "sourcebucket/sourcekey"),
    ("a copy onto itself", "CopyObject", THERE | {"CopySource": "bucket/there"}, "InvalidRequest", 400, "to itself"),
    (
        "a copy with an odd directive",
        "CopyObject",
        PUT | {"CopySource": "bucket/there", "MetadataDirective": "MOVE"},
        "InvalidArgument",
        400,
        "directive",
    ),
    (
        "a copy of what is the same",
        "CopyObject",
        PUT | {"CopySource": "bucket/there", "CopySourceIfNoneMatch": "*"},
        "PreconditionFailed",
        412,
        "",
    ),
    (
        "a copy over something",
        "CopyObject",
        THERE | {"CopySource": "bucket/other", "IfNoneMatch": "*"},
        "PreconditionFailed",
        412,
        "",
    ),
    (
        "a part of no upload",
        "UploadPart",
        PUT | {"UploadId": "x", "PartNumber": 1},
        "NoSuchUpload",
        404,
        "upload does not exist",
    ),
    ("part 0", "UploadPart", PUT | {"UploadId": "x", "PartNumber": 0}, "InvalidArgument", 400, "between 1 and 10000"),
    ("part 10001", "UploadPart", PUT | {"UploadId": "x", "PartNumber": 10001}, "InvalidArgument", 400, "between 1 and 10000"),
    ("giving up no upload", "AbortMultipartUpload", THERE | {"UploadId": "x"}, "NoSuchUpload", 404, ""),
    ("a full bucket", "DeleteBucket", BUCKET, "BucketNotEmpty", 409, "not empty"),
    ("a page of minus one", "ListObjectsV2", BUCKET | {"MaxKeys": -1}, "InvalidArgument", 400, "between 0 and 2147483647"),
    ("an odd encoding", "ListObjects", BUCKET | {"EncodingType": "rot13"}, "InvalidArgument", 400, "Encoding Method"),
    (
        "a version without its key",
        "ListObjectVersions",
        BUCKET | {"VersionIdMarker": "x"},
        "InvalidArgument",
        400,
        "key marker",
    ),
    (
        "versioning without a status",
        "PutBucketVersioning",
        BUCKET,
        "IllegalVersioningConfigurationException",
        400,
        "Enabled or Suspended",
    ),
    ("MFA", "PutBucketVersioning", BUCKET | {"VersioningConfiguration": {"MFADelete": "Enabled"}}, "NotImplemented", 501, ""),
    (
        "encryption by nothing",
        "PutBucketEncryption",
        BUCKET | {"ServerSideEncryptionConfiguration": {"Rules": [{}]}},
        "MalformedXML",
        400,
        "",
    ),
    ("a policy that is no JSON", "PutBucketPolicy", BUCKET | {"Policy": "{"}, "MalformedPolicy", 400, "valid JSON"),
    (
        "a policy without statements",
        "PutBucketPolicy",
        BUCKET | {"Policy": '{"Statement": []}'},
        "MalformedPolicy",
        400,
        "empty",
    ),
    ("a policy without effect", "PutBucketPolicy", BUCKET | policy(Effect=None), "MalformedPolicy", 400, "Effect"),
    (
        "a policy with an odd effect",
        "PutBucketPolicy",
        BUCKET | policy(Effect="Maybe"),
        "MalformedPolicy",
        400,
        "Invalid effect",
    ),
    ("a policy for nobody", "PutBucketPolicy", BUCKET | policy(Principal=None), "MalformedPolicy", 400, "Principal"),
    (
        "a policy of another bucket",
        "PutBucketPolicy",
        BUCKET | policy(Resource="arn:aws:s3:::bucket2"),
        "MalformedPolicy",
        400,
        "invalid resource",
    ),
    ("a policy too large", "PutBucketPolicy", BUCKET | {"Policy": " " * 20481}, "MalformedPolicy", 400, "20 KB"),
    (
        "an odd ownership",
        "PutBucketOwnershipControls",
        BUCKET | {"OwnershipControls": {"Rules": [{"ObjectOwnership": "Me"}]}},
        "MalformedXML",
        400,
        "",
    ),
    (
        "rules of no life",
        "PutBucketLifecycleConfiguration",
        BUCKET | {"LifecycleConfiguration": {"Rules": [{"Status": "Enabled"}]}},
        "InvalidRequest",
        400,
        "action",
    ),
    (
        "rules of one name",
        "PutBucketLifecycleConfiguration",
        BUCKET | {"LifecycleConfiguration": {"Rules": [{"ID": "r", "Status": "Enabled", "Expiration": {"Days": 1}}] * 2}},
        "InvalidArgument",
        400,
        "unique",
    ),
    ("a page of minus one part", "ListParts", THERE | {"UploadId": "x", "MaxParts": -1}, "NoSuchUpload", 404, ""),
    ("too many buckets a page", "ListBuckets", {"MaxBuckets": 10_001}, "InvalidArgument", 400, "max-buckets"),
    ("an odd ownership at birth", "CreateBucket", {"Bucket": "bucket3", "ObjectOwnership": "Me"}, "MalformedXML", 400, ""),
    ("no CORS rules", "PutBucketCors", BUCKET | {"CORSConfiguration": {"CORSRules": []}}, "MalformedXML", 400, ""),
    ("a bucket's ACL", "PutBucketAcl", BUCKET | {"ACL": "public-read"}, "AccessControlListNotSupported", 400, ""),
    (
        "a bucket with a lock",
        "CreateBucket",
        {"Bucket": "bucket3", "ObjectLockEnabledForBucket": True},
        "NotImplemented",
        501,
        "",
    ),
    ("odd attributes", "GetObjectAttributes", THERE | {"ObjectAttributes": ["Colour"]}, "InvalidArgument", 400, "attribute"),
]


def snapshot(s3: Caller) -> dict[str, Any]:
    """Everything that is kept: records and bytes."""
    found: dict[str, Any] = {path.name: path.read_bytes() for path in s3.blobs()}
    for name in ("s3-buckets", "s3-versions", "s3-uploads", "s3-parts"):
        found[name] = dict(s3.documents.collection(name, dict).items())
    return found


@pytest.mark.parametrize(
    ("operation", "params", "code", "status", "text"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
async def test_refused(
    s3: Caller, bucket: str, operation: str, params: dict[str, Any], code: str, status: int, text: str
) -> None:
    await s3("PutObject", Bucket=bucket, Key="there", Body=b"hello")
    await s3("PutObject", Bucket=bucket, Key="other", Body=b"other")
    before = snapshot(s3)
    with pytest.raises(ServiceError) as caught:
        await s3(operation, **params)
    assert (caught.value.code, caught.value.status) == (code, status)
    assert text in caught.value.message
    assert snapshot(s3) == before


async def test_an_archived_object_cannot_be_read(s3: Caller, bucket: str) -> None:
    await s3("PutObject", Bucket=bucket, Key="k", Body=b"hello", StorageClass="GLACIER")
    assert (await s3("HeadObject", Bucket=bucket, Key="k"))["StorageClass"] == "GLACIER"
    for operation, params in (("GetObject", {"Key": "k"}), ("CopyObject", {"Key": "c", "CopySource": "bucket/k"})):
        with pytest.raises(ServiceError) as caught:
            await s3(operation, Bucket=bucket, **params)
        assert (caught.value.code, caught.value.status) == ("InvalidObjectState", 403)
