"""Owning a data folder, and the root key in it."""

from __future__ import annotations

import os
import re
import stat

import pytest

from tenantry.store import credentials
from tenantry.store.data_dir import AlreadyRunningError, DataDir, Run


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_folder_is_made_private_and_announced(tmp_path):
    folder = DataDir(tmp_path / "deep" / "data")
    assert folder.running() is None
    folder.acquire()
    assert mode(folder.path) == 0o700
    assert folder.running() == Run(os.getpid())
    run = Run(os.getpid(), "http://127.0.0.1:1", "us-east-1", "0", 1.0)
    folder.announce(run)
    assert folder.running() == run
    assert mode(folder.path / "run.json") == 0o600
    folder.release()
    folder.release()
    assert folder.running() is None
    assert not (folder.path / "run.json").exists()


def test_second_owner_is_refused_and_told_who_has_it(tmp_path):
    first, second = DataDir(tmp_path), DataDir(tmp_path)
    first.acquire()
    first.announce(Run(7, "http://here"))
    with pytest.raises(AlreadyRunningError) as refused:
        second.acquire()
    assert refused.value.run == Run(7, "http://here")
    second.release()
    assert first.running() is not None
    first.release()
    second.acquire()
    second.release()


def test_leftover_announcement_counts_for_nothing(tmp_path):
    DataDir(tmp_path).announce(Run(1, "http://gone"))
    (tmp_path / "tenantry.lock").touch()
    assert DataDir(tmp_path).running() is None


def test_unreadable_announcement_still_means_running(tmp_path):
    folder = DataDir(tmp_path)
    folder.acquire()
    (tmp_path / "run.json").write_text("{")
    assert DataDir(tmp_path).running() == Run(0)
    folder.release()


def test_root_key_is_made_once(tmp_path):
    assert credentials.load(tmp_path) is None
    key, made = credentials.load_or_create(tmp_path)
    assert made
    assert re.fullmatch(r"AKIA[A-Z2-7]{16}", key.access_key_id)
    assert re.fullmatch(r"[A-Za-z0-9+/]{40}", key.secret_access_key)
    assert mode(tmp_path / "credentials.json") == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["credentials.json"]
    assert credentials.load_or_create(tmp_path) == (key, False)


def test_root_key_readable_by_others_is_closed_again(tmp_path):
    credentials.load_or_create(tmp_path)
    (tmp_path / "credentials.json").chmod(0o644)
    credentials.load_or_create(tmp_path)
    assert mode(tmp_path / "credentials.json") == 0o600


@pytest.mark.parametrize("content", ["", "{}", '{"access_key_id": 1, "secret_access_key": "x"}', "\xff"])
def test_damaged_root_key_is_not_replaced(tmp_path, content):
    path = tmp_path / "credentials.json"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(credentials.CredentialsFileError):
        credentials.load_or_create(tmp_path)
    assert path.read_bytes() == content.encode("latin-1")


def test_root_credential_is_the_account():
    credential = credentials.root_credential(credentials.RootKey("AKIA", "s"), "000000000000")
    assert (credential.arn, credential.user_id) == ("arn:aws:iam::000000000000:root", "000000000000")
