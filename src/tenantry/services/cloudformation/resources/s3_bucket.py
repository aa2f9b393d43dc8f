"""AWS::S3::Bucket. A bucket that still holds objects cannot be deleted, as on AWS."""

from __future__ import annotations

from typing import Any

from tenantry.services.cloudformation.resources.contract import Base, Made, Properties, Schema, Scope, tag_list
from tenantry.services.cloudformation.resources.shape import BOOLEAN, STRING, TAGS

_NAME_MAX = 63
_ENCRYPTION_RULE = {
    "ServerSideEncryptionByDefault": {"SSEAlgorithm": STRING, "KMSMasterKeyID": STRING},
    "BucketKeyEnabled": BOOLEAN,
}


class Bucket(Base):
    """A bucket with versioning, encryption, access block, ownership and tags, all of them kept and returned by S3."""

    schema = Schema(
        type="AWS::S3::Bucket",
        shape={
            "BucketName": STRING,
            "VersioningConfiguration": {"Status": STRING},
            "BucketEncryption": {"ServerSideEncryptionConfiguration": [_ENCRYPTION_RULE]},
            "PublicAccessBlockConfiguration": {
                "BlockPublicAcls": BOOLEAN,
                "BlockPublicPolicy": BOOLEAN,
                "IgnorePublicAcls": BOOLEAN,
                "RestrictPublicBuckets": BOOLEAN,
            },
            "OwnershipControls": {"Rules": [{"ObjectOwnership": STRING}]},
            "Tags": TAGS,
        },
        create_only=frozenset({"BucketName"}),
        attributes=frozenset({"Arn", "DomainName", "RegionalDomainName", "DualStackDomainName", "WebsiteURL"}),
        tagged=True,
    )

    def identity(self, scope: Scope, properties: Properties) -> str | None:
        return properties.get("BucketName") or scope.generated_name(_NAME_MAX).lower()

    async def exists(self, scope: Scope, physical_id: str, properties: Properties) -> bool:
        # CreateBucket of one's own bucket succeeds in us-east-1, so this has to be asked.
        return await scope.call_unless_gone("s3", "HeadBucket", Bucket=physical_id) is not None

    async def create(self, scope: Scope, physical_id: str | None, properties: Properties) -> Made:
        region = scope.ctx.region
        place = None if region == "us-east-1" else {"LocationConstraint": region}
        await scope.call("s3", "CreateBucket", Bucket=physical_id, CreateBucketConfiguration=place)
        await _configure(scope, str(physical_id), {}, properties)
        tags = scope.all_tags(properties.get("Tags"))
        if tags:
            await scope.call("s3", "PutBucketTagging", Bucket=physical_id, Tagging={"TagSet": tag_list(tags)})
        return _made(scope, str(physical_id))

    async def update(self, scope: Scope, physical_id: str, old: Properties, new: Properties) -> Made:
        await _configure(scope, physical_id, old, new)
        tags = scope.all_tags(new.get("Tags"))
        if tags:
            await scope.call("s3", "PutBucketTagging", Bucket=physical_id, Tagging={"TagSet": tag_list(tags)})
        else:
            await scope.call("s3", "DeleteBucketTagging", Bucket=physical_id)
        return _made(scope, physical_id)

    async def delete(self, scope: Scope, physical_id: str, properties: Properties) -> None:
        await scope.call_unless_gone("s3", "DeleteBucket", Bucket=physical_id)


async def _configure(scope: Scope, name: str, old: Properties, new: Properties) -> None:
    if old.get("VersioningConfiguration") != new.get("VersioningConfiguration"):
        status = new.get("VersioningConfiguration", {"Status": "Suspended"})
        await scope.call("s3", "PutBucketVersioning", Bucket=name, VersioningConfiguration=status)
    if old.get("BucketEncryption") != new.get("BucketEncryption"):
        if "BucketEncryption" in new:
            rules = {"Rules": [_rule(rule) for rule in new["BucketEncryption"]["ServerSideEncryptionConfiguration"]]}
            await scope.call("s3", "PutBucketEncryption", Bucket=name, ServerSideEncryptionConfiguration=rules)
        else:
            await scope.call("s3", "DeleteBucketEncryption", Bucket=name)
    if old.get("PublicAccessBlockConfiguration") != new.get("PublicAccessBlockConfiguration"):
        if "PublicAccessBlockConfiguration" in new:
            block = new["PublicAccessBlockConfiguration"]
            await scope.call("s3", "PutPublicAccessBlock", Bucket=name, PublicAccessBlockConfiguration=block)
        else:
            await scope.call("s3", "DeletePublicAccessBlock", Bucket=name)
    if old.get("OwnershipControls") != new.get("OwnershipControls"):
        if "OwnershipControls" in new:
            controls = new["OwnershipControls"]
            await scope.call("s3", "PutBucketOwnershipControls", Bucket=name, OwnershipControls=controls)
        else:
            await scope.call("s3", "DeleteBucketOwnershipControls", Bucket=name)


def _rule(rule: dict[str, Any]) -> dict[str, Any]:
    renamed = {"ApplyServerSideEncryptionByDefault": rule.get("ServerSideEncryptionByDefault")}
    renamed["BucketKeyEnabled"] = rule.get("BucketKeyEnabled")
    return {name: value for name, value in renamed.items() if value is not None}


def _made(scope: Scope, name: str) -> Made:
    region = scope.ctx.region
    return Made(
        name,
        {
            "Arn": f"arn:{scope.partition}:s3:::{name}",
            "DomainName": f"{name}.s3.amazonaws.com",
            "RegionalDomainName": f"{name}.s3.{region}.amazonaws.com",
            "DualStackDomainName": f"{name}.s3.dualstack.{region}.amazonaws.com",
            "WebsiteURL": f"http://{name}.s3-website-{region}.amazonaws.com",
        },
    )
