"""Buckets and their settings: names, regions, what a new one is like, and what is kept."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tenantry.model.errors import ServiceError
from tenantry.services.s3.buckets import check_name

from .conftest import ACCOUNT, Caller


@pytest.mark.parametrize(
    "name", ["abc", "a-b", "a.b", "0ab", "a" * 63, "1.2.3.4.5", "aws-sam-cli-managed-default-samclisourcebucket-x"]
)
def test_good_names(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "ab",
        "a" * 64,
        "Abc",
        "a_b",
        "-ab",
        "ab-",
        ".ab",
        "ab.",
        "a..b",
        "1.2.3.4",
        "xn--abc",
        "sthree-abc",
        "amzn-s3-demo-abc",
        "abc-s3alias",
        "abc--ol-s3",
        "abc--x-s3",
        "abc.mrap",
        "a b",
        "a/b",
        "bücher",
        "abc\n",
    ],
)
async def test_bad_names(s3: Caller, name: str) -> None:
    with pytest.raises(ServiceError) as caught:
        await s3("CreateBucket", Bucket=name)
    assert (caught.value.code, caught.value.status) == ("InvalidBucketName", 400)
    assert (await s3("ListBuckets"))["Buckets"] == []


async def test_names_are_one_space_and_content_is_its_regions(s3: Caller) -> None:
    there = {"CreateBucketConfiguration": {"LocationConstraint": "eu-west-1"}}
    await s3("CreateBucket", Bucket="here")
    await s3("CreateBucket", "eu-west-1", Bucket="there", **there)
    await s3("CreateBucket", Bucket="there-from-home", **there)
    s3.reopen()
    found = {row["Name"]: row["BucketRegion"] for row in (await s3("ListBuckets"))["Buckets"]}
    assert found == {"here": "us-east-1", "there": "eu-west-1", "there-from-home": "eu-west-1"}
    assert (await s3("GetBucketLocation", Bucket="here"))["LocationConstraint"] is None
    assert (await s3("GetBucketLocation", "eu-west-1", Bucket="there"))["LocationConstraint"] == "eu-west-1"
    with pytest.raises(ServiceError) as moved:
        await s3("ListObjectsV2", Bucket="there")
    assert (moved.value.code, moved.value.status, moved.value.members["Region"]) == ("PermanentRedirect", 301, "eu-west-1")
    assert moved.value.members["__headers__"] == {"x-amz-bucket-region": "eu-west-1"}


@pytest.mark.parametrize(
    ("region", "constraint", "code"),
    [
        ("eu-west-1", None, "IllegalLocationConstraintException"),
        ("eu-west-1", "eu-central-1", "IllegalLocationConstraintException"),
        ("us-east-1", "us-east-1", "InvalidLocationConstraint"),
        ("us-east-1", "nowhere", "InvalidLocationConstraint"),
    ],
)
async def test_locations_that_do_not_fit(s3: Caller, region: str, constraint: str | None, code: str) -> None:
    configuration = {"LocationConstraint": constraint} if constraint else None
    with pytest.raises(ServiceError, match=code):
        await s3("CreateBucket", region, Bucket="bucket", CreateBucketConfiguration=configuration)
    assert (await s3("ListBuckets"))["Buckets"] == []


async def test_making_a_bucket_again(s3: Caller, bucket: str) -> None:
    """us-east-1 says yes and changes nothing; every other region says no (API reference, CreateBucket)."""
    await s3("PutObject", Bucket=bucket, Key="k")
    await s3("CreateBucket", Bucket=bucket)
    assert await s3.keys() == ["k"]
    there = {"CreateBucketConfiguration": {"LocationConstraint": "eu-west-1"}}
    with pytest.raises(ServiceError, match="BucketAlreadyOwnedByYou"):
        await s3("CreateBucket", "eu-west-1", Bucket=bucket, **there)


async def test_only_empty_buckets_go(s3: Caller, bucket: str) -> None:
    await s3("PutBucketVersioning", Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    marker = await s3("DeleteObject", Bucket=bucket, Key="k")
    with pytest.raises(ServiceError, match="You must delete all versions"):
        await s3("DeleteBucket", Bucket=bucket)
    await s3("DeleteObject", Bucket=bucket, Key="k", VersionId=marker["VersionId"])
    await s3("DeleteBucket", Bucket=bucket)
    with pytest.raises(ServiceError, match="NoSuchBucket"):
        await s3("HeadBucket", Bucket=bucket)
    s3.reopen()
    assert (await s3("ListBuckets"))["Buckets"] == []


async def test_buckets_are_listed_in_pages(s3: Caller) -> None:
    for name in ("abc", "abd", "xyz"):
        await s3("CreateBucket", Bucket=name)
    first = await s3("ListBuckets", MaxBuckets=1, Prefix="ab")
    second = await s3("ListBuckets", MaxBuckets=1, Prefix="ab", ContinuationToken=first["ContinuationToken"])
    assert [row["Name"] for row in first["Buckets"] + second["Buckets"]] == ["abc", "abd"]
    assert second["ContinuationToken"] is None


POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::bucket/*"}],
}
SETTINGS: list[tuple[str, str, dict[str, Any], dict[str, Any], str]] = [
    ("BucketTagging", "TagSet", {"Tagging": {"TagSet": [{"Key": "a", "Value": "1"}]}}, {}, "NoSuchTagSet"),
    ("BucketPolicy", "Policy", {"Policy": json.dumps(POLICY)}, {}, "NoSuchBucketPolicy"),
    (
        "BucketCors",
        "CORSRules",
        {"CORSConfiguration": {"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}]}},
        {},
        "NoSuchCORSConfiguration",
    ),
    (
        "BucketLifecycleConfiguration",
        "Rules",
        {"LifecycleConfiguration": {"Rules": [{"ID": "r", "Status": "Enabled", "Expiration": {"Days": 1}, "Filter": {}}]}},
        {"delete": "DeleteBucketLifecycle"},
        "NoSuchLifecycleConfiguration",
    ),
    (
        "BucketOwnershipControls",
        "OwnershipControls",
        {"OwnershipControls": {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}},
        {"new": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}},
        "OwnershipControlsNotFoundError",
    ),
    (
        "PublicAccessBlock",
        "PublicAccessBlockConfiguration",
        {"PublicAccessBlockConfiguration": {"BlockPublicAcls": True}},
        {"new": dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)},
        "NoSuchPublicAccessBlockConfiguration",
    ),
]


@pytest.mark.parametrize(("name", "member", "sent", "more", "missing"), SETTINGS, ids=[row[0] for row in SETTINGS])
async def test_settings_are_kept_and_given_back(
    s3: Caller, bucket: str, name: str, member: str, sent: dict[str, Any], more: dict[str, Any], missing: str
) -> None:
    if "new" in more:
        assert (await s3(f"Get{name}", Bucket=bucket))[member] == more["new"]
        await s3(f"Delete{name}", Bucket=bucket)
    with pytest.raises(ServiceError) as caught:
        await s3(f"Get{name}", Bucket=bucket)
    assert (caught.value.code, caught.value.status) == (missing, 404)
    await s3(f"Put{name}", Bucket=bucket, **sent)
    s3.reopen()
    value = next(iter(sent.values()))
    assert (await s3(f"Get{name}", Bucket=bucket))[member] == (
        value[member] if member in value and name != "BucketPolicy" else value
    )
    await s3(more.get("delete", f"Delete{name}"), Bucket=bucket)
    with pytest.raises(ServiceError, match=missing):
        await s3(f"Get{name}", Bucket=bucket)


async def test_default_encryption_marks_new_objects(s3: Caller, bucket: str) -> None:
    shown = (await s3("GetBucketEncryption", Bucket=bucket))["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert shown["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
    rules = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "k"}}]}
    await s3("PutBucketEncryption", Bucket=bucket, ServerSideEncryptionConfiguration=rules)
    put = await s3("PutObject", Bucket=bucket, Key="k")
    assert (put["ServerSideEncryption"], put["SSEKMSKeyId"]) == ("aws:kms", "k")
    put = await s3("PutObject", Bucket=bucket, Key="k", ServerSideEncryption="AES256")
    assert put["ServerSideEncryption"] == "AES256"
    await s3("DeleteBucketEncryption", Bucket=bucket)
    assert (await s3("PutObject", Bucket=bucket, Key="k"))["ServerSideEncryption"] == "AES256"


async def test_versioning_says_nothing_until_it_was_set(s3: Caller, bucket: str) -> None:
    assert (await s3("GetBucketVersioning", Bucket=bucket))["Status"] is None
    for status in ("Enabled", "Suspended"):
        await s3("PutBucketVersioning", Bucket=bucket, VersioningConfiguration={"Status": status})
        s3.reopen()
        assert (await s3("GetBucketVersioning", Bucket=bucket))["Status"] == status


async def test_nothing_is_public(s3: Caller, bucket: str) -> None:
    with pytest.raises(ServiceError, match="NoSuchBucketPolicy"):
        await s3("GetBucketPolicyStatus", Bucket=bucket)
    await s3("PutBucketPolicy", Bucket=bucket, Policy=json.dumps(POLICY))
    assert (await s3("GetBucketPolicyStatus", Bucket=bucket))["PolicyStatus"] == {"IsPublic": False}
    assert await s3("PutBucketAcl", Bucket=bucket, ACL="private") == {}


async def test_everything_is_the_owners(s3: Caller, bucket: str) -> None:
    await s3("PutObject", Bucket=bucket, Key="k", ExpectedBucketOwner=ACCOUNT)
    owner = (await s3("ListBuckets"))["Owner"]
    for acl in (await s3("GetBucketAcl", Bucket=bucket), await s3("GetObjectAcl", Bucket=bucket, Key="k")):
        assert acl["Owner"] == owner
        assert [grant["Permission"] for grant in acl["Grants"]] == ["FULL_CONTROL"]
