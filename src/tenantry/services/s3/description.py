"""What clients say about an object beside its bytes: read from requests, refused where we could not honour it, and answered.

Source: S3 API reference, PutObject, GetObject; user guide, "Working with object metadata".
"""

from __future__ import annotations

from typing import Any

from tenantry.services.s3 import errors, tags
from tenantry.services.s3.conditions import epoch
from tenantry.services.s3.records import Bucket, Description, Version, quoted

METADATA_BYTES_MAX = 2048
_SYSTEM = (
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ContentType",
    "Expires",
    "WebsiteRedirectLocation",
    "StorageClass",
    "ServerSideEncryption",
    "SSEKMSKeyId",
    "BucketKeyEnabled",
)
ENCRYPTION = ("ServerSideEncryption", "SSEKMSKeyId", "BucketKeyEnabled")
_STORAGE_CLASSES = (
    "STANDARD",
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER",
    "GLACIER_IR",
    "DEEP_ARCHIVE",
)
_ARCHIVED = ("GLACIER", "DEEP_ARCHIVE")
_ENCRYPTIONS = ("AES256", "aws:kms", "aws:kms:dsse")
_PLAIN_ACLS = (None, "", "private", "bucket-owner-full-control")
_GRANTS = ("GrantFullControl", "GrantRead", "GrantReadACP", "GrantWrite", "GrantWriteACP")
# Members whose meaning we do not carry out. Dropping them in silence would surprise, so they are refused, by header.
_NOT_HONOURED = {
    "SSECustomerAlgorithm": "x-amz-server-side-encryption-customer-algorithm",
    "SSECustomerKey": "x-amz-server-side-encryption-customer-key",
    "CopySourceSSECustomerAlgorithm": "x-amz-copy-source-server-side-encryption-customer-algorithm",
    "WriteOffsetBytes": "x-amz-write-offset-bytes",
    "IfMatchSize": "x-amz-if-match-size",
    "IfMatchLastModifiedTime": "x-amz-if-match-last-modified-time",
    "IfMatchInitiatedTime": "x-amz-if-match-initiated-time",
    "MFA": "x-amz-mfa",
}
_LOCKS = ("ObjectLockMode", "ObjectLockRetainUntilDate", "ObjectLockLegalHoldStatus", "ObjectLockEventHold")
_OVERRIDES = ("CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage", "ContentType", "Expires")


def refuse_unhonoured(params: dict[str, Any]) -> None:
    """Raises NotImplemented or InvalidRequest for members that this S3 does not carry out."""
    for member, header in _NOT_HONOURED.items():
        if params.get(member) is not None:
            raise errors.not_implemented(header)
    if any(params.get(member) is not None for member in _LOCKS):
        raise errors.NO_OBJECT_LOCK()


def refuse_acl(params: dict[str, Any], ownership: str) -> None:
    """Raises AccessControlListNotSupported where the bucket's owner owns everything and an ACL would say otherwise."""
    asked = params.get("ACL") not in _PLAIN_ACLS or any(params.get(member) for member in _GRANTS)
    if asked and ownership == "BucketOwnerEnforced":
        raise errors.ACL_NOT_SUPPORTED()


def ownership_of(bucket: Bucket) -> str:
    """The bucket's ObjectOwnership."""
    rules = (bucket.settings.get("ownership") or {}).get("Rules") or [{}]
    return str(rules[0].get("ObjectOwnership", "ObjectWriter"))


def describe(params: dict[str, Any], bucket: Bucket) -> Description:
    """The description a writing request gives.

    Raises MetadataTooLarge, InvalidStorageClass, InvalidEncryptionAlgorithmError, AccessControlListNotSupported, and what
    `refuse_unhonoured` and `tags.from_header` raise.
    """
    refuse_unhonoured(params)
    refuse_acl(params, ownership_of(bucket))
    system = {member: params[member] for member in _SYSTEM if params.get(member) not in (None, "")}
    if "Expires" in system:
        system["Expires"] = epoch(system["Expires"])
    system.setdefault("ContentType", "binary/octet-stream")
    _drop_transfer_coding(system)
    if system.get("StorageClass", "STANDARD") not in _STORAGE_CLASSES:
        raise errors.refuse(errors.INVALID_STORAGE_CLASS, {"StorageClassRequested": system["StorageClass"]})
    return Description(
        system=system | encryption(params, bucket),
        metadata=_metadata(params.get("Metadata") or {}),
        tags=tags.from_header(params.get("Tagging")),
    )


def encryption(params: dict[str, Any], bucket: Bucket) -> dict[str, Any]:
    """How an object is encrypted: as the request says, else by the bucket's default. Kept and shown; bytes lie as they are."""
    if params.get("ServerSideEncryption"):
        asked = {member: params[member] for member in ENCRYPTION if params.get(member) not in (None, "")}
    else:
        asked = default_encryption(bucket)
    if asked["ServerSideEncryption"] not in _ENCRYPTIONS:
        raise errors.INVALID_ENCRYPTION()
    if asked["ServerSideEncryption"] == "AES256" and asked.get("SSEKMSKeyId"):
        raise errors.invalid_argument(
            "x-amz-server-side-encryption header must be set to aws:kms or aws:kms:dsse when a key id is given",
            "x-amz-server-side-encryption",
            "AES256",
        )
    return asked


def default_encryption(bucket: Bucket) -> dict[str, Any]:
    """The bucket's default encryption as members of an object: AES256 where it has none set."""
    rules = (bucket.settings.get("encryption") or {}).get("Rules") or [{}]
    default = rules[0].get("ApplyServerSideEncryptionByDefault") or {}
    found = {"ServerSideEncryption": default.get("SSEAlgorithm", "AES256")}
    if default.get("KMSMasterKeyID"):
        found["SSEKMSKeyId"] = default["KMSMasterKeyID"]
    if rules[0].get("BucketKeyEnabled"):
        found["BucketKeyEnabled"] = True
    return found


def refuse_archived(version: Version) -> None:
    """Raises InvalidObjectState for an object that AWS could not read either: it lies in an archive."""
    storage = version.description.system.get("StorageClass")
    if storage in _ARCHIVED:
        raise errors.refuse(errors.INVALID_OBJECT_STATE, {"StorageClass": storage})


def answer_write(bucket: Bucket, version: Version) -> dict[str, Any]:
    """What every write answers: identity, checksums, encryption."""
    system = version.description.system
    return {
        "ETag": quoted(version.etag),
        "VersionId": shown_version(bucket, version),
        **version.checksums,
        "ChecksumType": version.checksum_type or None,
        **{member: system[member] for member in ENCRYPTION if member in system},
    }


def answer_read(bucket: Bucket, version: Version, params: dict[str, Any]) -> dict[str, Any]:
    """The headers of an object, as GetObject and HeadObject answer them, with the overrides a request may ask for."""
    system = dict(version.description.system)
    if system.get("StorageClass") == "STANDARD":
        del system["StorageClass"]
    for member in _OVERRIDES:
        if params.get(f"Response{member}") is not None:
            system[member] = params[f"Response{member}"]
    return system | {
        "AcceptRanges": "bytes",
        "LastModified": version.modified,
        "ETag": quoted(version.etag),
        "VersionId": shown_version(bucket, version),
        "Metadata": version.description.metadata,
        "TagCount": len(version.description.tags) or None,
    }


def shown_version(bucket: Bucket, version: Version) -> str | None:
    """The version id that answers carry: none where the bucket never had versions."""
    return version.version_id if bucket.versioning else None


def _drop_transfer_coding(system: dict[str, Any]) -> None:
    """`aws-chunked` says how the request was sent, not what the object is (API reference, SigV4 streaming)."""
    codings = [coding.strip() for coding in str(system.get("ContentEncoding", "")).split(",")]
    kept = ",".join(coding for coding in codings if coding and coding != "aws-chunked")
    system.pop("ContentEncoding", None)
    if kept:
        system["ContentEncoding"] = kept


def _metadata(sent: dict[str, str]) -> dict[str, str]:
    metadata = {name.lower(): value for name, value in sent.items()}
    size = sum(len(name.encode()) + len(value.encode("utf-8", "surrogateescape")) for name, value in metadata.items())
    if size > METADATA_BYTES_MAX:
        raise errors.refuse(errors.METADATA_TOO_LARGE, {"Size": str(size), "MaxSizeAllowed": str(METADATA_BYTES_MAX)})
    return metadata
