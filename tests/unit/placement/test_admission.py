"""Checks before placement, in AWS's order and words."""

import pytest

from tenantry.model.errors import ServiceError
from tenantry.model.function import AliasTarget, FunctionEntry, FunctionVersion, PolicyStatement
from tenantry.model.invocation import EVENT_BYTES_MAX, REQUEST_BYTES_MAX, InvokeRequest
from tenantry.placement import admission
from tenantry.placement.functions import Functions

REGION, ACCOUNT = "us-east-1", "123456789012"


def version(number="$LATEST", tenancy=True):
    return FunctionVersion(ACCOUNT, REGION, "f", number, "r", "python3.11", "a.h", "role", "code", tenancy=tenancy)


def directory(**changes):
    functions = Functions(ACCOUNT)
    functions.put(FunctionEntry(ACCOUNT, REGION, "f", {"$LATEST": version(), "1": version("1")}, **changes))
    functions.put(FunctionEntry(ACCOUNT, REGION, "plain", {"$LATEST": version(tenancy=False)}))
    return functions


def admit(functions, **request):
    wanted = InvokeRequest(
        **{"region": REGION, "function": "f", "request_id": "r", "tenant_id": "Blue", "payload": b"{}", **request}
    )
    entry, function, arn = admission.resolve(functions, wanted)
    admission.check(entry, function, wanted)
    return function.version, arn


REFUSED = [
    pytest.param(
        {"function": "nope"},
        404,
        "ResourceNotFoundException",
        f"Function not found: arn:aws:lambda:{REGION}:{ACCOUNT}:function:nope",
        id="unknown function",
    ),
    pytest.param({"region": "eu-west-1"}, 404, "ResourceNotFoundException", "eu-west-1", id="other region"),
    pytest.param({"qualifier": "42"}, 404, "ResourceNotFoundException", "function:f:42", id="unknown version"),
    pytest.param(
        {"tenant_id": None}, 400, "InvalidParameterValueException", "is enabled with tenancy configuration", id="no tenant"
    ),
    pytest.param(
        {"tenant_id": ""}, 400, "InvalidParameterValueException", "is enabled with tenancy configuration", id="empty tenant"
    ),
    pytest.param(
        {"function": "plain"},
        400,
        "InvalidParameterValueException",
        "is not enabled with tenancy configuration",
        id="tenant unwanted",
    ),
    pytest.param(
        {"tenant_id": "a" * 257}, 400, "ValidationException", "length less than or equal to 256", id="tenant too long"
    ),
    pytest.param({"tenant_id": "bad!id"}, 400, "ValidationException", "'bad!id' at 'tenantId'", id="tenant pattern"),
    pytest.param({"tenant_id": "Bl\u00fce"}, 400, "ValidationException", "regular expression pattern", id="tenant not ASCII"),
    pytest.param(
        {"tenant_id": "a\nb"}, 400, "ValidationException", "regular expression pattern", id="tenant line break inside"
    ),
    pytest.param(
        {"tenant_id": "Blue\n"}, 400, "ValidationException", "regular expression pattern", id="tenant line break at the end"
    ),
    pytest.param({"tenant_id": "Blue\x00"}, 400, "ValidationException", "regular expression pattern", id="tenant NUL"),
    pytest.param({"tenant_id": "\u0391lpha"}, 400, "ValidationException", "regular expression pattern", id="tenant look-alike"),
    pytest.param(
        {"payload": b"{nope"}, 400, "InvalidRequestContentException", "Could not parse request body into json", id="payload"
    ),
    pytest.param({"payload": b"\xff"}, 400, "InvalidRequestContentException", "Could not parse", id="payload not UTF-8"),
    pytest.param(
        {"payload": b'"' + b"a" * REQUEST_BYTES_MAX + b'"'}, 413, "RequestTooLargeException", "6291456", id="too large"
    ),
    pytest.param(
        {"payload": b'"' + b"a" * EVENT_BYTES_MAX + b'"', "invocation_type": "Event"},
        413,
        "RequestTooLargeException",
        "1048576",
        id="event too large",
    ),
    pytest.param(
        {"source_service": "apigateway.amazonaws.com", "source_arn": "x"},
        403,
        "AccessDeniedException",
        "not authorized to perform: lambda:InvokeFunction",
        id="no permission",
    ),
]


@pytest.mark.parametrize(("request_", "status", "code", "text"), REFUSED)
def test_refused(request_, status, code, text):
    with pytest.raises(ServiceError) as refused:
        admit(directory(), **request_)
    assert (refused.value.status, refused.value.code) == (status, code)
    assert text in refused.value.message


@pytest.mark.parametrize("tenant", ["a", "a" * 256, "A b_c.d:e/f=g+h-i@j", " ", "0"])
def test_every_allowed_tenant_id_passes(tenant):
    assert admit(directory(), tenant_id=tenant)[0] == "$LATEST"


def test_permission_is_asked_before_anything_about_the_tenant():
    with pytest.raises(ServiceError, match="not authorized"):
        admit(directory(), source_service="apigateway.amazonaws.com", source_arn="x", tenant_id="!")


def test_zero_reserved_concurrency_throttles_before_the_payload_is_looked_at():
    with pytest.raises(ServiceError) as refused:
        admit(directory(reserved=0), payload=b"{nope")
    assert refused.value.status == 429
    assert refused.value.members["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"


def test_function_that_is_not_ready_is_a_conflict():
    with pytest.raises(ServiceError, match="following state: Pending") as refused:
        admit(directory(state="Pending"))
    assert refused.value.status == 409


API = f"arn:aws:execute-api:{REGION}:{ACCOUNT}:api1/dev/GET/isolated"


@pytest.mark.parametrize(
    ("statement", "allowed"),
    [
        ({"source_arn": API}, True),
        ({"source_arn": f"arn:aws:execute-api:{REGION}:{ACCOUNT}:api1/*/GET/isolated"}, True),
        ({"source_arn": f"arn:aws:execute-api:{REGION}:{ACCOUNT}:api2/*"}, False),
        ({"source_arn": f"arn:aws:execute-api:{REGION}:{ACCOUNT}:api[1]/*"}, False),
        ({}, True),
        ({"source_account": ACCOUNT}, True),
        ({"source_account": "999999999999"}, False),
        ({"action": "lambda:GetFunction"}, False),
        ({"principal_service": "s3.amazonaws.com"}, False),
    ],
)
def test_resource_policy(statement, allowed):
    row = PolicyStatement(**{"sid": "s", "principal_service": "apigateway.amazonaws.com", **statement})
    functions = directory(policies={"": (row,)})
    call = {"source_service": "apigateway.amazonaws.com", "source_arn": API}
    if allowed:
        assert admit(functions, **call)[0] == "$LATEST"
    else:
        with pytest.raises(ServiceError, match="AccessDenied"):
            admit(functions, **call)


def test_permission_on_the_function_does_not_reach_an_alias():
    row = PolicyStatement(sid="s", principal_service="apigateway.amazonaws.com")
    functions = directory(policies={"": (row,)}, aliases={"live": AliasTarget("1")})
    with pytest.raises(ServiceError, match="f:live"):
        admit(functions, qualifier="live", source_service="apigateway.amazonaws.com")


def test_alias_resolves_to_its_version_and_keeps_its_name_in_the_arn():
    functions = directory(aliases={"live": AliasTarget("1"), "split": AliasTarget("1", {"$LATEST": 1.0})})
    assert admit(functions, qualifier="live") == ("1", f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f:live")
    assert admit(functions, qualifier="split")[0] == "$LATEST"
