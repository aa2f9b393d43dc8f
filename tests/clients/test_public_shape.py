"""The shape of template that users bring (aws-behaviour 5.6): named role, Api event on a raw API, MOCK without Uri, models."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from scripts.running import Platform
from tests.support.aws import Aws

pytestmark = [pytest.mark.client, pytest.mark.timeout(180)]

ROOT = Path(__file__).resolve().parents[2]
STACK = "shape"
DEPLOY = ["sam", "deploy", "--resolve-s3", "--no-confirm-changeset", "--region", "us-east-1", "--stack-name"]
NOT_ENABLED = (
    "The invoked function is not enabled with tenancy configuration. Remove the tenant ID from your request and try again."
)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, platform: Platform, sam: str) -> Iterator[Path]:
    """The application, built."""
    folder = tmp_path_factory.mktemp("shape")
    template = (ROOT / "tests/clients/templates/public-shape/template.yaml").read_text()
    (folder / "template.yaml").write_text(template.replace("../../../../examples/tenant-counter/", ""))
    for which in ("standard", "isolated"):
        shutil.copytree(ROOT / "examples/tenant-counter" / which, folder / which)
    built = platform.run(["sam", "build"], cwd=folder)
    assert built.returncode == 0, built.stderr
    yield folder
    for stack in (STACK, f"{STACK}-only-planned"):
        platform.run(["sam", "delete", "--no-prompts", "--region", "us-east-1", "--stack-name", stack], cwd=folder)


def test_named_role_needs_its_capability(app: Path, platform: Platform, aws: Aws) -> None:
    done = platform.run([*DEPLOY, "refused", "--capabilities", "CAPABILITY_IAM"], cwd=app)
    assert done.returncode != 0
    assert "InsufficientCapabilitiesException" in done.stderr + done.stdout
    assert "Requires capabilities : [CAPABILITY_NAMED_IAM]" in done.stderr + done.stdout
    states = {stack["StackName"]: stack["StackStatus"] for stack in aws.client("cloudformation").describe_stacks()["Stacks"]}
    assert states.get("refused", "REVIEW_IN_PROGRESS") == "REVIEW_IN_PROGRESS"


def test_change_set_plans_nineteen_additions(app: Path, platform: Platform, aws: Aws) -> None:
    stack = f"{STACK}-only-planned"
    done = platform.run([*DEPLOY, stack, "--capabilities", "CAPABILITY_NAMED_IAM", "--no-execute-changeset"], cwd=app)
    assert done.returncode == 0, done.stderr
    cloudformation = aws.client("cloudformation")
    events = cloudformation.describe_stack_events(StackName=stack)["StackEvents"]
    assert [event["ResourceStatus"] for event in events] == ["REVIEW_IN_PROGRESS"]
    name = cloudformation.list_change_sets(StackName=stack)["Summaries"][0]["ChangeSetName"]
    changes = cloudformation.describe_change_set(StackName=stack, ChangeSetName=name)["Changes"]
    assert [change["ResourceChange"]["Action"] for change in changes] == ["Add"] * 19


def test_deploys_with_the_capability(app: Path, platform: Platform, aws: Aws) -> None:
    done = platform.run([*DEPLOY, STACK, "--capabilities", "CAPABILITY_NAMED_IAM"], cwd=app)
    assert done.returncode == 0, done.stdout + done.stderr
    cloudformation = aws.client("cloudformation")
    resources = cloudformation.list_stack_resources(StackName=STACK)["StackResourceSummaries"]
    assert len(resources) == 19
    assert {resource["ResourceStatus"] for resource in resources} == {"CREATE_COMPLETE"}
    types = {resource["LogicalResourceId"]: resource["ResourceType"] for resource in resources}
    assert types["CounterStandardFunctionApiPermissionStage"] == "AWS::Lambda::Permission"
    original = cloudformation.get_template(StackName=STACK, TemplateStage="Original")["TemplateBody"]
    processed = cloudformation.get_template(StackName=STACK, TemplateStage="Processed")["TemplateBody"]
    assert "AWS::Serverless::Function" in json.dumps(original)
    assert "AWS::Serverless" not in json.dumps(processed)


def test_requests_are_answered(aws: Aws) -> None:
    stack = aws.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    standard, isolated = outputs["StandardMultiTenantAPIEndpointUrl"], outputs["IsolatedTenantAPIEndpointUrl"]
    assert aws.http(isolated, headers={"x-tenant-id": "Blue"}).json["counter"] == 1
    assert aws.http(standard, headers={"x-tenant-id": "Blue"}).json["counter"] == 1
    refused = aws.http(standard, headers={"tenant-id": "Blue"})
    assert (refused.status, refused.json) == (400, {"message": NOT_ENABLED})
    assert aws.http(isolated, "OPTIONS").status == 200
