"""Listing against a naive model: the pages of any walk, put together, are what sorting and grouping the keys says."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import unquote_plus

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenantry.model.errors import ServiceError

from .conftest import Caller

TEXT = st.text(alphabet="ab/\x01é\U0001f600\U0010ffff", min_size=1, max_size=6)
MAYBE = st.text(alphabet="ab/é", max_size=3)


def naive(keys: list[str], prefix: str, delimiter: str, after: str) -> list[tuple[str, bool]]:
    """(key or common prefix, whether it is a prefix), in order."""
    found: dict[str, bool] = {}
    for key in sorted(keys):
        if not key.startswith(prefix) or key <= after:
            continue
        at = key.find(delimiter, len(prefix)) if delimiter else -1
        group = key[: at + len(delimiter)] if at >= 0 else None
        if group is None:
            found[key] = False
        elif group != after:
            found[group] = True
    return list(found.items())


def rows(answer: dict[str, Any]) -> list[tuple[str, bool]]:
    """One page's content in key order."""
    keys = [(row["Key"], False) for row in answer.get("Contents", answer.get("Uploads", []))]
    return sorted([*keys, *((row["Prefix"], True) for row in answer["CommonPrefixes"])])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    keys=st.lists(TEXT, max_size=12, unique=True),
    prefix=MAYBE,
    delimiter=st.sampled_from(["", "/", "a", "ab", "é"]),
    after=MAYBE,
    limit=st.integers(1, 4),
)
def test_pages_put_together_are_the_naive_listing(
    tmp_path_factory: pytest.TempPathFactory, keys: list[str], prefix: str, delimiter: str, after: str, limit: int
) -> None:
    async def run() -> None:
        s3 = Caller(tmp_path_factory.mktemp("listing"))
        for name in ("bucket", "bucket2"):
            await s3("CreateBucket", Bucket=name)
        for key in keys:
            await s3("PutObject", Bucket="bucket", Key=key, Body=b"")
            await s3("PutObject", Bucket="bucket2", Key=f"{key}!", Body=b"")
            await s3("CreateMultipartUpload", Bucket="bucket", Key=key)
        expected = naive(keys, prefix, delimiter, after)
        query = {"Bucket": "bucket", "Prefix": prefix, "Delimiter": delimiter}
        assert await _second(s3, query, after, limit) == expected
        assert await _first(s3, query, after, limit) == expected
        assert await _uploads(s3, query, after, limit) == expected
        s3.documents.close()

    asyncio.run(run())


async def _second(s3: Caller, query: dict[str, Any], after: str, limit: int) -> list[tuple[str, bool]]:
    found: list[tuple[str, bool]] = []
    place: dict[str, Any] = {"StartAfter": after}
    while True:
        answer = await s3("ListObjectsV2", MaxKeys=limit, **query, **place)
        found += rows(answer)
        assert answer["KeyCount"] == len(answer["Contents"]) + len(answer["CommonPrefixes"]) <= limit
        if not answer["IsTruncated"]:
            assert answer["NextContinuationToken"] is None
            return found
        assert answer["KeyCount"] == limit
        place = {"ContinuationToken": answer["NextContinuationToken"]}


async def _first(s3: Caller, query: dict[str, Any], marker: str, limit: int) -> list[tuple[str, bool]]:
    found: list[tuple[str, bool]] = []
    while True:
        answer = await s3("ListObjects", MaxKeys=limit, Marker=marker, **query)
        found += rows(answer)
        if not answer["IsTruncated"]:
            return found
        marker = answer["NextMarker"] or answer["Contents"][-1]["Key"]


async def _uploads(s3: Caller, query: dict[str, Any], marker: str, limit: int) -> list[tuple[str, bool]]:
    found: list[tuple[str, bool]] = []
    upload_id = None
    while True:
        answer = await s3("ListMultipartUploads", MaxUploads=limit, KeyMarker=marker, UploadIdMarker=upload_id, **query)
        found += rows(answer)
        if not answer["IsTruncated"]:
            return found
        marker, upload_id = answer["NextKeyMarker"], answer["NextUploadIdMarker"]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    writes=st.lists(st.tuples(st.sampled_from(["a", "a/b", "a/c", "b"]), st.booleans()), max_size=14),
    delimiter=st.sampled_from(["", "/"]),
    limit=st.integers(1, 4),
)
def test_versions_come_newest_first_whatever_the_page(
    tmp_path_factory: pytest.TempPathFactory, writes: list[tuple[str, bool]], delimiter: str, limit: int
) -> None:
    async def run() -> None:
        s3 = Caller(tmp_path_factory.mktemp("versions"))
        await s3("CreateBucket", Bucket="bucket")
        await s3("PutBucketVersioning", Bucket="bucket", VersioningConfiguration={"Status": "Enabled"})
        model: dict[str, list[str]] = {}
        for key, marker in writes:
            answer = await s3("DeleteObject" if marker else "PutObject", Bucket="bucket", Key=key)
            model.setdefault(key, []).insert(0, answer["VersionId"])
        found: list[tuple[str, str, bool]] = []
        prefixes: list[str] = []
        place: dict[str, Any] = {}
        while True:
            answer = await s3("ListObjectVersions", Bucket="bucket", Delimiter=delimiter, MaxKeys=limit, **place)
            rows = answer["Versions"] + answer["DeleteMarkers"]
            assert len(rows) + len(answer["CommonPrefixes"]) <= limit
            order = {version: index for versions in model.values() for index, version in enumerate(versions)}
            rows.sort(key=lambda row: (row["Key"], order[row["VersionId"]]))
            found += [(row["Key"], row["VersionId"], row["IsLatest"]) for row in rows]
            prefixes += [row["Prefix"] for row in answer["CommonPrefixes"]]
            if not answer["IsTruncated"]:
                break
            place = {"KeyMarker": answer["NextKeyMarker"], "VersionIdMarker": answer["NextVersionIdMarker"]}
        expected = [
            (key, version, index == 0)
            for key, versions in sorted(model.items())
            if not (delimiter and delimiter in key)
            for index, version in enumerate(versions)
        ]
        assert found == expected
        assert prefixes == (["a/"] if delimiter and any("/" in key for key in model) else [])
        s3.documents.close()

    asyncio.run(run())


async def test_a_marker_that_is_gone_does_not_lose_the_rest(s3: Caller, bucket: str) -> None:
    await s3("PutBucketVersioning", Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for key in ("a", "b", "c"):
        await s3("PutObject", Bucket=bucket, Key=key)
    answer = await s3("ListObjectVersions", Bucket=bucket, KeyMarker="a", VersionIdMarker="0" * 32)
    assert [row["Key"] for row in answer["Versions"]] == ["b", "c"]


@pytest.mark.parametrize("key", ["a b", "a+b", "a%20b", "ü/é", "a&b=c", "tab\there"])
async def test_url_encoding_comes_back_as_the_key(s3: Caller, bucket: str, key: str) -> None:
    await s3("PutObject", Bucket=bucket, Key=key, Body=b"")
    for operation in ("ListObjects", "ListObjectsV2"):
        plain = await s3(operation, Bucket=bucket, Prefix=key)
        coded = await s3(operation, Bucket=bucket, Prefix=key, EncodingType="url")
        assert [row["Key"] for row in plain["Contents"]] == [key]
        assert [unquote_plus(row["Key"]) for row in coded["Contents"]] == [key]
        assert coded["Contents"][0]["Key"].isascii()
        assert unquote_plus(coded["Prefix"]) == key
        assert (plain["EncodingType"], coded["EncodingType"]) == (None, "url")


async def test_a_page_of_nothing_is_not_cut_short(s3: Caller, bucket: str) -> None:
    await s3("PutObject", Bucket=bucket, Key="k")
    answer = await s3("ListObjectsV2", Bucket=bucket, MaxKeys=0)
    assert (answer["IsTruncated"], answer["KeyCount"], answer["MaxKeys"]) == (False, 0, 0)
    assert (await s3("ListObjectsV2", Bucket=bucket, MaxKeys=5000))["MaxKeys"] == 1000


@pytest.mark.parametrize("token", ["", "bm90IG91cnM=", "%%%", "AW8=x", "ü"])
async def test_a_token_that_is_not_ours_is_refused(s3: Caller, bucket: str, token: str) -> None:
    with pytest.raises(ServiceError, match="The continuation token provided is incorrect"):
        await s3("ListObjectsV2", Bucket=bucket, ContinuationToken=token)
