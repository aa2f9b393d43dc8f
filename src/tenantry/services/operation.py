"""How an AWS operation is written: an async method marked `@operation("CreateFunction")` of a service's class.

    class LambdaService:
        name = "lambda"                                   # botocore's service name

        @operation("GetFunction")
        async def get_function(self, ctx: Context, params: dict[str, Any]) -> dict[str, Any]: ...

`params` is the operation's botocore input shape as a dictionary, parsed and validated against the model; the answer is the
output shape as a dictionary (blobs as bytes, timestamps as epoch seconds or datetime; members that are None are left out).
A refusal is a raised `ServiceError`. The same methods answer the wire (edge/front) and other services (`Operations.call`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from tenantry.model.errors import ServiceError
from tenantry.model.identity import Principal

Handler = Callable[["Context", dict[str, Any]], Awaitable[dict[str, Any] | None]]
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Context:
    """What surrounds one call: where, who, and under which id. `endpoint` is the base URL the client reached us by."""

    region: str
    account_id: str
    request_id: str
    principal: Principal
    endpoint: str


class Validate(Protocol):
    """Checks parameters against an operation's input shape; raises ServiceError with AWS's wording."""

    def __call__(self, service: str, operation: str, params: dict[str, Any]) -> None: ...


def operation(name: str) -> Callable[[F], F]:
    """Marks a method as the implementation of the AWS operation `name`."""

    def mark(function: F) -> F:
        function.__operation__ = name  # type: ignore[attr-defined]
        return function

    return mark


class Operations:
    """Every implemented operation of every service, by (service, operation)."""

    def __init__(self, validate: Validate) -> None:
        self._validate = validate
        self._handlers: dict[tuple[str, str], Handler] = {}

    def add(self, service: Any) -> None:
        """Take in a service: an object with a `name` and `@operation` methods."""
        for attribute in dir(type(service)):
            name = getattr(getattr(type(service), attribute), "__operation__", None)
            if name is not None:
                self._handlers[service.name, name] = getattr(service, attribute)

    def names(self) -> list[tuple[str, str]]:
        """Every (service, operation) that has an implementation, sorted."""
        return sorted(self._handlers)

    def handler(self, service: str, name: str) -> Handler:
        """The implementation; an operation we lack raises the one documented error for that."""
        handler = self._handlers.get((service, name))
        if handler is None:
            raise ServiceError(
                "NotImplementedException",
                f"tenantry does not implement {service}:{name}. docs/operations.md lists what it does.",
                status=501,
            )
        return handler

    async def call(self, service: str, name: str, params: dict[str, Any], ctx: Context) -> dict[str, Any]:
        """Call an operation from inside, as the wire would: validated, refused with ServiceError."""
        handler = self.handler(service, name)
        self._validate(service, name, params)
        return await handler(ctx, params) or {}
