"""Numbered checks of aws-behaviour 8, Lambda's part (18 to 52), over the wire. `checks.toml` says which number is where."""

from __future__ import annotations

import base64
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError, ParamValidationError
from tests.conformance.conftest import PER_TENANT, Function, Workshop
from tests.support.aws import Aws, eventually, zip_of

pytestmark = [pytest.mark.client]

ENABLED = "The invoked function is enabled with tenancy configuration. Add a valid tenant ID in your request and try again."
DISABLED = (
    "The invoked function is not enabled with tenancy configuration. Remove the tenant ID from your request and try again."
)


def refusal(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, int, str]:
    """Code, status and message of a refused call."""
    response = error.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Message"]


# ---- configuration --------------------------------------------------------------------------------------------------


def test_tenancy_shows_on_the_isolated_function_only(aws: Aws, isolated: Function, plain: Function) -> None:
    client = aws.client("lambda")
    assert client.get_function_configuration(FunctionName=isolated.name)["TenancyConfig"] == PER_TENANT
    assert "TenancyConfig" not in client.get_function_configuration(FunctionName=plain.name)
    listed = {function["FunctionName"]: function for function in client.list_functions()["Functions"]}
    assert listed[isolated.name]["TenancyConfig"] == PER_TENANT
    assert "TenancyConfig" not in listed[plain.name]


def test_created_function_is_pending_then_active(aws: Aws, role: str) -> None:
    client = aws.client("lambda")
    name = f"check-{uuid4().hex[:8]}"
    made = client.create_function(
        FunctionName=name,
        Runtime="python3.14",
        Handler="probe.h",
        Role=role,
        Code={"ZipFile": zip_of({"probe.py": "h = None"})},
    )
    try:
        assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
        assert (made["State"], made["StateReasonCode"]) == ("Pending", "Creating")
        function = eventually(
            lambda: client.get_function(FunctionName=name)["Configuration"],
            lambda configuration: configuration["State"] == "Active",
            5,
        )
        assert function["LastUpdateStatus"] == "Successful"
    finally:
        client.delete_function(FunctionName=name)


COMBINATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "function url": ("create_function_url_config", {"AuthType": "NONE"}),
    "provisioned concurrency": ("put_provisioned_concurrency_config", {"Qualifier": "1", "ProvisionedConcurrentExecutions": 1}),
    "snapstart": ("update_function_configuration", {"SnapStart": {"ApplyOn": "PublishedVersions"}}),
    "event source": ("create_event_source_mapping", {"EventSourceArn": "arn:aws:sqs:us-east-1:000000000000:queue"}),
}


@pytest.mark.parametrize("what", COMBINATIONS)
def test_what_isolation_cannot_be_combined_with_is_refused(aws: Aws, isolated: Function, what: str) -> None:
    operation, parameters = COMBINATIONS[what]
    client = aws.client("lambda")
    if what == "provisioned concurrency":
        parameters = {**parameters, "Qualifier": client.publish_version(FunctionName=isolated.name)["Version"]}
    with pytest.raises(ClientError) as error:
        getattr(client, operation)(FunctionName=isolated.name, **parameters)
    code, status, message = refusal(error)
    assert (code, status) == ("InvalidParameterValueException", 400)
    if what == "function url":
        assert message == "Function URL is not supported for functions enabled with tenancy configuration"


def test_mode_cannot_be_changed_by_an_update(aws: Aws, isolated: Function, plain: Function) -> None:
    for function, mode in ((isolated, PER_TENANT), (plain, None)):
        body = json.dumps({"Description": "x", "TenancyConfig": PER_TENANT if mode is None else None}).encode()
        path = f"/2015-03-31/functions/{function.name}/configuration"
        aws.raw("lambda", "PUT", path, headers={"Content-Type": "application/json"}, body=body)
        assert aws.client("lambda").get_function_configuration(FunctionName=function.name).get("TenancyConfig") == mode


def test_published_version_has_environments_of_its_own(aws: Aws, workshop: Workshop) -> None:
    function = workshop.function()
    latest = function.ask("Blue")
    version = aws.client("lambda").publish_version(FunctionName=function.name)["Version"]
    answer = function.invoke("Blue", Qualifier=version)
    body = json.loads(answer["Payload"])
    assert (answer["ExecutedVersion"], body["version"], body["counter"]) == ("1", "1", 1)
    assert body["stream"] != latest["stream"]


# ---- invoke and tenancy ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["RequestResponse", "Event", "DryRun"])
def test_isolated_function_needs_a_tenant(isolated: Function, kind: str) -> None:
    with pytest.raises(ClientError) as error:
        isolated.invoke(InvocationType=kind)
    assert refusal(error) == ("InvalidParameterValueException", 400, ENABLED)


@pytest.mark.parametrize("kind", ["RequestResponse", "Event"])
def test_plain_function_takes_no_tenant(plain: Function, kind: str) -> None:
    with pytest.raises(ClientError) as error:
        plain.invoke("Blue", InvocationType=kind)
    assert refusal(error) == ("InvalidParameterValueException", 400, DISABLED)


def test_plain_function_sees_no_tenant(plain: Function) -> None:
    assert plain.ask()["tenant"] is None


def test_every_tenant_counts_alone(workshop: Workshop) -> None:
    function = workshop.function()
    order = ["Blue", "Blue", "Blue", "Green", "Blue", "blue"]
    assert [function.ask(tenant)["counter"] for tenant in order] == [1, 2, 3, 1, 4, 1]


def test_parallel_requests_of_one_tenant_get_two_environments_and_then_reuse_them(workshop: Workshop) -> None:
    function = workshop.function()
    with ThreadPoolExecutor(2) as threads:
        both = list(threads.map(lambda _: function.ask("Blue", do="sleep", seconds=1), range(2)))
    streams = {answer["stream"] for answer in both}
    assert len(streams) == 2
    assert {answer["tenant"] for answer in both} == {"Blue"}
    assert {function.ask("Blue")["stream"] for _ in range(4)} <= streams
    assert function.ask("Green")["stream"] not in streams


def test_tmp_belongs_to_the_tenant(workshop: Workshop) -> None:
    function = workshop.function()
    function.ask("Blue", do="write", text="of Blue")
    assert function.ask("Green", do="read")["done"] is None
    assert function.ask("Blue", do="read")["done"] == "of Blue"


def test_idle_environment_is_never_lent_even_at_the_limit(aws: Aws, workshop: Workshop) -> None:
    function = workshop.function()
    aws.client("lambda").put_function_concurrency(FunctionName=function.name, ReservedConcurrentExecutions=1)
    blue = function.ask("Blue")
    try:
        green = function.ask("Green")
    except aws.client("lambda").exceptions.TooManyRequestsException:
        return  # refused by the rule: Blue's idle environment counts, and is Blue's
    assert green["stream"] != blue["stream"]
    assert green["counter"] == 1


@pytest.mark.parametrize("tenant", ["a", "a" * 256, "Az09._:/=+-@ x" + "y" * 242, "Blue Tenant@1"])
def test_valid_ids_arrive_exactly(isolated: Function, tenant: str) -> None:
    assert isolated.ask(tenant)["tenant"] == tenant


@pytest.mark.parametrize("tenant", ["a" * 257, "bad!id", "tab\tid", "a,b"])
def test_invalid_ids_are_refused(isolated: Function, tenant: str) -> None:
    with pytest.raises(ClientError) as error:
        isolated.invoke(tenant)
    code, status, message = refusal(error)
    assert (code, status) == ("ValidationException", 400)
    assert message.startswith("1 validation error detected: Value")
    assert "at 'tenantId' failed to satisfy constraint" in message


def test_id_outside_ascii_is_refused(aws: Aws, isolated: Function) -> None:
    path = f"/2015-03-31/functions/{isolated.name}/invocations"
    reply = aws.raw("lambda", "POST", path, headers={"X-Amz-Tenant-Id": "bl\u00fc"}, body=b"{}")
    assert reply.status in {400, 403}
    assert isolated.ask("Other")["tenant"] == "Other"


def test_empty_id_is_refused_by_the_client_and_counts_as_missing_on_the_wire(aws: Aws, isolated: Function) -> None:
    with pytest.raises(ParamValidationError):
        isolated.invoke("")
    path = f"/2015-03-31/functions/{isolated.name}/invocations"
    reply = aws.raw("lambda", "POST", path, headers={"X-Amz-Tenant-Id": ""}, body=b"{}")
    assert (reply.status, reply.error_code) == (400, "InvalidParameterValueException")
    assert reply.json["message"] == ENABLED


def test_event_runs_in_the_tenants_environment(workshop: Workshop) -> None:
    function = workshop.function()
    first = function.ask("Blue")
    accepted = function.invoke("Blue", InvocationType="Event", event={"do": "write", "text": "by the event"})
    assert (accepted["StatusCode"], accepted["Payload"]) == (202, b"")
    time.sleep(1)  # asking meanwhile would find the environment busy, and the event would get another one of the tenant's
    done = eventually(lambda: function.ask("Blue", do="read"), lambda answer: answer["done"] is not None)
    assert done["done"] == "by the event"
    assert done["stream"] == first["stream"]


def test_dry_run_runs_nothing(workshop: Workshop) -> None:
    function = workshop.function()
    answer = function.invoke("Blue", InvocationType="DryRun")
    assert (answer["StatusCode"], answer["Payload"]) == (204, b"")
    assert function.ask("Blue")["counter"] == 1


def test_streamed_answer_keeps_to_the_tenants_environment(aws: Aws, workshop: Workshop) -> None:
    function = workshop.function()
    first = function.ask("Blue")
    answer = aws.client("lambda").invoke_with_response_stream(FunctionName=function.name, TenantId="Blue", Payload=b"{}")
    events = list(answer["EventStream"])
    assert [next(iter(event)) for event in events] == ["PayloadChunk"] * (len(events) - 1) + ["InvokeComplete"]
    body = json.loads(b"".join(event["PayloadChunk"]["Payload"] for event in events[:-1]))
    assert (body["counter"], body["stream"]) == (2, first["stream"])
    with pytest.raises(ClientError) as error:
        aws.client("lambda").invoke_with_response_stream(FunctionName=function.name)
    assert refusal(error) == ("InvalidParameterValueException", 400, ENABLED)


def test_unknown_function_is_not_found(aws: Aws) -> None:
    with pytest.raises(ClientError) as error:
        aws.client("lambda").invoke(FunctionName="nobody")
    arn = f"arn:aws:lambda:{aws.region}:000000000000:function:nobody"
    assert refusal(error) == ("ResourceNotFoundException", 404, f"Function not found: {arn}")


def test_tail_holds_the_end_of_the_log(isolated: Function) -> None:
    answer = isolated.invoke("Tail", event={"do": "say", "text": "a line of mine"}, LogType="Tail")
    tail = base64.b64decode(answer["LogResult"]).decode()
    assert len(tail.encode()) <= 4096
    request = answer["ResponseMetadata"]["RequestId"]
    lines = tail.splitlines()
    assert lines[0] == f"START RequestId: {request} Version: $LATEST"
    assert lines[1] == "a line of mine"
    assert lines[2] == f"END RequestId: {request}"
    assert lines[3].startswith(f"REPORT RequestId: {request}\tDuration: ")


def test_long_tail_is_cut_to_4_kb(isolated: Function) -> None:
    answer = isolated.invoke("Tail", event={"do": "say", "text": "x" * 9000}, LogType="Tail")
    tail = base64.b64decode(answer["LogResult"])
    assert len(tail) <= 4096
    assert b"REPORT RequestId" in tail


def test_too_many_tenants_for_the_concurrency_are_throttled(aws: Aws, workshop: Workshop) -> None:
    function = workshop.function()
    aws.client("lambda").put_function_concurrency(FunctionName=function.name, ReservedConcurrentExecutions=2)
    served = 0
    with pytest.raises(ClientError) as error:
        for number in range(12):
            function.ask(f"Tenant{number}")
            served += 1
    assert refusal(error)[:2] == ("TooManyRequestsException", 429)
    assert served == 5, "2.5 times the reserved concurrency"


def test_reserved_concurrency_zero_throttles_everything(aws: Aws, workshop: Workshop) -> None:
    function = workshop.function()
    aws.client("lambda").put_function_concurrency(FunctionName=function.name, ReservedConcurrentExecutions=0)
    with pytest.raises(ClientError) as error:
        function.ask("Blue")
    assert refusal(error)[:2] == ("TooManyRequestsException", 429)
    assert error.value.response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"


# ---- failures -------------------------------------------------------------------------------------------------------


def failed(answer: dict[str, Any]) -> dict[str, Any]:
    """The error document of an invocation whose function failed."""
    assert (answer["StatusCode"], answer.get("FunctionError")) == (200, "Unhandled"), answer
    return dict(json.loads(answer["Payload"]))


def test_timeout_resets_the_environment_and_keeps_its_tmp(workshop: Workshop) -> None:
    function = workshop.function(Timeout=1)
    before = function.ask("Blue", do="write", text="kept")
    answer = function.invoke("Blue", event={"do": "sleep", "seconds": 20})
    error = failed(answer)
    assert error["errorType"] == "Sandbox.Timedout"
    request = answer["ResponseMetadata"]["RequestId"]
    assert error["errorMessage"] == f"RequestId: {request} Error: Task timed out after 1.00 seconds"
    after = function.ask("Blue", do="read")
    assert (after["counter"], after["done"], after["stream"]) == (1, "kept", before["stream"])


def test_exit_disturbs_nobody_else(workshop: Workshop) -> None:
    function = workshop.function()
    function.ask("Green")
    answer = function.invoke("Blue", event={"do": "die", "status": 0})
    error = failed(answer)
    request = answer["ResponseMetadata"]["RequestId"]
    assert error == {
        "errorType": "Runtime.ExitError",
        "errorMessage": f"RequestId: {request} Error: Runtime exited without providing a reason",
    }
    assert function.ask("Green")["counter"] == 2
    assert function.ask("Blue")["counter"] == 1


def test_exit_status_is_told(isolated: Function) -> None:
    error = failed(isolated.invoke("Exit", event={"do": "die", "status": 127}))
    assert error["errorMessage"].endswith("Error: Runtime exited with error: exit status 127")


def test_exception_of_the_handler(isolated: Function) -> None:
    answer = isolated.invoke("Raise", event={"do": "fail", "text": "no luck"})
    error = failed(answer)
    assert (error["errorMessage"], error["errorType"]) == ("no luck", "ValueError")
    assert error["requestId"] == answer["ResponseMetadata"]["RequestId"]
    assert any("/var/task/probe.py" in line for line in error["stackTrace"])


def test_result_that_is_no_json(isolated: Function) -> None:
    error = failed(isolated.invoke("Set", event={"do": "unserialisable"}))
    assert error["errorType"] == "Runtime.MarshalError"
    assert "Object of type set is not JSON serializable" in error["errorMessage"]


@pytest.mark.parametrize(
    ("code", "handler", "kind", "message"),
    [
        ("", "absent.handler", "Runtime.ImportModuleError", "Unable to import module 'absent': No module named 'absent'"),
        (
            "import nowhere",
            "probe.handler",
            "Runtime.ImportModuleError",
            "Unable to import module 'probe': No module named 'nowhere'",
        ),
        ("", "probe.absent", "Runtime.HandlerNotFound", "Handler 'absent' missing on module 'probe'"),
        ("def (", "probe.handler", "Runtime.UserCodeSyntaxError", "Syntax error in module 'probe'"),
        ("", "probe", "Runtime.MalformedHandlerName", "Bad handler 'probe'"),
    ],
)
def test_code_that_cannot_be_loaded(workshop: Workshop, code: str, handler: str, kind: str, message: str) -> None:
    function = workshop.function(code=code or "x = 1", handler=handler)
    error = failed(function.invoke("Blue"))
    assert error["errorType"] == kind
    assert message in error["errorMessage"]
    assert error["requestId"] == ""


def test_payload_that_is_no_json(aws: Aws, isolated: Function) -> None:
    with pytest.raises(ClientError) as error:
        aws.client("lambda").invoke(FunctionName=isolated.name, TenantId="Blue", Payload=b"{not json")
    code, status, message = refusal(error)
    assert (code, status) == ("InvalidRequestContentException", 400)
    assert message.startswith("Could not parse request body into json")


@pytest.mark.parametrize(("kind", "limit"), [("RequestResponse", 6 * 1024 * 1024), ("Event", 1024 * 1024)])
def test_payload_over_its_limit(aws: Aws, isolated: Function, kind: str, limit: int) -> None:
    payload = b'"' + b"x" * (limit + 200) + b'"'
    with pytest.raises(ClientError) as error:
        aws.client("lambda").invoke(FunctionName=isolated.name, TenantId="Blue", Payload=payload, InvocationType=kind)
    assert refusal(error)[:2] == ("RequestTooLargeException", 413)


def test_response_over_its_limit(isolated: Function) -> None:
    error = failed(isolated.invoke("Big", event={"do": "big", "bytes": 6 * 1024 * 1024 + 200}))
    assert error["errorType"] == "Function.ResponseSizeTooLarge"
    assert error["errorMessage"] == "Response payload size exceeded maximum allowed payload size (6291556 bytes)."


def test_changed_variable_retires_every_environment(workshop: Workshop) -> None:
    function = workshop.function()
    assert [function.ask("Blue")["counter"] for _ in range(2)] == [1, 2]
    function.update(Environment={"Variables": {"NEW": "value"}})
    answer = function.ask("Blue", do="environment")
    assert answer["counter"] == 1
    assert answer["done"][1]["NEW"] == "value"


def test_no_variable_names_the_tenant(isolated: Function) -> None:
    at_load, at_call = isolated.ask("SecretTenant", do="environment")["done"]
    assert "SecretTenant" not in json.dumps([at_load, at_call])
    assert at_call["AWS_LAMBDA_FUNCTION_NAME"] == isolated.name
    assert at_call["AWS_EXECUTION_ENV"] == "AWS_Lambda_python3.14"
    assert at_call["TZ"] == ":UTC"
    assert not [name for name in at_call if name.startswith(("TENANTRY_", "VIRTUAL_ENV"))], "nothing of the host's environment"
