"""Signature Version 4: verifying what clients sign (headers or presigned URLs), and presigning URLs of our own.

    canonical request = method \n canonical path \n sorted query \n headers \n signed header names \n payload hash
    string to sign    = AWS4-HMAC-SHA256 \n date \n date/region/service/aws4_request \n hash of the canonical request
    signature         = HMAC(signing key derived from secret, date, region, service; string to sign)

S3 signs paths as they are, may leave the body out (UNSIGNED-PAYLOAD) or sign it chunk by chunk; every other service signs a
normalised path that is encoded once more, and the hash of the body. What each service answers to a signature that does not hold
is in its `Dialect`. Held to AWS's own test suite.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, unquote_to_bytes, urlsplit

import msgspec

from tenantry.model.clock import Clock
from tenantry.model.http import Request
from tenantry.model.identity import Credential, CredentialSource, Principal
from tenantry.protocol import chunked, sigv2
from tenantry.protocol.dialect import Dialect

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
PRESIGNED_EXPIRY_MAX_S = 7 * 24 * 3600
KEYS_CACHED = 256
"""Signing keys kept: one for each (key pair, day, region, service) in use. Deriving one costs four HMACs."""

_DATE = re.compile(r"\d{8}T\d{6}Z")
_PARAMETER = re.compile(r"\s*([A-Za-z]+)=([^,\s]*)\s*(?:,|$)")
_USUAL = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/,]+)/(\d{8})/([^/,]+)/([^/,]+)/aws4_request, ?"
    r"SignedHeaders=([^,=\s]+), ?Signature=([0-9a-f]{64})"
)
"""The header as every SDK writes it."""
_PLAIN_QUERY = re.compile(r"(?:[A-Za-z0-9._~&=-]|%[0-9A-F]{2})*")
_SIGNED_PAYLOADS = (chunked.SIGNED, chunked.SIGNED_TRAILER)
_CHUNKED = (*_SIGNED_PAYLOADS, chunked.UNSIGNED_TRAILER)
_UNRESERVED = "-_.~"
_CONTENT_HASH = "x-amz-content-sha256"


class Signature(msgspec.Struct, frozen=True):
    """What a request claims: who signed it, for what scope, when, over which headers."""

    access_key_id: str
    date: str
    region: str
    service: str
    sent: str
    signed_headers: tuple[str, ...]
    value: str
    token: str | None
    expires_s: int | None = None
    """Set on presigned URLs: how long after `sent` they hold."""

    @property
    def scope(self) -> str:
        """`20260101/us-east-1/lambda/aws4_request`."""
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


@dataclass(frozen=True, slots=True)
class Verified:
    """A request whose signature holds. `request` has its body freed from aws-chunked, its trailers among the headers."""

    principal: Principal
    region: str
    request: Request


class Verifier:
    """Checks signatures against the platform's credentials. Raises the ServiceErrors of the service that was called."""

    def __init__(self, credentials: CredentialSource, clock: Clock) -> None:
        self._credentials = credentials
        self._clock = clock
        self._keys: dict[tuple[str, ...], tuple[bytes, Principal]] = {}

    def verify(self, request: Request, dialect: Dialect, services: Iterable[str]) -> Verified:
        """Who signed the request. `services`: the names its scope may have."""
        if dialect.unsigned_payload and sigv2.is_presigned(request):
            old = sigv2.verify(request, dialect, self._credentials, self._clock)
            return Verified(Principal(old.arn, old.user_id, old.access_key_id), sigv2.REGION, request)
        signature = read_signature(request, dialect)
        if signature is None:
            raise dialect.missing_signature()
        now = self._clock.now()
        self._check_scope(signature, dialect, services)
        self._check_time(signature, now, dialect)
        credential = self._credentials.lookup(signature.access_key_id, signature.token)
        if credential is None:
            raise dialect.unknown_key()
        if credential.expires_at is not None and credential.expires_at <= now:
            raise dialect.expired_token()
        key, principal = self._signing_key(credential, signature)
        payload = _claimed_payload(request, signature, dialect)
        expected = _hmac(key, string_to_sign(signature, canonical_request(request, signature, dialect, payload))).hex()
        if not hmac.compare_digest(expected.encode(), signature.value.encode()):
            raise dialect.wrong_signature()
        return Verified(principal, signature.region, self._body(request, signature, key, payload, dialect))

    @staticmethod
    def _check_scope(signature: Signature, dialect: Dialect, services: Iterable[str]) -> None:
        allowed = tuple(services)
        if signature.service not in allowed:
            raise dialect.wrong_scope(service=allowed[0], given=signature.service, region=signature.region)
        if signature.sent[:8] != signature.date:
            what = (
                f"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
                f"'{signature.date}' != '{signature.sent[:8]}', from '{signature.sent}'."
            )
            raise replace(dialect.wrong_signature, template="{what}")(what=what)

    @staticmethod
    def _check_time(signature: Signature, now: float, dialect: Dialect) -> None:
        try:
            sent = _epoch(signature.sent)
        except ValueError:
            raise dialect.incomplete_signature(what=_BAD_DATE.format(date=signature.sent)) from None
        skew_s = dialect.skew_s
        if signature.expires_s is not None:
            if now > sent + signature.expires_s:
                limit = _stamp(now - signature.expires_s)
                minutes = signature.expires_s // 60
                raise dialect.presigned_expired(sent=signature.sent, now=_stamp(now), limit=limit, minutes=minutes)
        elif now - sent > skew_s:
            limit = _stamp(now - skew_s)
            raise dialect.expired(sent=signature.sent, now=_stamp(now), limit=limit, minutes=skew_s // 60)
        if sent - now > skew_s:
            limit = _stamp(now + skew_s)
            raise dialect.not_yet(sent=signature.sent, now=_stamp(now), limit=limit, minutes=skew_s // 60)

    def _signing_key(self, credential: Credential, signature: Signature) -> tuple[bytes, Principal]:
        name = (
            credential.access_key_id,
            credential.secret_access_key,
            credential.arn,
            credential.user_id,
            signature.date,
            signature.region,
            signature.service,
        )
        known = self._keys.get(name)
        if known is None:
            key = signing_key(credential.secret_access_key, signature.date, signature.region, signature.service)
            if len(self._keys) >= KEYS_CACHED:
                self._keys.clear()  # in one step: large bodies are verified in threads
            known = self._keys[name] = key, Principal(credential.arn, credential.user_id, credential.access_key_id)
        return known

    @staticmethod
    def _body(request: Request, signature: Signature, key: bytes, payload: str | None, dialect: Dialect) -> Request:
        """Check the body against the hash that was signed, and take it out of its chunks."""
        if payload in _CHUNKED:
            chain = chunked.Chain(key, signature.sent, signature.scope, signature.value)
            return _unchunk(request, chain if payload in _SIGNED_PAYLOADS else None, dialect)
        if payload not in (None, UNSIGNED_PAYLOAD) and hashlib.sha256(request.body).hexdigest() != payload:
            raise dialect.wrong_payload_hash()
        return request


_BAD_DATE = "Date must be in ISO-8601 'basic format'. Got '{date}'. See http://en.wikipedia.org/wiki/ISO_8601"


def _unchunk(request: Request, chain: chunked.Chain | None, dialect: Dialect) -> Request:
    length = request.header("x-amz-decoded-content-length")
    if length is not None and not (length.isascii() and length.isdigit() and len(length) < 16):
        raise dialect.bad_chunks(what="The x-amz-decoded-content-length header is not a number")
    try:
        body, trailers = chunked.decode(request.body, chain, int(length) if length is not None else None)
    except chunked.ChunkError as error:
        raise dialect.bad_chunks(what=str(error)) from None
    except chunked.ChunkSignatureError:
        raise dialect.wrong_signature() from None
    announced = {name.strip().lower() for name in (request.header("x-amz-trailer") or "").split(",")}
    headers = [(name, value) for name, value in map(_without_chunked, request.headers) if value is not None]
    headers += [(name, value) for name, value in trailers if name.lower() in announced]
    return Request(request.method, request.path, request.query, headers, body, request.peer, request.http_version)


def _without_chunked(header: tuple[str, str]) -> tuple[str, str | None]:
    """Content-Encoding as the object is to keep it: aws-chunked described the transfer only."""
    name, value = header
    if name.lower() != "content-encoding":
        return header
    rest = [coding for coding in (part.strip() for part in value.split(",")) if coding.lower() != "aws-chunked"]
    return name, ",".join(rest) or None


def read_signature(request: Request, dialect: Dialect) -> Signature | None:
    """The signature a request carries, in its headers or its query; None where it carries none. Raises ServiceError."""
    authorization = request.header("authorization")
    if authorization is not None:
        return _from_header(request, authorization, dialect)
    if "X-Amz-Signature" in request.query or "X-Amz-Algorithm" in request.query:
        return _from_query(request, dialect)
    return None


def _from_header(request: Request, authorization: str, dialect: Dialect) -> Signature:
    match = _USUAL.fullmatch(authorization)
    if match is not None:
        key_id, date, region, service, names, value = match.groups()
        sent = request.header("x-amz-date") or ""
        signed = tuple(names.split(";"))
        if _DATE.fullmatch(sent) and "host" in signed:
            return Signature(key_id, date, region, service, sent, signed, value, request.header("x-amz-security-token"))
    return _from_unusual_header(request, authorization, dialect)


def _from_unusual_header(request: Request, authorization: str, dialect: Dialect) -> Signature:
    """A header in another order or spacing, or one that is wrong somewhere: found out slowly, and told where."""
    algorithm, _, rest = authorization.partition(" ")
    if algorithm != ALGORITHM:
        raise dialect.incomplete_signature(what=f"Unsupported AWS 'algorithm': '{algorithm}'.")
    given = dict(_PARAMETER.findall(rest))
    missing = [name for name in ("Credential", "Signature", "SignedHeaders") if not given.get(name)]
    date = request.header("x-amz-date") or ""
    if missing or not date:
        what = " ".join(f"Authorization header requires '{name}' parameter." for name in missing)
        if not date:
            what += " Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."
        raise dialect.incomplete_signature(what=f"{what.strip()} Authorization={authorization}")
    names = tuple(given["SignedHeaders"].split(";"))
    return _signature(given["Credential"], date, names, given["Signature"], request.header("x-amz-security-token"), dialect)


def _from_query(request: Request, dialect: Dialect) -> Signature:
    given = dict(parse_qsl(request.query, keep_blank_values=True))
    missing = [name for name in _PRESIGNED if not given.get(name)]
    if missing or given["X-Amz-Algorithm"] != ALGORITHM:
        names = ", ".join(missing or _PRESIGNED)
        raise dialect.incomplete_signature(what=f"AWS query-string parameters must include '{names}'")
    expires = given["X-Amz-Expires"]
    if not (expires.isascii() and expires.isdigit() and len(expires) < 8 and int(expires) <= PRESIGNED_EXPIRY_MAX_S):
        raise dialect.incomplete_signature(what="X-Amz-Expires must be a number of seconds, at most a week (604800)")
    signature = _signature(
        given["X-Amz-Credential"],
        given["X-Amz-Date"],
        tuple(given["X-Amz-SignedHeaders"].split(";")),
        given["X-Amz-Signature"],
        given.get("X-Amz-Security-Token"),
        dialect,
    )
    return msgspec.structs.replace(signature, expires_s=int(expires))


_PRESIGNED = (
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Signature",
)


def _signature(
    credential: str, date: str, names: tuple[str, ...], value: str, token: str | None, dialect: Dialect
) -> Signature:
    scope = credential.rsplit("/", 4)
    if len(scope) != 5 or scope[4] != "aws4_request":
        raise dialect.incomplete_signature(what=f"Credential must have 5 slash-delimited elements. Got '{credential}'.")
    if not _DATE.fullmatch(date):
        raise dialect.incomplete_signature(what=_BAD_DATE.format(date=date))
    if "host" not in names:
        raise dialect.incomplete_signature(what="'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
    return Signature(scope[0], scope[1], scope[2], scope[3], date, names, value, token)


def scope_of(request: Request) -> tuple[str, str] | None:
    """(region, service) that a request claims to be signed for, unverified; None where it claims nothing."""
    authorization = request.header("authorization")
    if authorization is not None:
        _, found, rest = authorization.partition("Credential=")
        scope = rest.partition(",")[0].strip() if found else ""
    elif "X-Amz-Credential=" in request.query:
        _, _, rest = request.query.partition("X-Amz-Credential=")
        scope = unquote_to_bytes(rest.partition("&")[0]).decode("utf-8", "replace")
    else:
        return None
    parts = scope.rsplit("/", 3)
    return (parts[1], parts[2]) if len(parts) == 4 and parts[3] == "aws4_request" else None


def signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    """The key of one day, region and service."""
    key = _hmac(f"AWS4{secret}".encode(), date)
    return _hmac(_hmac(_hmac(key, region), service), "aws4_request")


def string_to_sign(signature: Signature, canonical: str) -> str:
    """What the signature is calculated of."""
    return f"{ALGORITHM}\n{signature.sent}\n{signature.scope}\n{hashlib.sha256(_wire_bytes(canonical)).hexdigest()}"


def canonical_request(request: Request, signature: Signature, dialect: Dialect, payload: str | None) -> str:
    """The request as both sides write it down. `payload`: what stands for the body; None for its hash."""
    query = request.query
    if signature.expires_s is not None:
        query = "&".join(part for part in query.split("&") if not part.startswith("X-Amz-Signature="))
    values = _header_values(request)
    headers = "".join(f"{name}:{values.get(name, '')}\n" for name in signature.signed_headers)
    return (
        f"{request.method}\n{canonical_path(request.path, double_encode=dialect.double_encode)}\n{canonical_query(query)}\n"
        f"{headers}\n{';'.join(signature.signed_headers)}\n{payload or hashlib.sha256(request.body).hexdigest()}"
    )


def _claimed_payload(request: Request, signature: Signature, dialect: Dialect) -> str | None:
    """What S3 is told about the body instead of its hash being part of the signature by itself; None elsewhere.

    The word goes into what is signed; that it is true of the body is checked once the signature holds.
    """
    if not dialect.unsigned_payload:
        return None
    if signature.expires_s is not None and _CONTENT_HASH not in signature.signed_headers:
        return UNSIGNED_PAYLOAD
    return request.header(_CONTENT_HASH)


def _header_values(request: Request) -> dict[str, str]:
    """Every header as it is signed: names lowered, runs of spaces and tabs folded, values of a repeated one joined."""
    values = request.index()
    plain = not any("  " in value or "\t" in value or value != value.strip() for value in values.values())
    if plain and len(values) == len(request.headers):
        return values
    values = {}
    for given, value in request.headers:
        name = given.lower()
        folded = " ".join(value.split())
        values[name] = f"{values[name]},{folded}" if name in values else folded
    return values


def canonical_path(path: str, *, double_encode: bool) -> str:
    """The path as it is signed. S3's (`double_encode` False): encoded once, dots and double slashes kept."""
    if not double_encode:
        return quote(unquote_to_bytes(_wire_bytes(path)), safe=f"/{_UNRESERVED}") or "/"
    return quote(_wire_bytes(_normalise(path)), safe=f"/{_UNRESERVED}")


def _normalise(path: str) -> str:
    if "//" not in path and "/." not in path:
        return path or "/"
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    slash = "/" if kept and path.endswith("/") else ""
    return f"/{'/'.join(kept)}{slash}"


def canonical_query(query: str) -> str:
    """The query string, every name and value encoded the same way, sorted."""
    if not query:
        return ""
    pairs = []
    for part in query.split("&"):
        if not part:
            continue
        name, _, value = part.partition("=")
        if _PLAIN_QUERY.fullmatch(part) is None or "=" in value:
            name, value = (quote(unquote_to_bytes(_wire_bytes(text)), safe=_UNRESERVED) for text in (name, value))
        pairs.append((name, value))
    pairs.sort()
    return "&".join(f"{name}={value}" for name, value in pairs)


def _hmac(key: bytes, message: str) -> bytes:
    return hmac.digest(key, _wire_bytes(message), "sha256")


def _wire_bytes(text: str) -> bytes:
    """A request's text as the client sent it: the listener reads heads as Latin-1, byte for byte."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode()


def _epoch(stamp: str) -> float:
    # strptime takes five times as long, and every request comes through here.
    moment = datetime.fromisoformat(stamp)
    return moment.timestamp()


def _stamp(epoch_s: float) -> str:
    return datetime.fromtimestamp(epoch_s, UTC).strftime("%Y%m%dT%H%M%SZ")


def presign_url(
    credential: Credential, method: str, url: str, *, region: str, service: str, expires_s: int, now: float, dialect: Dialect
) -> str:
    """The URL with a signature in its query that anyone may use for `expires_s` seconds from `now` (epoch seconds)."""
    parts = urlsplit(url)
    sent = _stamp(now)
    signature = Signature(credential.access_key_id, sent[:8], region, service, sent, ("host",), "", None, expires_s)
    fields = {
        "X-Amz-Algorithm": ALGORITHM,
        "X-Amz-Credential": f"{credential.access_key_id}/{signature.scope}",
        "X-Amz-Date": sent,
        "X-Amz-Expires": str(expires_s),
        "X-Amz-SignedHeaders": "host",
    }
    if credential.session_token is not None:
        fields["X-Amz-Security-Token"] = credential.session_token
    own = "&".join(f"{name}={quote(value, safe=_UNRESERVED)}" for name, value in fields.items())
    query = f"{parts.query}&{own}" if parts.query else own
    request = Request(method, parts.path or "/", query, [("host", parts.netloc)])
    payload = _claimed_payload(request, signature, dialect)
    key = signing_key(credential.secret_access_key, sent[:8], region, service)
    value = _hmac(key, string_to_sign(signature, canonical_request(request, signature, dialect, payload))).hex()
    return f"{parts.scheme}://{parts.netloc}{parts.path or '/'}?{query}&X-Amz-Signature={value}"


def sign(request: Request, credential: Credential, *, region: str, service: str, now: float, dialect: Dialect) -> Request:
    """The request with the headers that sign it: Authorization, X-Amz-Date, the body's hash, the session token."""
    sent = _stamp(now)
    further = [("X-Amz-Date", sent), ("X-Amz-Content-Sha256", hashlib.sha256(request.body).hexdigest())]
    if credential.session_token is not None:
        further.append(("X-Amz-Security-Token", credential.session_token))
    whole = Request(request.method, request.path, request.query, [*request.headers, *further], request.body, request.peer)
    names = tuple(sorted({name.lower() for name, _ in whole.headers}))
    signature = Signature(credential.access_key_id, sent[:8], region, service, sent, names, "", credential.session_token)
    canonical = canonical_request(whole, signature, dialect, further[1][1])
    key = signing_key(credential.secret_access_key, sent[:8], region, service)
    value = _hmac(key, string_to_sign(signature, canonical)).hex()
    authorization = (
        f"{ALGORITHM} Credential={credential.access_key_id}/{signature.scope}, "
        f"SignedHeaders={';'.join(names)}, Signature={value}"
    )
    headers = [*whole.headers, ("Authorization", authorization)]
    return Request(whole.method, whole.path, whole.query, headers, whole.body, whole.peer)
