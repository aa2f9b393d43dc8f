"""Refusals of the Logs service. Texts marked MEMORY are as remembered, not recorded."""

from __future__ import annotations

from tenantry.model.errors import Refusal

_FACTS = "aws-behaviour 6.1, 6.2"
_MEMORY = "aws-behaviour 6.2; wording from memory"
_INVALID = "InvalidParameterException"
_MISSING = "ResourceNotFoundException"

GROUP_NOT_FOUND = Refusal(_MISSING, 400, "The specified log group does not exist.", _FACTS)
STREAM_NOT_FOUND = Refusal(_MISSING, 400, "The specified log stream does not exist.", _FACTS)
GROUP_EXISTS = Refusal("ResourceAlreadyExistsException", 400, "The specified log group already exists", _MEMORY)
STREAM_EXISTS = Refusal("ResourceAlreadyExistsException", 400, "The specified log stream already exists", _MEMORY)
GROUP_RESERVED = Refusal(_INVALID, 400, "Log groups starting with AWS/ are reserved for AWS.", _MEMORY)
GROUP_PROTECTED = Refusal(
    "ValidationException", 400, "The log group has deletion protection enabled and cannot be deleted.", _MEMORY
)
BAD_RETENTION = Refusal(
    _INVALID,
    400,
    "1 validation error detected: Value '{days}' at 'retentionInDays' failed to satisfy constraint: "
    "Member must satisfy enum value set: [{allowed}]",
    _MEMORY,
)
BAD_PATTERN = Refusal(_INVALID, 400, "Invalid filter pattern", "aws-behaviour 6.3")
BAD_TOKEN = Refusal(_INVALID, 400, "The specified nextToken is invalid.", _MEMORY)
BAD_GROUP_CHOICE = Refusal(_INVALID, 400, "Exactly one of logGroupName and logGroupIdentifier must be specified.", _MEMORY)
BAD_STREAM_CHOICE = Refusal(_INVALID, 400, "LogStreamNames and LogStreamNamePrefix cannot both be specified.", _MEMORY)
BAD_GROUP_FILTER = Refusal(
    _INVALID, 400, "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.", _MEMORY
)
BAD_ORDER = Refusal(_INVALID, 400, "Cannot order by LastEventTime with a logStreamNamePrefix.", _MEMORY)
BAD_ARN = Refusal(_INVALID, 400, "The specified ARN is not a valid log group ARN: {arn}", _MEMORY)
BAD_TIME_RANGE = Refusal(_INVALID, 400, "Query's end date and time must not be before its start date and time.", _MEMORY)
NOT_CHRONOLOGICAL = Refusal(
    _INVALID, 400, "Log events in a single PutLogEvents request must be in chronological order.", _MEMORY
)
SPAN_TOO_LONG = Refusal(
    _INVALID, 400, "The batch of log events in a single PutLogEvents request cannot span more than 24 hours.", _MEMORY
)
BATCH_TOO_LARGE = Refusal(_INVALID, 400, "Upload too large: {size} bytes exceeds limit of {limit}", _MEMORY)
EVENT_TOO_LARGE = Refusal(_INVALID, 400, "Log event too large: {size} bytes exceeds limit of {limit}", _MEMORY)
TOO_MANY_TAGS = Refusal("TooManyTagsException", 400, "A resource can have at most {limit} tags.", _MEMORY)
BAD_TAG = Refusal(_INVALID, 400, "The tag key or value is invalid: {key}", _MEMORY)
QUERY_NOT_FOUND = Refusal(_MISSING, 400, "Query ID '{query_id}' does not exist.", _MEMORY)
QUERY_MALFORMED = Refusal("MalformedQueryException", 400, "{reason}", _MEMORY)
QUERY_LANGUAGE = Refusal(_INVALID, 400, "Only the query language CWLI is supported.", "ours")
QUERY_GROUPS = Refusal(
    _INVALID, 400, "Exactly one of logGroupName, logGroupNames and logGroupIdentifiers must be specified.", _MEMORY
)
QUERY_TOO_MANY_GROUPS = Refusal(_INVALID, 400, "A query can search at most {limit} log groups.", _MEMORY)
QUERIES_RUNNING = Refusal(
    "LimitExceededException", 400, "Account maximum query concurrency limit of [{limit}] reached.", _MEMORY
)
QUERY_ENDED = Refusal(_INVALID, 400, "The query has already ended: it is {status}.", _MEMORY)
TAIL_BY_ARN = Refusal(_INVALID, 400, "Log groups of a live tail are given by ARN: {identifier}", "aws-behaviour 6.2")
TAIL_STREAMS = Refusal(
    _INVALID, 400, "Streams can only be chosen when one log group is given, by name or by prefix but not both.", _MEMORY
)
TAIL_LIMIT = Refusal("LimitExceededException", 400, "At most {limit} live tail sessions may be open.", _MEMORY)
BAD_POINTER = Refusal(_INVALID, 400, "The specified logRecordPointer is invalid.", _MEMORY)
RECORD_NOT_FOUND = Refusal(_MISSING, 400, "The specified log record does not exist.", _MEMORY)
TAIL_TIMEOUT = Refusal("SessionTimeoutException", 400, "The session has reached its limit of three hours.", "aws-behaviour 6.2")
UNAVAILABLE = Refusal("ServiceUnavailableException", 503, "Service Unavailable", _MEMORY, sender=False)
