"""boto3 clients and hand-made signed requests against a running platform, and the zip files that tests upload."""

from __future__ import annotations

import datetime
import http.client
import io
import json
import re
import stat
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

import boto3
import botocore.config
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

T = TypeVar("T")
ONE_TRY = {"total_max_attempts": 1, "mode": "standard"}
ROLE = "arn:aws:iam::000000000000:role/tests"


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer, header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def error_code(self) -> str:
        """The AWS error code, wherever the protocol puts it."""
        if "x-amzn-errortype" in self.headers:
            return self.headers["x-amzn-errortype"].split(":")[0]
        match = re.search(rb"<Code>([^<]+)</Code>", self.body) or re.search(rb'"__type"\s*:\s*"(?:[^"]*#)?([^"]+)"', self.body)
        return match.group(1).decode() if match else ""


class Aws:
    """Clients of one platform; `environment` is what `tenantry env` says."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.endpoint = environment["AWS_ENDPOINT_URL"]
        self.region = environment["AWS_REGION"]
        self.key = environment["AWS_ACCESS_KEY_ID"]
        self.secret = environment["AWS_SECRET_ACCESS_KEY"]
        self._clients: dict[tuple[Any, ...], Any] = {}

    def client(
        self,
        service: str,
        *,
        region: str | None = None,
        key: str | None = None,
        secret: str | None = None,
        validate: bool = True,
    ) -> Any:
        """A boto3 client that tries once. `validate=False` sends what boto3 would refuse."""
        name = (service, region, key, secret, validate)
        if name not in self._clients:
            self._clients[name] = boto3.session.Session().client(
                service,
                endpoint_url=self.endpoint,
                region_name=region or self.region,
                aws_access_key_id=key or self.key,
                aws_secret_access_key=secret or self.secret,
                config=botocore.config.Config(
                    retries=ONE_TRY,
                    parameter_validation=validate,
                    connect_timeout=5,
                    read_timeout=60,
                    s3={"addressing_style": "path"},
                ),
            )
        return self._clients[name]

    def raw(
        self,
        service: str,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        signed: bool = True,
        date: datetime.datetime | None = None,
        key: str | None = None,
        secret: str | None = None,
    ) -> Reply:
        """A request written by hand, signed as `service` (unless `signed` is false), at `date` where one is given."""
        request = AWSRequest(method=method, url=self.endpoint + path, headers=dict(headers or {}), data=body)
        if signed:
            signer = _SignerAt(Credentials(key or self.key, secret or self.secret), service, self.region)
            signer.date = date
            signer.add_auth(request)
        return self.http(self.endpoint + path, method, dict(request.headers.items()), body)

    def http(
        self,
        url: str,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout_s: float = 60,
    ) -> Reply:
        """A plain HTTP request. Every name is taken to be this machine, as names under `localhost` are."""
        parts = urlsplit(url)
        connection = http.client.HTTPConnection("127.0.0.1", parts.port, timeout=timeout_s)
        try:
            target = parts.path + (f"?{parts.query}" if parts.query else "")
            connection.request(method, target, body=body or None, headers={"Host": parts.netloc, **(headers or {})})
            response = connection.getresponse()
            return Reply(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
        finally:
            connection.close()

    def close(self) -> None:
        """Close every client's connections."""
        for client in self._clients.values():
            client.close()


class _SignerAt(SigV4Auth):  # type: ignore[misc]  # botocore has no types
    """SigV4 at a chosen time; botocore always signs now."""

    date: datetime.datetime | None = None

    def add_auth(self, request: AWSRequest) -> None:
        if self.date is None:
            super().add_auth(request)
            return
        request.context["timestamp"] = self.date.strftime("%Y%m%dT%H%M%SZ")
        self._modify_request_before_signing(request)
        string_to_sign = self.string_to_sign(request, self.canonical_request(request))
        self._inject_signature_to_request(request, self.signature(string_to_sign, request))


def zip_of(files: Mapping[str, str | bytes]) -> bytes:
    """A deployment package with these files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def zip_with_link(name: str, target: str) -> bytes:
    """A deployment package whose one entry is a symbolic link."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        entry = zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))
        entry.create_system = 3
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, target)
    return buffer.getvalue()


def eventually(
    read: Callable[[], T], good: Callable[[T], bool], timeout_s: float = 15.0, what: str = "the expected state"
) -> T:
    """Read until the value is good; AssertionError with the last value after the time."""
    deadline = time.monotonic() + timeout_s
    while not good(value := read()):
        assert time.monotonic() < deadline, f"{what} did not come within {timeout_s:.0f} s; last: {value!r}"
        time.sleep(0.05)
    return value
