"""How outputs are shown: addresses of our APIs made local, everything else as it is."""

from __future__ import annotations

import pytest

from tenantry.services.cloudformation.outputs import api_ids, local_addresses

AWS = "https://abcdefghij.execute-api.us-east-1.amazonaws.com"


@pytest.mark.parametrize(
    ("value", "endpoint", "shown"),
    [
        (f"{AWS}/dev/x", "http://127.0.0.1:4270", "http://abcdefghij.execute-api.localhost:4270/dev/x"),
        (AWS, "http://localhost:80", "http://abcdefghij.execute-api.localhost:80"),
        (f"{AWS}/dev", "http://[::1]:4270", "http://abcdefghij.execute-api.localhost:4270/dev"),
        (f"{AWS}/dev", "http://box.local:4270", "http://box.local:4270/_api/abcdefghij/dev"),
        (
            f"{AWS}/a {AWS}/b",
            "http://127.0.0.1:1",
            "http://abcdefghij.execute-api.localhost:1/a http://abcdefghij.execute-api.localhost:1/b",
        ),
        (f"{AWS}.example.com/x", "http://127.0.0.1:4270", f"{AWS}.example.com/x"),
        (
            "https://0123456789.execute-api.us-east-1.amazonaws.com/x",
            "http://127.0.0.1:4270",
            "https://0123456789.execute-api.us-east-1.amazonaws.com/x",
        ),
        ("plain", "http://127.0.0.1:4270", "plain"),
    ],
)
def test_shown(value: str, endpoint: str, shown: str) -> None:
    assert local_addresses(value, endpoint, lambda api: api == "abcdefghij") == shown


def test_api_ids() -> None:
    assert api_ids(f"{AWS}/x https://short.execute-api.us-east-1.amazonaws.com") == {"abcdefghij"}
