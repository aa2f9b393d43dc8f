"""Checksums of objects and parts: those a client sends are verified, those it will ask for are kept.

S3 keeps one checksum for every object: the algorithm the client used, CRC64NVME where it used none. An object made of parts has
either a checksum of its parts' checksums (COMPOSITE, written `value-parts`) or one of all its bytes (FULL_OBJECT, combined from
the parts' without reading them again). Source: S3 user guide, "Checking object integrity".
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import anycrc

from tenantry.services.s3 import errors

FULL_OBJECT, COMPOSITE = "FULL_OBJECT", "COMPOSITE"
DEFAULT_ALGORITHM = "CRC64NVME"


@dataclass(frozen=True, slots=True)
class Algorithm:
    """A checksum algorithm. combine: (checksum of A, checksum of B, length of B) to that of A + B, for CRCs only."""

    name: str
    size: int
    compute: Callable[[bytes], bytes]
    composite: bool = True
    combine: Callable[[int, int, int], int] | None = None

    @property
    def member(self) -> str:
        """The botocore member that carries it."""
        return f"Checksum{self.name}"


def _crc(name: str, model: str, size: int, composite: bool = True) -> Algorithm:
    crc = anycrc.Model(model)
    calculate: Callable[[bytes], int] = zlib.crc32 if model == "CRC32" else crc.calc
    return Algorithm(name, size, lambda data: calculate(data).to_bytes(size, "big"), composite, crc.combine)


def _sha1(data: bytes) -> bytes:
    return hashlib.sha1(data, usedforsecurity=False).digest()


ALGORITHMS = {
    algorithm.name: algorithm
    for algorithm in (
        _crc("CRC32", "CRC32", 4),
        _crc("CRC32C", "CRC32C", 4),
        _crc("CRC64NVME", "CRC64-NVME", 8, composite=False),
        Algorithm("SHA1", 20, _sha1),
        Algorithm("SHA256", 32, lambda data: hashlib.sha256(data).digest()),
        Algorithm("SHA512", 64, lambda data: hashlib.sha512(data).digest()),
    )
}
_UNSUPPORTED = ("ChecksumMD5", "ChecksumXXHASH64", "ChecksumXXHASH3", "ChecksumXXHASH128")


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a client says its bytes add up to. `value` is None where it only named the algorithm."""

    algorithm: Algorithm
    value: bytes | None
    md5: bytes | None


@dataclass(frozen=True, slots=True)
class Digests:
    """What bytes add up to: sha256 and md5 in hexadecimal, and the kept checksum by its member."""

    sha256: str
    md5: str
    checksums: dict[str, str]


def expectation(params: dict[str, Any], default: str = DEFAULT_ALGORITHM) -> Expectation:
    """Read Content-MD5 and the checksum members. Raises InvalidDigest, InvalidRequest, NotImplemented."""
    for member in _UNSUPPORTED:
        if params.get(member):
            raise errors.not_implemented(f"x-amz-checksum-{member.removeprefix('Checksum').lower()}")
    sent = [algorithm for algorithm in ALGORITHMS.values() if params.get(algorithm.member)]
    if len(sent) > 1:
        raise errors.invalid_request("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
    if sent:
        return Expectation(sent[0], _decode(sent[0], params[sent[0].member]), _content_md5(params))
    return Expectation(named(params.get("ChecksumAlgorithm") or default), None, _content_md5(params))


def named(name: str) -> Algorithm:
    """The algorithm of a name. Raises InvalidRequest."""
    algorithm = ALGORITHMS.get(name.upper())
    if algorithm is None:
        raise errors.invalid_request(
            "Checksum algorithm provided is unsupported. Please try again with any of the valid types: "
            f"[{', '.join(sorted(ALGORITHMS))}]"
        )
    return algorithm


def digest(data: bytes, algorithm: Algorithm) -> Digests:
    """Compute everything S3 keeps of some bytes."""
    sha256 = hashlib.sha256(data)
    value = sha256.digest() if algorithm.name == "SHA256" else algorithm.compute(data)
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    return Digests(sha256.hexdigest(), md5, {algorithm.member: encode(value)})


def verify(found: Digests, expected: Expectation) -> None:
    """Raises BadDigest when the bytes are not what the client meant to send."""
    if expected.md5 is not None and expected.md5.hex() != found.md5:
        raise errors.refuse(
            errors.BAD_MD5, {"ExpectedDigest": expected.md5.hex(), "CalculatedDigest": encode(bytes.fromhex(found.md5))}
        )
    if expected.value is not None and encode(expected.value) != found.checksums[expected.algorithm.member]:
        raise errors.BAD_CHECKSUM(algorithm=expected.algorithm.name)


def multipart_etag(etags: Sequence[str]) -> str:
    """The ETag of an object made of parts: md5 of the parts' md5s, and how many."""
    joined = b"".join(bytes.fromhex(etag) for etag in etags)
    return f"{hashlib.md5(joined, usedforsecurity=False).hexdigest()}-{len(etags)}"


def of_parts(algorithm: Algorithm, kind: str, parts: Sequence[tuple[str, int]]) -> str:
    """The checksum of an object from its parts' (base64, size in bytes). `kind` is FULL_OBJECT (CRCs only) or COMPOSITE."""
    values = [base64.b64decode(value) for value, _ in parts]
    if kind == COMPOSITE:
        return f"{encode(algorithm.compute(b''.join(values)))}-{len(parts)}"
    assert algorithm.combine is not None
    total = int.from_bytes(values[0], "big")
    for value, (_, size) in zip(values[1:], parts[1:], strict=True):
        total = algorithm.combine(total, int.from_bytes(value, "big"), size)
    return encode(total.to_bytes(algorithm.size, "big"))


def upload_kind(algorithm: str | None, kind: str | None) -> str:
    """The checksum type of a new multipart upload. Raises InvalidRequest for one the algorithm does not have."""
    if algorithm is None:
        if kind:
            raise errors.invalid_request(
                "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header."
            )
        return FULL_OBJECT
    row = named(algorithm)
    kind = kind or (COMPOSITE if row.composite else FULL_OBJECT)
    possible = row.composite if kind == COMPOSITE else row.combine is not None
    if not possible:
        raise errors.invalid_request(f"The {kind} checksum type cannot be used with the {row.name.lower()} checksum algorithm.")
    return kind


def encode(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _decode(algorithm: Algorithm, text: str) -> bytes:
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        value = b""
    if len(value) != algorithm.size:
        raise errors.invalid_request(f"Value for x-amz-checksum-{algorithm.name.lower()} header is invalid.")
    return value


def _content_md5(params: dict[str, Any]) -> bytes | None:
    text = params.get("ContentMD5")
    if text is None:
        return None
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        value = b""
    if len(value) != 16:
        raise errors.refuse(errors.INVALID_DIGEST, {"Content-MD5": text})
    return value
