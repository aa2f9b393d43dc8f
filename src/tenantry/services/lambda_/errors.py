"""Every refusal of the Lambda service, as a table. `source` says where AWS's wording is recorded; `own` marks ours.

"from memory" marks wordings that aws-behaviour does not hold: plausible, cheap to change here.
"""

from __future__ import annotations

from tenantry.model.errors import Refusal

_USER = (("Type", "User"),)
_SERVICE = (("Type", "Service"),)


def _row(code: str, status: int, template: str, source: str) -> Refusal:
    return Refusal(code, status, template, source, _USER)


def _invalid(template: str, source: str) -> Refusal:
    return _row("InvalidParameterValueException", 400, template, source)


def _missing(template: str, source: str) -> Refusal:
    return _row("ResourceNotFoundException", 404, template, source)


def _conflict(template: str, source: str) -> Refusal:
    return _row("ResourceConflictException", 409, template, source)


def _stale(template: str, source: str) -> Refusal:
    return _row("PreconditionFailedException", 412, template, source)


# -- names
FUNCTION_NOT_FOUND = _missing("Function not found: {arn}", "aws-behaviour 3.2")
FOREIGN_REGION = _missing("Functions from '{theirs}' are not reachable in this region ('{ours}')", "from memory")
FOREIGN_ACCOUNT = Refusal(
    "AccessDeniedException",
    403,
    "User: {user} is not authorized to perform: lambda:{action} on resource: {arn} because no resource-based policy allows the "
    "lambda:{action} action",
    "from memory",
)
QUALIFIER_MISMATCH = _invalid(
    "The derived qualifier from the function name does not match the specified qualifier.", "aws-behaviour 2.5"
)
NAME_TOO_LONG = _invalid(
    "1 validation error detected: Value '{name}' at 'functionName' failed to satisfy constraint: Member must have length less "
    "than or equal to 64",
    "aws-behaviour 3.2",
)
CONSTRAINT = Refusal(
    "ValidationException",
    400,
    "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: {constraint}",
    "aws-behaviour 3.2",
)
UNQUALIFIED_ONLY = _invalid(
    "This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. Please specify "
    "either a function name or an unqualified function ARN.",
    "aws-behaviour 3.2",
)
BAD_MARKER = _invalid("The marker {marker} is not one that this operation has given out.", "own")

# -- functions
FUNCTION_EXISTS = _conflict("Function already exist: {name}", "aws-behaviour 3.2")
UPDATE_IN_PROGRESS = _conflict(
    "The operation cannot be performed at this time. An update is in progress for resource: {arn}", "aws-behaviour 3.1"
)
WRONG_STATE = _conflict(
    "The operation cannot be performed at this time. The function is currently in the following state: {state}",
    "aws-behaviour 2.5",
)
STALE_REVISION = _stale(
    "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest "
    "Revision Id",
    "aws-behaviour 3.2",
)
STALE_POLICY = _stale(
    "The Revision Id provided does not match the latest Revision Id. Call the GetPolicy API to retrieve the latest Revision Id",
    "from memory",
)
LATEST_NOT_DELETABLE = _invalid("$LATEST version cannot be deleted without deleting the function.", "aws-behaviour 3.2")
ALIAS_NOT_DELETABLE = _invalid("Deletion of aliases is not currently supported.", "from memory")
VERSION_IN_USE = _conflict("Version {version} cannot be deleted: the alias {alias} refers to it.", "own")
ROLE_NOT_ASSUMABLE = _invalid("The role defined for the function cannot be assumed by Lambda.", "aws-behaviour 3.2")
ROLE_ELSEWHERE = _row("AccessDeniedException", 403, "Cross-account pass role is not allowed.", "from memory")
UNKNOWN_RUNTIME = _invalid(
    "Value {runtime} at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: [{runtimes}] or be a valid "
    "ARN",
    "aws-behaviour 3.2",
)
RUNTIME_RETIRED = _invalid(
    "The runtime parameter of {runtime} is no longer supported for creating or updating AWS Lambda functions. We recommend you "
    "use a supported runtime while creating or updating functions.",
    "from memory",
)
RUNTIME_NOT_OFFERED = _invalid("tenantry runs Python runtimes only ({offered}); it does not offer {runtime}.", "own")
RUNTIME_AND_HANDLER = _invalid(
    "Runtime and Handler are mandatory parameters for functions created with deployment packages.", "from memory"
)
NOT_OFFERED = _invalid("tenantry does not offer {what}.", "own")
RESERVED_VARIABLES = _invalid(
    "Lambda was unable to configure your environment variables because the environment variables you have provided contains "
    "reserved keys that are currently not supported for modification. Reserved keys used in this request: {keys}",
    "aws-behaviour 2.2",
)
VARIABLES_TOO_LARGE = _invalid(
    "Lambda was unable to configure your environment variables because the environment variables you have provided exceeded "
    "the 4KB limit. String measured: {measured}",
    "aws-behaviour 2.2",
)
LEVELS_NEED_JSON = _invalid("Log levels can be set only where the LogFormat is JSON.", "own, rule of aws-behaviour 2.7")
BAD_DEAD_LETTER_TARGET = _invalid("The dead letter target {arn} is not valid: it must be an SQS queue or an SNS topic.", "own")
TOO_MANY_LAYERS = _invalid("Cannot reference more than 5 layers.", "from memory")
LAYER_TWICE = _invalid(
    "Two different versions of the same layer are not allowed to be referenced in the same function. {first} and {second}",
    "from memory",
)
LAYER_ABSENT = _invalid("Layer version {arn} does not exist.", "from memory")
LAYER_ELSEWHERE = _invalid(
    "Layers are not in the same region as the function. Layers are expected to be in region {region}.", "from memory"
)
LAYERS_TOO_LARGE = _invalid(
    "Function code combined with layers exceeds the maximum allowed size of {limit} bytes. The actual size is {size} bytes.",
    "from memory",
)

# -- what isolation excludes (aws-behaviour 1.2)
URL_WITH_TENANCY = _invalid(
    "Function URL is not supported for functions enabled with tenancy configuration", "aws-behaviour 1.2, observed"
)
PROVISIONED_WITH_TENANCY = _invalid(
    "Provisioned concurrency is not supported for functions enabled with tenancy configuration",
    "aws-behaviour 1.2, same pattern",
)
SNAPSTART_WITH_TENANCY = _invalid(
    "SnapStart is not supported for functions enabled with tenancy configuration", "aws-behaviour 1.2, same pattern"
)
MAPPING_WITH_TENANCY = _invalid(
    "Event source mapping is not supported for functions enabled with tenancy configuration", "aws-behaviour 1.2, same pattern"
)
CAPACITY_WITH_TENANCY = _invalid(
    "Capacity provider is not supported for functions enabled with tenancy configuration", "aws-behaviour 1.2, same pattern"
)

# -- code packages
UNZIP_FAILED = _invalid("Could not unzip uploaded file. Please check your file, then try to upload again.", "aws-behaviour 3.2")
UNZIPPED_TOO_LARGE = _invalid("Unzipped size must be smaller than {limit} bytes", "aws-behaviour 3.2")
ZIPPED_TOO_LARGE = _row(
    "RequestEntityTooLargeException",
    413,
    "Zipped size must be smaller than {limit} bytes",
    "aws-behaviour 3.2; words from memory",
)
EMPTY_PACKAGE = _invalid("Uploaded file must be a non-empty zip", "from memory")
NO_CODE = _invalid("Please provide a source for function code.", "from memory")
TWO_SOURCES = _invalid("Please do not provide other FunctionCode parameters when providing a ZipFile.", "from memory")
S3_FAILED = _invalid("Error occurred while GetObject. S3 Error Code: {code}. S3 Error Message: {message}", "aws-behaviour 3.2")
STORAGE_FULL = _row("CodeStorageExceededException", 400, "Code storage limit exceeded: the data folder's disk is full.", "own")
STORAGE_FAILED = Refusal(
    "ServiceException", 500, "The code package could not be stored: {reason}", "own", _SERVICE, sender=False
)

# -- versions and aliases
CODE_DIFFERS = _invalid(
    "CodeSHA256 ({given}) is different from current CodeSHA256 in $LATEST ({current}). Please try again with the CodeSHA256 in "
    "$LATEST.",
    "from memory",
)
ALIAS_EXISTS = _conflict("Alias already exists: {arn}", "from memory")
ALIAS_NOT_FOUND = _missing("Cannot find alias arn: {arn}", "from memory")
ALIAS_NOT_UPDATABLE = _missing("Alias not found: {arn}", "from memory")
TOO_MANY_WEIGHTS = _invalid("Number of items in AdditionalVersionWeights cannot be greater than 1", "from memory")
WEIGHTED_LATEST = _invalid("$LATEST is not supported for an alias pointing to more than 1 version", "from memory")
WEIGHTED_TWICE = _invalid(
    "Invalid function version {version}. Function version {version} is already included in routing configuration.",
    "from memory",
)

# -- permissions
STATEMENT_EXISTS = _conflict(
    "The statement id ({sid}) provided already exists. Please provide a new statement id, or remove the existing statement.",
    "aws-behaviour 3.2",
)
STATEMENT_NOT_FOUND = _missing("Statement {sid} is not found in resource policy.", "aws-behaviour 3.2")
POLICY_NOT_FOUND = _missing("The resource you requested does not exist.", "aws-behaviour 3.2")
NO_POLICY = _missing("No policy is associated with the given resource.", "aws-behaviour 3.2")
POLICY_ON_LATEST = _invalid("We currently do not support adding policies for $LATEST.", "aws-behaviour 3.2")
BAD_PRINCIPAL = _invalid("The provided principal was invalid. Please check the principal and try again.", "from memory")
POLICY_TOO_LONG = _row(
    "PolicyLengthExceededException", 400, "The final policy size ({size}) is bigger than the limit (20480).", "from memory"
)

# -- settings
TOO_LITTLE_LEFT = _invalid(
    "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum "
    "value of [100].",
    "aws-behaviour 3.2",
)
EVENT_CONFIG_NOT_FOUND = _missing("The function {arn} doesn't have an EventInvokeConfig", "from memory")
EVENT_CONFIG_EMPTY = _invalid("You must specify at least one of error handling or destination setting.", "from memory")
BAD_DESTINATION = _invalid("The destination {arn} is not valid for {member}.", "own")
TAGS_ON_QUALIFIED = _invalid(
    "Tags on function aliases and versions are not supported. Please specify either a function name or an unqualified function "
    "ARN.",
    "from memory",
)
TOO_MANY_TAGS = _invalid("Number of tags exceeds resource tag limit.", "from memory")
BAD_TAG = _invalid("The tag {key} is not valid: {reason}", "own")
BAD_OWN_TAG = _invalid("The value '{value}' of the tag {key} is not valid: {reason}", "own")

# -- layers
LAYER_NOT_FOUND = _missing("The resource you requested does not exist.", "from memory")

# -- invoke
BAD_CLIENT_CONTEXT = _row(
    "InvalidRequestContentException", 400, "Client context must be a valid Base64-encoded JSON object.", "from memory"
)

# -- not configured
URL_NOT_FOUND = _missing("The resource you requested does not exist.", "from memory")
PROVISIONED_NOT_FOUND = _row(
    "ProvisionedConcurrencyConfigNotFoundException",
    404,
    "No Provisioned Concurrency Config found for this function",
    "from memory",
)
MAPPING_NOT_FOUND = _missing("The resource you requested does not exist.", "from memory")
