"""The document store's walks: what a sorted dictionary would say, whatever the prefix, and while it changes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry.store.documents import Documents, prefix_end

TEXT = st.text(alphabet="a/\0b\U0010ffff", max_size=5)


@given(keys=st.lists(TEXT, max_size=30, unique=True), prefix=TEXT, after=st.one_of(st.none(), TEXT))
def test_items_are_the_sorted_keys_of_the_prefix(keys: list[str], prefix: str, after: str | None) -> None:
    documents = Documents(None)
    collection = documents.collection("c", str)
    for key in keys:
        collection.put(key, key)
    expected = [key for key in sorted(keys) if key.startswith(prefix) and (after is None or key > after)]
    assert [key for key, _ in collection.items(prefix, after)] == expected
    first = next((key for key in sorted(keys) if key.startswith(prefix)), None)
    assert collection.first(prefix) == first
    documents.close()


@given(prefix=TEXT, other=TEXT)
def test_the_end_of_a_prefix_separates(prefix: str, other: str) -> None:
    end = prefix_end(prefix)
    if other.startswith(prefix):
        assert end is None or other < end
    elif other > prefix:
        assert end is not None
        assert other >= end


def test_a_walk_survives_changes_under_its_feet() -> None:
    documents = Documents(None)
    collection = documents.collection("c", int)
    for number in range(2000):
        collection.put(f"k{number:04d}", number)
    seen = []
    for key, number in collection.items("k"):
        seen.append(number)
        collection.delete(key)
        collection.delete(f"k{number + 1:04d}")
    assert seen == list(range(0, 2000, 2))
    documents.close()


def test_a_transaction_keeps_all_or_nothing(tmp_path: Path) -> None:
    documents = Documents(tmp_path / "state.db")
    collection = documents.collection("c", int)
    collection.put("old\0key", 1)
    with pytest.raises(RuntimeError), documents.transaction():
        collection.put("new", 2)
        collection.delete("old\0key")
        assert "new" not in collection, "reads inside see the state before"
        raise RuntimeError
    assert dict(collection.items()) == {"old\0key": 1}
    with documents.transaction():
        collection.put("new", 2)
        collection.delete("old\0key")
    documents.close()
    again = Documents(tmp_path / "state.db")
    assert dict(again.collection("c", int).items()) == {"new": 2}
    again.close()
