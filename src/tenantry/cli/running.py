"""What several commands need: the settings as a click error where they are wrong, and the platform that runs now."""

from __future__ import annotations

import http.client
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click
import orjson

from tenantry.config import Config, from_environment
from tenantry.store.data_dir import DataDir, Run

ANSWER_TIMEOUT_S = 5.0

F = TypeVar("F", bound=Callable[..., Any])


def data_dir_option(function: F) -> F:
    """`--data-dir`, the same for every command."""
    return click.option(
        "--data-dir",
        type=click.Path(file_okay=False, path_type=Path),
        help="Where the platform keeps everything. [default: your data folder, or TENANTRY_DATA_DIR]",
    )(function)


def settings(**options: Any) -> Config:
    """The configuration; a click error names what does not fit."""
    try:
        return from_environment(**options)
    except ValueError as error:
        raise click.ClickException(f"{error}. docs/configuration.md lists every setting.") from None


def running_platform(config: Config) -> Run:
    """Who serves the data folder now; a click error says how to start one."""
    run = DataDir(config.data_dir).running()
    if run is None:
        raise click.ClickException(
            f"tenantry is not running on {config.data_dir}.\nStart it with: tenantry up   (or name another folder: --data-dir)"
        )
    if not run.address:
        raise click.ClickException(f"tenantry is starting on {config.data_dir} and does not answer yet. Try again shortly.")
    return run


def fetch(run: Run, page: str) -> dict[str, Any]:
    """A page of the platform about itself (`status`); a click error where it does not answer."""
    # Straight to the address, which is on this machine, whatever http_proxy says.
    connection = http.client.HTTPConnection(urlsplit(run.address).netloc, timeout=ANSWER_TIMEOUT_S)
    try:
        connection.request("GET", f"/_tenantry/{page}", headers={"Authorization": f"Bearer {run.token}"})
        answer = connection.getresponse()
        content: dict[str, Any] = orjson.loads(answer.read())
        problem = None if answer.status == 200 else f"{answer.status} {content.get('message')}"
    except (http.client.HTTPException, OSError, orjson.JSONDecodeError) as error:
        content, problem = {}, str(error) or type(error).__name__
    finally:
        connection.close()
    if problem is not None:
        raise click.ClickException(
            f"tenantry runs as process {run.pid} but does not answer at {run.address}: {problem}.\n"
            f"It may be shutting down. If it stays so, end it with: kill {run.pid}"
        )
    return content
