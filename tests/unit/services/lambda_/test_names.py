"""The forms in which a function may be named all mean the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.services.lambda_.conftest import ACCOUNT, REGION, arn_of

from tenantry.model.errors import ServiceError
from tenantry.model.identity import Principal
from tenantry.services.lambda_ import names
from tenantry.services.lambda_.records import LATEST
from tenantry.services.operation import Context

CTX = Context(REGION, ACCOUNT, "r", Principal("arn:aws:iam::000000000000:root", ACCOUNT), "http://127.0.0.1")
WORDS = st.from_regex(r"[a-zA-Z0-9_-]{1,64}", fullmatch=True).filter(lambda word: word != "function")


@given(WORDS, st.none() | WORDS | st.just(LATEST))
def test_every_form_means_the_same(name: str, qualifier: str | None) -> None:
    expected = names.FunctionRef(REGION, ACCOUNT, name, qualifier)
    suffix = "" if qualifier is None else f":{qualifier}"
    for form in (arn_of(name), f"{REGION}:{ACCOUNT}:function:{name}", f"{ACCOUNT}:function:{name}", f"function:{name}"):
        assert names.function_ref(CTX, form + suffix) == expected
        assert names.function_ref(CTX, form, qualifier) == expected
    assert names.function_ref(CTX, expected.named_arn) == expected
    assert names.function_ref(CTX, name, qualifier) == expected


@given(st.text(max_size=80))
def test_anything_else_is_refused_in_words(text: str) -> None:
    try:
        ref = names.function_ref(CTX, text)
    except ServiceError:
        return
    assert ref.name in text
    assert 1 <= len(ref.name) <= names.NAME_LENGTH_MAX
    assert "/" not in ref.key.removeprefix(f"{REGION}/"), "no name reaches into another record's key"


@pytest.mark.parametrize(
    "text", ["f\n", "f:", ":f", "f:1:2", "arn:aws:lambda:us-east-1:0:function:f", "a b", "", "f:$OTHER", "é"]
)
def test_no_name(text: str) -> None:
    with pytest.raises(ServiceError) as error:
        names.function_ref(CTX, text)
    assert error.value.code == "ValidationException"
    assert (
        "at 'functionName' failed to satisfy constraint: Member must satisfy regular expression pattern" in error.value.message
    )


def test_operations_on_whole_functions_take_latest_for_nothing() -> None:
    assert names.whole_function(CTX, f"f:{LATEST}", "PublishVersion") == names.FunctionRef(REGION, ACCOUNT, "f")
    with pytest.raises(ServiceError, match="Aliases and versions do not support this operation"):
        names.whole_function(CTX, "f:live", "PublishVersion")


def test_layers() -> None:
    layer = f"arn:aws:lambda:{REGION}:{ACCOUNT}:layer:l"
    assert names.layer_name(CTX, "l", "GetLayerVersion") == names.layer_name(CTX, layer, "GetLayerVersion") == "l"
    assert names.layer_version(CTX, f"{layer}:7") == ("l", 7)
    for text, code in (
        (layer.replace(REGION, "eu-west-1"), "ResourceNotFoundException"),
        (layer.replace(ACCOUNT, "1" * 12), "AccessDeniedException"),
    ):
        with pytest.raises(ServiceError) as error:
            names.layer_name(CTX, text, "GetLayerVersion")
        assert error.value.code == code
    with pytest.raises(ServiceError, match="does not exist"):
        names.layer_version(CTX, layer)
