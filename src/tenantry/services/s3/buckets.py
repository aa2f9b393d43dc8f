"""Buckets: made, listed, found, deleted. Names are one space for all regions, as on AWS; all in a bucket is its region's.

Source: S3 user guide, "Bucket naming rules"; API reference of CreateBucket, ListBuckets.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from tenantry.services.operation import Context, operation
from tenantry.services.s3 import errors
from tenantry.services.s3.description import refuse_acl
from tenantry.services.s3.records import Bucket
from tenantry.services.s3.shelf import Shelf

BUCKETS_MAX = 10_000
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")
_RESERVED_STARTS = ("xn--", "sthree-", "amzn-s3-demo-")
_RESERVED_ENDS = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")
_HOME = "us-east-1"  # the region that S3 calls by no name
_LEGACY = {"EU": "eu-west-1"}
_OWNERSHIPS = ("BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter")
# What S3 gives every new bucket (since April 2023).
_PRIVATE = {"BlockPublicAcls": True, "IgnorePublicAcls": True, "BlockPublicPolicy": True, "RestrictPublicBuckets": True}


class Buckets:
    """CreateBucket, HeadBucket, ListBuckets, GetBucketLocation, DeleteBucket."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    @operation("CreateBucket")
    async def create_bucket(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Make a bucket. In us-east-1 making one's own bucket again is no error and changes nothing, as on AWS."""
        name = params["Bucket"]
        check_name(name)
        region = _location(params.get("CreateBucketConfiguration") or {}, ctx.region)
        ownership = params.get("ObjectOwnership") or "BucketOwnerEnforced"
        if ownership not in _OWNERSHIPS:
            raise errors.MALFORMED_XML()
        refuse_acl(params, ownership)
        if params.get("ObjectLockEnabledForBucket"):
            raise errors.not_implemented("x-amz-bucket-object-lock-enabled")
        found = self._shelf.region_of(name)
        if found is not None and (found, region) != (_HOME, _HOME):
            raise errors.refuse(errors.BUCKET_ALREADY_OWNED, BucketName=name)
        if found is None:
            if len(self._shelf.buckets) >= BUCKETS_MAX:
                raise errors.TOO_MANY_BUCKETS()
            self._shelf.put_bucket(_new(name, region, self._shelf.now(), ownership, params))
        location = f"/{name}" if region == _HOME else f"http://{name}.s3.amazonaws.com/"
        return {"Location": location, "BucketArn": _arn(name)}

    @operation("HeadBucket")
    async def head_bucket(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Whether a bucket is there, and in which region."""
        bucket = self._shelf.bucket(ctx, params)
        return {"BucketRegion": bucket.region, "BucketArn": _arn(bucket.name), "AccessPointAlias": False}

    @operation("ListBuckets")
    async def list_buckets(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Every bucket of the account, in all regions, by name."""
        prefix, token = params.get("Prefix") or "", params.get("ContinuationToken") or ""
        region, limit = params.get("BucketRegion"), params.get("MaxBuckets")
        if limit is not None and not 1 <= limit <= BUCKETS_MAX:
            reason = f"Argument max-buckets must be an integer between 1 and {BUCKETS_MAX}"
            raise errors.invalid_argument(reason, "max-buckets", limit)
        found = sorted(
            (
                bucket
                for bucket in self._shelf.buckets.values()
                if bucket.name.startswith(prefix) and bucket.name > token and region in (None, bucket.region)
            ),
            key=lambda bucket: bucket.name,
        )
        shown = found if limit is None else found[:limit]
        return {
            "Buckets": [
                {
                    "Name": bucket.name,
                    "CreationDate": bucket.created,
                    "BucketRegion": bucket.region,
                    "BucketArn": _arn(bucket.name),
                }
                for bucket in shown
            ],
            "Owner": self._shelf.owner(ctx),
            "Prefix": prefix or None,
            "ContinuationToken": shown[-1].name if len(shown) < len(found) else None,
        }

    @operation("GetBucketLocation")
    async def get_bucket_location(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """The bucket's region; nothing for us-east-1."""
        region = self._shelf.bucket(ctx, params).region
        return {"LocationConstraint": None if region == _HOME else region}

    @operation("DeleteBucket")
    async def delete_bucket(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Delete an empty bucket; uploads in progress go with it. Raises BucketNotEmpty."""
        bucket = self._shelf.bucket(ctx, params)
        if self._shelf.versions.first(bucket.base) is not None:
            row = errors.BUCKET_NOT_EMPTY_VERSIONED if bucket.versioning else errors.BUCKET_NOT_EMPTY
            raise errors.refuse(row, BucketName=bucket.name)
        self._shelf.drop_bucket(bucket)
        return {}


def check_name(name: str) -> None:
    """Raises InvalidBucketName for a name that breaks one of S3's rules."""
    good = (
        _NAME.fullmatch(name)
        and ".." not in name
        and not name.startswith(_RESERVED_STARTS)
        and not name.endswith(_RESERVED_ENDS)
        and not _is_address(name)
    )
    if not good:
        raise errors.refuse(errors.INVALID_BUCKET_NAME, BucketName=name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.IPv4Address(name)
    except ValueError:
        return False
    return True


def _arn(name: str) -> str:
    return f"arn:aws:s3:::{name}"


def _new(name: str, region: str, created: float, ownership: str, params: dict[str, Any]) -> Bucket:
    settings: dict[str, Any] = {
        "publicAccessBlock": dict(_PRIVATE),
        "ownership": {"Rules": [{"ObjectOwnership": ownership}]},
    }
    tags = (params.get("CreateBucketConfiguration") or {}).get("Tags")
    if tags:
        settings["tagging"] = {"TagSet": tags}
    return Bucket(name, region, created, settings=settings)


def _location(configuration: dict[str, Any], here: str) -> str:
    """The region a new bucket is for. Raises IllegalLocationConstraintException, InvalidLocationConstraint.

    The us-east-1 endpoint makes buckets anywhere; every other one only at home, and there it wants to be told so.
    """
    asked = configuration.get("LocationConstraint") or ""
    if not asked:
        if here != _HOME:
            raise errors.refuse(errors.ILLEGAL_LOCATION, LocationConstraint="unspecified")
        return _HOME
    region = _LEGACY.get(asked, asked)
    if not _REGION.fullmatch(region) or asked == _HOME:
        raise errors.refuse(errors.INVALID_LOCATION, LocationConstraint=asked)
    if here not in (_HOME, region):
        raise errors.refuse(errors.ILLEGAL_LOCATION, LocationConstraint=asked)
    return region
