"""Packages: shared by their sum, kept while anything refers to them, gone some time after."""

from __future__ import annotations

import asyncio
import hashlib
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.unit.services.lambda_.conftest import CODE, OTHER_CODE, House, Timers, zip_of

from tenantry.model.errors import ServiceError
from tenantry.services.lambda_.packages import UNZIPPED_MAX, Packages
from tenantry.services.operation import Operations
from tenantry.store.blobs import Blobs


class Shelf:
    """Packages on their own, with references that the test sets."""

    def __init__(self, root: Path) -> None:
        self.timers, self.referenced = Timers(), set[str]()
        self.blobs = Blobs(root / "blobs")
        operations = Operations(lambda service, name, params: None)
        self.packages = Packages(self.blobs, root / "code", operations, lambda: self.referenced, self.timers, linger_s=5)

    def there(self, key: str) -> tuple[bool, bool]:
        return self.blobs.path(key).exists(), self.packages.directory(key).is_dir()


@pytest.fixture
async def shelf(tmp_path: Path) -> AsyncIterator[Shelf]:
    made = Shelf(tmp_path)
    yield made
    await made.packages.settle()


async def test_stays_once_it_is_referred_to(shelf: Shelf) -> None:
    async with shelf.packages.stored(CODE) as package:
        shelf.referenced.add(package.key)
    assert shelf.there(package.key) == (True, True)
    assert shelf.packages.content(package.key) == CODE
    assert stat.S_IMODE(shelf.packages.directory(package.key).stat().st_mode) == 0o555


async def test_goes_at_once_when_nothing_came_to_refer_to_it(shelf: Shelf) -> None:
    with pytest.raises(LookupError):
        async with shelf.packages.stored(CODE) as package:
            raise LookupError
    assert shelf.there(package.key) == (False, False)


async def test_lingers_for_environments_that_are_finishing(shelf: Shelf) -> None:
    async with shelf.packages.stored(CODE) as package:
        shelf.referenced.add(package.key)
    shelf.referenced.clear()
    shelf.packages.release({package.key})
    shelf.packages.release({package.key})
    assert len(shelf.timers.pending) == 1
    assert shelf.there(package.key) == (True, True)
    shelf.timers.run(5)
    assert shelf.there(package.key) == (False, False)


async def test_comes_back_while_it_lingers(shelf: Shelf) -> None:
    async with shelf.packages.stored(CODE) as package:
        shelf.packages.release({package.key})
        shelf.timers.run(5)
        assert shelf.there(package.key) == (True, True), "it is held"
        shelf.referenced.add(package.key)
    shelf.timers.run(5)
    assert shelf.there(package.key) == (True, True)


async def test_two_of_the_same_at_once(shelf: Shelf) -> None:
    async def keep() -> None:
        async with shelf.packages.stored(CODE) as package:
            shelf.referenced.add(package.key)

    await asyncio.gather(*(keep() for _ in range(4)))
    (key,) = shelf.referenced
    assert shelf.there(key) == (True, True)
    assert [path.name for path in shelf.packages.directory(key).parent.iterdir()] == [key]


async def test_one_that_fails_does_not_take_the_same_one_from_another(shelf: Shelf) -> None:
    async with shelf.packages.stored(CODE) as package:
        with pytest.raises(LookupError):
            async with shelf.packages.stored(CODE):
                raise LookupError
        assert shelf.there(package.key) == (True, True)
    assert shelf.there(package.key) == (False, False)


async def test_disk_that_does_not_play_along(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "code").rmdir()
    (tmp_path / "code").write_text("in the way")
    with pytest.raises(ServiceError) as error:
        async with shelf.packages.stored(CODE):
            pass
    assert (error.value.code, error.value.status, error.value.sender) == ("ServiceException", 500, False)
    assert not shelf.blobs.path(hashlib.sha256(CODE).hexdigest()).exists()


async def test_shared_by_functions_and_freed_with_the_last(house: House) -> None:
    await house.create("a", Publish=True)
    await house.create("b")
    assert len(house.unpacked()) == 1
    await house.call("UpdateFunctionCode", FunctionName="a", ZipFile=OTHER_CODE)
    await house.call("DeleteFunction", FunctionName="b")
    house.timers.run(10_000)
    assert len(house.unpacked()) == 2, "version 1 of a still has the first"
    await house.call("DeleteFunction", FunctionName="a", Qualifier="1")
    house.timers.run(10_000)
    await house.service.packages.settle()
    assert len(house.unpacked()) == len(house.zips()) == 1


async def test_layer_outlives_its_deletion_where_it_is_used(house: House) -> None:
    layer = await house.call("PublishLayerVersion", LayerName="l", Content={"ZipFile": OTHER_CODE})
    await house.create(Layers=[layer["LayerVersionArn"]])
    await house.call("DeleteLayerVersion", LayerName="l", VersionNumber=1)
    house.timers.run(10_000)
    assert len(house.unpacked()) == 2
    assert [use["Arn"] for use in (await house.configuration())["Layers"]] == [layer["LayerVersionArn"]]
    await house.call("UpdateFunctionConfiguration", FunctionName="f", Layers=[])
    house.timers.run(10_000)
    await house.service.packages.settle()
    assert len(house.unpacked()) == 1


async def test_code_and_layers_together_have_a_limit(house: House) -> None:
    big = zip_of({"zeros": bytes(UNZIPPED_MAX - 60)})
    layer = await house.call("PublishLayerVersion", LayerName="l", Content={"ZipFile": big})
    await house.create(Layers=[layer["LayerVersionArn"]])
    for operation, params in (
        ("UpdateFunctionCode", {"ZipFile": zip_of({"index.py": "x" * 61})}),
        ("CreateFunction", {"Code": {"ZipFile": zip_of({"index.py": "x" * 61})}, "Layers": [layer["LayerVersionArn"]]}),
    ):
        house.timers.run()
        before = house.state()
        with pytest.raises(ServiceError, match="Function code combined with layers exceeds the maximum allowed size"):
            if operation == "CreateFunction":
                await house.create("g", **params)
            else:
                await house.call(operation, FunctionName="f", **params)
        await house.service.packages.settle()
        assert house.state() == before
