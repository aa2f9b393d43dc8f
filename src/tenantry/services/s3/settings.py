"""A bucket's settings: kept, checked for shape, and given back. Versioning is carried out; the others are only remembered.

Which are which, and what that means, is said in docs/s3.md. Source: S3 API reference of each operation.
"""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from tenantry.model.errors import Refusal
from tenantry.services.operation import Context, operation
from tenantry.services.s3 import errors, tags
from tenantry.services.s3.description import ENCRYPTION, encryption, refuse_acl
from tenantry.services.s3.records import Bucket
from tenantry.services.s3.shelf import Shelf

POLICY_BYTES_MAX = 20 * 1024
_NO_CONTENT = {"__status__": 204}  # where S3 answers so and its model does not say it
_DEFAULT_ENCRYPTION = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": False}]}
_LIFECYCLE_ACTIONS = (
    "Expiration",
    "Transitions",
    "NoncurrentVersionTransitions",
    "NoncurrentVersionExpiration",
    "AbortIncompleteMultipartUpload",
)


class Settings:
    """Put, Get and Delete of a bucket's versioning, tags, encryption, policy, ownership, lifecycle, CORS, public access."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    @operation("PutBucketVersioning")
    async def put_bucket_versioning(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        bucket = self._shelf.bucket(ctx, params)
        asked = params.get("VersioningConfiguration") or {}
        if asked.get("MFADelete") == "Enabled":
            raise errors.not_implemented("x-amz-mfa")
        if asked.get("Status") not in ("Enabled", "Suspended"):
            raise errors.ILLEGAL_VERSIONING()
        self._shelf.put_bucket(msgspec.structs.replace(bucket, versioning=asked["Status"]))
        return {}

    @operation("GetBucketVersioning")
    async def get_bucket_versioning(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        return {"Status": self._shelf.bucket(ctx, params).versioning or None}

    @operation("PutBucketTagging")
    async def put_bucket_tagging(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        checked = tags.from_set(params.get("Tagging") or {}, "Bucket", tags.BUCKET_TAGS_MAX)
        return self._keep(ctx, params, "tagging", {"TagSet": tags.to_set(checked)}) | _NO_CONTENT

    @operation("GetBucketTagging")
    async def get_bucket_tagging(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        return {**self._find(ctx, params, "tagging", errors.NO_SUCH_TAG_SET)}

    @operation("DeleteBucketTagging")
    async def delete_bucket_tagging(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        return self._forget(ctx, params, "tagging")

    @operation("PutBucketEncryption")
    async def put_bucket_encryption(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        asked = params.get("ServerSideEncryptionConfiguration") or {}
        rules = asked.get("Rules") or []
        default = rules[0].get("ApplyServerSideEncryptionByDefault") if len(rules) == 1 else None
        if not default or not default.get("SSEAlgorithm"):
            raise errors.MALFORMED_XML()
        names = dict(zip(ENCRYPTION, (default.get("SSEAlgorithm"), default.get("KMSMasterKeyID")), strict=False))
        encryption(names, self._shelf.bucket(ctx, params))
        return self._keep(ctx, params, "encryption", asked)

    @operation("GetBucketEncryption")
    async def get_bucket_encryption(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        kept = self._shelf.bucket(ctx, params).settings.get("encryption", _DEFAULT_ENCRYPTION)
        return {"ServerSideEncryptionConfiguration": kept}

    @operation("DeleteBucketEncryption")
    async def delete_bucket_encryption(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        return self._forget(ctx, params, "encryption")

    @operation("PutBucketPolicy")
    async def put_bucket_policy(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Keep a policy after a check of its form. It is not evaluated (docs/iam.md)."""
        check_policy(params["Policy"], params["Bucket"])
        return self._keep(ctx, params, "policy", params["Policy"]) | _NO_CONTENT

    @operation("GetBucketPolicy")
    async def get_bucket_policy(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        return {"Policy": self._find(ctx, params, "policy", errors.NO_SUCH_POLICY)}

    @operation("DeleteBucketPolicy")
    async def delete_bucket_policy(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        return self._forget(ctx, params, "policy")

    @operation("GetBucketPolicyStatus")
    async def get_bucket_policy_status(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Never public: nothing here is reachable without a signature."""
        self._find(ctx, params, "policy", errors.NO_SUCH_POLICY)
        return {"PolicyStatus": {"IsPublic": False}}

    @operation("PutPublicAccessBlock")
    async def put_public_access_block(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        return self._keep(ctx, params, "publicAccessBlock", params.get("PublicAccessBlockConfiguration") or {})

    @operation("GetPublicAccessBlock")
    async def get_public_access_block(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        return {"PublicAccessBlockConfiguration": self._find(ctx, params, "publicAccessBlock", errors.NO_PUBLIC_ACCESS_BLOCK)}

    @operation("DeletePublicAccessBlock")
    async def delete_public_access_block(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        return self._forget(ctx, params, "publicAccessBlock")

    @operation("PutBucketOwnershipControls")
    async def put_bucket_ownership_controls(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        rules = (params.get("OwnershipControls") or {}).get("Rules") or []
        if len(rules) != 1 or rules[0].get("ObjectOwnership") not in (
            "BucketOwnerEnforced",
            "BucketOwnerPreferred",
            "ObjectWriter",
        ):
            raise errors.MALFORMED_XML()
        return self._keep(ctx, params, "ownership", params["OwnershipControls"])

    @operation("GetBucketOwnershipControls")
    async def get_bucket_ownership_controls(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        return {"OwnershipControls": self._find(ctx, params, "ownership", errors.NO_OWNERSHIP)}

    @operation("DeleteBucketOwnershipControls")
    async def delete_bucket_ownership_controls(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        return self._forget(ctx, params, "ownership")

    @operation("PutBucketLifecycleConfiguration")
    async def put_bucket_lifecycle_configuration(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        rules = (params.get("LifecycleConfiguration") or {}).get("Rules") or []
        if not rules or len(rules) > 1000 or any(rule.get("Status") not in ("Enabled", "Disabled") for rule in rules):
            raise errors.MALFORMED_XML()
        if any(not any(rule.get(action) for action in _LIFECYCLE_ACTIONS) for rule in rules):
            raise errors.invalid_request("At least one action needs to be specified in a rule.")
        names = [rule.get("ID") for rule in rules if rule.get("ID")]
        if len(set(names)) < len(names):
            raise errors.invalid_argument("Rule ID must be unique. Found same ID for more than one rule", "ID", names[0])
        return self._keep(ctx, params, "lifecycle", {"Rules": rules})

    @operation("GetBucketLifecycleConfiguration")
    async def get_bucket_lifecycle_configuration(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        return {**self._find(ctx, params, "lifecycle", errors.NO_LIFECYCLE)}

    @operation("DeleteBucketLifecycle")
    async def delete_bucket_lifecycle(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        return self._forget(ctx, params, "lifecycle")

    @operation("PutBucketCors")
    async def put_bucket_cors(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        rules = (params.get("CORSConfiguration") or {}).get("CORSRules") or []
        if not 1 <= len(rules) <= 100:
            raise errors.MALFORMED_XML()
        return self._keep(ctx, params, "cors", {"CORSRules": rules})

    @operation("GetBucketCors")
    async def get_bucket_cors(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        return {**self._find(ctx, params, "cors", errors.NO_CORS)}

    @operation("DeleteBucketCors")
    async def delete_bucket_cors(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        return self._forget(ctx, params, "cors")

    @operation("GetBucketAcl")
    async def get_bucket_acl(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """The one ACL there is: everything to the owner."""
        self._shelf.bucket(ctx, params)
        return owner_only(self._shelf.owner(ctx))

    @operation("PutBucketAcl")
    async def put_bucket_acl(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
        """Only what says nothing new is taken: nothing but the owner's full control can be had here."""
        self._shelf.bucket(ctx, params)
        refuse_acl(params, "BucketOwnerEnforced")
        if params.get("AccessControlPolicy"):
            raise errors.ACL_NOT_SUPPORTED()
        return {}

    def _keep(self, ctx: Context, params: dict[str, Any], name: str, value: Any) -> dict[str, Any]:
        bucket = self._shelf.bucket(ctx, params)
        self._shelf.put_bucket(_with(bucket, {**bucket.settings, name: value}))
        return {}

    def _find(self, ctx: Context, params: dict[str, Any], name: str, missing: Refusal) -> Any:
        bucket = self._shelf.bucket(ctx, params)
        if name not in bucket.settings:
            raise errors.refuse(missing, {"BucketName": bucket.name})
        return bucket.settings[name]

    def _forget(self, ctx: Context, params: dict[str, Any], name: str) -> dict[str, Any]:
        bucket = self._shelf.bucket(ctx, params)
        if name in bucket.settings:
            self._shelf.put_bucket(_with(bucket, {key: value for key, value in bucket.settings.items() if key != name}))
        return {}


def owner_only(owner: dict[str, str]) -> dict[str, Any]:
    """The ACL of everything here."""
    return {"Owner": owner, "Grants": [{"Grantee": {**owner, "Type": "CanonicalUser"}, "Permission": "FULL_CONTROL"}]}


def check_policy(text: str, bucket: str) -> None:
    """Raises MalformedPolicy for what cannot be the policy of a bucket of this name."""
    if len(text.encode()) > POLICY_BYTES_MAX:
        raise errors.MALFORMED_POLICY(reason="Policies must not exceed 20 KB in size")
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise errors.MALFORMED_POLICY(reason="Policies must be valid JSON and the first byte must be '{'")
    statements = document.get("Statement")
    statements = statements if isinstance(statements, list) else [statements]
    if not statements:
        raise errors.MALFORMED_POLICY(reason="Could not parse the policy: Statement is empty!")
    for statement in statements:
        _check_statement(statement, bucket)


def _check_statement(statement: Any, bucket: str) -> None:
    if not isinstance(statement, dict):
        raise errors.MALFORMED_POLICY(reason="Missing required field Statement")
    for field, other in (
        ("Effect", "Effect"),
        ("Principal", "NotPrincipal"),
        ("Action", "NotAction"),
        ("Resource", "NotResource"),
    ):
        if field not in statement and other not in statement:
            raise errors.MALFORMED_POLICY(reason=f"Missing required field {field}")
    if statement["Effect"] not in ("Allow", "Deny"):
        raise errors.MALFORMED_POLICY(reason=f"Invalid effect: {statement['Effect']}")
    resources = statement.get("Resource", statement.get("NotResource"))
    for resource in resources if isinstance(resources, list) else [resources]:
        pattern = resource.partition("/")[0] if isinstance(resource, str) else ""
        if not fnmatchcase(f"arn:aws:s3:::{bucket}", pattern):
            raise errors.MALFORMED_POLICY(reason="Policy has invalid resource")


def _with(bucket: Bucket, settings: dict[str, Any]) -> Bucket:
    return msgspec.structs.replace(bucket, settings=settings)
