"""What CloudFormation keeps: stacks, their resources, events and change sets, and the journal of a deployment under way.

Frozen msgspec structs, stored by `store.py`. Template texts are kept as given; a processed template is kept as JSON text.
Resolved properties are JSON values. Times are seconds since the epoch.
"""

from __future__ import annotations

from typing import Any

import msgspec

ROOT_TYPE = "AWS::CloudFormation::Stack"


class Output(msgspec.Struct, frozen=True):
    """One output of a stack, its value as the template computes it (see `outputs.py` for how it is shown)."""

    key: str
    value: str
    description: str | None = None
    export_name: str | None = None


class Desired(msgspec.Struct, frozen=True, kw_only=True):
    """What a stack is meant to be: template and everything its evaluation depends on."""

    original: str
    processed: str
    parameters: dict[str, str]
    no_echo: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    tags: dict[str, str] = {}
    description: str | None = None
    notification_arns: tuple[str, ...] = ()
    role_arn: str | None = None
    rollback_configuration: dict[str, Any] | None = None


class Stack(msgspec.Struct, frozen=True, kw_only=True):
    """A stack. `unique` is the last part of its ARN; `token` the last client request token and the operation it came with."""

    name: str
    unique: str
    region: str
    account_id: str
    status: str
    reason: str | None = None
    created_at: float
    updated_at: float | None = None
    deleted_at: float | None = None
    desired: Desired
    outputs: tuple[Output, ...] = ()
    imports: tuple[str, ...] = ()
    disable_rollback: bool = False
    on_failure: str | None = None
    retain_except_on_create: bool = False
    termination_protection: bool = False
    timeout_minutes: int | None = None
    policy: str | None = None
    change_set_id: str | None = None
    token: tuple[str, str] | None = None
    last_event_ms: int = 0

    @property
    def stack_id(self) -> str:
        """The stack's ARN."""
        return f"arn:{partition(self.region)}:cloudformation:{self.region}:{self.account_id}:stack/{self.name}/{self.unique}"

    @property
    def key(self) -> str:
        """Its key in the store; a name may have several deleted stacks and at most one other."""
        return f"{self.region}/{self.name}/{self.unique}"


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """One resource of a stack as it was last deployed. `physical_id` is empty before it exists.

    `properties` are the resolved ones that the service was given; `depends_on` the logical ids it was created after.
    """

    logical_id: str
    type: str
    status: str
    updated_at: float
    physical_id: str = ""
    reason: str | None = None
    properties: dict[str, Any] = {}
    attributes: dict[str, Any] = {}
    depends_on: tuple[str, ...] = ()
    deletion_policy: str = "Delete"
    replace_policy: str = "Delete"
    metadata: Any = None
    tags: dict[str, str] = {}

    @property
    def exists(self) -> bool:
        """Whether there is something real behind it."""
        return bool(self.physical_id) and self.status not in ("CREATE_FAILED", "DELETE_COMPLETE", "DELETE_SKIPPED")


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a stack's history."""

    event_id: str
    logical_id: str
    physical_id: str
    type: str
    status: str
    at_ms: int
    reason: str | None = None
    properties: str | None = None
    token: str | None = None


class ChangeSet(msgspec.Struct, frozen=True, kw_only=True):
    """A planned change of a stack. `changes` holds ResourceChange members as the API shows them."""

    name: str
    unique: str
    stack_key: str
    kind: str
    status: str
    execution: str
    created_at: float
    desired: Desired
    changes: tuple[dict[str, Any], ...] = ()
    reason: str | None = None
    description: str | None = None
    token: str | None = None
    on_failure: str | None = None
    deployment_mode: str | None = None
    disable_rollback: bool = False

    @property
    def key(self) -> str:
        """Its key in the store."""
        return f"{self.stack_key}/{self.name}"


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """The head of a journal: a stack operation under way, kept until it ends.

    kind: create, update or delete. phase: forward (changing things; undone after a crash), cleanup (the new state holds,
    old things go), rollback. `previous` is the stack as it was before, to go back to.
    """

    stack_key: str
    kind: str
    phase: str
    previous: Stack | None = None
    endpoint: str
    retain: tuple[str, ...] = ()
    change_set_key: str | None = None
    token: str | None = None
    removals: tuple[Resource, ...] = ()


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One journalled action. Written before the action; `physical_id` as soon as it is known.

    action: create, replace or update. state: started, done. `old` is the resource before (None for create).
    """

    number: int
    logical_id: str
    type: str
    action: str
    state: str
    started_at: float
    properties: dict[str, Any]
    physical_id: str = ""
    old: Resource | None = None


def partition(region: str) -> str:
    """The AWS partition of a region: `aws`, `aws-cn` or `aws-us-gov`."""
    for prefix, name in (("cn-", "aws-cn"), ("us-gov-", "aws-us-gov")):
        if region.startswith(prefix):
            return name
    return "aws"
