"""What CloudFormation refuses, as a table: code, HTTP status, AWS's wording and where that wording is recorded.

Nearly everything is a `ValidationError`; rows exist for each wording because clients (sam first of all) match on the text.
"""

from __future__ import annotations

from tenantry.model.errors import Refusal

_MODEL, _MEMORY, _DOC = "model", "from memory", "aws-behaviour 5"


def _invalid(template: str, source: str = _MEMORY) -> Refusal:
    return Refusal("ValidationError", 400, template, source)


# ---- stacks and change sets
STACK_UNKNOWN = _invalid("Stack with id {name} does not exist", _DOC)
STACK_ABSENT = _invalid("Stack [{name}] does not exist")
STACK_EXISTS = Refusal("AlreadyExistsException", 400, "Stack [{name}] already exists", _MODEL)
STACK_NOT_FOR_CREATION = _invalid(
    "Stack [{name}] already exists and cannot be created again with the changeSet [{change_set}]."
)
STACK_BUSY = _invalid("Stack:{stack_id} is in {status} state and can not be updated.")
STACK_NOT_DELETABLE = _invalid("Stack [{name}] cannot be deleted while in status {status}")
STACK_PROTECTED = _invalid("Stack [{name}] cannot be deleted while TerminationProtection is enabled")
RETAIN_ONLY_AFTER_FAILURE = _invalid(
    "Invalid operation on stack [{stack_id}]. RetainResources can only be specified when the stack is in DELETE_FAILED state."
)
RETAIN_UNKNOWN = _invalid("The specified resources to retain must be in a valid state: [{names}]")
STACK_OR_RESOURCE = _invalid("Either StackName or PhysicalResourceId must be specified")
NOT_UPDATING = _invalid("CancelUpdateStack cannot be called from current stack status: {status}")
NOT_ROLLED_BACK = _invalid(
    "Stack:{stack_id} is in {status} state and can not be rolled back. It must be in UPDATE_ROLLBACK_FAILED."
)
RESOURCE_UNKNOWN = _invalid("Resource {logical_id} does not exist for stack {name}")
PHYSICAL_UNKNOWN = _invalid("Stack for {physical_id} does not exist")
NO_CHANGES = _invalid("No updates are to be performed.", _DOC)
CHANGE_SET_UNKNOWN = Refusal("ChangeSetNotFound", 404, "ChangeSet [{name}] does not exist", _MODEL)
CHANGE_SET_EXISTS = Refusal("AlreadyExistsException", 400, "ChangeSet {change_set_id} already exists", _MODEL)
CHANGE_SET_STATUS = Refusal(
    "InvalidChangeSetStatus", 400, "ChangeSet [{change_set_id}] cannot be executed in its current status of [{status}]", _MODEL
)
CHANGE_SET_NEEDS_STACK = _invalid("StackName must be specified if ChangeSetName is not specified as an ARN.")
CHANGE_SET_TYPE = _invalid("ChangeSetType {kind} is not supported by tenantry.", "ours")
CHANGE_SETS_MAX = Refusal("LimitExceededException", 400, "ChangeSet limit exceeded for stack {name}: {limit}", _MODEL)
TOKEN_TAKEN = Refusal("TokenAlreadyExistsException", 400, "Client request token {token} was already used", _MODEL)
BAD_NAME = _invalid(
    "1 validation error detected: Value '{name}' at 'stackName' failed to satisfy constraint: Member must satisfy regular "
    "expression pattern: [a-zA-Z][-a-zA-Z0-9]*",
    _MODEL,
)
LONG_NAME = _invalid(
    "1 validation error detected: Value '{name}' at 'stackName' failed to satisfy constraint: Member must have length less "
    "than or equal to 128",
    _MODEL,
)
BAD_TOKEN = _invalid("The specified NextToken is invalid")
CAPABILITIES = Refusal("InsufficientCapabilitiesException", 400, "Requires capabilities : [{missing}]", _DOC)
EXPORT_IN_USE = _invalid("Export {name} cannot be deleted as it is in use by {stacks}")
EXPORT_UNUSED = _invalid("Export '{name}' is not imported by any stack.")
DISABLE_AND_FAILURE = _invalid("You can specify either DisableRollback or OnFailure, but not both.", _MODEL)
TAG_TWICE = _invalid("Duplicate tag keys found. Please provide unique tag keys: [{key}]")
TAG_RESERVED = _invalid(
    "The tag key prefix 'aws:' is reserved for AWS use. Do not use tag keys that begin with this prefix: {key}"
)

# ---- templates
FORMAT = _invalid("Template format error: {problem}")
TEMPLATE_ERROR = _invalid("Template error: {problem}")
ANY_TEXT = _invalid("{problem}")
TEMPLATE_SOURCE = _invalid("Either Template URL or Template Body must be specified.")
TEMPLATE_BODY_MAX = _invalid(
    "1 validation error detected: Value at 'templateBody' failed to satisfy constraint: Member must have length less than or "
    "equal to {limit}",
    _MODEL,
)
TEMPLATE_URL_MAX = _invalid("Template may not exceed {limit} bytes in size.")
TEMPLATE_URL = _invalid("TemplateURL must be a supported URL.")
TEMPLATE_S3 = _invalid(
    "S3 error: {message}\nFor more information check http://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html"
)
PREVIOUS_VALUE = _invalid("Invalid input for parameter key {key}. Cannot specify usePreviousValue as {why}")
UNSUPPORTED = _invalid(
    "tenantry does not support these parts of the template: {parts}", "ours; docs/cloudformation.md lists what it does"
)
TYPE_CHANGED = _invalid(
    "Update of resource type is not permitted. The new template modifies resource type of the following resources: [{names}]"
)
TRANSFORM_FAILED = _invalid("Transform {name} failed with: {message}", _DOC)
TRANSFORM_UNKNOWN = _invalid("No transform named {name} found.")
PROPERTIES = _invalid("Properties validation failed for resource {logical_id} with message:\n{problems}")
