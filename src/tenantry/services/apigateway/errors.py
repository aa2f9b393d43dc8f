"""Every refusal of the control plane, as a table (aws-behaviour 4.1; sources in the last column)."""

from __future__ import annotations

from tenantry.model.errors import Refusal, ServiceError

_LS = "aws-behaviour 4.1, recorded"
_DOC = "aws-behaviour 4.1"
_OURS = "ours: what tenantry does not do is refused by name"


def _bad(template: str, source: str = _LS) -> Refusal:
    return Refusal("BadRequestException", 400, template, source)


def _missing(template: str, source: str = _LS) -> Refusal:
    return Refusal("NotFoundException", 404, template, source)


def _conflict(template: str, source: str = _LS) -> Refusal:
    return Refusal("ConflictException", 409, template, source)


NO_API = _missing("Invalid API identifier specified {account}:{id}")
NO_RESOURCE = _missing("Invalid Resource identifier specified")
NO_METHOD = _missing("Invalid Method identifier specified")
NO_INTEGRATION = _missing("Invalid Integration identifier specified")
NO_STATUS_CODE = _missing("Invalid Response status code specified")
NO_MODEL = _missing("Invalid model name specified: {name}")
NO_VALIDATOR = _missing("Invalid Request Validator identifier specified")
NO_DEPLOYMENT = _missing("Invalid Deployment identifier specified")
NO_STAGE = _missing("Invalid Stage identifier specified")
NO_AUTHORIZER = _missing("Invalid Authorizer identifier specified {account}:{id}", _DOC)
NO_GATEWAY_RESPONSE = _missing("Gateway response type not defined on api", _DOC)
NO_TAGGED = _missing("Invalid resource ARN specified: {arn}", _DOC)

SAME_NAME = _conflict("Another resource with the same parent already has this name: {name}")
METHOD_EXISTS = _conflict("Method already exists for this resource")
RESPONSE_EXISTS = _conflict("Response already exists for this resource")
MODEL_EXISTS = _conflict("Model name already exists for this REST API")
MODEL_IN_USE = _conflict("Cannot delete model '{name}', is referenced in method request: {where}")
VALIDATOR_IN_USE = _conflict("Cannot delete request validator '{name}', is referenced in method request: {where}", _DOC)
AUTHORIZER_IN_USE = _conflict("Authorizer is in use by {where}", _DOC)
AUTHORIZER_EXISTS = _conflict("Authorizer name must be unique. Authorizer {name} already exists in this RestApi.", _DOC)
STAGE_EXISTS = _conflict("Stage already exists", _DOC)

ONE_VARIABLE = _conflict("A sibling ({sibling}) of this resource already has a variable path part -- only one is allowed", _LS)
BAD_PATH_PART = _bad("Resource's path part only allow a-zA-Z0-9._-: or a valid greedy path variable and curly braces at the "
                     "beginning and the end.")  # fmt: skip
UNDER_GREEDY = _bad("Cannot create a child of a resource with a greedy path variable: {path}")
ROOT_UNDELETABLE = _bad("Cannot delete root resource.", _DOC)
ROOT_UNCHANGEABLE = _bad("Root resource cannot update its name.", _LS)
TOO_MANY_RESOURCES = Refusal("LimitExceededException", 429, "Maximum number of resources for this API has been reached.", _DOC)
BAD_METHOD = _bad("Invalid HttpMethod specified. Valid options are GET,PUT,POST,DELETE,PATCH,OPTIONS,HEAD,ANY", _DOC)
BAD_EXPRESSION = _bad(
    "Invalid mapping expression specified: Validation Result: warnings : [], errors : "
    "[Invalid mapping expression specified: {expression}]"
)
UNDECLARED = _bad("Invalid mapping expression parameter specified: {expression}", _DOC)
UNKNOWN_MODEL = _bad("Invalid model identifier specified: {name}", _LS)
UNKNOWN_VALIDATOR = _bad("Invalid Request Validator identifier specified", _LS)
UNKNOWN_AUTHORIZER = _bad(
    "Invalid authorizer ID specified. Setting the authorization type to CUSTOM or COGNITO_USER_POOLS "
    "requires a valid authorizer."
)
BAD_MODEL_NAME = _bad("Model name must be alphanumeric: {name}", _DOC)
BAD_SCHEMA = _bad("Invalid model specified: Validation Result: warnings : [], errors : [Invalid model schema specified]", _LS)
UNKNOWN_REF = _bad(
    "Invalid model specified: Validation Result: warnings : [], errors : [Unknown model reference specified: {ref}]", _LS
)

NO_HTTP_METHOD = _bad("Enumeration value for HttpMethod must be non-empty")
ONLY_LAMBDA = _bad("Integrations of type 'AWS_PROXY' currently only supports Lambda function and Firehose stream invocations.")
NO_PATH_OR_ACTION = _bad("AWS ARN for integration must contain path or action")
BAD_ARN = _bad("Invalid ARN specified in the request")
BAD_LAMBDA_ARN = _bad("Invalid lambda function", _DOC)
BAD_TIMEOUT = _bad("Timeout should be between 50 ms and 29000 ms", _DOC)
BAD_STATUS_CODE = _bad("Invalid status code specified: {value}", _DOC)
BAD_PATTERN = _bad("Invalid selection pattern specified: {value}", _DOC)
BAD_PASSTHROUGH = _bad(
    "Invalid passthrough behavior specified: {value}. Must be WHEN_NO_MATCH, WHEN_NO_TEMPLATES or NEVER", _DOC
)
BAD_TEMPLATE = _bad("Invalid mapping template specified: {reason}", _DOC)

NO_METHODS = _bad("The REST API doesn't contain any methods")
METHOD_WITHOUT_INTEGRATION = _bad("No integration defined for method", _LS)
DEPLOYMENT_ACTIVE = _bad("Active stages pointing to this deployment must be moved or deleted", _LS)
BAD_STAGE_NAME = _bad("Stage name only allows a-zA-Z0-9_-", _LS)
UNKNOWN_DEPLOYMENT = _bad("Deployment id does not exist", _LS)
BAD_VARIABLE = _bad("Stage variable name or value is invalid: {name}", _DOC)
BAD_GATEWAY_PARAMETER = _bad("Invalid gateway response parameter specified: {name}", _DOC)
BAD_NAME = _bad("{what} is required", _DOC)
BAD_AUTHORIZER_URI = _bad("Invalid Authorizer URI: {uri}. Authorizer URI should be a valid API Gateway ARN that represents a "
                          "Lambda function invocation.", _LS)  # fmt: skip
BAD_TTL = _bad("Authorizer result TTL must be between 0 and 3600 seconds", _DOC)
BAD_IDENTITY_SOURCE = _bad("Invalid identity source specified: {value}", _DOC)
BAD_TAG = _bad("Invalid tag key or value: {key}", _DOC)
BAD_POSITION = _bad("Invalid position parameter specified", _DOC)

BAD_PATCH_PATH = _bad("Invalid patch path  '{path}' specified for op '{op}'. Must be one of: [{known}]")
BAD_PATCH_OP = _bad("Invalid patch operation specified: {op} {path}", _LS)
BAD_PATCH_VALUE = _bad("Invalid value specified for {path}: {value}", _DOC)

BAD_BODY = _bad("Invalid OpenAPI input.", _LS)
UNKNOWN_SPEC = _bad("Invalid specification version: only Swagger 2.0 and OpenAPI 3.0 documents can be imported.", _DOC)


def unsupported(what: str) -> ServiceError:
    """A setting of AWS's that tenantry does not honour: refused where it is asked for, never silently ignored."""
    return Refusal("BadRequestException", 400, "tenantry does not support {what}.", _OURS)(what=what)
