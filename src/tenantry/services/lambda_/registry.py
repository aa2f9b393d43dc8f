"""The state that all parts of the Lambda service share: looking up, changing and publishing functions.

A change is one transaction on the records, then the function's new entry goes to placement. A new function is Pending, an
updated one InProgress, for a moment (AWS takes seconds, clients wait for either); what is left so by a crash is settled at the
next start. An update takes effect for new invocations at once, as it is published.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from tenantry.model.clock import Clock
from tenantry.model.errors import ServiceError
from tenantry.model.runtime import Runtimes
from tenantry.placement.functions import Functions
from tenantry.services.lambda_ import errors, names, publish
from tenantry.services.lambda_.names import FunctionRef
from tenantry.services.lambda_.packages import Later, Packages
from tenantry.services.lambda_.records import LATEST, FunctionRecord, LayerUse, Store, VersionRecord, key
from tenantry.services.operation import Context

ACTIVATION_S = 0.1  # long enough that a client sees Pending, short enough that nobody waits for it


def new_id() -> str:
    """A fresh RevisionId."""
    return str(uuid.uuid4())


class Registry:
    """See the module's docstring."""

    def __init__(
        self,
        store: Store,
        packages: Packages,
        functions: Functions,
        runtimes: Runtimes,
        clock: Clock,
        later: Later,
        activation_s: float = ACTIVATION_S,
    ) -> None:
        self.store = store
        self.packages = packages
        self.clock = clock
        self.account_id = functions.account_id
        self._functions = functions
        self._runtimes = runtimes
        self._later = later
        self._activation_s = activation_s
        self._substitutes: dict[str, str | None] = {}

    # -- looking up

    def function(self, ref: FunctionRef) -> FunctionRecord:
        """The function. Raises ResourceNotFoundException."""
        record = self.store.functions.get(ref.key)
        if record is None:
            raise errors.FUNCTION_NOT_FOUND(arn=ref.named_arn)
        return record

    def latest(self, ref: FunctionRef) -> VersionRecord:
        """`$LATEST` of a function that exists."""
        record = self.store.versions.get(f"{ref.key}/{LATEST}")
        assert record is not None, "a function has a $LATEST for as long as it exists"
        return record

    def resolve(self, ref: FunctionRef) -> tuple[FunctionRecord, VersionRecord]:
        """The function, and the version its qualifier means. Raises ResourceNotFoundException."""
        function = self.function(ref)
        alias = self.store.aliases.get(f"{ref.key}/{ref.qualifier}") if ref.qualifier else None
        version = self.store.versions.get(f"{ref.key}/{alias.version if alias else ref.qualifier or LATEST}")
        if version is None:
            raise errors.FUNCTION_NOT_FOUND(arn=ref.named_arn)
        return function, version

    def published(self, ref: FunctionRef) -> list[VersionRecord]:
        """Published versions, oldest first."""
        versions = self.store.versions.values(f"{ref.key}/")
        return sorted((version for version in versions if version.version != LATEST), key=lambda record: int(record.version))

    def layers(self, arns: list[str], ctx: Context) -> tuple[LayerUse, ...]:
        """Layer versions by their ARNs. Raises InvalidParameterValueException for one that does not exist."""
        found = []
        for arn in arns:
            name, version = names.layer_version(ctx, arn)
            record = self.store.layers.get(key(ctx.region, name, f"{version:08d}"))
            if record is None:
                raise errors.LAYER_ABSENT(arn=arn)
            found.append(LayerUse(arn, record.package))
        return tuple(found)

    def check_updatable(self, ref: FunctionRef, revision_id: str | None = None) -> FunctionRecord:
        """The function, if `$LATEST` may change now. Raises ResourceConflictException, PreconditionFailedException."""
        function = self.function(ref)
        if function.state == "Pending":
            raise errors.WRONG_STATE(state=function.state)
        if function.update == "InProgress":
            raise errors.UPDATE_IN_PROGRESS(arn=ref.arn)
        if revision_id is not None and revision_id != self.latest(ref).revision_id:
            raise errors.STALE_REVISION()
        return function

    # -- changing

    @contextmanager
    def changing(self, function_key: str) -> Iterator[None]:
        """Group writes to a function's records; when they are kept, the function is published."""
        with self.store.transaction():
            yield
        self.publish(function_key)

    def publish(self, function_key: str) -> None:
        """Give placement the function as its records are now."""
        function = self.store.functions.get(function_key)
        if function is None:
            region, _, name = function_key.partition("/")
            self._functions.remove(region, name)
        else:
            self._functions.put(publish.entry(self.store, self.account_id, function))

    def settle_later(self, ref: FunctionRef) -> None:
        """The function is Pending or InProgress now; end that in a moment."""
        revision = self.latest(ref).revision
        self._later(self._activation_s, lambda: self._settle(ref.key, revision))

    def restore(self) -> None:
        """At the start: settle what was under way, publish everything."""
        for function_key, function in list(self.store.functions.items()):
            latest = self.store.versions.get(f"{function_key}/{LATEST}")
            if latest is not None and (function.state == "Pending" or function.update == "InProgress"):
                self._settle(function_key, latest.revision)
            else:
                self.publish(function_key)

    def _settle(self, function_key: str, revision: str) -> None:
        function = self.store.functions.get(function_key)
        latest = self.store.versions.get(f"{function_key}/{LATEST}")
        if function is None or latest is None or latest.revision != revision:
            return  # deleted meanwhile, perhaps made anew
        with self.changing(function_key):
            settled = msgspec.structs.replace(function, state="Active", update="Successful")
            self.store.functions.put(function_key, settled)
            self.store.versions.put(f"{function_key}/{LATEST}", msgspec.structs.replace(latest, revision_id=new_id()))

    # -- runtimes

    async def resolve_runtime(self, runtime: str) -> None:
        """Find the runtime's interpreter. Raises ServiceError where there is none that may stand in."""
        if runtime not in self._substitutes:
            resolved = await asyncio.to_thread(self._runtimes.resolve, runtime)
            self._substitutes[runtime] = resolved.warning

    def runtime_warning(self, runtime: str) -> str | None:
        """What is to be said about a runtime, as far as it has been resolved."""
        return self._substitutes.get(runtime)

    async def survey_runtimes(self) -> None:
        """Resolve every runtime in use, so that warnings are known after a restart too."""
        for runtime in {version.runtime for version in self.store.versions.values()}:
            try:
                await self.resolve_runtime(runtime)
            except ServiceError as error:
                self._substitutes[runtime] = error.message
