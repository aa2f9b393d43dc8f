"""A request to a stage, from its path to the client's response (aws-behaviour 4.2 to 4.9). READ THIS FIRST of the data plane.

    stage -> route -> throttle -> authorizer -> validation -> mapping (the tenant's id) -> integration -> response

The tenant's id comes from one place: the mapped header X-Amz-Tenant-Id. A client's own header of that name selects nothing.
Mapped values never change the event. What Lambda refuses about tenancy reaches the client as 400 with Lambda's message; a
throttled, missing or forbidden function is 500; a failing function or a malformed result 502; silence for the integration's
timeout 504, and the invocation runs on.

Not here: the account-wide throttle, response compression, response caching. Headers of more than 10,240 bytes are 431
(AWS documents the limit, not the status; 431 is HTTP's own).
"""

from __future__ import annotations

import orjson

from tenantry.model.clock import Clock
from tenantry.model.errors import ServiceError
from tenantry.model.http import Request, Response
from tenantry.model.invocation import Invoker, InvokeRequest
from tenantry.model.logging import LogSink
from tenantry.services.apigateway.access_log import write_line
from tenantry.services.apigateway.authorize import CompiledAuthorizer, RefusedError
from tenantry.services.apigateway.call import Call, HeaderNames
from tenantry.services.apigateway.custom import ConfigurationError, UnsupportedMediaTypeError
from tenantry.services.apigateway.deadline import Deadlines
from tenantry.services.apigateway.engines import Engines
from tenantry.services.apigateway.event import SecondClock
from tenantry.services.apigateway.gateway import Gateway
from tenantry.services.apigateway.ids import Ids
from tenantry.services.apigateway.plan import CompiledStage, Route, Where, compile_stage, load_engines
from tenantry.services.apigateway.reply import MalformedError, proxy_response
from tenantry.services.apigateway.store import Store
from tenantry.services.apigateway.templates import TemplateError

PAYLOAD_BYTES_MAX = 10 * 1024 * 1024
HEADER_BYTES_MAX = 10_240
AUTHORIZER_TIMEOUT_S = 29.0
_RESERVED = frozenset({"/ping", "/sping"})
_INVOKER = "apigateway.amazonaws.com"
_PASSED_ON = frozenset({"InvalidParameterValueException", "ValidationException"})


class DataPlane:
    """Serves every stage of every API. `handle` is safe to cancel: an invocation under way goes on."""

    def __init__(self, store: Store, invoker: Invoker, clock: Clock, log: LogSink | None = None) -> None:
        self._store = store
        self._invoker = invoker
        self._clock = clock
        self._log = log
        self._ids = Ids()
        self._names = HeaderNames()
        self._seconds = SecondClock()
        self._deadlines = Deadlines()
        self._engines = Engines()
        self._builtin = Gateway()
        self._compiled: dict[tuple[str, str], CompiledStage] = {}

    async def handle(self, request: Request, api_id: str, path: str) -> Response:
        """Answer a request to an API. `path` is raw and begins with `/{stage}`."""
        call = Call(request, self._ids.request_id(), self._ids.extended_id(), self._clock.now())
        if path in _RESERVED:
            return self._health(call)
        slash = path.find("/", 1)
        name = path[1:] if slash < 0 else path[1:slash]
        call.path = "/" if slash < 0 else path[slash:]
        stage = self._compiled.get((api_id, name))
        if stage is None or self._store.stages.get(stage.key) is not stage.record:
            stage = await self._compile(api_id, name)
            if stage is None:
                return self._nothing_there(call, api_id)
        response = await self._serve(call, stage)
        settings = stage.record.access_log_settings
        if settings is not None and self._log is not None:
            write_line(self._log, settings, call, response)
        return response

    async def _serve(self, call: Call, stage: CompiledStage) -> Response:
        gateway, request = stage.gateway, call.request
        if stage.disabled:
            return gateway.answer("INVALID_API_KEY", call)
        found = stage.tree.find(call.path)
        route = found[0].get(request.method) if found is not None else None
        if found is None or route is None:
            return gateway.answer("MISSING_AUTHENTICATION_TOKEN", call)
        call.facts = route.facts
        call.stage_variables = stage.record.variables
        if found[1] is not None:
            call.path_parameters = found[1]
        size = call.read_headers(self._names)
        call.trace_id = _trace(call.header("x-amzn-trace-id")) or self._ids.trace_id(call.now)
        if size > HEADER_BYTES_MAX:
            return gateway.answer("DEFAULT_4XX", call, "Request Header Fields Too Large", 431)
        if len(request.body) > PAYLOAD_BYTES_MAX:
            return gateway.answer("REQUEST_TOO_LARGE", call)
        if route.bucket is not None and not route.bucket.take():
            return gateway.answer("THROTTLED", call)
        if route.authorizer is not None:
            refusal = await self._authorize(call, route, route.authorizer, stage)
            if refusal is not None:
                return refusal
        refusal = _invalid(call, route, gateway)
        if refusal is not None:
            return refusal
        return await self._integrate(call, route, stage)

    async def _authorize(
        self, call: Call, route: Route, authorizer: CompiledAuthorizer, stage: CompiledStage
    ) -> Response | None:
        # An authorizer's policy speaks of the very path that was asked for.
        arn = f"{stage.source_arn}/{stage.record.stage_name}/{call.request.method}{call.path}"
        try:
            with self._deadlines.within(AUTHORIZER_TIMEOUT_S):
                await authorizer.authorize(call, route.event, arn, self._invoker)
        except RefusedError as refused:
            return stage.gateway.answer(refused.kind, call, refused.message)
        except TimeoutError:
            return stage.gateway.answer("AUTHORIZER_FAILURE", call)
        return None

    async def _integrate(self, call: Call, route: Route, stage: CompiledStage) -> Response:
        gateway = stage.gateway
        try:
            if route.kind == "AWS_PROXY":
                return await self._proxy(call, route, stage)
            return await self._custom(call, route)
        except ServiceError as error:
            return _lambda_refusal(error, call, gateway)
        except TimeoutError:
            return gateway.answer("INTEGRATION_TIMEOUT", call)
        except UnsupportedMediaTypeError:
            return gateway.answer("UNSUPPORTED_MEDIA_TYPE", call)
        except MalformedError:
            return gateway.answer("DEFAULT_5XX", call, status=502)
        except (ConfigurationError, TemplateError):
            return gateway.answer("API_CONFIGURATION_ERROR", call)

    async def _proxy(self, call: Call, route: Route, stage: CompiledStage) -> Response:
        if not route.post:
            raise ConfigurationError("Lambda is invoked with POST")
        invocation = self._invocation(call, route, route.event.render(call))
        with self._deadlines.within(route.timeout_s):
            result = await self._invoker.invoke(invocation)
        if result.function_error is not None:
            raise MalformedError("the function failed")
        return proxy_response(result.payload, call, stage.binary)

    async def _custom(self, call: Call, route: Route) -> Response:
        assert route.custom is not None, "every integration that is not a proxy is compiled with its templates"
        context = call.context_values()
        if route.kind == "MOCK":
            return route.custom.mock(call, context)
        payload = route.custom.request(call, context)
        override = context["requestOverride"]["header"]
        invocation = self._invocation(call, route, payload.encode(), override)
        with self._deadlines.within(route.timeout_s):
            result = await self._invoker.invoke(invocation)
        text = result.payload.decode("utf-8", "replace")
        error = _function_error(text) if result.function_error is not None else None
        return route.custom.answer(call, text, error, {"x-amzn-requestid": call.request_id}, context)

    def _invocation(self, call: Call, route: Route, payload: bytes, override: dict[str, str] | None = None) -> InvokeRequest:
        """What is asked of Lambda. Raises ConfigurationError where mapped headers or the function are impossible."""
        target = route.target
        if target is None or target.account_id != route.facts["accountId"]:
            raise ConfigurationError("the integration names no function of this account")
        for reader in route.illegal:
            if reader(call) is not None:
                raise ConfigurationError("a mapping sets a header that Lambda does not take")
        tenant = route.tenant(call) if route.tenant is not None else None
        for name, value in (override or {}).items():
            if name.lower() == "x-amz-tenant-id":
                tenant = str(value)
        if tenant is not None:
            if "\n" in tenant or "\r" in tenant or "\0" in tenant:
                raise ConfigurationError("a mapped value would split a header")
            tenant = tenant.strip(" \t") or None  # as HTTP takes a field's value; an empty one counts as absent
        return InvokeRequest(
            region=target.region,
            function=target.name,
            request_id=call.request_id,
            payload=payload,
            qualifier=target.qualifier,
            tenant_id=tenant,
            trace_id=call.trace_id,
            source_service=None if route.assumes_role else _INVOKER,
            source_arn=route.source_arn,
        )

    async def _compile(self, api_id: str, name: str) -> CompiledStage | None:
        """The stage as it is now, compiled and remembered, or None where there is none."""
        region = self._store.regions.get(api_id)
        key = f"{region}/{api_id}/{name}"
        record = self._store.stages.get(key) if region is not None else None
        if region is None or record is None:
            self._compiled.pop((api_id, name), None)
            return None
        deployment = self._store.deployments.get(f"{region}/{api_id}/{record.deployment_id}")
        if deployment is None:
            return None
        await load_engines(deployment.snapshot, self._engines)
        earlier = self._compiled.get((api_id, name))
        if earlier is not None and earlier.record is record:
            return earlier  # compiled by another request while the engines were loading: its throttles count already
        where = Where(region, self._store.account_id, api_id, self._clock, self._seconds)
        stage = compile_stage(key, record, deployment.snapshot, where, self._engines)
        self._compiled[api_id, name] = stage
        return stage

    def _nothing_there(self, call: Call, api_id: str) -> Response:
        kind = "MISSING_AUTHENTICATION_TOKEN" if api_id in self._store.regions else "INVALID_API_KEY"
        return self._builtin.answer(kind, call)

    def _health(self, call: Call) -> Response:
        """`/ping` and `/sping` are API Gateway's own, on every API."""
        headers = [("Content-Type", "text/plain"), ("x-amzn-RequestId", call.request_id), ("x-amz-apigw-id", call.extended_id)]
        return Response(200, headers, b"healthy")


def _invalid(call: Call, route: Route, gateway: Gateway) -> Response | None:
    if route.validation is None:
        return None
    missing = route.validation.missing(call)
    if missing is not None:
        return gateway.answer("BAD_REQUEST_PARAMETERS", call, f"Missing required request parameters: [{missing}]")
    if not route.validation.body_fits(call):
        return gateway.answer("BAD_REQUEST_BODY", call)
    return None


def _lambda_refusal(error: ServiceError, call: Call, gateway: Gateway) -> Response:
    """What a client sees of Lambda's own refusals (aws-behaviour 4.9). Its 400s about the tenant pass through."""
    if error.code in _PASSED_ON and error.status == 400:
        headers = [
            ("Content-Type", "application/json"),
            ("x-amzn-RequestId", call.request_id),
            ("x-amz-apigw-id", call.extended_id),
            ("x-amzn-ErrorType", error.code),
            ("X-Amzn-Trace-Id", call.trace_id),
        ]
        return Response(400, headers, orjson.dumps({"message": error.message}))
    if error.status == 413:
        return gateway.answer("REQUEST_TOO_LARGE", call)
    return gateway.answer("API_CONFIGURATION_ERROR", call)


def _function_error(payload: str) -> str:
    """The text that selection patterns are matched against: a failed function's error message."""
    try:
        value = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return payload
    message = value.get("errorMessage") if isinstance(value, dict) else None
    return message if isinstance(message, str) else payload


def _trace(sent: str | None) -> str | None:
    """A client's trace id, where it is one."""
    return sent if sent is not None and sent.startswith("Root=1-") and len(sent) <= 256 else None
