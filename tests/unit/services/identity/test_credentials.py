"""Temporary credentials: they verify after a restart on the platform's secret alone, and nothing altered does."""

from __future__ import annotations

import base64
import dataclasses

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenantry.model.clock import ManualClock
from tenantry.model.identity import Credential
from tenantry.services.identity.credentials import PlatformCredentials

from .conftest import ACCOUNT, ROOT

ROLE = f"arn:aws:iam::{ACCOUNT}:role/path/runner"


def platform(clock: ManualClock | None = None, secret: bytes | None = b"s" * 32) -> PlatformCredentials:
    return PlatformCredentials(ROOT, clock or ManualClock(), secret, lambda arn: "AROAAAAAAAAAAAAAAAAAA")


def test_a_session_is_found_again_by_another_process() -> None:
    made = platform().assume(ROLE, "session", 900)
    assert made.access_key_id.startswith("ASIA")
    assert (len(made.access_key_id), len(made.secret_access_key)) == (20, 40)
    assert made.arn == f"arn:aws:sts::{ACCOUNT}:assumed-role/runner/session"
    assert made.user_id == "AROAAAAAAAAAAAAAAAAAA:session"
    assert made.expires_at == ManualClock().now() + 900
    assert platform().lookup(made.access_key_id, made.session_token) == made


def test_the_root_key_is_found_without_a_token_only() -> None:
    assert platform().lookup(ROOT.access_key_id, None) == ROOT
    assert platform().lookup(ROOT.access_key_id, "token") is None
    made = platform().assume(ROLE, "session", 900)
    assert platform().lookup(ROOT.access_key_id, made.session_token) is None


def test_an_expired_session_is_found_and_says_so() -> None:
    clock = ManualClock()
    credentials = platform(clock)
    made = credentials.assume(ROLE, "session", 900)
    clock.advance(901)
    found = credentials.lookup(made.access_key_id, made.session_token)
    assert found is not None
    assert found.expires_at is not None
    assert found.expires_at < clock.now()


def test_every_session_has_its_own_key() -> None:
    credentials = platform()
    made = [credentials.assume(ROLE, "session", 900) for _ in range(50)]
    for field in ("access_key_id", "secret_access_key", "session_token"):
        assert len({getattr(one, field) for one in made}) == 50


def test_another_platform_knows_nothing_of_it() -> None:
    made = platform().assume(ROLE, "session", 900)
    assert platform(secret=b"t" * 32).lookup(made.access_key_id, made.session_token) is None
    other_root = dataclasses.replace(ROOT, secret_access_key="q" * 40)
    by_root_key = PlatformCredentials(ROOT, ManualClock()).assume(ROLE, "session", 900)
    assert PlatformCredentials(ROOT, ManualClock()).lookup(by_root_key.access_key_id, by_root_key.session_token)
    assert PlatformCredentials(other_root, ManualClock()).lookup(by_root_key.access_key_id, by_root_key.session_token) is None


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        platform(secret=b"short")


# Forgeries

MADE = platform().assume(ROLE, "session", 900)
OTHER = platform().assume(ROLE, "session", 900)
TOKEN = MADE.session_token or ""
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@given(place=st.integers(0, len(TOKEN) - 1), letter=st.sampled_from(LETTERS))
def test_a_token_with_any_letter_changed_is_refused(place: int, letter: str) -> None:
    forged = TOKEN[:place] + letter + TOKEN[place + 1 :]
    assert (platform().lookup(MADE.access_key_id, forged) is not None) is (forged == TOKEN)


@given(bits=st.integers(0, len(base64.urlsafe_b64decode(TOKEN + "=" * (-len(TOKEN) % 4))) * 8 - 1))
def test_a_token_with_any_bit_turned_is_refused(bits: int) -> None:
    raw = bytearray(base64.urlsafe_b64decode(TOKEN + "=" * (-len(TOKEN) % 4)))
    raw[bits // 8] ^= 1 << bits % 8
    forged = base64.urlsafe_b64encode(bytes(raw)).decode().rstrip("=")
    assert platform().lookup(MADE.access_key_id, forged) is None


@given(end=st.integers(0, len(TOKEN) - 1))
def test_a_token_cut_short_is_refused(end: int) -> None:
    assert platform().lookup(MADE.access_key_id, TOKEN[:end]) is None


@given(token=st.text(max_size=80))
def test_any_text_is_refused_quietly(token: str) -> None:
    assert platform().lookup(MADE.access_key_id, token) is None


@given(key=st.text(max_size=30))
def test_a_token_opens_its_own_key_only(key: str) -> None:
    assert (platform().lookup(key, TOKEN) is not None) is (key == MADE.access_key_id)


@pytest.mark.parametrize(
    ("says", "key", "token"),
    [
        ("another session's token", MADE.access_key_id, OTHER.session_token),
        ("no token", MADE.access_key_id, None),
        ("an empty token", MADE.access_key_id, ""),
        ("padding", MADE.access_key_id, TOKEN + "="),
        ("white space", MADE.access_key_id, TOKEN + " "),
        ("standard base64", MADE.access_key_id, TOKEN.replace("-", "+").replace("_", "/") + "AA"),
        ("bytes behind the end", MADE.access_key_id, TOKEN + "AAAA"),
        ("twice", MADE.access_key_id, TOKEN + TOKEN),
        ("a long one", MADE.access_key_id, "A" * 5000),
        ("a key in small letters", MADE.access_key_id.lower(), TOKEN),
        ("a key with more behind it", MADE.access_key_id + "A", TOKEN),
    ],
    ids=range(11),  # the keys are new in every process, and workers compare names
)
def test_forgeries(says: str, key: str, token: str | None) -> None:
    assert platform().lookup(key, token) is None, says


def test_a_token_does_not_move_between_key_and_content() -> None:
    """The seal covers where the key id ends and the content begins."""
    raw = base64.urlsafe_b64decode(TOKEN + "=" * (-len(TOKEN) % 4))
    longer = raw[:33] + MADE.access_key_id[-1:].encode() + raw[33:]
    forged = base64.urlsafe_b64encode(longer).decode().rstrip("=")
    assert platform().lookup(MADE.access_key_id[:-1], forged) is None


def test_the_secret_is_not_in_the_token() -> None:
    raw = base64.urlsafe_b64decode(TOKEN + "=" * (-len(TOKEN) % 4))
    assert MADE.secret_access_key.encode() not in raw
    assert msgspec.msgpack.decode(raw[33:]) == [MADE.arn, MADE.user_id, MADE.expires_at]


def test_a_role_that_is_gone_still_has_an_id_of_its_own() -> None:
    credentials = PlatformCredentials(ROOT, ManualClock())
    first: Credential = credentials.assume(ROLE, "s", 900)
    again, other = credentials.assume(ROLE, "s", 900), credentials.assume(ROLE + "2", "s", 900)
    assert first.user_id == again.user_id != other.user_id
    assert first.user_id.startswith("AROA")
    assert len(first.user_id) == len("AROA" + "x" * 17 + ":s")
