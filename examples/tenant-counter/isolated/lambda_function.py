"""The counter that each tenant has alone: the same state in memory, in an execution environment bound to one tenant."""

import json
import logging

logger = logging.getLogger()
logger.setLevel(logging.INFO)

TENANT_ID_CHARACTERS_MAX = 128  # this application's own rule; Lambda itself takes up to 256

# One per execution environment, and an execution environment serves one tenant only.
counter = 0


def lambda_handler(event, context):
    """Count one request of the environment's tenant; answer an API Gateway proxy response."""
    global counter
    tenant_id = getattr(context, "tenant_id", None)
    if not tenant_id:
        return response(400, {"error": "Missing Tenant ID", "message": "The request reached the function without a tenant id."})
    if len(tenant_id) > TENANT_ID_CHARACTERS_MAX:
        return response(
            400,
            {
                "error": "Invalid Tenant ID",
                "message": f"A tenant id has at most {TENANT_ID_CHARACTERS_MAX} characters; this one has {len(tenant_id)}.",
            },
        )
    counter += 1
    logger.info("Tenant %s: counter value %d", tenant_id, counter)
    return response(
        200,
        {
            "counter": counter,
            "tenant_id": tenant_id,
            "isolation_enabled": True,
            "message": f"Counter incremented successfully for tenant {tenant_id}",
        },
    )


def response(status, body):
    return {
        "statusCode": status,
        "headers": {"Content-Type": "application/json", "Cache-Control": "no-cache", "Access-Control-Allow-Origin": "*"},
        "body": json.dumps(body, indent=2),
    }
