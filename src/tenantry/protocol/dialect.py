"""How each service words the refusals that come before its operations: signatures, shapes, unknown names.

Four families of AWS front ends say the same things with different codes, statuses and sentences: rest-json, JSON 1.x, query,
and S3. A `Dialect` is one service's table of those, and what else differs between services of one protocol. Sources:
aws-behaviour 1.6, 3.2, 7; the rest is AWS's public wording from memory, kept in this one place so that it is easy to change.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tenantry.model.errors import Refusal

_MEMORY = "from memory"
_EXPIRED = "Signature expired: {sent} is now earlier than {limit} ({now} - {minutes} min.)"
_NOT_YET = "Signature not yet current: {sent} is still later than {limit} ({now} + {minutes} min.)"
_UNKNOWN = "The security token included in the request is invalid"
_STALE = "The security token included in the request is expired"
_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and "
    "signing method. Consult the service documentation for details."
)
_NO_SERVICE = "tenantry does not serve {service}. docs/operations.md lists what it does."


@dataclass(frozen=True, slots=True)
class Dialect:
    """One service's refusals. Fields of the templates are named with each row."""

    missing_signature: Refusal
    incomplete_signature: Refusal
    """what: AWS's sentence about what is wrong with the Authorization header."""
    unknown_key: Refusal
    wrong_signature: Refusal
    expired: Refusal
    """sent, limit, now (as YYYYMMDDTHHMMSSZ), minutes."""
    not_yet: Refusal
    presigned_expired: Refusal
    """The same fields as `expired`."""
    expired_token: Refusal
    wrong_payload_hash: Refusal
    wrong_scope: Refusal
    """service: what the scope should have named; region: the same; given."""
    bad_chunks: Refusal
    """what: what is wrong with an aws-chunked body."""
    serialization: Refusal
    """reason: what in the body is not what the model says."""
    bad_parameter: Refusal
    """reason: the same for the path, the query string or a header."""
    unknown_operation: Refusal
    """operation, version."""
    unknown_service: Refusal
    """service."""
    internal: Refusal
    validation_code: str
    skew_s: int = 300
    """How far a signature's time may be from ours."""
    double_encode: bool = True
    """Whether the canonical path is normalised and encoded once more. S3 signs paths as they are."""
    unsigned_payload: bool = False
    """Whether the signature may leave out the body (UNSIGNED-PAYLOAD)."""
    malformed_parts: bool = False
    """Whether what validation finds inside the body is called malformed, without saying what (S3's MalformedXML)."""
    message_member: str = "message"
    """The name of the message in an error that the service's model does not know."""


def _json(status: int) -> Dialect:
    return Dialect(
        missing_signature=Refusal("MissingAuthenticationTokenException", status, "Missing Authentication Token", _MEMORY),
        incomplete_signature=Refusal("IncompleteSignatureException", status, "{what}", _MEMORY),
        unknown_key=Refusal("UnrecognizedClientException", status, f"{_UNKNOWN}.", _MEMORY),
        wrong_signature=Refusal("InvalidSignatureException", status, _MISMATCH, _MEMORY),
        expired=Refusal("InvalidSignatureException", status, _EXPIRED, _MEMORY),
        not_yet=Refusal("InvalidSignatureException", status, _NOT_YET, _MEMORY),
        presigned_expired=Refusal("InvalidSignatureException", status, _EXPIRED, _MEMORY),
        expired_token=Refusal("ExpiredTokenException", status, _STALE, _MEMORY),
        wrong_payload_hash=Refusal("InvalidSignatureException", status, _MISMATCH, _MEMORY),
        wrong_scope=Refusal(
            "InvalidSignatureException", status, "Credential should be scoped to correct service: '{service}'. ", _MEMORY
        ),
        bad_chunks=Refusal("InvalidRequestException", 400, "{what}", _MEMORY),
        serialization=Refusal("SerializationException", 400, "{reason}", _MEMORY),
        bad_parameter=Refusal("SerializationException", 400, "{reason}", _MEMORY),
        unknown_operation=Refusal("UnknownOperationException", 400, "The operation {operation} is unknown.", _MEMORY),
        unknown_service=Refusal("UnknownOperationException", 501, _NO_SERVICE, "ours"),
        internal=Refusal("InternalFailure", 500, "The request processing has failed.", _MEMORY, sender=False),
        validation_code="ValidationException",
    )


JSON = _json(400)
REST_JSON = replace(
    _json(403),
    unknown_operation=Refusal("UnknownOperationException", 404, "Unable to determine service/operation name.", _MEMORY),
)
QUERY = Dialect(
    missing_signature=Refusal("MissingAuthenticationToken", 403, "Request is missing Authentication Token", _MEMORY),
    incomplete_signature=Refusal("IncompleteSignature", 400, "{what}", _MEMORY),
    unknown_key=Refusal("InvalidClientTokenId", 403, f"{_UNKNOWN}.", _MEMORY),
    wrong_signature=Refusal("SignatureDoesNotMatch", 403, _MISMATCH, _MEMORY),
    expired=Refusal("SignatureDoesNotMatch", 403, _EXPIRED, _MEMORY),
    not_yet=Refusal("SignatureDoesNotMatch", 403, _NOT_YET, _MEMORY),
    presigned_expired=Refusal("RequestExpired", 400, "Request has expired. {sent} is earlier than {limit}.", _MEMORY),
    expired_token=Refusal("ExpiredToken", 403, _STALE, _MEMORY),
    wrong_payload_hash=Refusal("SignatureDoesNotMatch", 403, _MISMATCH, _MEMORY),
    wrong_scope=Refusal("SignatureDoesNotMatch", 403, "Credential should be scoped to correct service: '{service}'. ", _MEMORY),
    bad_chunks=Refusal("InvalidRequest", 400, "{what}", _MEMORY),
    serialization=Refusal("MalformedInput", 400, "{reason}", _MEMORY),
    bad_parameter=Refusal("MalformedInput", 400, "{reason}", _MEMORY),
    unknown_operation=Refusal("InvalidAction", 400, "Could not find operation {operation} for version {version}", _MEMORY),
    unknown_service=Refusal("InvalidAction", 501, _NO_SERVICE, "ours"),
    internal=Refusal("InternalFailure", 500, "The request processing has failed.", _MEMORY, sender=False),
    validation_code="ValidationError",
)
S3 = Dialect(
    missing_signature=Refusal("AccessDenied", 403, "Access Denied", _MEMORY),
    incomplete_signature=Refusal("AuthorizationHeaderMalformed", 400, "{what}", _MEMORY),
    unknown_key=Refusal(
        "InvalidAccessKeyId", 403, "The AWS Access Key Id you provided does not exist in our records.", _MEMORY
    ),
    wrong_signature=Refusal(
        "SignatureDoesNotMatch",
        403,
        "The request signature we calculated does not match the signature you provided. Check your key and signing method.",
        _MEMORY,
    ),
    expired=Refusal(
        "RequestTimeTooSkewed", 403, "The difference between the request time and the current time is too large.", _MEMORY
    ),
    not_yet=Refusal(
        "RequestTimeTooSkewed", 403, "The difference between the request time and the current time is too large.", _MEMORY
    ),
    presigned_expired=Refusal("AccessDenied", 403, "Request has expired", _MEMORY),
    expired_token=Refusal("ExpiredToken", 400, "The provided token has expired.", _MEMORY),
    wrong_payload_hash=Refusal(
        "XAmzContentSHA256Mismatch",
        400,
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
        _MEMORY,
    ),
    wrong_scope=Refusal(
        "AuthorizationHeaderMalformed",
        400,
        "The authorization header is malformed; incorrect service '{given}'. This endpoint belongs to '{service}'.",
        _MEMORY,
    ),
    bad_chunks=Refusal("IncompleteBody", 400, "{what}", _MEMORY),
    serialization=Refusal(
        "MalformedXML",
        400,
        "The XML you provided was not well-formed or did not validate against our published schema",
        _MEMORY,
    ),
    bad_parameter=Refusal("InvalidArgument", 400, "{reason}", _MEMORY),
    unknown_operation=Refusal("MethodNotAllowed", 405, "The specified method is not allowed against this resource.", _MEMORY),
    unknown_service=Refusal("NotImplemented", 501, _NO_SERVICE, "ours"),
    internal=Refusal("InternalError", 500, "We encountered an internal error. Please try again.", _MEMORY, sender=False),
    validation_code="InvalidArgument",
    skew_s=900,
    double_encode=False,
    unsigned_payload=True,
    malformed_parts=True,
)

_BY_PROTOCOL = {
    "rest-json": REST_JSON,
    "json": JSON,
    "smithy-rpc-v2-cbor": JSON,
    "query": QUERY,
    "rest-xml": replace(QUERY, unknown_operation=REST_JSON.unknown_operation),
}
_BY_SERVICE = {
    "s3": S3,
    "logs": replace(JSON, validation_code="InvalidParameterException"),
    "lambda": replace(REST_JSON, internal=Refusal("ServiceException", 500, "Internal service error", _MEMORY, sender=False)),
    "iam": replace(QUERY, internal=Refusal("ServiceFailure", 500, "Internal service error", _MEMORY, sender=False)),
}


def dialect_of(service: str, protocol: str) -> Dialect:
    """The table of a service by botocore's name, spoken to in `protocol`."""
    return _BY_SERVICE.get(service) or _BY_PROTOCOL[protocol]
