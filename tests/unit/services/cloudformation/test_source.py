"""Where a template URL leads, and what is said where it leads nowhere."""

from __future__ import annotations

import json

import pytest
from tests.unit.services.cloudformation.conftest import ENDPOINT, House, groups

from tenantry.model.errors import ServiceError
from tenantry.services.cloudformation.source import locate


@pytest.mark.parametrize(
    ("url", "place"),
    [
        (f"{ENDPOINT}/bucket/prefix/x.template", ("bucket", "prefix/x.template", None)),
        ("http://localhost:4270/bucket/k", ("bucket", "k", None)),
        ("http://localhost:9999/bucket/a%20b?versionId=3", ("bucket", "a b", "3")),
        ("https://s3.amazonaws.com/bucket/k", ("bucket", "k", None)),
        ("https://s3.eu-west-1.amazonaws.com/bucket/a/b", ("bucket", "a/b", None)),
        ("https://s3-eu-west-1.amazonaws.com/bucket/a", ("bucket", "a", None)),
        ("https://bucket.s3.amazonaws.com/k", ("bucket", "k", None)),
        ("https://my.bucket.s3.eu-west-1.amazonaws.com/a/b?versionId=v", ("my.bucket", "a/b", "v")),
        ("s3://bucket/a/b", ("bucket", "a/b", None)),
    ],
)
def test_place_of_a_template(url: str, place: tuple[str, str, str | None]) -> None:
    assert locate(url, ENDPOINT) == place


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/bucket/k",
        "ftp://s3.amazonaws.com/b/k",
        "s3://bucket",
        f"{ENDPOINT}/bucket",
        "nonsense",
        "https://[x",
    ],
)
def test_url_that_names_no_object(url: str) -> None:
    with pytest.raises(ServiceError, match=r"TemplateURL must be a supported URL"):
        locate(url, ENDPOINT)


async def test_template_is_read_from_our_own_bucket(house: House) -> None:
    await house.call("CreateBucket", "s3", Bucket="templates")
    body = json.dumps(groups(G="/from-s3")).encode()
    await house.call("PutObject", "s3", Bucket="templates", Key="s/x.template", Body=body)
    await house.call("CreateStack", StackName="s", TemplateURL=f"{ENDPOINT}/templates/s/x.template")
    await house.settled()
    assert await house.status() == "CREATE_COMPLETE"
    assert "/from-s3" in house.groups


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, "Either Template URL or Template Body must be specified."),
        ({"TemplateBody": "{}", "TemplateURL": "s3://a/b"}, "Either Template URL or Template Body must be specified."),
        ({"TemplateBody": "x" * 51_201}, "length less than or equal to 51200"),
        ({"TemplateURL": f"{ENDPOINT}/nowhere/k"}, "S3 error: The specified bucket does not exist"),
        ({"TemplateURL": f"{ENDPOINT}/there/absent"}, "S3 error: The specified key does not exist"),
        ({"TemplateURL": f"{ENDPOINT}/there/large"}, "Template may not exceed 1000000 bytes in size."),
        ({"TemplateURL": f"{ENDPOINT}/there/binary"}, "Template is not UTF-8 text."),
        ({"TemplateURL": "https://example.com/a/b"}, "TemplateURL must be a supported URL."),
    ],
)
async def test_refused_source(house: House, params: dict[str, str], message: str) -> None:
    await house.call("CreateBucket", "s3", Bucket="there")
    await house.call("PutObject", "s3", Bucket="there", Key="large", Body=b" " * 1_000_001)
    await house.call("PutObject", "s3", Bucket="there", Key="binary", Body=b"\xff\xfe")
    with pytest.raises(ServiceError) as error:
        await house.call("CreateStack", StackName="s", **params)
    assert error.value.code == "ValidationError"
    assert message in error.value.message
    assert (await house.call("DescribeStacks"))["Stacks"] == []
