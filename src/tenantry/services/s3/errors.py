"""What S3 refuses, as a table. Texts are Amazon S3's own (API reference, "Error responses"; wording from memory).

Rows are raised with the members that S3 adds to its XML: `raise refuse(NO_SUCH_KEY, Key=key)`.
"""

from __future__ import annotations

from typing import Any

from tenantry.model.errors import Refusal, ServiceError

_SOURCE = "S3 API reference, error responses"


def _row(code: str, status: int, template: str) -> Refusal:
    return Refusal(code, status, template, _SOURCE)


def refuse(row: Refusal, members: dict[str, Any] | None = None, /, **more: Any) -> ServiceError:
    """The exception for a row: `more` fills the template and is added to the XML, as `members` is."""
    error = row(**more)
    error.members.update(members or {})
    error.members.update(more)
    return error


# Buckets
NO_SUCH_BUCKET = _row("NoSuchBucket", 404, "The specified bucket does not exist")
INVALID_BUCKET_NAME = _row("InvalidBucketName", 400, "The specified bucket is not valid.")
BUCKET_ALREADY_OWNED = _row(
    "BucketAlreadyOwnedByYou", 409, "Your previous request to create the named bucket succeeded and you already own it."
)
BUCKET_NOT_EMPTY = _row("BucketNotEmpty", 409, "The bucket you tried to delete is not empty")
BUCKET_NOT_EMPTY_VERSIONED = _row(
    "BucketNotEmpty", 409, "The bucket you tried to delete is not empty. You must delete all versions in the bucket."
)
PERMANENT_REDIRECT = _row(
    "PermanentRedirect",
    301,
    "The bucket you are attempting to access must be addressed using the specified endpoint. "
    "Please send all future requests to this endpoint.",
)
ILLEGAL_LOCATION = _row(
    "IllegalLocationConstraintException",
    400,
    "The {LocationConstraint} location constraint is incompatible for the region specific endpoint this request was sent to.",
)
INVALID_LOCATION = _row("InvalidLocationConstraint", 400, "The specified location-constraint is not valid")
TOO_MANY_BUCKETS = _row("TooManyBuckets", 400, "You have attempted to create more buckets than allowed")
ACCESS_DENIED = _row("AccessDenied", 403, "Access Denied")
ACL_NOT_SUPPORTED = _row("AccessControlListNotSupported", 400, "The bucket does not allow ACLs")
ILLEGAL_VERSIONING = _row(
    "IllegalVersioningConfigurationException", 400, "The Versioning element must be specified with status Enabled or Suspended"
)
NO_OBJECT_LOCK = _row("InvalidRequest", 400, "Bucket is missing Object Lock Configuration")
MALFORMED_POLICY = _row("MalformedPolicy", 400, "{reason}")
MALFORMED_XML = _row(
    "MalformedXML", 400, "The XML you provided was not well-formed or did not validate against our published schema"
)
NO_SUCH_POLICY = _row("NoSuchBucketPolicy", 404, "The bucket policy does not exist")
NO_SUCH_TAG_SET = _row("NoSuchTagSet", 404, "The TagSet does not exist")
NO_PUBLIC_ACCESS_BLOCK = _row(
    "NoSuchPublicAccessBlockConfiguration", 404, "The public access block configuration was not found"
)
NO_OWNERSHIP = _row("OwnershipControlsNotFoundError", 404, "The bucket ownership controls were not found")
NO_LIFECYCLE = _row("NoSuchLifecycleConfiguration", 404, "The lifecycle configuration does not exist")
NO_CORS = _row("NoSuchCORSConfiguration", 404, "The CORS configuration does not exist")

# Objects
NO_SUCH_KEY = _row("NoSuchKey", 404, "The specified key does not exist.")
NO_SUCH_VERSION = _row("NoSuchVersion", 404, "The specified version does not exist.")
METHOD_NOT_ALLOWED = _row("MethodNotAllowed", 405, "The specified method is not allowed against this resource.")
KEY_TOO_LONG = _row("KeyTooLongError", 400, "Your key is too long")
INVALID_URI = _row("InvalidURI", 400, "Couldn't parse the specified URI.")
METADATA_TOO_LARGE = _row("MetadataTooLarge", 400, "Your metadata headers exceed the maximum allowed metadata size")
INVALID_STORAGE_CLASS = _row("InvalidStorageClass", 400, "The storage class you specified is not valid")
INVALID_ENCRYPTION = _row("InvalidEncryptionAlgorithmError", 400, "The encryption request you specified is not valid.")
INVALID_OBJECT_STATE = _row("InvalidObjectState", 403, "The operation is not valid for the object's storage class")
INVALID_ARGUMENT = _row("InvalidArgument", 400, "{reason}")
INVALID_REQUEST = _row("InvalidRequest", 400, "{reason}")
INVALID_RANGE = _row("InvalidRange", 416, "The requested range is not satisfiable")
INVALID_PART_NUMBER = _row("InvalidPartNumber", 416, "The requested partnumber is not satisfiable")
PRECONDITION_FAILED = _row("PreconditionFailed", 412, "At least one of the pre-conditions you specified did not hold")
NOT_IMPLEMENTED = _row("NotImplemented", 501, "A header you provided implies functionality that is not implemented")
INVALID_DIGEST = _row("InvalidDigest", 400, "The Content-MD5 you specified was invalid.")
BAD_MD5 = _row("BadDigest", 400, "The Content-MD5 you specified did not match what we received.")
BAD_CHECKSUM = _row("BadDigest", 400, "The {algorithm} you specified did not match the calculated checksum.")
COPY_ONTO_ITSELF = _row(
    "InvalidRequest",
    400,
    "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, "
    "storage class, website redirect location or encryption attributes.",
)
INVALID_TAG = _row("InvalidTag", 400, "{reason}")
TOO_MANY_TAGS = _row("BadRequest", 400, "{kind} tags cannot be greater than {limit}")

# Multipart uploads
NO_SUCH_UPLOAD = _row(
    "NoSuchUpload",
    404,
    "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.",
)
INVALID_PART = _row(
    "InvalidPart",
    400,
    "One or more of the specified parts could not be found.  The part may not have been uploaded, "
    "or the specified entity tag may not match the part's entity tag.",
)
INVALID_PART_ORDER = _row(
    "InvalidPartOrder", 400, "The list of parts was not in ascending order. Parts must be ordered by part number."
)
ENTITY_TOO_SMALL = _row("EntityTooSmall", 400, "Your proposed upload is smaller than the minimum allowed size")


def invalid_argument(reason: str, name: str, value: object) -> ServiceError:
    """InvalidArgument, naming the argument and what was sent."""
    error = INVALID_ARGUMENT(reason=reason)
    error.members.update(ArgumentName=name, ArgumentValue=str(value))
    return error


def invalid_request(reason: str) -> ServiceError:
    """InvalidRequest with S3's reason."""
    return INVALID_REQUEST(reason=reason)


def not_implemented(header: str) -> ServiceError:
    """NotImplemented for a header whose meaning would otherwise be dropped in silence."""
    return refuse(NOT_IMPLEMENTED, {"Header": header})
