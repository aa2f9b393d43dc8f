"""The counter that everybody shares: what happens to state in memory when tenants share an execution environment."""

import json
import logging

logger = logging.getLogger()
logger.setLevel(logging.INFO)

# One per execution environment. Whoever's request is next finds what the request before left here.
counter = 0


def lambda_handler(event, context):
    """Count one request of anybody; answer an API Gateway proxy response."""
    global counter
    counter += 1
    received = tenant_header(event)
    logger.info("Tenant %s: counter value %d", received or "none", counter)
    return response(
        200,
        {
            "counter": counter,
            "tenant_id_received": received,
            "tenant_id": getattr(context, "tenant_id", None),
            "isolation_enabled": False,
            "message": f"Counter incremented successfully - SHARED across all tenants! (Received tenant: {received or 'none'})",
            "warning": "This function does NOT provide tenant isolation - all tenants share the same counter!",
        },
    )


def tenant_header(event):
    """The client's x-tenant-id, in whatever case it was spelled; None where there is none."""
    headers = event.get("headers") or {}
    return next((value for name, value in headers.items() if name.lower() == "x-tenant-id"), None)


def response(status, body):
    return {
        "statusCode": status,
        "headers": {"Content-Type": "application/json", "Cache-Control": "no-cache", "Access-Control-Allow-Origin": "*"},
        "body": json.dumps(body, indent=2),
    }
