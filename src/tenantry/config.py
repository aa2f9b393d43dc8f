"""The platform's settings: one frozen value, made once at start-up.

The process environment is read in this module and nowhere else (the guest, which runs inside a sandbox, excepted).
Precedence: command line, then `TENANTRY_*` variables, then the defaults below.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

DEFAULT_ACCOUNT_ID = "000000000000"
DEFAULT_REGION = "us-east-1"
DEFAULT_PORT = 4270


@dataclass(frozen=True, slots=True)
class Config:
    """Every setting of `tenantry up`. Units are last in names; see docs/configuration.md for the user's view."""

    data_dir: Path
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    account_id: str = DEFAULT_ACCOUNT_ID
    region: str = DEFAULT_REGION
    level: str = "auto"
    min_isolation: str = "process"
    strict_runtimes: bool = False
    rewrite_outputs: bool = True
    parked_per_function: int = 2
    sealed_per_function: int = 1
    idle_timeout_s: float = 600.0
    drain_timeout_s: float = 30.0
    concurrent_executions: int = 1000
    environments_max: int = 2500
    max_connections: int = 4096


def default_data_dir(environ: Mapping[str, str]) -> Path:
    """The user's data folder for tenantry (XDG base directories; `~/.local/share` where unset)."""
    base = environ.get("XDG_DATA_HOME") or str(Path(environ.get("HOME") or "~").expanduser() / ".local" / "share")
    return Path(base) / "tenantry"


def from_environment(environ: Mapping[str, str] | None = None, **overrides: object) -> Config:
    """Config from `TENANTRY_*` variables and explicit overrides (None means: not given).

    Raises ValueError naming the variable whose text does not fit its type.
    """
    environ = os.environ if environ is None else environ
    values: dict[str, object] = {"data_dir": default_data_dir(environ)}
    for field in fields(Config):
        text = environ.get(f"TENANTRY_{field.name.upper()}")
        if text is not None:
            values[field.name] = _parse(field.name, str(field.type), text)
    values.update({name: value for name, value in overrides.items() if value is not None})
    values["data_dir"] = Path(str(values["data_dir"])).expanduser().absolute()
    return Config(**values)  # type: ignore[arg-type]


def _parse(name: str, kind: str, text: str) -> object:
    try:
        if kind == "bool":
            return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[text.lower()]
        return {"int": int, "float": float, "Path": Path, "str": str}[kind](text)
    except (ValueError, KeyError):
        raise ValueError(f"TENANTRY_{name.upper()}={text!r} is not a valid {kind}") from None
