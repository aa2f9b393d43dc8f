"""From a request to its service, protocol and operation, and from an outcome back to the wire: what the edge calls.

    wire = protocol.identify(request)                     which service speaks which protocol: never fails
    try:
        verified = protocol.verify(request, wire)         principal, region, the request with its body decoded
        target = wire.target(verified.request)            operation plan and path labels
        params = target.parse(verified.request)
        target.plan.validate(params)
        response = target.plan.serialize(result, request_id)
    except ServiceError as error:
        response = wire.error(error, request_id, request)

A service is told by the credential scope (header or presigned), then by rpc-v2-cbor path, X-Amz-Target, form version, host and
path; what nothing tells is S3, whose presigned and anonymous requests name nobody (aws-behaviour 7).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tenantry.model.clock import Clock
from tenantry.model.errors import ServiceError
from tenantry.model.http import Request, Response
from tenantry.model.identity import CredentialSource
from tenantry.protocol.dialect import Dialect, dialect_of
from tenantry.protocol.errors import error_writer
from tenantry.protocol.model import ServiceModel, load
from tenantry.protocol.plan import OperationPlan, ServicePlans
from tenantry.protocol.route import PathRouter
from tenantry.protocol.scalars import Malformed
from tenantry.protocol.sigv4 import Verified, Verifier, scope_of


@dataclass(frozen=True, slots=True)
class Facts:
    """How a service's requests are known before its model is read. `signing`: the first name is the usual one."""

    protocol: str
    signing: tuple[str, ...]
    target_prefix: str = ""
    version: str = ""


SERVICES: Mapping[str, Facts] = {
    "lambda": Facts("rest-json", ("lambda",)),
    "apigateway": Facts("rest-json", ("apigateway",)),
    "cloudformation": Facts("query", ("cloudformation",), version="2010-05-15"),
    "iam": Facts("query", ("iam",), version="2010-05-08"),
    "sts": Facts("query", ("sts",), version="2011-06-15"),
    "logs": Facts("json", ("logs",), target_prefix="Logs_20140328"),
    "s3": Facts("rest-xml", ("s3",)),
    "cloudcontrol": Facts("json", ("cloudcontrolapi",), target_prefix="CloudApiService"),
    "xray": Facts("rest-json", ("xray",)),
}
"""The services spoken here, by botocore's names. What is implemented of each is the services' matter."""

_CBOR_PATH = re.compile(r"(?:/[^/]+)*/service/([A-Za-z0-9_.]+)/operation/([A-Za-z0-9_]+)")
_FORM_FIELD = {name: re.compile(rf"(?:^|&){name}=([^&]*)") for name in ("Action", "Version")}
_PATHS = ((re.compile(r"/20\d\d-\d\d-\d\d/"), "lambda"), (re.compile(r"/restapis(?:/|$)"), "apigateway"))
_BUCKET_HOST = re.compile(r"([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])\.s3(?:[.-][a-z0-9-]+)*\.(?:amazonaws\.com|localhost)")


@dataclass(frozen=True, slots=True)
class Target:
    """The operation a request means, and the variable parts of its path, still percent-encoded."""

    plan: OperationPlan
    labels: Sequence[str]

    def parse(self, request: Request) -> dict[str, Any]:
        """The operation's parameters. Raises ServiceError."""
        return self.plan.parse(request, self.labels)


class Wire:
    """One service in one protocol. A service that is not ours has no plans: every target is refused, in its protocol."""

    def __init__(self, service: str, protocol: str, signing: tuple[str, ...], plans: Callable[[], ServicePlans] | None) -> None:
        self.service = service
        self.protocol = protocol
        self.signing = signing
        self.dialect: Dialect = dialect_of(service, protocol)
        self._plans = plans
        self._router: PathRouter | None = None
        self._write_error: Callable[[ServiceError, str, str, str], Response] | None = None

    def target(self, request: Request) -> Target:
        """The operation. Raises the ServiceError of this service for one that is not there."""
        if self._plans is None:
            raise self.dialect.unknown_service(service=self.service)
        plans = self._plans()
        if self.protocol.startswith("rest-"):
            return self._rest_target(request, plans)
        name = self._named(request, plans.model)
        if name is None or name not in plans.model:
            raise self.dialect.unknown_operation(operation=name or "", version=plans.model.metadata["apiVersion"])
        return Target(plans.plan(name, self.protocol), ())

    def _rest_target(self, request: Request, plans: ServicePlans) -> Target:
        if self._router is None:
            self._router = PathRouter(plans.model)
        path = request.path if self.service != "s3" else _bucket_path(request)
        try:
            found = self._router.match(request, path)
        except Malformed as error:
            raise self.dialect.bad_parameter(reason=error.reason) from None
        if found is None:
            operation = f"{request.method} {request.path}"
            raise self.dialect.unknown_operation(operation=operation, version=plans.model.metadata["apiVersion"])
        return Target(plans.plan(found[0], self.protocol), found[1])

    def _named(self, request: Request, model: ServiceModel) -> str | None:
        if self.protocol == "query":
            return form_field(request, "Action")
        if self.protocol == "json":
            prefix, _, name = (request.header("x-amz-target") or "").rpartition(".")
            return name if prefix == model.target_prefix else None
        match = _CBOR_PATH.fullmatch(request.path)
        return match[2] if match else None

    def error(self, error: ServiceError, request_id: str, request: Request) -> Response:
        """The error as this service sends it."""
        if self._write_error is None:
            model = self._plans().model if self._plans is not None else _no_model(self.service, self.protocol)
            self._write_error = error_writer(model, self.protocol, self.dialect)
        return self._write_error(error, request_id, request.method, request.path)

    def internal_error(self) -> ServiceError:
        """What this service says when it fails itself."""
        return self.dialect.internal()


class Protocol:
    """AWS's wire formats for the services we speak. Models are read, and plans compiled, at their first use."""

    def __init__(self, credentials: CredentialSource, clock: Clock, services: Mapping[str, Facts] = SERVICES) -> None:
        self._services = services
        self._verifier = Verifier(credentials, clock)
        self._plans: dict[str, ServicePlans] = {}
        self._wires: dict[tuple[str, str], Wire] = {}
        self._by_signing = {name: service for service, facts in services.items() for name in facts.signing}
        self._by_target = {facts.target_prefix: service for service, facts in services.items() if facts.target_prefix}
        self._by_version = {facts.version: service for service, facts in services.items() if facts.version}

    def identify(self, request: Request) -> Wire:
        """The service a request is for, in the protocol it speaks."""
        scope = scope_of(request)
        if scope is not None:
            service = self._by_signing.get(scope[1])
            if service is None:
                return self._stranger(scope[1], request)
            return self.wire(service, self._protocol(service, request))
        target = request.header("x-amz-target")
        if target is not None and (service := self._by_target.get(target.rpartition(".")[0])):
            return self.wire(service, self._protocol(service, request))
        match = _CBOR_PATH.fullmatch(request.path)
        if match is not None and (service := self._by_target.get(match[1])):
            return self.wire(service, "smithy-rpc-v2-cbor")
        service = self._by_version.get(form_field(request, "Version") or "") or self._by_place(request)
        return self.wire(service, self._protocol(service, request))

    def verify(self, request: Request, wire: Wire) -> Verified:
        """The signer, the region it signed for, and the request with its body decoded. Raises ServiceError."""
        return self._verifier.verify(request, wire.dialect, wire.signing)

    def validate(self, service: str, operation: str, params: dict[str, Any]) -> None:
        """`services.operation.Validate`: hold parameters that did not come over the wire to the model. Raises ServiceError."""
        self.plans(service).plan(operation, self._services[service].protocol).validate(params)

    def wire(self, service: str, protocol: str | None = None) -> Wire:
        """A service of ours, in its usual protocol unless another is named. Raises KeyError for one that is not ours."""
        facts = self._services[service]
        key = (service, protocol or facts.protocol)
        wire = self._wires.get(key)
        if wire is None:
            wire = self._wires[key] = Wire(service, key[1], facts.signing, lambda: self.plans(service))
        return wire

    def plans(self, service: str) -> ServicePlans:
        """The plans of a service; its model is read now if it was not."""
        plans = self._plans.get(service)
        if plans is None:
            plans = self._plans[service] = ServicePlans(load(service))
        return plans

    def _protocol(self, service: str, request: Request) -> str:
        """A service may speak several; its usual one where the request does not show another."""
        usual = self._services[service].protocol
        if request.header("smithy-protocol") == "rpc-v2-cbor" and _CBOR_PATH.fullmatch(request.path):
            return "smithy-rpc-v2-cbor"
        return usual

    def _by_place(self, request: Request) -> str:
        host = (request.header("host") or "").lower()
        first = host.partition(".")[0]
        if host.count(".") > 1 and first in self._by_signing:
            return self._by_signing[first]
        return next((service for pattern, service in _PATHS if pattern.match(request.path)), "s3")

    def _stranger(self, name: str, request: Request) -> Wire:
        """A service that is signed for but not ours, in the protocol that the request looks like."""
        if request.header("x-amz-target") is not None:
            protocol = "json"
        elif _CBOR_PATH.fullmatch(request.path):
            protocol = "smithy-rpc-v2-cbor"
        else:
            protocol = "query" if form_field(request, "Action") is not None else "rest-json"
        return Wire(name, protocol, (name,), None)


def form_field(request: Request, name: str) -> str | None:
    """`Action` or `Version` of a form body or query string. Names of operations and versions need no decoding."""
    pattern = _FORM_FIELD[name]
    if (request.header("content-type") or "").startswith("application/x-www-form-urlencoded"):
        match = pattern.search(request.body.decode("latin-1"))
        if match is not None:
            return match[1]
    match = pattern.search(request.query) if request.query else None
    return match[1] if match else None


def _bucket_path(request: Request) -> str:
    """The path with its bucket, where a client put the bucket into the host."""
    match = _BUCKET_HOST.match((request.header("host") or "").lower())
    return f"/{match[1]}{request.path}" if match else request.path


def _no_model(service: str, protocol: str) -> ServiceModel:
    return ServiceModel(service, {"metadata": {"protocol": protocol, "apiVersion": "", "jsonVersion": "1.1"}, "operations": {}})
