"""A function that does what its event says, so that one handler serves every check."""

import os
import sys
import time
from pathlib import Path

counter = 0
loaded_environment = dict(os.environ)


def lambda_handler(event, context):
    """`do` names the act; the answer says what the function saw of itself."""
    global counter
    counter += 1
    done = ACTS[event.get("do", "nothing")](event)
    return {
        "counter": counter,
        "tenant": context.tenant_id,
        "stream": context.log_stream_name,
        "version": context.function_version,
        "arn": context.invoked_function_arn,
        "request": context.aws_request_id,
        "done": done,
    }


def sleep(event):
    time.sleep(event["seconds"])


def write(event):
    Path("/tmp/note").write_text(event["text"])


def read(event):
    note = Path("/tmp/note")
    return note.read_text() if note.exists() else None


def say(event):
    print(event["text"])


def big(event):
    return "x" * event["bytes"]


def die(event):
    os._exit(event["status"])


def fail(event):
    raise ValueError(event["text"])


def stop(event):
    sys.exit(0)


ACTS = {
    "nothing": lambda event: None,
    "echo": lambda event: event,
    "sleep": sleep,
    "write": write,
    "read": read,
    "say": say,
    "big": big,
    "die": die,
    "fail": fail,
    "stop": stop,
    "unserialisable": lambda event: {1, 2},
    "environment": lambda event: [loaded_environment, dict(os.environ)],
}


def proxy(event, context):
    """For an API: answers with the event and the tenant, or with what a query parameter says."""
    import json

    query = event.get("queryStringParameters") or {}
    if "raw" in query:
        return json.loads(query["raw"])
    if "sleep" in query:
        time.sleep(float(query["sleep"]))
    if "fail" in query:
        raise ValueError(query["fail"])
    return {"statusCode": 200, "body": json.dumps({"tenant": context.tenant_id, "event": event})}
