"""The seed's demonstration, in its order, with the programs a person uses: sam, curl, both aws command lines.

The tests of this module are one story on one platform: each goes on where the one before it ended.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pexpect
import pytest
from scripts.running import Platform
from tests.support.aws import Aws, eventually

pytestmark = [pytest.mark.client, pytest.mark.timeout(180)]

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "tenant-counter"
STACK = "tiso"
STANDARD, ISOLATED = f"{STACK}-counter-standard", f"{STACK}-counter-isolated"
PROMPTS = (
    ("Stack Name", STACK),
    ("AWS Region", ""),
    ("Parameter Environment", ""),
    ("Confirm changes before deploy", ""),
    ("Allow SAM CLI IAM role creation", ""),
    ("Disable rollback", ""),
    ("Save arguments to configuration file", ""),
    ("SAM configuration file", ""),
    ("SAM configuration environment", ""),
)


@dataclass
class Story:
    """What the tests of this module hand on to each other."""

    platform: Platform
    aws: Aws
    app: Path
    processes_before: set[str]

    def run(self, *command: str, ok: bool = True) -> str:
        """Run a client in the application's folder; its standard output, or its standard error if it is meant to fail."""
        done = self.platform.run(command, cwd=self.app)
        assert (done.returncode == 0) is ok, f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout if ok else done.stdout + done.stderr

    def stack(self) -> dict[str, Any]:
        stacks: list[dict[str, Any]] = self.aws.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
        return stacks[0]

    def url(self, which: str) -> str:
        """The address that the stack's outputs name: `standard` or `isolated`."""
        outputs = {output["OutputKey"]: output["OutputValue"] for output in self.stack()["Outputs"]}
        return str(outputs["StandardMultiTenantAPIEndpointUrl" if which == "standard" else "IsolatedTenantAPIEndpointUrl"])


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("demonstration")
    app = folder / "tenant-counter"
    shutil.copytree(EXAMPLE, app, ignore=shutil.ignore_patterns(".aws-sam", "samconfig.toml"))
    with Platform(folder) as platform:
        aws = Aws(platform.environment)
        yield Story(platform, aws, app, processes(platform))
        aws.close()


def processes(platform: Platform) -> set[str]:
    """The platform's descendants, as `pid command`, without the worker that expands templates."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:  # it ended meanwhile
            continue
        children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found: set[str] = set()
    rest = list(children.get(platform.pid, []))
    while rest:
        pid = rest.pop()
        rest += children.get(pid, [])
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(bytes(1), b" ").decode(errors="replace")
        except OSError:
            continue
        if "transform_worker" not in command:
            found.add(f"{pid} {command}")
    return found


# ---- deploy ---------------------------------------------------------------------------------------------------------


def test_build_needs_no_network(story: Story, sam: str) -> None:
    environment = {**story.platform.environment, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    done = subprocess.run(
        [sam, "build"], cwd=story.app, env=environment, capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 0, done.stderr
    assert (story.app / ".aws-sam/build/CounterIsolatedFunction/lambda_function.py").exists()


def test_validate_lint_finds_nothing(story: Story, sam: str) -> None:
    assert "is a valid SAM Template" in story.run("sam", "validate", "--lint")


def test_guided_deployment_answered_at_its_prompts(story: Story, sam: str) -> None:
    child = pexpect.spawn(
        sam,
        ["deploy", "--guided"],
        cwd=str(story.app),
        env=os.environ | story.platform.environment,
        encoding="utf-8",
        timeout=60,
    )
    printed = []
    for prompt, answer in PROMPTS:
        child.expect_exact(prompt)
        printed.append(child.before)
        child.sendline(answer)
    child.expect(pexpect.EOF, timeout=120)
    child.close()
    printed.append(child.before)
    text = "".join(filter(None, printed))
    assert child.exitstatus == 0, text
    assert f"Successfully created/updated stack - {STACK}" in text
    assert story.url("isolated") in re.sub(r"\s", "", text), "the address that sam prints is the one to paste into curl"


def test_guided_deployment_saved_its_answers(story: Story) -> None:
    saved = tomllib.loads((story.app / "samconfig.toml").read_text())["default"]
    parameters = saved["deploy"]["parameters"] | saved.get("global", {}).get("parameters", {})
    assert parameters["stack_name"] == STACK
    assert parameters["resolve_s3"] is True
    assert parameters["capabilities"] == "CAPABILITY_IAM"


def test_managed_stack_is_as_sam_wants_it(story: Story) -> None:
    managed = story.aws.client("cloudformation").describe_stacks(StackName="aws-sam-cli-managed-default")["Stacks"][0]
    assert managed["StackStatus"] == "CREATE_COMPLETE"
    assert {"Key": "ManagedStackSource", "Value": "AwsSamCli"} in managed["Tags"]
    bucket = next(output["OutputValue"] for output in managed["Outputs"] if output["OutputKey"] == "SourceBucket")
    keys = [item["Key"] for item in story.aws.client("s3").list_objects_v2(Bucket=bucket)["Contents"]]
    assert len(keys) == 3, "two packages and one template"
    assert all(key.startswith(f"{STACK}/") for key in keys)


def test_stack_has_its_outputs_and_exports(story: Story) -> None:
    stack = story.stack()
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    assert {output["ExportName"] for output in stack["Outputs"]} == {f"{STACK}-standard-url", f"{STACK}-isolated-url"}


def test_names_and_settings_are_those_of_the_template(story: Story) -> None:
    functions = {
        name: story.aws.client("lambda").get_function_configuration(FunctionName=name) for name in (STANDARD, ISOLATED)
    }
    for function in functions.values():
        settings = (function["Runtime"], function["MemorySize"], function["Timeout"], function["Handler"])
        assert settings == ("python3.14", 128, 30, "lambda_function.lambda_handler")
    assert functions[ISOLATED]["TenancyConfig"] == {"TenantIsolationMode": "PER_TENANT"}
    assert "TenancyConfig" not in functions[STANDARD]
    assert functions[STANDARD]["Role"] == functions[ISOLATED]["Role"]
    groups = story.aws.client("logs").describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{STACK}")["logGroups"]
    assert {group["logGroupName"]: group.get("retentionInDays") for group in groups} == {
        f"/aws/lambda/{STANDARD}": 14,
        f"/aws/lambda/{ISOLATED}": 14,
    }
    assert [api["name"] for api in story.aws.client("apigateway").get_rest_apis()["items"]] == [f"{STACK}-api"]


# ---- curl -----------------------------------------------------------------------------------------------------------


def curl_body(story: Story, curl: str, which: str, *options: str) -> str:
    return story.run(curl, "-sS", *options, story.url(which))


SHARED = """{{
  "counter": {counter},
  "tenant_id_received": "{tenant}",
  "tenant_id": null,
  "isolation_enabled": false,
  "message": "Counter incremented successfully - SHARED across all tenants! (Received tenant: {tenant})",
  "warning": "This function does NOT provide tenant isolation - all tenants share the same counter!"
}}"""
ALONE = """{{
  "counter": {counter},
  "tenant_id": "{tenant}",
  "isolation_enabled": true,
  "message": "Counter incremented successfully for tenant {tenant}"
}}"""


def test_standard_counter_is_shared(story: Story, curl: str) -> None:
    for counter, tenant in enumerate(("BlueTenant", "RedTenant", "GreenTenant"), 1):
        body = curl_body(story, curl, "standard", "-H", f"x-tenant-id: {tenant}")
        assert body == SHARED.format(counter=counter, tenant=tenant)


def test_standard_counter_goes_on_without_the_header(story: Story, curl: str) -> None:
    body = json.loads(curl_body(story, curl, "standard"))
    assert (body["counter"], body["tenant_id_received"]) == (4, None)
    assert body["message"].endswith("(Received tenant: none)")


def test_isolated_counters_are_each_tenants_own(story: Story, curl: str) -> None:
    calls = [("BlueTenant", 1), ("GreenTenant", 1), ("BlueTenant", 2), ("GreenTenant", 2), ("BlueTenant", 3)]
    for tenant, counter in calls:
        body = curl_body(story, curl, "isolated", "-H", f"x-tenant-id: {tenant}")
        assert body == ALONE.format(counter=counter, tenant=tenant)


def test_answers_carry_the_gateways_headers(story: Story, curl: str) -> None:
    head = curl_body(story, curl, "isolated", "-H", "X-TENANT-ID: RedTenant", "-i").split("\n\n")[0].lower()
    assert head.startswith("http/1.1 200")
    assert "content-type: application/json" in head
    assert "cache-control: no-cache" in head
    for name in ("x-amzn-requestid: ", "x-amz-apigw-id: ", "x-amzn-trace-id: "):
        assert f"\n{name}" in head


def test_isolated_without_the_header_never_reaches_the_function(story: Story, curl: str) -> None:
    text = curl_body(story, curl, "isolated", "-w", " %{http_code}")
    assert text == '{"message": "Missing required request parameters: [x-tenant-id]"} 400'


@pytest.mark.parametrize("which", ["standard", "isolated"])
def test_options_answers_for_browsers(story: Story, curl: str, which: str) -> None:
    head, body = curl_body(story, curl, which, "-X", "OPTIONS", "-i").split("\n\n")
    fields = {name.lower(): value for name, value in (line.split(": ", 1) for line in head.split("\n")[1:])}
    assert head.startswith("HTTP/1.1 200")
    assert body == ""
    assert fields["access-control-allow-origin"] == "*"
    assert fields["access-control-allow-methods"] == "GET,OPTIONS"
    assert "x-tenant-id" in fields["access-control-allow-headers"]


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "dev/isolated"), ("GET", "dev/nope"), ("GET", "prod/isolated"), ("DELETE", "dev/standard")]
)
def test_what_the_api_does_not_have_is_403(story: Story, curl: str, method: str, path: str) -> None:
    address = story.url("isolated").removesuffix("dev/isolated") + path
    text = story.run(curl, "-sS", "-X", method, "-w", " %{http_code}", "-H", "x-tenant-id: BlueTenant", address)
    assert text == '{"message":"Missing Authentication Token"} 403'


def test_api_answers_under_the_plain_address_too(story: Story, curl: str) -> None:
    api = story.aws.client("apigateway").get_rest_apis()["items"][0]["id"]
    text = story.run(curl, "-sS", "-H", "x-tenant-id: PathTenant", f"{story.platform.endpoint}/_api/{api}/dev/isolated")
    assert json.loads(text)["counter"] == 1


def test_id_over_128_characters_is_refused_by_the_function(story: Story, curl: str) -> None:
    text = curl_body(story, curl, "isolated", "-H", f"x-tenant-id: {'a' * 150}", "-w", "\n%{http_code}")
    body, status = text.rsplit("\n", 1)
    assert (json.loads(body)["error"], status) == ("Invalid Tenant ID", "400")


# ---- aws lambda invoke ----------------------------------------------------------------------------------------------


def test_aws_lambda_invoke_with_a_tenant(story: Story, aws_v1: str) -> None:
    event = '{"httpMethod": "GET", "path": "/isolated"}'
    command = ["aws", "lambda", "invoke", "--function-name", ISOLATED, "--payload", event]
    summary = json.loads(story.run(*command, "--tenant-id", "BlueTenant", "out.json"))
    assert (summary["StatusCode"], summary["ExecutedVersion"]) == (200, "$LATEST")
    answer = json.loads((story.app / "out.json").read_text())
    assert json.loads(answer["body"])["counter"] == 4, "the API's calls and this one met in Blue's environment"


def test_aws_lambda_invoke_without_a_tenant_is_refused(story: Story, aws_v1: str) -> None:
    said = story.run("aws", "lambda", "invoke", "--function-name", ISOLATED, "out.json", ok=False)
    assert "InvalidParameterValueException" in said
    assert (
        "The invoked function is enabled with tenancy configuration. Add a valid tenant ID in your request and try again."
        in said
    )


def test_aws_lambda_invoke_with_a_tenant_on_the_standard_function_is_refused(story: Story, aws_v1: str) -> None:
    said = story.run("aws", "lambda", "invoke", "--function-name", STANDARD, "--tenant-id", "Blue", "out.json", ok=False)
    assert "InvalidParameterValueException" in said
    assert "is not enabled with tenancy configuration" in said


# ---- logs -----------------------------------------------------------------------------------------------------------


def filtered(story: Story, program: list[str], function: str) -> list[dict[str, Any]]:
    """The seed's command, its shell part included."""
    group = f"/aws/lambda/{function}"
    command = [*program, "logs", "filter-log-events", "--log-group-name", group, "--start-time"]
    line = " ".join(command) + " $(date -d '10 minutes ago' +%s)000"
    events: list[dict[str, Any]] = json.loads(story.run("sh", "-c", line))["events"]
    return events


@pytest.fixture(params=["v1", "v2"])
def aws_cli(request: pytest.FixtureRequest, story: Story) -> list[str]:
    program = request.getfixturevalue(f"aws_{request.param}")
    if request.param == "v1":
        return [program]
    return [program, "--endpoint-url", story.platform.endpoint, "--output", "json"]  # older than its AWS_ENDPOINT_URL


def test_filter_log_events_of_the_standard_function(story: Story, aws_cli: list[str]) -> None:
    messages = [event["message"] for event in filtered(story, aws_cli, STANDARD)]
    assert sum(message.startswith("START RequestId: ") for message in messages) == 4
    assert sum(message.startswith("REPORT RequestId: ") for message in messages) == 4
    assert any(re.match(r"\[INFO\]\t\S+Z\t\S+\tTenant BlueTenant: counter value 1", message) for message in messages)
    assert not any("tenantId" in message for message in messages)


def test_filter_log_events_of_the_isolated_function(story: Story, aws_cli: list[str]) -> None:
    events = filtered(story, aws_cli, ISOLATED)
    records = [(event["logStreamName"], json.loads(event["message"])) for event in events]
    tenants_by_stream: dict[str, set[str]] = {}
    for stream, record in records:
        inner = record.get("record", record)
        if record.get("type") == "platform.initStart":
            assert "tenantId" not in inner, "no tenant is known during INIT"
        elif record.get("type") in (None, "platform.start", "platform.report"):
            tenants_by_stream.setdefault(stream, set()).add(inner["tenantId"])
    assert all(len(tenants) == 1 for tenants in tenants_by_stream.values()), "a stream never mixes tenants"
    seen = {tenant for tenants in tenants_by_stream.values() for tenant in tenants}
    assert {"BlueTenant", "GreenTenant", "RedTenant"} <= seen
    assert all(re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", stream) for stream in tenants_by_stream)


def test_aws_logs_tail(story: Story, aws_v2: str) -> None:
    command = [aws_v2, "--endpoint-url", story.platform.endpoint, "logs", "tail", f"/aws/lambda/{ISOLATED}", "--since", "10m"]
    assert "Tenant BlueTenant: counter value 1" in story.run(*command)


def test_sam_logs(story: Story, sam: str) -> None:
    printed = story.run("sam", "logs", "--stack-name", STACK)
    assert "Tenant GreenTenant: counter value 2" in printed
    assert "Tenant RedTenant: counter value 2" in printed


# ---- sam's other commands -------------------------------------------------------------------------------------------


def test_sam_list(story: Story, sam: str) -> None:
    outputs = json.loads(story.run("sam", "list", "stack-outputs", "--stack-name", STACK, "--output", "json"))
    assert {row["OutputKey"] for row in outputs} == {"StandardMultiTenantAPIEndpointUrl", "IsolatedTenantAPIEndpointUrl"}
    resources = json.loads(story.run("sam", "list", "resources", "--stack-name", STACK, "--output", "json"))
    physical = {row["LogicalResourceId"]: row["PhysicalResourceId"] for row in resources}
    assert physical["CounterIsolatedFunction"] == ISOLATED
    assert len(physical) == 17
    endpoints = json.loads(story.run("sam", "list", "endpoints", "--stack-name", STACK, "--output", "json"))
    api = next(row for row in endpoints if row["LogicalResourceId"] == "Api")
    assert any("/dev" in address for address in api["CloudEndpoint"])


def test_sam_remote_invoke(story: Story, sam: str) -> None:
    command = ["sam", "remote", "invoke", "CounterIsolatedFunction", "--stack-name", STACK]
    event = ["--event", '{"httpMethod": "GET", "path": "/isolated"}']
    printed = story.run(*command, "--tenant-id", "RemoteTenant", *event)
    assert json.loads(json.loads(printed.strip().splitlines()[-1])["body"])["counter"] == 1
    assert "is enabled with tenancy configuration" in story.run(*command, *event, ok=False)


# ---- deploy again, change, delete -----------------------------------------------------------------------------------


def test_second_deployment_finds_no_changes(story: Story, sam: str) -> None:
    done = story.platform.run(["sam", "deploy"], cwd=story.app)
    assert "No changes to deploy" in done.stdout + done.stderr
    assert story.stack()["StackStatus"] == "CREATE_COMPLETE"


def test_changed_handler_updates_one_function_only(story: Story, sam: str, curl: str) -> None:
    handler = story.app / "isolated" / "lambda_function.py"
    handler.write_text(handler.read_text().replace("Counter incremented successfully for", "Counted for"))
    before = int(time.time() * 1000)
    story.run("sam", "build")
    story.run("sam", "deploy")
    events = story.aws.client("cloudformation").describe_stack_events(StackName=STACK)["StackEvents"]
    new = [event for event in events if event["Timestamp"].timestamp() * 1000 > before]
    assert {event["LogicalResourceId"] for event in new if event["ResourceStatus"] == "UPDATE_COMPLETE"} == {
        STACK,
        "CounterIsolatedFunction",
    }
    blue = ("-H", "x-tenant-id: BlueTenant")
    isolated = json.loads(curl_body(story, curl, "isolated", *blue))
    assert (isolated["counter"], isolated["message"]) == (1, "Counted for tenant BlueTenant"), "new code, new environment"
    assert json.loads(curl_body(story, curl, "standard", *blue))["counter"] == 5, "the other function was left alone"


def test_delete_leaves_nothing(story: Story, sam: str, curl: str) -> None:
    address = story.url("isolated")
    story.run("sam", "delete", "--no-prompts")
    cloudformation = story.aws.client("cloudformation")
    stacks = [stack["StackName"] for stack in cloudformation.describe_stacks()["Stacks"]]
    assert stacks == ["aws-sam-cli-managed-default"]
    assert story.aws.client("lambda").list_functions()["Functions"] == []
    assert story.aws.client("apigateway").get_rest_apis()["items"] == []
    assert story.aws.client("logs").describe_log_groups()["logGroups"] == []
    assert story.aws.client("iam").list_roles()["Roles"] == []
    bucket = cloudformation.describe_stacks()["Stacks"][0]["Outputs"][0]["OutputValue"]
    assert "Contents" not in story.aws.client("s3").list_objects_v2(Bucket=bucket)
    assert story.run(curl, "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-H", "x-tenant-id: BlueTenant", address) == "403"


def test_delete_leaves_no_process(story: Story) -> None:
    eventually(
        lambda: processes(story.platform) - story.processes_before, lambda left: not left, what="an end of every environment"
    )
