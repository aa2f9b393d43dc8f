"""The example's handlers answer as the demonstration promises, and its template has nothing for cfn-lint to say."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "examples" / "tenant-counter"


def load(which: str) -> ModuleType:
    """A fresh copy of a handler's module, as a new execution environment would have."""
    spec = importlib.util.spec_from_file_location(f"{which}_handler", EXAMPLE / which / "lambda_function.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def call(module: ModuleType, *, tenant: str | None = None, headers: dict[str, str] | None = None) -> tuple[dict[str, Any], Any]:
    """The whole result, and its body parsed."""
    result = module.lambda_handler({"headers": headers}, SimpleNamespace(tenant_id=tenant))
    return result, json.loads(result["body"])


def test_standard_counts_everybody_together() -> None:
    module = load("standard")
    seen = [call(module, headers={"X-Tenant-Id": tenant})[1] for tenant in ("BlueTenant", "RedTenant")]
    assert [body["counter"] for body in seen] == [1, 2]
    assert list(seen[0].items()) == [
        ("counter", 1),
        ("tenant_id_received", "BlueTenant"),
        ("tenant_id", None),
        ("isolation_enabled", False),
        ("message", "Counter incremented successfully - SHARED across all tenants! (Received tenant: BlueTenant)"),
        ("warning", "This function does NOT provide tenant isolation - all tenants share the same counter!"),
    ]


@pytest.mark.parametrize("headers", [None, {}, {"accept": "*/*"}])
def test_standard_without_the_header(headers: dict[str, str] | None) -> None:
    _, body = call(load("standard"), headers=headers)
    assert (body["counter"], body["tenant_id_received"]) == (1, None)
    assert body["message"].endswith("(Received tenant: none)")


def test_isolated_answers_in_order() -> None:
    result, body = call(load("isolated"), tenant="BlueTenant")
    assert list(body.items()) == [
        ("counter", 1),
        ("tenant_id", "BlueTenant"),
        ("isolation_enabled", True),
        ("message", "Counter incremented successfully for tenant BlueTenant"),
    ]
    assert result["statusCode"] == 200
    assert result["headers"]["Content-Type"] == "application/json"
    assert result["headers"]["Cache-Control"] == "no-cache"


@pytest.mark.parametrize(
    ("tenant", "error"), [(None, "Missing Tenant ID"), ("", "Missing Tenant ID"), ("a" * 129, "Invalid Tenant ID")]
)
def test_isolated_refuses_and_does_not_count(tenant: str | None, error: str) -> None:
    module = load("isolated")
    result, body = call(module, tenant=tenant)
    assert (result["statusCode"], body["error"]) == (400, error)
    assert call(module, tenant="a" * 128)[1]["counter"] == 1


@pytest.mark.parametrize("template", [EXAMPLE / "template.yaml", ROOT / "tests/clients/templates/public-shape/template.yaml"])
def test_cfn_lint_has_nothing_to_say(template: Path) -> None:
    command = [str(Path(sys.executable).parent / "cfn-lint"), str(template)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_role_has_no_fixed_name() -> None:
    assert "RoleName" not in (EXAMPLE / "template.yaml").read_text()
