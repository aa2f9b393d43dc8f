"""The Runtime API, the platform, the log; and invocations that end in other ways than with an answer."""

import json
import os
import struct
import time

from . import state
from .tools import attempt


def _runtime_call(method, path, body=b"", address=None):
    import http.client

    connection = http.client.HTTPConnection(address or os.environ["AWS_LAMBDA_RUNTIME_API"], timeout=2)
    connection.request(method, "/2018-06-01/runtime/" + path, body)
    answer = connection.getresponse()
    text = answer.read(2000).decode(errors="replace")
    connection.close()
    return {"status": answer.status, "body": text}


def forge(event, context):
    """Answer invocations that are not in hand, and one's own twice."""
    outcomes = {}
    for identifier in event["ids"]:
        outcomes[identifier] = {
            "response": attempt(
                lambda identifier=identifier: _runtime_call("POST", f"invocation/{identifier}/response", b'"forged"')
            ),
            "error": attempt(
                lambda identifier=identifier: _runtime_call(
                    "POST", f"invocation/{identifier}/error", b'{"errorType": "forged"}'
                )
            ),
        }
    outcomes["next"] = attempt(lambda: _runtime_call("GET", "invocation/next"))
    outcomes["init"] = attempt(lambda: _runtime_call("POST", "init/error", b"{}"))
    return outcomes


def neighbours_runtime_api(event, context):
    """Speak to another environment's Runtime API at its address."""
    return attempt(lambda: _runtime_call("GET", "ping", address=event["address"]))


def large(event, context):
    """A result of event["bytes"]."""
    return "x" * event["bytes"]


def log_lines(event, context):
    """Write lines, as text and as forged frames, that pretend to be another's."""
    for line in event["lines"]:
        print(line, flush=True)
    forged = struct.pack(">IIQ", 0xA55A000F, len(event["frame"]), 1) + event["frame"].encode()
    os.write(1, forged)
    return {"stream": context.log_stream_name}


def platform_call(event, context):
    """Ask the platform for something with the role's own credentials."""
    import boto3

    client = boto3.client(event["service"])
    return attempt(
        lambda: json.loads(json.dumps(getattr(client, event["operation"])(**event.get("parameters", {})), default=str))
    )


def sleep(event, context):
    """Run into the timeout, or not."""
    time.sleep(event["seconds"])
    return {"slept": event["seconds"]}


def exit_now(event, context):
    """End the process in the middle of an invocation."""
    os._exit(event["status"])


def echo(event, context):
    """The tenant and the counter."""
    return {
        "tenant": context.tenant_id,
        "counter": state.COUNTER["n"],
        "memory": state.SECRET_IN_MEMORY,
        "tmp": sorted(os.listdir(os.environ.get("TMPDIR", "/tmp"))),
    }
