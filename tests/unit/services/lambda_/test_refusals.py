"""Refused inputs: each with AWS's error, and nothing left behind."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from tests.unit.services.lambda_.conftest import ACCOUNT, CODE, PER_TENANT, ROLE, House, arn_of, zip_of

from tenantry.model.errors import ServiceError

INVALID, MISSING = ("InvalidParameterValueException", 400), ("ResourceNotFoundException", 404)
CONFLICT, STALE = ("ResourceConflictException", 409), ("PreconditionFailedException", 412)
VALIDATION, DENIED = ("ValidationException", 400), ("AccessDeniedException", 403)
NOT_UNZIPPED = "Could not unzip uploaded file. Please check your file, then try to upload again."
LAYER = f"arn:aws:lambda:us-east-1:{ACCOUNT}:layer"
FRESH: dict[str, Any] = {
    "FunctionName": "new",
    "Runtime": "python3.11",
    "Handler": "index.handler",
    "Role": ROLE,
    "Code": {"ZipFile": CODE},
}


def create(**changes: Any) -> dict[str, Any]:
    return {name: value for name, value in {**FRESH, **changes}.items() if value is not None}


def of_f(**params: Any) -> dict[str, Any]:
    return {"FunctionName": "f", **params}


# says: (operation, parameters, (code, status), a part of the message)
CASES: dict[str, tuple[str, dict[str, Any], tuple[str, int], str]] = {
    # create: names
    "a name over 64": (
        "CreateFunction",
        create(FunctionName="n" * 65),
        INVALID,
        f"Value '{'n' * 65}' at 'functionName' failed to satisfy constraint: Member must have length less than or equal to 64",
    ),
    "a name with a slash": ("CreateFunction", create(FunctionName="a/b"), VALIDATION, "'functionName'"),
    "a name that is taken": ("CreateFunction", create(FunctionName="f"), CONFLICT, "Function already exist: f"),
    "a name with a version": ("CreateFunction", create(FunctionName="new:1"), INVALID, "permitted on Lambda functions only"),
    "a name of another region": (
        "CreateFunction",
        create(FunctionName=f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:new"),
        MISSING,
        "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')",
    ),
    "a name of another account": (
        "CreateFunction",
        create(FunctionName="arn:aws:lambda:us-east-1:111111111111:function:new"),
        DENIED,
        "is not authorized to perform: lambda:CreateFunction on resource",
    ),
    # create: role, runtime, handler
    "a role that is none": (
        "CreateFunction",
        create(Role="r1"),
        VALIDATION,
        "1 validation error detected: Value 'r1' at 'role' failed to satisfy constraint: Member must satisfy regular",
    ),
    "a role that is not there": (
        "CreateFunction",
        create(Role=f"arn:aws:iam::{ACCOUNT}:role/nobody"),
        INVALID,
        "The role defined for the function cannot be assumed by Lambda.",
    ),
    "a role by another path": (
        "CreateFunction",
        create(Role=f"arn:aws:iam::{ACCOUNT}:role/runs-lambda"),
        INVALID,
        "cannot be assumed by Lambda",
    ),
    "a role that trusts others": (
        "CreateFunction",
        create(Role=f"arn:aws:iam::{ACCOUNT}:role/runs-ec2"),
        INVALID,
        "cannot be assumed by Lambda",
    ),
    "a role of another account": ("CreateFunction", create(Role="arn:aws:iam::111111111111:role/r"), DENIED, "Cross-account"),
    "a runtime of another language": (
        "CreateFunction",
        create(Runtime="nodejs22.x"),
        INVALID,
        "tenantry runs Python runtimes only (python3.9 to python3.15); it does not offer nodejs22.x.",
    ),
    "a retired runtime": ("CreateFunction", create(Runtime="python3.7"), INVALID, "is no longer supported for creating"),
    "no runtime": ("CreateFunction", create(Runtime=None), INVALID, "Runtime and Handler are mandatory parameters"),
    "no handler": ("CreateFunction", create(Handler=None), INVALID, "Runtime and Handler are mandatory parameters"),
    # create: configuration
    "a timeout over 900": (
        "CreateFunction",
        create(Timeout=901),
        VALIDATION,
        "Value '901' at 'timeout' failed to satisfy constraint: Member must have value less than or equal to 900",
    ),
    "no timeout at all": ("CreateFunction", create(Timeout=0), VALIDATION, "greater than or equal to 1"),
    "memory over 10240": ("CreateFunction", create(MemorySize=10241), VALIDATION, "'memorySize'"),
    "memory under 128": ("CreateFunction", create(MemorySize=127), VALIDATION, "greater than or equal to 128"),
    "little storage": ("CreateFunction", create(EphemeralStorage={"Size": 511}), VALIDATION, "512"),
    "a long description": ("CreateFunction", create(Description="d" * 257), VALIDATION, "256"),
    "a reserved variable": (
        "CreateFunction",
        create(Environment={"Variables": {"AWS_REGION": "x", "_HANDLER": "y"}}),
        # the pattern of a key refuses the underscore first, as on AWS
        VALIDATION,
        "environment",
    ),
    "reserved variables": (
        "CreateFunction",
        create(Environment={"Variables": {"AWS_REGION": "x", "AWS_LAMBDA_RUNTIME_API": "y", "FINE": "z"}}),
        INVALID,
        "Reserved keys used in this request: AWS_LAMBDA_RUNTIME_API, AWS_REGION",
    ),
    "variables over 4 KB": (
        "CreateFunction",
        create(Environment={"Variables": {"BIG": "x" * 4087}}),
        INVALID,
        'exceeded the 4KB limit. String measured: {"BIG":"xxx',
    ),
    "levels in text": (
        "CreateFunction",
        create(LoggingConfig={"LogFormat": "Text", "SystemLogLevel": "DEBUG"}),
        INVALID,
        "LogFormat is JSON",
    ),
    "a dead letter to nowhere": (
        "CreateFunction",
        create(DeadLetterConfig={"TargetArn": "arn:aws:s3:::bucket"}),
        INVALID,
        "must be an SQS queue or an SNS topic",
    ),
    "a mode of tenancy there is not": (
        "CreateFunction",
        create(TenancyConfig={"TenantIsolationMode": "X"}),
        VALIDATION,
        "Member must satisfy enum value set: [PER_TENANT]",
    ),
    "isolation with SnapStart": (
        "CreateFunction",
        create(TenancyConfig=PER_TENANT, SnapStart={"ApplyOn": "PublishedVersions"}),
        INVALID,
        "SnapStart is not supported for functions enabled with tenancy configuration",
    ),
    "SnapStart": ("CreateFunction", create(SnapStart={"ApplyOn": "PublishedVersions"}), INVALID, "not offer SnapStart"),
    "an image": ("CreateFunction", create(PackageType="Image"), INVALID, "tenantry does not offer container images"),
    "an image's address": ("CreateFunction", create(Code={"ImageUri": "x"}), INVALID, "does not offer container images"),
    "a file system": (
        "CreateFunction",
        create(
            FileSystemConfigs=[
                {
                    "Arn": f"arn:aws:elasticfilesystem:us-east-1:{ACCOUNT}:access-point/fsap-12345678901234567",
                    "LocalMountPath": "/mnt/x",
                }
            ]
        ),
        INVALID,
        "tenantry does not offer file systems",
    ),
    # create: tags
    "51 tags": ("CreateFunction", create(Tags={f"t{n}": "" for n in range(51)}), INVALID, "exceeds resource tag limit"),
    "a long tag": ("CreateFunction", create(Tags={"t": "v" * 257}), VALIDATION, "or equal to 256"),
    "an INIT mode there is not": ("CreateFunction", create(Tags={"tenantry:init-mode": "thaw"}), INVALID, "fork, snapshot"),
    "an own tag there is not": ("CreateFunction", create(Tags={"tenantry:init_mode": "fork"}), INVALID, "tenantry knows"),
    "egress without a port": ("CreateFunction", create(Tags={"tenantry:egress": "example.org"}), INVALID, "host:port"),
    "egress to port 0": ("CreateFunction", create(Tags={"tenantry:egress": "a:80 b:0"}), INVALID, "host:port"),
    "101 parked": ("CreateFunction", create(Tags={"tenantry:parked": "101"}), INVALID, "from 0 to 100"),
    "minus one parked": ("CreateFunction", create(Tags={"tenantry:parked": "-1"}), INVALID, "from 0 to 100"),
    # create: layers
    "a layer that is not there": (
        "CreateFunction",
        create(Layers=[f"{LAYER}:absent:1"]),
        INVALID,
        f"Layer version {LAYER}:absent:1 does not exist.",
    ),
    "six layers": ("CreateFunction", create(Layers=[f"{LAYER}:l{n}:1" for n in range(6)]), INVALID, "more than 5 layers"),
    "a layer twice": (
        "CreateFunction",
        create(Layers=[f"{LAYER}:l:1", f"{LAYER}:l:2"]),
        INVALID,
        f"in the same function. {LAYER}:l:1 and {LAYER}:l:2",
    ),
    "a layer elsewhere": (
        "CreateFunction",
        create(Layers=[f"arn:aws:lambda:eu-west-1:{ACCOUNT}:layer:l:1"]),
        INVALID,
        "Layers are expected to be in region us-east-1.",
    ),
    "a layer of others": (
        "CreateFunction",
        create(Layers=["arn:aws:lambda:us-east-1:111111111111:layer:l:1"]),
        DENIED,
        "lambda:GetLayerVersion",
    ),
    # code
    "no code": ("CreateFunction", create(Code={}), INVALID, "Please provide a source for function code."),
    "half a source": ("CreateFunction", create(Code={"S3Bucket": "bucket"}), INVALID, "Please provide a source"),
    "two sources": (
        "CreateFunction",
        create(Code={"ZipFile": CODE, "S3Bucket": "bucket", "S3Key": "code.zip"}),
        INVALID,
        "Please do not provide other FunctionCode parameters when providing a ZipFile.",
    ),
    "no zip": ("CreateFunction", create(Code={"ZipFile": b"no zip"}), INVALID, NOT_UNZIPPED),
    "nothing": ("CreateFunction", create(Code={"ZipFile": b""}), INVALID, "Uploaded file must be a non-empty zip"),
    "an empty zip": ("CreateFunction", create(Code={"ZipFile": zip_of({})}), INVALID, "non-empty zip"),
    "a climbing zip": ("UpdateFunctionCode", of_f(ZipFile=zip_of({"../a": "x"})), INVALID, NOT_UNZIPPED),
    "a bomb": (
        "UpdateFunctionCode",
        of_f(ZipFile=zip_of({"zeros": bytes(262_144_001)})),
        INVALID,
        "Unzipped size must be smaller than 262144000 bytes",
    ),
    "a zip over 50 MB": (
        "UpdateFunctionCode",
        of_f(ZipFile=bytes(52_428_801)),
        ("RequestEntityTooLargeException", 413),
        "52428800",
    ),
    "a bucket that is not there": (
        "CreateFunction",
        create(Code={"S3Bucket": "absent", "S3Key": "k"}),
        INVALID,
        "S3 Error Code: NoSuchBucket. S3 Error Message: The specified bucket does not exist",
    ),
    "a key that is not there": (
        "UpdateFunctionCode",
        of_f(S3Bucket="bucket", S3Key="absent"),
        INVALID,
        "Error occurred while GetObject. S3 Error Code: NoSuchKey. S3 Error Message: The specified key does not exist.",
    ),
    "a dry run of no zip": ("UpdateFunctionCode", of_f(ZipFile=b"no zip", DryRun=True), INVALID, NOT_UNZIPPED),
    # update and read
    "an update of nobody": ("UpdateFunctionConfiguration", {"FunctionName": "nobody"}, MISSING, arn_of("nobody")),
    "code for nobody": ("UpdateFunctionCode", {"FunctionName": "nobody", "ZipFile": CODE}, MISSING, arn_of("nobody")),
    "an update of a version": ("UpdateFunctionConfiguration", {"FunctionName": "f:1"}, INVALID, "Aliases and versions"),
    "a revision that has passed": (
        "UpdateFunctionCode",
        of_f(ZipFile=CODE, RevisionId="00000000-0000-0000-0000-000000000000"),
        STALE,
        "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API",
    ),
    "SnapStart for the isolated": (
        "UpdateFunctionConfiguration",
        {"FunctionName": "isolated", "SnapStart": {"ApplyOn": "PublishedVersions"}},
        INVALID,
        "SnapStart is not supported for functions enabled with tenancy configuration",
    ),
    "a runtime for an update": ("UpdateFunctionConfiguration", of_f(Runtime="ruby3.4"), INVALID, "Python runtimes only"),
    "reading nobody": ("GetFunction", {"FunctionName": "nobody"}, MISSING, f"Function not found: {arn_of('nobody')}"),
    "reading no version": ("GetFunction", of_f(Qualifier="42"), MISSING, f"Function not found: {arn_of('f')}:42"),
    "reading no alias": ("GetFunctionConfiguration", of_f(Qualifier="x"), MISSING, f"{arn_of('f')}:x"),
    "two qualifiers": (
        "GetFunction",
        {"FunctionName": "f:1", "Qualifier": "2"},
        INVALID,
        "The derived qualifier from the function name does not match the specified qualifier.",
    ),
    "a marker of one's own": ("ListFunctions", {"Marker": "%%%"}, INVALID, "marker"),
    # delete
    "deleting nobody": ("DeleteFunction", {"FunctionName": "nobody"}, MISSING, arn_of("nobody")),
    "deleting $LATEST": ("DeleteFunction", of_f(Qualifier="$LATEST"), INVALID, "$LATEST version cannot be deleted without"),
    "deleting an alias": ("DeleteFunction", of_f(Qualifier="live"), INVALID, "Deletion of aliases"),
    "deleting a version in use": ("DeleteFunction", of_f(Qualifier="1"), CONFLICT, "the alias live refers to it"),
    # versions and aliases
    "another package's sum": (
        "PublishVersion",
        of_f(CodeSha256="bm90"),
        INVALID,
        "CodeSHA256 (bm90) is different from current",
    ),
    "publishing an old revision": ("PublishVersion", of_f(RevisionId="old"), STALE, "latest Revision Id"),
    "publishing nobody": ("PublishVersion", {"FunctionName": "nobody"}, MISSING, arn_of("nobody")),
    "an alias that is taken": (
        "CreateAlias",
        of_f(Name="live", FunctionVersion="1"),
        CONFLICT,
        f"Alias already exists: {arn_of('f')}:live",
    ),
    "an alias of digits": ("CreateAlias", of_f(Name="12", FunctionVersion="1"), VALIDATION, "'name'"),
    "an alias of no version": ("CreateAlias", of_f(Name="a", FunctionVersion="9"), MISSING, f"{arn_of('f')}:9"),
    "a share of no version": (
        "CreateAlias",
        of_f(Name="a", FunctionVersion="1", RoutingConfig={"AdditionalVersionWeights": {"9": 0.1}}),
        MISSING,
        f"{arn_of('f')}:9",
    ),
    "a share of the same": (
        "CreateAlias",
        of_f(Name="a", FunctionVersion="1", RoutingConfig={"AdditionalVersionWeights": {"1": 0.1}}),
        INVALID,
        "Invalid function version 1.",
    ),
    "a share beside $LATEST": (
        "CreateAlias",
        of_f(Name="a", FunctionVersion="$LATEST", RoutingConfig={"AdditionalVersionWeights": {"1": 0.1}}),
        INVALID,
        "$LATEST is not supported",
    ),
    "a share over 1": (
        "CreateAlias",
        of_f(Name="a", FunctionVersion="1", RoutingConfig={"AdditionalVersionWeights": {"2": 1.1}}),
        VALIDATION,
        "",
    ),
    "three versions": (
        "UpdateAlias",
        of_f(Name="live", RoutingConfig={"AdditionalVersionWeights": {"2": 0.1, "3": 0.1}}),
        INVALID,
        "cannot be greater than 1",
    ),
    "an alias that is not there": ("GetAlias", of_f(Name="a"), MISSING, f"Cannot find alias arn: {arn_of('f')}:a"),
    "an update of no alias": ("UpdateAlias", of_f(Name="a", Description="x"), MISSING, "Alias not found"),
    "an old alias": ("UpdateAlias", of_f(Name="live", RevisionId="old"), STALE, "latest Revision Id"),
    # permissions
    "a statement that is taken": (
        "AddPermission",
        of_f(StatementId="taken", Action="lambda:InvokeFunction", Principal="*"),
        CONFLICT,
        "The statement id (taken) provided already exists.",
    ),
    "a principal that is none": (
        "AddPermission",
        of_f(StatementId="s", Action="lambda:InvokeFunction", Principal="me"),
        INVALID,
        "The provided principal was invalid.",
    ),
    "a policy for $LATEST": (
        "AddPermission",
        of_f(StatementId="s", Action="lambda:InvokeFunction", Principal="*", Qualifier="$LATEST"),
        INVALID,
        "We currently do not support adding policies for $LATEST.",
    ),
    "a policy for no alias": (
        "AddPermission",
        of_f(StatementId="s", Action="lambda:InvokeFunction", Principal="*", Qualifier="x"),
        MISSING,
        f"Cannot find alias arn: {arn_of('f')}:x",
    ),
    "an old policy": (
        "AddPermission",
        of_f(StatementId="s", Action="lambda:InvokeFunction", Principal="*", RevisionId="old"),
        STALE,
        "GetPolicy",
    ),
    "no policy": ("GetPolicy", {"FunctionName": "isolated"}, MISSING, "The resource you requested does not exist."),
    "a statement that is not there": (
        "RemovePermission",
        of_f(StatementId="x"),
        MISSING,
        "Statement x is not found in resource policy.",
    ),
    "a statement of no policy": (
        "RemovePermission",
        {"FunctionName": "isolated", "StatementId": "x"},
        MISSING,
        "No policy is associated with the given resource.",
    ),
    # settings
    "more concurrency than there is": (
        "PutFunctionConcurrency",
        of_f(ReservedConcurrentExecutions=901),
        INVALID,
        "UnreservedConcurrentExecution below its minimum value of [100].",
    ),
    "concurrency of a version": (
        "PutFunctionConcurrency",
        {"FunctionName": f"{arn_of('f')}:1", "ReservedConcurrentExecutions": 1},
        INVALID,
        "This operation is permitted on Lambda functions only. Aliases and versions do not support this operation.",
    ),
    "nothing about events": ("PutFunctionEventInvokeConfig", of_f(), INVALID, "at least one"),
    "too many retries": ("PutFunctionEventInvokeConfig", of_f(MaximumRetryAttempts=3), VALIDATION, "maximumRetryAttempts"),
    "a destination of no kind": (
        "PutFunctionEventInvokeConfig",
        of_f(DestinationConfig={"OnSuccess": {"Destination": "arn:aws:s3:::bucket"}}),
        INVALID,
        "OnSuccess",
    ),
    "no settings about events": (
        "GetFunctionEventInvokeConfig",
        of_f(),
        MISSING,
        f"The function {arn_of('f')}:$LATEST doesn't have an EventInvokeConfig",
    ),
    "tags of a version": ("TagResource", {"Resource": f"{arn_of('f')}:1", "Tags": {"a": "b"}}, INVALID, "not supported"),
    "tags of nobody": ("ListTags", {"Resource": arn_of("nobody")}, MISSING, arn_of("nobody")),
    # layers
    "a layer of no zip": ("PublishLayerVersion", {"LayerName": "l", "Content": {"ZipFile": b"x"}}, INVALID, NOT_UNZIPPED),
    "no layer": ("GetLayerVersion", {"LayerName": "l", "VersionNumber": 1}, MISSING, "does not exist"),
    # what there is not
    "a URL for the isolated": (
        "CreateFunctionUrlConfig",
        {"FunctionName": "isolated", "AuthType": "NONE"},
        INVALID,
        "Function URL is not supported for functions enabled with tenancy configuration",
    ),
    "a URL": ("CreateFunctionUrlConfig", of_f(AuthType="NONE"), INVALID, "tenantry does not offer function URLs."),
    "a URL that is not there": ("GetFunctionUrlConfig", of_f(), MISSING, "The resource you requested does not exist."),
    "provisioned for the isolated": (
        "PutProvisionedConcurrencyConfig",
        {"FunctionName": "isolated", "Qualifier": "1", "ProvisionedConcurrentExecutions": 1},
        INVALID,
        "Provisioned concurrency is not supported for functions enabled with tenancy configuration",
    ),
    "provisioned": (
        "PutProvisionedConcurrencyConfig",
        of_f(Qualifier="1", ProvisionedConcurrentExecutions=1),
        INVALID,
        "tenantry does not offer provisioned concurrency.",
    ),
    "a mapping for the isolated": (
        "CreateEventSourceMapping",
        {"FunctionName": "isolated", "EventSourceArn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:q"},
        INVALID,
        "Event source mapping is not supported for functions enabled with tenancy configuration",
    ),
    "a mapping": (
        "CreateEventSourceMapping",
        of_f(EventSourceArn=f"arn:aws:sqs:us-east-1:{ACCOUNT}:q"),
        INVALID,
        "tenantry does not offer event source mappings.",
    ),
    # invoke
    "a context that is no base64": ("Invoke", of_f(ClientContext="%%%"), ("InvalidRequestContentException", 400), "Base64"),
    "a context that is no object": (
        "Invoke",
        of_f(ClientContext=base64.b64encode(b"[1]").decode()),
        ("InvalidRequestContentException", 400),
        "Client context must be a valid Base64-encoded JSON object.",
    ),
    "a long context": ("Invoke", of_f(ClientContext="e" * 3584), VALIDATION, "less than or equal to 3583"),
    "a durable execution": ("Invoke", of_f(DurableExecutionName="x"), INVALID, "tenantry does not offer durable functions"),
    "an invocation of another region": (
        "Invoke",
        {"FunctionName": f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:f"},
        MISSING,
        "not reachable",
    ),
    "an invocation by two qualifiers": ("Invoke", {"FunctionName": "f:1", "Qualifier": "2"}, INVALID, "derived qualifier"),
}


@pytest.fixture
async def inhabited(house: House) -> House:
    """A function with three versions, an alias and a policy, and an isolated one with a version."""
    house.iam.roles["runs-ec2"] = (
        f"arn:aws:iam::{ACCOUNT}:role/runs-ec2",
        '{"Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]}',
    )
    await house.create()
    for description in ("one", "two", "three"):
        await house.call("UpdateFunctionConfiguration", FunctionName="f", Description=description)
        house.timers.run()
        await house.call("PublishVersion", FunctionName="f")
    await house.call("CreateAlias", FunctionName="f", Name="live", FunctionVersion="1")
    await house.call("AddPermission", FunctionName="f", StatementId="taken", Action="lambda:InvokeFunction", Principal="*")
    await house.create("isolated", TenancyConfig=PER_TENANT, Publish=True)
    return house


@pytest.mark.parametrize("case", CASES)
async def test_refused(inhabited: House, case: str) -> None:
    operation, params, expected, text = CASES[case]
    before = inhabited.state()
    with pytest.raises(ServiceError) as error:
        await inhabited.call(operation, **params)
    assert ((error.value.code, error.value.status), text in error.value.message) == (expected, True), error.value
    if error.value.code != "ValidationException":
        assert error.value.members.get("Type", "User") == "User"
    await inhabited.service.packages.settle()
    assert inhabited.state() == before, "something was left behind"
    assert inhabited.invoker.seen == []


async def test_unknown_runtime(inhabited: House) -> None:
    """Past the model's own enum, which AWS does not hold this member to."""
    create_function = inhabited.operations.handler("lambda", "CreateFunction")
    with pytest.raises(ServiceError) as error:
        await create_function(inhabited.context(), create(Runtime="cobol85"))
    assert (error.value.code, error.value.status) == INVALID
    assert error.value.message.startswith(
        "Value cobol85 at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: [nodejs26.x, "
    )
    assert error.value.message.endswith("] or be a valid ARN")
    assert "python3.14, " in error.value.message


async def test_policy_over_its_length(house: House) -> None:
    await house.create()
    statement = {
        "Action": "lambda:InvokeFunction",
        "Principal": "apigateway.amazonaws.com",
        "SourceArn": "arn:aws:s3:::" + "x" * 4000,
    }
    with pytest.raises(ServiceError) as error:
        for number in range(9):
            await house.call("AddPermission", FunctionName="f", StatementId=f"s{number}", **statement)
    assert (error.value.code, error.value.status) == ("PolicyLengthExceededException", 400)
    assert number == 4


def test_there_are_enough_of_them() -> None:
    assert len(CASES) >= 100
