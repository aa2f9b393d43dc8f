"""An S3 service on memory and a temporary folder, called by operation name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tenantry.model.clock import ManualClock
from tenantry.model.identity import Principal
from tenantry.services.operation import Context, Operations
from tenantry.services.s3.service import S3Service
from tenantry.store.blobs import Blobs
from tenantry.store.documents import Documents

ACCOUNT = "000000000000"


class Caller:
    """S3 as another service would call it: `await s3("PutObject", Bucket=..., Key=...)`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = ManualClock()
        self.open()

    def open(self) -> None:
        """Start, or start again on what is on disk."""
        self.documents = Documents(self.folder / "state.db")
        self.service = S3Service(self.documents, Blobs(self.folder / "blobs"), self.clock)
        self.operations = Operations(lambda service, operation, params: None)
        self.operations.add(self.service)

    def reopen(self) -> None:
        self.documents.close()
        self.open()

    def blobs(self) -> list[Path]:
        """Every blob on disk."""
        return [path for path in (self.folder / "blobs").glob("??/*") if path.parent.name != "incoming"]

    async def __call__(self, operation: str, region: str = "us-east-1", **params: Any) -> dict[str, Any]:
        principal = Principal(f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT)
        ctx = Context(region, ACCOUNT, "request", principal, "http://127.0.0.1:4270")
        return await self.operations.call("s3", operation, params, ctx)

    async def keys(self, bucket: str = "bucket") -> list[str]:
        """The keys of a bucket."""
        return [row["Key"] for row in (await self("ListObjectsV2", Bucket=bucket))["Contents"]]


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[Caller]:
    caller = Caller(tmp_path)
    yield caller
    caller.documents.close()


@pytest.fixture
async def bucket(s3: Caller) -> str:
    await s3("CreateBucket", Bucket="bucket")
    return "bucket"
