"""Zip archives: what is refused, and what the tree looks like that the others become."""

from __future__ import annotations

import io
import os
import stat
import struct
import warnings
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.services.lambda_.conftest import zip_of

from tenantry.services.lambda_ import archive
from tenantry.services.lambda_.packages import remove_tree

LIMIT = 1 << 20
LINK = stat.S_IFLNK | 0o777


def unpack(data: bytes, root: Path, limit: int = LIMIT) -> archive.Plan:
    root.mkdir()
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with archive.opened(data, limit) as (opened, plan):
            archive.unpack(opened, plan, descriptor)
            return plan
    finally:
        os.close(descriptor)


def twice(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # zipfile, about duplicates
        for name in names:
            made.writestr(name, "x")
    return buffer.getvalue()


def patched(data: bytes, offset_in_directory: int, value: bytes) -> bytes:
    """The archive with bytes of its first directory entry replaced."""
    at = data.index(b"PK\x01\x02") + offset_in_directory
    return data[:at] + value + data[at + len(value) :]


def with_nul_name() -> bytes:
    return zip_of({"goodXname.py": "x"}).replace(b"goodXname.py", b"good\0name.py")


def lying_about_size(declared: int) -> bytes:
    """An entry whose directory declares another size than its content has."""
    data = zip_of({"a": b"z" * 5000})
    return patched(data, 24, struct.pack("<L", declared))


def with_method(method: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as made:
        made.writestr("a", "content")
    return buffer.getvalue()


REFUSED: dict[str, bytes] = {
    "no zip": b"this is no zip archive",
    "cut short": zip_of({"a.py": "x" * 100})[:-30],
    "climbing": zip_of({"../a.py": "x"}),
    "climbing in the middle": zip_of({"a/../../b.py": "x"}),
    "climbing directory": zip_of({"../": ""}),
    "absolute": zip_of({"/etc/a.py": "x"}),
    "absolute twice": zip_of({"//a.py": "x"}),
    "nul in a name": with_nul_name(),
    "nothing but dots": zip_of({"./.": "x"}),
    "the same name twice": twice("a.py", "a.py"),
    "the same name by another spelling": twice("a/b.py", "a//b.py"),
    "the same name by a dot": twice("a/b.py", "a/./b.py"),
    "a file beneath a file": twice("a", "a/b"),
    "a file and a directory": twice("a/", "a"),
    "a link out": zip_of({"l": "../outside"}, {"l": LINK}),
    "an absolute link": zip_of({"l": "/etc/passwd"}, {"l": LINK}),
    "a link out through another": zip_of({"a/b/up": "..", "out": "a/b/up/../.."}, {"a/b/up": LINK, "out": LINK}),
    "links in a circle": zip_of({"a": "b", "b": "a"}, {"a": LINK, "b": LINK}),
    "a file beneath a link": zip_of({"d": "e", "d/f": "x"}, {"d": LINK}),
    "a link without a target": zip_of({"l": ""}, {"l": LINK}),
    "a link with nul": zip_of({"l": "a\0b"}, {"l": LINK}),
    "a link that is no text": zip_of({"l": b"\xff\xfe"}, {"l": LINK}),
    "a long link": zip_of({"l": "a" * 5000}, {"l": LINK}),
    "a device": zip_of({"d": ""}, {"d": stat.S_IFBLK | 0o666}),
    "a character device": zip_of({"d": ""}, {"d": stat.S_IFCHR | 0o666}),
    "a pipe": zip_of({"p": ""}, {"p": stat.S_IFIFO | 0o666}),
    "a socket": zip_of({"s": ""}, {"s": stat.S_IFSOCK | 0o666}),
    "encrypted": patched(zip_of({"a": "x"}), 8, b"\x01\0"),
    "a long component": zip_of({"a" * 256: "x"}),
    "a long path": zip_of({"/".join(["abcdefghijklmnopqrstuvwxyz"] * 45): "x"}),
    "a deep path": zip_of({"/".join("a" * 65): "x"}),
    "bzip2": with_method(zipfile.ZIP_BZIP2),
    "lzma": with_method(zipfile.ZIP_LZMA),
    "a wrong sum": patched(zip_of({"a": "content"}), 16, b"\0\0\0\0"),
    "less than it says": lying_about_size(6000),
    "more than it says": lying_about_size(100),
    "a method there is not": patched(zip_of({"a": "x"}), 10, b"\x63\0"),
    "names that differ": zip_of({"same.py": "x"}).replace(b"same.py", b"othr.py", 1),
    "no place for its directory": zip_of({"a": "x"})[:-10] + struct.pack("<L", 0xFFFFFFFF) + zip_of({"a": "x"})[-6:],
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str, tmp_path: Path) -> None:
    with pytest.raises(archive.ArchiveError) as error:
        unpack(REFUSED[case], tmp_path / "root")
    assert not isinstance(error.value, archive.TooLargeError | archive.EmptyError)
    assert [path.name for path in tmp_path.iterdir()] == ["root"], "nothing lies outside"


def test_no_entries(tmp_path: Path) -> None:
    with pytest.raises(archive.EmptyError):
        unpack(zip_of({}), tmp_path / "root")


def test_too_many_bytes_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(archive.TooLargeError):
        unpack(zip_of({"a": bytes(600), "b": bytes(500)}), tmp_path / "root", limit=1000)
    assert list((tmp_path / "root").iterdir()) == []


def test_too_many_entries() -> None:
    many = io.BytesIO()
    with zipfile.ZipFile(many, "w") as made:
        for number in range(archive.ENTRIES_MAX + 1):
            made.writestr(zipfile.ZipInfo(f"{number}"), b"")
    with pytest.raises(archive.ArchiveError, match="entries"), archive.opened(many.getvalue(), LIMIT):
        pass


def test_names_that_the_file_system_takes_for_one(tmp_path: Path) -> None:
    """What happens on a file system without case: the second file finds the first. Here it is put there beforehand."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "a.py").write_text("mine")
    descriptor = os.open(root, os.O_RDONLY)
    try:
        with pytest.raises(archive.ArchiveError, match="twice"), archive.opened(zip_of({"a.py": "x"}), LIMIT) as (made, plan):
            archive.unpack(made, plan, descriptor)
    finally:
        os.close(descriptor)
    assert (root / "a.py").read_text() == "mine"


def test_a_link_in_the_way_is_not_followed(tmp_path: Path) -> None:
    """A plan cannot hold this; should somebody put it there, the descent still refuses to follow."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    descriptor = os.open(root, os.O_RDONLY)
    try:
        with archive.opened(zip_of({"d/a.py": "x"}), LIMIT) as (made, plan):
            plan.directories.clear()
            (root / "d").symlink_to(outside)
            with pytest.raises(OSError, match=r"Not a directory|Too many levels"):
                archive.unpack(made, plan, descriptor)
    finally:
        os.close(descriptor)
    assert list(outside.iterdir()) == []


def test_tree_is_complete_and_read_only(tmp_path: Path) -> None:
    files = {"index.py": "a", "bin/tool": "#!/bin/sh", "pkg/__init__.py": "", "empty/": "", "link": "pkg/../index.py"}
    modes = {"bin/tool": stat.S_IFREG | 0o4755, "link": LINK}
    plan = unpack(zip_of(files, modes), tmp_path / "root")
    root = tmp_path / "root"
    shown = {str(path.relative_to(root)): stat.S_IMODE(path.lstat().st_mode) for path in sorted(root.rglob("*"))}
    assert shown.pop("link") is not None
    assert shown == {
        "index.py": 0o444,
        "bin": 0o555,
        "bin/tool": 0o555,
        "pkg": 0o555,
        "pkg/__init__.py": 0o444,
        "empty": 0o555,
    }
    assert stat.S_IMODE(root.stat().st_mode) == 0o555
    assert (root / "link").read_text() == "a"
    assert plan.size == sum(len(content) for content in files.values())
    remove_tree(root)
    assert not root.exists()


def test_links_may_dangle_and_follow_each_other_inside(tmp_path: Path) -> None:
    links = {"lib/libx.so": "libx.so.1", "lib/libx.so.1": "libx.so.1.2", "absent": "nowhere", "up": "lib/.."}
    unpack(zip_of({**links, "lib/libx.so.1.2": "code"}, dict.fromkeys(links, LINK)), tmp_path / "root")
    assert (tmp_path / "root/lib/libx.so").read_text() == "code"
    assert (tmp_path / "root/up/lib/libx.so").read_text() == "code"


def test_remove_tree_does_not_follow_links(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/kept").write_text("x")
    (tmp_path / "root/sub").mkdir(parents=True)
    (tmp_path / "root/out").symlink_to(tmp_path / "outside")
    (tmp_path / "root/sub").chmod(0o555)
    remove_tree(tmp_path / "root")
    assert (tmp_path / "outside/kept").exists()
    assert stat.S_IMODE((tmp_path / "outside").stat().st_mode) & 0o200


names = st.lists(st.sampled_from(["..", ".", "", "a", "b", "c", "\0", "é"]), min_size=1, max_size=5).map("/".join)
entries = st.dictionaries(names, st.tuples(st.sampled_from(["file", "link", "dir"]), names), min_size=1, max_size=6)


@settings(max_examples=150, deadline=None)
@given(entries)
def test_nothing_ever_leaves_the_root(tmp_path_factory: pytest.TempPathFactory, wanted: dict[str, tuple[str, str]]) -> None:
    outer = tmp_path_factory.mktemp("outer")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        for name, (kind, target) in wanted.items():
            entry = zipfile.ZipInfo("x")
            entry.create_system = 3
            entry.external_attr = {"file": stat.S_IFREG | 0o644, "link": LINK, "dir": stat.S_IFDIR | 0o755}[kind] << 16
            entry.filename = entry.orig_filename = name
            made.writestr(entry, target)
    root = outer / "root"
    try:
        unpack(buffer.getvalue(), root)
    except archive.ArchiveError:
        pass
    else:
        inside = root.resolve()
        for path in root.rglob("*"):
            try:
                resolved = path.resolve()
            except (OSError, RuntimeError):  # a link to itself goes nowhere
                continue
            assert resolved.is_relative_to(inside), path
    assert [path.name for path in outer.iterdir()] == ["root"]
    remove_tree(outer)
