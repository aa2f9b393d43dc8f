"""Judging a request's head, without a socket."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry.edge.head import NAMES_MAX, Names, RefusedError, judge


def head(*headers: tuple[str, str], method: str = "GET", target: str = "/", version: str = "1.1"):
    raw = [(name.encode(), value.encode()) for name, value in headers]
    return judge(method, target.encode(), raw, version, Names())


def test_plain_request_is_split_into_path_and_query():
    found = head(("Host", "a"), ("X-Two", " b "), target="/p%20q?x=1?y")
    assert (found.path, found.query, found.host) == ("/p%20q", "x=1?y", "a")
    assert found.headers == [("Host", "a"), ("X-Two", "b")]
    assert found.index["x-two"] == "b"
    assert not found.has_body


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([], 400),
        ([("Host", "a"), ("HOST", "a")], 400),
        ([("Host", "a b")], 400),
        ([("Host", "")], 400),
        ([("Host", "user@a")], 400),
        ([("Host", "a/b")], 400),
        ([("Host", "a"), ("Content-Length", "1"), ("Transfer-Encoding", "chunked")], 400),
        ([("Host", "a"), ("Content-Length", "1"), ("Content-Length", "1")], 400),
        ([("Host", "a"), ("Content-Length", "+1")], 400),
        ([("Host", "a"), ("Content-Length", "1,1")], 400),
        ([("Host", "a"), ("Content-Length", "1_0")], 400),
        ([("Host", "a"), ("Content-Length", "")], 400),
        ([("Host", "a"), ("Transfer-Encoding", "gzip, chunked")], 400),
        ([("Host", "a"), ("Transfer-Encoding", "identity")], 400),
        ([("Host", "a"), ("Transfer-Encoding", "chunked"), ("transfer-encoding", "chunked")], 400),
        ([("Host", "a"), ("Expect", "tea")], 417),
    ],
)
def test_ambiguous_heads_are_refused(headers, status):
    with pytest.raises(RefusedError) as refused:
        head(*headers)
    assert refused.value.status == status


def test_names_are_remembered_but_not_without_end():
    names = Names()
    assert names(b"X-Amz-Date") == ("X-Amz-Date", "x-amz-date")
    assert names(b"X-Amz-Date") is names(b"X-Amz-Date")
    assert names(b"x" * 100) is not names(b"x" * 100)
    for number in range(NAMES_MAX + 10):
        assert names(b"X%d" % number) == (f"X{number}", f"x{number}")
    assert names(b"Late") is not names(b"Late")


@pytest.mark.parametrize("method", ["CONNECT", "TRACE", "PROPFIND", "get"])
def test_other_methods_are_not_supported(method):
    with pytest.raises(RefusedError) as refused:
        head(("Host", "a"), method=method)
    assert refused.value.status == 501


@pytest.mark.parametrize("version", ["0.9", "2.0", "1.2"])
def test_other_versions_are_not_spoken(version):
    with pytest.raises(RefusedError) as refused:
        head(("Host", "a"), version=version)
    assert refused.value.status == 505


def test_absolute_target_must_agree_with_host():
    assert head(("Host", "a:80"), target="http://A:80/x?y").path == "/x"
    assert head(("Host", "a"), target="http://a?y").path == "/"
    with pytest.raises(RefusedError):
        head(("Host", "a"), target="http://b/x")


@pytest.mark.parametrize("target", ["*", "a", "/x#y", "ftp://a/"])
def test_targets_that_are_no_path_are_refused(target):
    with pytest.raises(RefusedError):
        head(("Host", "a"), target=target)


def test_asterisk_is_for_options():
    assert head(("Host", "a"), method="OPTIONS", target="*").path == "*"


def test_old_clients_need_no_host_and_get_no_chunks():
    assert head(version="1.0").host == ""
    assert not head(("Expect", "100-continue"), version="1.0").expects_continue
    with pytest.raises(RefusedError):
        head(("Transfer-Encoding", "chunked"), version="1.0")


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["Host", "Content-Length", "Transfer-Encoding", "Expect", "X-A"]),
            st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=12),
        ),
        max_size=6,
    ),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20),
)
def test_every_head_is_judged_or_refused(headers, target):
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    found, status = None, 400
    try:
        found = judge("POST", target.encode("latin-1"), raw, "1.1", Names())
    except RefusedError as refused:
        status = refused.status
    if found is None:
        assert 400 <= status < 600
    else:
        assert found.path.startswith("/")
        assert not (found.chunked and found.length is not None)
        assert sum(name.lower() == "host" for name, _ in found.headers) == 1
