"""Routing, compared with a matcher that tries every pattern and keeps the best."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry.services.apigateway.routing import Tree

PARTS = st.sampled_from(["a", "b", "c", "{x}"])
PATTERNS = st.lists(
    st.tuples(st.lists(PARTS, max_size=4), st.booleans()).map(
        lambda t: "/" + "/".join([*t[0], *(["{proxy+}"] if t[1] else [])])
    ),
    unique=True,
    min_size=1,
    max_size=12,
)
PATHS = st.lists(st.sampled_from(["a", "b", "c", "d", "", "%61"]), max_size=6).map(lambda parts: "/" + "/".join(parts))


def naive(patterns: list[str], path: str) -> str | None:
    """The best of all patterns that match: compared part by part, static before variable before greedy."""
    trimmed = path[:-1] if path.endswith("/") and len(path) > 1 else path
    segments = [part.replace("%61", "a") for part in trimmed[1:].split("/")] if trimmed != "/" else []
    best: tuple[list[int], str] | None = None
    for pattern in patterns:
        parts = pattern[1:].split("/") if pattern != "/" else []
        rank = rank_of(parts, segments)
        if rank is not None and (best is None or rank < best[0]):
            best = rank, pattern
    return best[1] if best else None


def rank_of(parts: list[str], segments: list[str]) -> list[int] | None:
    greedy = bool(parts) and parts[-1] == "{proxy+}"
    fixed = parts[:-1] if greedy else parts
    rest = segments[len(fixed) :]
    if len(segments) < len(fixed) or (greedy and not "".join(rest)) or (not greedy and rest):
        return None
    rank = []
    for part, segment in zip(fixed, segments, strict=False):
        if part == "{x}":
            if not segment:
                return None
            rank.append(1)
        elif part == segment:
            rank.append(0)
        else:
            return None
    return [*rank, 2] if greedy else rank


@given(PATTERNS, PATHS)
def test_finds_what_the_naive_matcher_finds(patterns: list[str], path: str) -> None:
    found = Tree((pattern, pattern) for pattern in patterns).find(path)
    assert (found[0] if found else None) == naive(patterns, path)


@pytest.mark.parametrize(
    ("path", "pattern", "parameters"),
    [
        ("/", "/", None),
        ("/users", "/users", None),
        ("/users/", "/users", None),
        ("/users/7", "/users/{id}", {"id": "7"}),
        ("/users/a%20b%2Fc+d", "/users/{id}", {"id": "a b/c+d"}),
        ("/users/me", "/users/me", None),
        ("/users/7/x/y", "/users/{proxy+}", {"proxy": "7/x/y"}),
        ("/users/me/x", "/users/{proxy+}", {"proxy": "me/x"}),
        ("/users/7/pets", "/users/{id}/pets", {"id": "7"}),
    ],
)
def test_parameters(path: str, pattern: str, parameters: dict[str, str] | None) -> None:
    patterns = ["/", "/users", "/users/{id}", "/users/me", "/users/{proxy+}", "/users/{id}/pets"]
    assert Tree((item, item) for item in patterns).find(path) == (pattern, parameters)


@pytest.mark.parametrize("path", ["/nope", "/users//", "//users"])
def test_nothing_there(path: str) -> None:
    assert Tree([("/users", 1), ("/users/{id}", 2)]).find(path) is None
