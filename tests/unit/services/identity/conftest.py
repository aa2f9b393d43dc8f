"""IAM and STS on memory, called by operation name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tenantry.model.clock import ManualClock
from tenantry.model.identity import Credential, Principal
from tenantry.services.identity.credentials import PlatformCredentials
from tenantry.services.identity.directory import Directory
from tenantry.services.identity.iam import IamService
from tenantry.services.identity.sts import StsService
from tenantry.services.operation import Context, Operations
from tenantry.store.documents import Documents

ACCOUNT = "000000000000"
ROOT_ARN = f"arn:aws:iam::{ACCOUNT}:root"
ROOT = Credential("AKIAROOTROOTROOTROOT", "r" * 40, ROOT_ARN, ACCOUNT)


class Caller:
    """`await call("CreateRole", RoleName=...)`; `principal` is who calls."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.documents = Documents(None)
        self.principal = Principal(ROOT_ARN, ACCOUNT, ROOT.access_key_id)
        self.open()

    def open(self) -> None:
        """Start, or start again on what is kept."""
        directory = Directory(self.documents)
        self.credentials = PlatformCredentials(ROOT, self.clock, role_id=directory.role_id)
        self.operations = Operations(lambda service, operation, params: None)
        self.operations.add(IamService(directory, self.clock))
        self.operations.add(StsService(directory, self.credentials))

    async def __call__(self, operation: str, region: str = "us-east-1", **params: Any) -> dict[str, Any]:
        ctx = Context(region, ACCOUNT, "request", self.principal, "http://127.0.0.1:4270")
        service = "iam" if ("iam", operation) in self.operations.names() else "sts"
        return await self.operations.call(service, operation, params, ctx)


@pytest.fixture
def call() -> Iterator[Caller]:
    caller = Caller()
    yield caller
    caller.documents.close()
