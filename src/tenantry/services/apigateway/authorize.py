"""Lambda authorizers (aws-behaviour 4.10): a function says who calls and what they may do, before the integration is asked.

    TOKEN    one header; the function gets {type, authorizationToken, methodArn}
    REQUEST  any parts of the request; the function gets the whole request without its body

The answer is `{principalId, policyDocument, context}`. It is remembered per identity for the authorizer's TTL. A policy
statement that says more than Effect, Action and Resource (conditions, Not...) is read on the safe side: it never allows, and
always denies.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from tenantry.model.clock import Clock
from tenantry.model.errors import ServiceError
from tenantry.model.invocation import Invoker, InvokeRequest
from tenantry.services.apigateway.call import Call
from tenantry.services.apigateway.event import EventTemplate
from tenantry.services.apigateway.expressions import Read, read
from tenantry.services.apigateway.records import Authorizer
from tenantry.services.apigateway.targets import Target

CACHED_MAX = 1024
"""Identities remembered per authorizer and stage."""

_INVOKE_ACTIONS = "execute-api:invoke"
_PLAIN_STATEMENT = frozenset({"Sid", "Effect", "Action", "Resource", "Principal"})


class RefusedError(Exception):
    """The caller may not pass: the gateway answers `kind`, with `message` in place of its own."""

    def __init__(self, kind: str, message: str | None = None) -> None:
        super().__init__(kind)
        self.kind = kind
        self.message = message


@dataclass(frozen=True, slots=True)
class _Verdict:
    policy: dict[str, Any]
    context: dict[str, Any]
    until: float


class CompiledAuthorizer:
    """One authorizer in one stage."""

    def __init__(
        self, record: Authorizer, target: Target | None, source_arn: str, sources: tuple[Read, ...], clock: Clock
    ) -> None:
        self._record = record
        self._target = target
        self._source_arn = source_arn
        self._sources = sources
        self._clock = clock
        self._pattern = re.compile(record.identity_validation_expression) if record.identity_validation_expression else None
        self._cache: OrderedDict[tuple[str, ...], _Verdict] = OrderedDict()

    async def authorize(self, call: Call, event: EventTemplate, method_arn: str, invoker: Invoker) -> None:
        """Set `call.authorizer`, or raise RefusedError."""
        identity = self._identity(call)
        verdict = self._remembered(identity)
        if verdict is None:
            verdict = await self._ask(call, identity, event, method_arn, invoker)
        outcome = evaluate(verdict.policy, method_arn)
        if outcome == "Deny":
            raise RefusedError("ACCESS_DENIED", "User is not authorized to access this resource with an explicit deny")
        if outcome != "Allow":
            raise RefusedError("ACCESS_DENIED")
        call.authorizer = verdict.context

    def _identity(self, call: Call) -> tuple[str, ...]:
        """The values of the identity sources; a missing one refuses the caller, unless nothing is remembered by them."""
        values = tuple(value for source in self._sources if (value := source(call)))
        if len(values) < len(self._sources):
            raise RefusedError("UNAUTHORIZED")
        if self._record.type == "TOKEN" and self._pattern is not None and not self._pattern.match(values[0]):
            raise RefusedError("UNAUTHORIZED")
        return values

    def _remembered(self, identity: tuple[str, ...]) -> _Verdict | None:
        verdict = self._cache.get(identity) if identity else None
        if verdict is None:
            return None
        if verdict.until <= self._clock.monotonic():
            del self._cache[identity]
            return None
        self._cache.move_to_end(identity)
        return verdict

    async def _ask(
        self, call: Call, identity: tuple[str, ...], event: EventTemplate, method_arn: str, invoker: Invoker
    ) -> _Verdict:
        if self._target is None:
            raise RefusedError("AUTHORIZER_CONFIGURATION_ERROR")
        if self._record.type == "TOKEN":
            payload = orjson.dumps({"type": "TOKEN", "methodArn": method_arn, "authorizationToken": identity[0]})
        else:
            payload = event.render_for_authorizer(call, method_arn)
        request = InvokeRequest(
            region=self._target.region,
            function=self._target.name,
            qualifier=self._target.qualifier,
            request_id=call.request_id,
            payload=payload,
            trace_id=call.trace_id,
            source_service=None if self._record.authorizer_credentials else "apigateway.amazonaws.com",
            source_arn=self._source_arn,
        )
        try:
            result = await invoker.invoke(request)
        except ServiceError:
            raise RefusedError("AUTHORIZER_CONFIGURATION_ERROR") from None
        if result.function_error:
            message = _error_message(result.payload)
            raise RefusedError("UNAUTHORIZED") if message == "Unauthorized" else RefusedError("AUTHORIZER_FAILURE")
        verdict = self._verdict(result.payload)
        if identity and self._record.authorizer_result_ttl_in_seconds > 0:
            self._cache[identity] = verdict
            if len(self._cache) > CACHED_MAX:
                self._cache.popitem(last=False)
        return verdict

    def _verdict(self, payload: bytes) -> _Verdict:
        try:
            answer = orjson.loads(payload)
        except orjson.JSONDecodeError:
            answer = None
        if not isinstance(answer, dict) or not isinstance(answer.get("principalId"), str):
            raise RefusedError("AUTHORIZER_CONFIGURATION_ERROR")
        policy, given = answer.get("policyDocument"), answer.get("context") or {}
        if not isinstance(policy, dict) or not isinstance(given, dict):
            raise RefusedError("AUTHORIZER_CONFIGURATION_ERROR")
        context: dict[str, Any] = {"principalId": answer["principalId"]}
        for name, value in given.items():
            if not isinstance(value, str | int | float | bool):
                raise RefusedError("AUTHORIZER_CONFIGURATION_ERROR")  # the context is flat
            context[name] = value if isinstance(value, str) else orjson.dumps(value).decode()
        return _Verdict(policy, context, self._clock.monotonic() + self._record.authorizer_result_ttl_in_seconds)


def identity_sources(record: Authorizer) -> tuple[Read, ...]:
    """The functions that read an authorizer's identity sources (`method.request.header.X, context.Y`)."""
    parts = [part.strip() for part in (record.identity_source or "").split(",")]
    return tuple(read(part) for part in parts if part)


def evaluate(policy: dict[str, Any], method_arn: str) -> str | None:
    """`Allow`, `Deny`, or None where a policy says nothing about invoking a method."""
    statements = policy.get("Statement") or []
    allowed = False
    for statement in statements if isinstance(statements, list) else [statements]:
        if not isinstance(statement, dict):
            continue
        plain = statement.keys() <= _PLAIN_STATEMENT
        if plain and not (
            _any(statement.get("Action"), _INVOKE_ACTIONS, fold=True)
            and _any(statement.get("Resource"), method_arn, fold=False)
        ):
            continue
        if statement.get("Effect") == "Deny":
            return "Deny"
        allowed |= plain and statement.get("Effect") == "Allow"
    return "Allow" if allowed else None


def _any(patterns: Any, text: str, *, fold: bool) -> bool:
    items = patterns if isinstance(patterns, list) else [patterns]
    return any(
        isinstance(item, str) and _wildcard(item.lower() if fold else item).fullmatch(text) is not None for item in items
    )


@lru_cache(maxsize=1024)
def _wildcard(pattern: str) -> re.Pattern[str]:
    """`*` and `?` as policies use them. Consecutive stars are one, so that matching stays quick."""
    parts = re.split(r"(\*+|\?)", pattern)
    return re.compile(
        "".join({"*": ".*", "?": "."}.get(part[:1], re.escape(part)) if part else "" for part in parts), re.DOTALL
    )


def _error_message(payload: bytes) -> str | None:
    try:
        value = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return None
    return value.get("errorMessage") if isinstance(value, dict) else None
