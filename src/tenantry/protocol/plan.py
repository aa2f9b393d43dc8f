"""Operation plans: everything about one operation on one wire protocol, compiled at its first use and kept.

    plan.parse(request, labels)  -> params          ServiceError where the request cannot be read
    plan.validate(params)                           ServiceError where the model does not allow them
    plan.serialize(result, request_id) -> Response

Compiled because a generic walk over the model costs fifteen times as much on every request.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tenantry.model.http import Request, Response
from tenantry.protocol.dialect import Dialect, dialect_of
from tenantry.protocol.model import ServiceModel
from tenantry.protocol.parse import Parser, Parsers
from tenantry.protocol.scalars import Malformed, MalformedParameter
from tenantry.protocol.serialize import Serializers
from tenantry.protocol.validate import Validators


@dataclass(frozen=True, slots=True)
class OperationPlan:
    """One operation on one protocol. `service` and `name` are botocore's; `request_uri` and `method` the model's."""

    service: str
    name: str
    protocol: str
    method: str
    request_uri: str
    parse: Parser
    validate: Callable[[dict[str, Any]], None]
    serialize: Callable[[dict[str, Any], str], Response]


class ServicePlans:
    """The plans of one service."""

    def __init__(self, model: ServiceModel) -> None:
        self.model = model
        self._parsers = Parsers(model.name)
        self._serializers = Serializers(model)
        self._validators = Validators(dialect_of(model.name, model.protocols[0]))
        self._plans: dict[tuple[str, str], OperationPlan] = {}

    def plan(self, name: str, protocol: str) -> OperationPlan:
        """The plan of an operation, compiled if this is its first use. Raises KeyError for an unknown operation."""
        plan = self._plans.get((name, protocol))
        if plan is None:
            plan = self._plans[name, protocol] = self._compile(name, protocol)
        return plan

    def _compile(self, name: str, protocol: str) -> OperationPlan:
        operation = self.model.operation(name)
        dialect = dialect_of(self.model.name, protocol)
        return OperationPlan(
            self.model.name,
            name,
            protocol,
            operation.method,
            operation.request_uri,
            _refusing(self._parsers.compile(operation, protocol), dialect),
            _validate_or_refuse(self._validators.compile(operation), dialect),
            self._serializers.compile(operation, protocol),
        )


def _validate_or_refuse(validate: Callable[[dict[str, Any]], None], dialect: Dialect) -> Callable[[dict[str, Any]], None]:
    def refusing(params: dict[str, Any]) -> None:
        try:
            validate(params)
        except Malformed as error:
            raise dialect.serialization(reason=error.reason) from None

    return refusing


def _refusing(parse: Parser, dialect: Dialect) -> Parser:
    def parse_or_refuse(request: Request, labels: Sequence[str]) -> dict[str, Any]:
        try:
            return parse(request, labels)
        except MalformedParameter as error:
            raise dialect.bad_parameter(reason=error.reason) from None
        except Malformed as error:
            raise dialect.serialization(reason=error.reason) from None

    return parse_or_refuse
