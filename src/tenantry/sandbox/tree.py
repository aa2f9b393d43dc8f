"""Draws up the file tree of a sandbox: which few files of the host it sees, and where.

The interpreter and its library, shared libraries, awslambdaric and boto3 at /var/runtime, the code at /var/task, layers at
/opt, a shell for `subprocess(shell=True)`, certificates and time zones, five harmless devices. Nothing else. `linux/root.py`
builds it.
"""

from __future__ import annotations

import importlib.util
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tenantry.sandbox.driver import ZygoteSpec

TASK_ROOT = "/var/task"
RUNTIME_DIR = "/var/runtime"
USER = "sbx_user1051"  # the name the function's user has on AWS
UID = 993
GID = 990

# Packages of ours that a function may import, as AWS's runtimes offer them: the client itself, and boto3 with what it needs.
_PACKAGES = (
    "awslambdaric",
    "simplejson",
    "snapshot_restore_py",
    "boto3",
    "botocore",
    "s3transfer",
    "jmespath",
    "dateutil",
    "urllib3",
)
_MODULES = ("six",)
_DEVICES = ("null", "zero", "full", "random", "urandom")
_SHARED = (
    "/usr/share/zoneinfo",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/ld.so.cache",
    "/usr/lib/locale/C.utf8",
)


def runtime_entries() -> list[tuple[Path, str]]:
    """(source, name) of everything that belongs into /var/runtime."""
    entries = []
    for name in (*_PACKAGES, *_MODULES):
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            continue
        origin = Path(spec.origin)
        entries.append((origin.parent, name) if origin.name == "__init__.py" else (origin, origin.name))
    guest = Path(__file__).parent.parent / "guest"
    entries += [(guest / name, name) for name in ("runtime_client.py", "bootstrap.py")]
    return entries


def search_path(spec: ZygoteSpec, minor: str, *, task: str, runtime: str, layers: Iterable[str]) -> list[str]:
    """sys.path of the runtime before the standard library, in AWS's order: code, PYTHONPATH, runtime, layers."""
    own = [entry for entry in spec.environ.get("PYTHONPATH", "").split(":") if entry and entry != RUNTIME_DIR]
    path = [task, *own, runtime]
    for layer in layers:
        path += [f"{layer}/python", f"{layer}/python/lib/python{minor}/site-packages"]
    return path


def draw(spec: ZygoteSpec) -> dict[str, Any]:
    """The tree for `linux.root.build`."""
    binds: list[tuple[str, str, bool]] = []
    links: dict[str, str] = {}
    for library in _library_directories():
        if library.is_symlink():
            links[str(library)] = str(library.readlink())
        elif library.is_dir():
            binds.append((str(library), str(library), False))
    binds += [(str(source), str(target), False) for source, target in _interpreter(spec.interpreter)]
    binds += [(path, path, False) for path in _SHARED if Path(path).exists()]
    shell = Path("/bin/sh").resolve()
    binds.append((str(shell), "/usr/bin/sh", False))
    links["/bin"] = "usr/bin"
    binds += [(f"/dev/{name}", f"/dev/{name}", True) for name in _DEVICES]
    binds += [(str(source), f"{RUNTIME_DIR}/{name}", False) for source, name in runtime_entries()]
    binds.append((str(spec.code), TASK_ROOT, False))
    directories = [TASK_ROOT, RUNTIME_DIR, "/opt", "/etc", "/usr/bin", "/var/tmp"]  # noqa: S108 - a path inside the sandbox
    if len(spec.layers) == 1:
        binds.append((str(spec.layers[0]), "/opt", False))
    elif spec.layers:
        raise ValueError("layers must be merged into one directory before they are mounted")
    links |= {
        "/dev/fd": "/proc/self/fd",
        "/dev/stdin": "/proc/self/fd/0",
        "/dev/stdout": "/proc/self/fd/1",
        "/dev/stderr": "/proc/self/fd/2",
    }
    return {"directories": directories, "binds": _outermost_first(binds), "files": _etc(spec.hosts), "links": links}


def _outermost_first(binds: list[tuple[str, str, bool]]) -> list[tuple[str, str, bool]]:
    """In mount order, without what another bind already brings along at the same place."""
    ordered: list[tuple[str, str, bool]] = []
    for source, target, device in sorted(dict.fromkeys(binds), key=lambda bind: bind[1].count("/")):
        covered = any(
            source == outer + source[len(outer) :] and target == place + source[len(outer) :] and source.startswith(outer + "/")
            for outer, place, _ in ordered
        )
        if not covered:
            ordered.append((source, target, device))
    return ordered


def _library_directories() -> list[Path]:
    triplet = sysconfig.get_config_var("MULTIARCH") or ""
    names = ["/lib64", "/usr/lib64", "/lib", *([f"/usr/lib/{triplet}", f"/lib/{triplet}"] if triplet else [])]
    found = []
    for name in names:
        path = Path(name)
        if path == Path("/lib") and not path.is_symlink():
            continue  # a real /lib holds kernel modules and firmware; its library folder is listed by itself
        if any(parent.is_symlink() for parent in path.parents) and not path.is_symlink():
            continue  # reached through a link that is made anyway
        found.append(path)
    return found


def _interpreter(program: Path) -> list[tuple[Path, Path]]:
    """The program and its prefix; of a system Python only its own library, not all of /usr."""
    prefix = program.parent.parent
    if prefix == Path("/usr"):
        library = Path("/usr/lib") / program.name
        return [(program, program), (library, library)]
    return [(prefix, prefix)]


def forward_address(index: int) -> str:
    """The loopback address inside a sandbox that stands for the host at this place of the egress list."""
    return f"127.0.1.{index + 1}"


def _etc(hosts: tuple[str, ...]) -> dict[str, str]:
    forwards = "".join(f"{forward_address(index)} {name}\n" for index, name in enumerate(hosts))
    return {
        "/etc/passwd": f"root:x:0:0:root:/root:/sbin/nologin\n{USER}:x:{UID}:{GID}::/home/{USER}:/sbin/nologin\n",
        "/etc/group": f"root:x:0:\n{USER}:x:{GID}:\n",
        "/etc/hosts": f"127.0.0.1 localhost\n{forwards}",
        "/etc/resolv.conf": "# no name server: outbound network is off unless the function's egress list names a host\n",
        "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    }
