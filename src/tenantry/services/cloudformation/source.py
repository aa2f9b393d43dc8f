"""Where a template's text comes from: the call itself, the stack's current template, or an object in our own S3.

`sam` sends `<S3 endpoint>/<bucket>/<key>`, which is our own address (aws-behaviour 5.1); templates that name AWS's S3 hosts
mean the same buckets here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tenantry.model.errors import ServiceError
from tenantry.services.cloudformation import errors
from tenantry.services.cloudformation.resources.contract import Caller, not_found
from tenantry.services.cloudformation.template import BODY_MAX_BYTES, URL_MAX_BYTES
from tenantry.services.operation import Context

_VIRTUAL = re.compile(r"(?P<bucket>.+)\.s3(?:[.-](?:dualstack\.)?[a-z0-9-]+)?\.amazonaws\.com(?:\.cn)?")
_PATH_STYLE = re.compile(r"s3(?:[.-](?:dualstack\.)?[a-z0-9-]+)?\.amazonaws\.com(?:\.cn)?")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


async def template_text(operations: Caller, ctx: Context, params: Mapping[str, Any], previous: str | None) -> str:
    """The template that a call means. Raises ValidationError for none, two, a too large or an unreachable one.

    previous: the text that UsePreviousTemplate refers to, None where the operation has no such thing.
    """
    body, url = params.get("TemplateBody"), params.get("TemplateURL")
    if params.get("UsePreviousTemplate"):
        if body is not None or url is not None or previous is None:
            raise errors.TEMPLATE_SOURCE()
        return previous
    if (body is None) == (url is None):
        raise errors.TEMPLATE_SOURCE()
    if body is not None:
        if len(body.encode()) > BODY_MAX_BYTES:
            raise errors.TEMPLATE_BODY_MAX(limit=BODY_MAX_BYTES)
        return str(body)
    bucket, key, version = locate(str(url), ctx.endpoint)
    return await _object(operations, ctx, bucket, key, version)


def locate(url: str, endpoint: str) -> tuple[str, str, str | None]:
    """(bucket, key, version id) that a template URL names. Raises ValidationError where it names no S3 object."""
    try:
        parts = urlsplit(url)
    except ValueError:  # brackets that hold no address
        raise errors.TEMPLATE_URL() from None
    host, path = parts.hostname or "", unquote(parts.path).lstrip("/")
    version = parse_qs(parts.query).get("versionId", [None])[0]
    if parts.scheme == "s3" and host and path:
        return parts.netloc, path, version
    virtual = _VIRTUAL.fullmatch(host)
    if parts.scheme in ("http", "https") and virtual and not _PATH_STYLE.fullmatch(host) and path:
        return virtual.group("bucket"), path, version
    ours = urlsplit(endpoint)
    own = host == ours.hostname or (host in _LOOPBACK and (ours.hostname or "") in _LOOPBACK)
    bucket, _, key = path.partition("/")
    if parts.scheme in ("http", "https") and (_PATH_STYLE.fullmatch(host) or own) and bucket and key:
        return bucket, key, version
    raise errors.TEMPLATE_URL()


async def _object(operations: Caller, ctx: Context, bucket: str, key: str, version: str | None) -> str:
    wanted = {"Bucket": bucket, "Key": key} | ({"VersionId": version} if version else {})
    try:
        answer = await operations.call("s3", "GetObject", wanted, ctx)
    except ServiceError as error:
        if not_found(error) or error.status < 500:
            raise errors.TEMPLATE_S3(message=error.message) from None
        raise
    body = answer["Body"]
    data = bytes(body) if isinstance(body, (bytes, bytearray, memoryview)) else b"".join([chunk async for chunk in body])
    if len(data) > URL_MAX_BYTES:
        raise errors.TEMPLATE_URL_MAX(limit=URL_MAX_BYTES)
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise errors.FORMAT(problem="Template is not UTF-8 text.") from None
