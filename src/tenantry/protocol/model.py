"""AWS service models as botocore ships them, read lazily and kept small.

A `ServiceModel` answers for shapes and operations; a `Shape` is one use of a shape: the shape's own traits with those of the
member that refers to it laid over them (`locationName`, `timestampFormat`, ... may stand at either). The codecs compile
closures from these; nothing here is touched while a request is answered.

Only the model's data is used, none of botocore's code: importing and walking botocore's classes costs more than the whole of
start-up may. One service costs 2 to 15 ms and 1 to 5 MB at its first use, documentation left out.
"""

from __future__ import annotations

import gzip
import importlib.util
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson

SCALARS = frozenset(
    {"string", "character", "blob", "boolean", "byte", "short", "integer", "long", "float", "double", "timestamp"}
)
"""Shape types without parts."""

PROTOCOLS = ("rest-json", "rest-xml", "query", "json", "smithy-rpc-v2-cbor")
"""Wire protocols spoken here, by botocore's names. `json` is 1.0 and 1.1, told apart by the model's `jsonVersion`."""


class Shape:
    """One use of a shape. `name` is the shape's, not the member's; `traits` hold everything but the members."""

    __slots__ = ("_service", "name", "traits", "type")

    def __init__(self, service: ServiceModel, name: str, traits: Mapping[str, Any]) -> None:
        self._service = service
        self.name = name
        self.type: str = traits["type"]
        self.traits = traits

    def get(self, trait: str, default: Any = None) -> Any:
        """A trait's value."""
        return self.traits.get(trait, default)

    def members(self) -> dict[str, Shape]:
        """A structure's members by name, in the model's order."""
        return {name: self._service.use(reference) for name, reference in self.traits.get("members", {}).items()}

    def element(self) -> Shape:
        """What a list holds."""
        return self._service.use(self.traits["member"])

    def key(self) -> Shape:
        """A map's keys."""
        return self._service.use(self.traits["key"])

    def value(self) -> Shape:
        """A map's values."""
        return self._service.use(self.traits["value"])

    @property
    def is_document(self) -> bool:
        """Whether the value is free JSON: nothing in it is described by the model."""
        return bool(self.traits.get("document"))

    @property
    def is_event_stream(self) -> bool:
        """Whether this is a union of events sent one after another."""
        return bool(self.traits.get("eventstream"))

    def payload(self) -> tuple[str, Shape] | None:
        """The member that is the whole body, where the structure names one."""
        name = self.traits.get("payload")
        return (name, self._service.use(self.traits["members"][name])) if name else None

    def event_stream(self) -> tuple[str, Shape] | None:
        """The member that is an event stream, where there is one."""
        return next(((name, member) for name, member in self.members().items() if member.is_event_stream), None)


class Operation:
    """One operation of a service model."""

    __slots__ = ("_model", "_service", "method", "name", "request_uri")

    def __init__(self, service: ServiceModel, name: str, model: Mapping[str, Any]) -> None:
        self._service = service
        self._model = model
        self.name = name
        self.method: str = model["http"]["method"]
        self.request_uri: str = model["http"]["requestUri"]

    @property
    def service(self) -> ServiceModel:
        """The model that it belongs to."""
        return self._service

    def get(self, trait: str, default: Any = None) -> Any:
        """A trait's value (`deprecated`, `authtype`, ...)."""
        return self._model.get(trait, default)

    @property
    def response_code(self) -> int:
        """The status of a success."""
        return int(self._model["http"].get("responseCode", 200))

    def input(self) -> Shape | None:
        """The input structure; None where there is none."""
        return self._service.use(self._model["input"]) if "input" in self._model else None

    def output(self) -> Shape | None:
        """The output structure; None where there is none."""
        return self._service.use(self._model["output"]) if "output" in self._model else None

    @property
    def result_wrapper(self) -> str | None:
        """The element around a query protocol's result."""
        wrapper = self._model.get("output", {}).get("resultWrapper")
        return str(wrapper) if wrapper else None


class ServiceModel:
    """One service's model. `document` is botocore's service-2.json as a dictionary."""

    def __init__(self, name: str, document: Mapping[str, Any]) -> None:
        self.name = name
        self.metadata: Mapping[str, Any] = document["metadata"]
        self._shapes: Mapping[str, Mapping[str, Any]] = document.get("shapes", {})
        self._operations: Mapping[str, Mapping[str, Any]] = document["operations"]

    def use(self, reference: Mapping[str, Any]) -> Shape:
        """The shape a reference points at, with the reference's own traits laid over it."""
        name = reference["shape"]
        traits = self._shapes[name]
        if "locationName" in traits:
            # A shape's own name is for documents that it is the root of; as a member it is called by the member's.
            traits = {**traits, "rootName": traits["locationName"]}
            del traits["locationName"]
        if len(reference) > 1:
            traits = {**traits, **reference}
        return Shape(self, name, traits)

    def shape(self, name: str) -> Shape:
        """A shape by name. Raises KeyError."""
        return Shape(self, name, self._shapes[name])

    def operation(self, name: str) -> Operation:
        """An operation by name. Raises KeyError."""
        return Operation(self, name, self._operations[name])

    def operations(self) -> Iterator[Operation]:
        """Every operation, in the model's order."""
        return (Operation(self, name, model) for name, model in self._operations.items())

    def __contains__(self, operation: str) -> bool:
        return operation in self._operations

    @property
    def protocols(self) -> tuple[str, ...]:
        """The wire protocols that its clients may speak, best first."""
        offered = self.metadata.get("protocols") or [self.metadata["protocol"]]
        return tuple(protocol for protocol in offered if protocol in PROTOCOLS)

    @property
    def target_prefix(self) -> str:
        """What stands before the dot in X-Amz-Target, and names the service in an rpc-v2-cbor path."""
        return str(self.metadata.get("targetPrefix", ""))

    @cached_property
    def errors(self) -> Mapping[str, Shape]:
        """Every error shape, by shape name and by the code it has on the wire (they differ in query and S3 models)."""
        found: dict[str, Shape] = {}
        for name, shape in self._shapes.items():
            if shape.get("exception"):
                found.setdefault(name, Shape(self, name, shape))
                code = shape.get("error", {}).get("code")
                if code:
                    found.setdefault(code, Shape(self, name, shape))
        return found


def load(name: str) -> ServiceModel:
    """Read a service's newest model from the installed botocore. Raises LookupError where botocore has none."""
    spec = importlib.util.find_spec("botocore")
    if spec is None or not spec.submodule_search_locations:
        raise LookupError("botocore is not installed: its service models are needed")
    folder = Path(spec.submodule_search_locations[0]) / "data" / name
    paths = sorted(folder.glob("*/service-2.json*"))
    if not paths:
        raise LookupError(f"botocore has no model of {name!r}")
    data = paths[-1].read_bytes()
    document = orjson.loads(gzip.decompress(data) if paths[-1].suffix == ".gz" else data)
    _forget_documentation(document)
    return ServiceModel(name, document)


def _forget_documentation(document: dict[str, Any]) -> None:
    """More than half of a model is prose that nobody reads here."""
    document.pop("documentation", None)
    for operation in document["operations"].values():
        operation.pop("documentation", None)
    for shape in document["shapes"].values():
        shape.pop("documentation", None)
        for reference in (*shape.get("members", {}).values(), shape.get("member"), shape.get("key"), shape.get("value")):
            if reference is not None:
                reference.pop("documentation", None)
