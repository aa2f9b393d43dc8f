"""`tenantry up`: start the platform, say how to use it, serve until a signal, drain.

The first SIGTERM or SIGINT drains: no new connections, invocations in flight finish or reach their deadline, everything is
flushed. A second one cuts the wait short. Exit status 0 either way; 1 where it could not start, with the reason and what to do.
"""

from __future__ import annotations

import asyncio
import errno
import gc
import re
import resource
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click

from tenantry import __version__
from tenantry.app import LevelError, Platform, new_event_loop
from tenantry.cli.running import data_dir_option, settings
from tenantry.config import DEFAULT_PORT, Config
from tenantry.sandbox.choice import STRENGTH as LEVELS
from tenantry.store.credentials import FILE_NAME, CredentialsFileError
from tenantry.store.data_dir import AlreadyRunningError, DataDir

DETACH_TIMEOUT_S = 15.0
DESCRIPTORS = 65_536
"""Open files asked for: ten thousand connections and environments, with room."""


_RANGES: dict[str, tuple[float, float]] = {
    "port": (0, 65_535),
    "parked_per_function": (0, 100),
    "sealed_per_function": (0, 100),
    "idle_timeout_s": (1, 1_000_000),
    "drain_timeout_s": (0, 100_000),
    "concurrent_executions": (1, 1_000_000),
    "environments_max": (1, 1_000_000),
    "max_connections": (1, 1_000_000),
}

_ACCOUNT_ID = re.compile(r"[0-9]{12}")
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]{1,2}")


@click.command("up")
@data_dir_option
@click.option("--host", help="Address to listen on. [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help=f"Port to listen on; 0 takes a free one. [default: {DEFAULT_PORT}]")
@click.option("--region", help="Region that `tenantry env` exports. [default: us-east-1]")
@click.option("--account-id", help="The account's 12 digits. [default: 000000000000]")
@click.option(
    "--level", type=click.Choice(("auto", *LEVELS)), help="Isolation of environments. [default: auto, the strongest here]"
)
@click.option("--min-isolation", type=click.Choice(LEVELS), help="Refuse to start below this level. [default: process]")
@click.option(
    "--strict-runtimes/--no-strict-runtimes", default=None, help="Refuse runtimes this machine lacks instead of falling back."
)
@click.option(
    "--rewrite-outputs/--no-rewrite-outputs", default=None, help="Show API addresses in stack outputs as ones that work here."
)
@click.option(
    "--parked", "parked_per_function", type=click.IntRange(0, 100), help="Ready environments per function. [default: 2]"
)
@click.option(
    "--sealed",
    "sealed_per_function",
    type=click.IntRange(0, 100),
    help="Sealed sandboxes kept per function in use, before INIT. [default: 1]",
)
@click.option("--idle-timeout-s", type=click.FloatRange(1), help="End environments idle for this long. [default: 600]")
@click.option("--drain-timeout-s", type=click.FloatRange(0), help="How long a drain waits for invocations. [default: 30]")
@click.option("--concurrent-executions", type=click.IntRange(1), help="The account's concurrency limit. [default: 1000]")
@click.option("--environments-max", type=click.IntRange(1), help="Execution environments at one time. [default: 2500]")
@click.option("--max-connections", type=click.IntRange(1), help="Client connections at one time. [default: 4096]")
@click.option("--detach", is_flag=True, help="Run in the background; the log goes to tenantry.log in the data folder.")
def command(detach: bool, **options: Any) -> None:
    """Start the platform here; Ctrl-C or SIGTERM ends it in order.

    Every option is also an environment variable (TENANTRY_PORT, ...); options win.
    """
    config = settings(**options)
    check(config)
    if detach:
        _detach(config)
        return
    allow_descriptors()
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        try:
            runner.run(serve(config))
        except (AlreadyRunningError, CredentialsFileError, LevelError, OSError) as error:
            raise click.ClickException(explain(error, config)) from None


def check(config: Config) -> None:
    """Refuse settings that only the environment variables can get wrong (options are checked by click)."""
    if not _ACCOUNT_ID.fullmatch(config.account_id):
        raise click.ClickException(f"The account id {config.account_id!r} is not 12 digits.")
    if not _REGION.fullmatch(config.region):
        raise click.ClickException(f"{config.region!r} is not the name of a region, such as us-east-1.")
    if config.level not in ("auto", *LEVELS):
        raise click.ClickException(f"The level {config.level!r} is none of: auto, {', '.join(LEVELS)}.")
    if config.min_isolation not in LEVELS:
        raise click.ClickException(f"The minimal isolation {config.min_isolation!r} is none of: {', '.join(LEVELS)}.")
    for name, (least, most) in _RANGES.items():
        value = getattr(config, name)
        if not least <= value <= most:
            raise click.ClickException(f"TENANTRY_{name.upper()}={value} is not between {least} and {most}.")


def explain(error: Exception, config: Config) -> str:
    """What went wrong at the start, and what to do next."""
    if isinstance(error, AlreadyRunningError):
        run = error.run
        who = f" as process {run.pid}" if run and run.pid else ""
        where = f", at {run.address}" if run and run.address else ""
        return (
            f"tenantry already runs on {error.path}{who}{where}.\n"
            f'Use it: eval "$(tenantry env)". End it: kill {run.pid if run and run.pid else "<its pid>"}. '
            f"Or start another with its own folder and port: tenantry up --data-dir <folder> --port 0"
        )
    if isinstance(error, CredentialsFileError):
        return f"{error}.\nPut the file back, or remove it: the next start makes a new key."
    if isinstance(error, LevelError):
        return f"{error}\nChoose another with --level, or a lower --min-isolation."
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.EADDRINUSE:
        return (
            f"Port {config.port} on {config.host} is taken by another program.\n"
            f"Choose another: tenantry up --port <port> (0 takes a free one)."
        )
    if number == errno.EADDRNOTAVAIL:
        return f"{config.host} is no address of this machine. Leave --host away to listen on 127.0.0.1."
    if number in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.ENOSPC):
        return f"{error}.\nCheck that {config.data_dir} can be written, or choose another folder with --data-dir."
    return f"{error}."


async def serve(config: Config) -> None:
    """Run the platform until a signal, then drain it."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    async with Platform(config) as platform:

        def on_signal() -> None:
            if stop.is_set():
                platform.hurry()
            stop.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, on_signal)
        greet(platform)
        gc.freeze()  # what is loaded now stays: collections need not walk it again while requests wait
        await stop.wait()
        click.echo("Ending: invocations in flight may finish. A second signal ends them now.")
        if not await platform.drain():
            click.secho("Some invocations were broken off.", fg="yellow")
    click.echo(f"Ended. Everything is kept in {config.data_dir}")


def greet(platform: Platform) -> None:
    """The banner; its last line begins with `Ready`. Plain click: loading rich would cost a tenth of the start."""
    config = platform.config

    def line(name: str, value: str) -> None:
        click.echo(f"  {click.style(f'{name:<10}', dim=True)}{value}")

    click.echo(f"{click.style('tenantry', bold=True)} {__version__}: every tenant apart")
    line("address", platform.address)
    line("isolation", platform.level)
    line("data", str(config.data_dir))
    if platform.first_start:
        line("key", f"made a root access key: {config.data_dir / FILE_NAME} (only you can read it)")
    suffix = "" if config.data_dir == settings().data_dir else f" --data-dir {shlex.quote(str(config.data_dir))}"
    line("use", f'eval "$(tenantry env{suffix})"    then: sam deploy --guided')
    for warning in platform.warnings:
        click.secho(f"  ! {warning}", fg="yellow")
    click.secho(f"Ready in {platform.start_seconds:.2f} s. Ctrl-C ends it.", fg="green")


def allow_descriptors() -> None:
    """Raise the soft limit of open files to the hard one: connections and environments take several each."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _detach(config: Config) -> None:
    """Start the same command in a session of its own, and wait until it answers or fails."""
    config.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    log_path = config.data_dir / "tenantry.log"
    arguments = [argument for argument in sys.argv[1:] if argument != "--detach"]
    with log_path.open("ab") as log:
        offset = log.tell()
        process = subprocess.Popen(
            [sys.executable, "-m", "tenantry", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    deadline = time.monotonic() + DETACH_TIMEOUT_S
    while time.monotonic() < deadline:
        run = DataDir(config.data_dir).running()
        if run is not None and run.pid == process.pid and run.address:
            click.echo(f"tenantry runs as process {run.pid} at {run.address}. Log: {log_path}. End it: kill {run.pid}")
            return
        if process.poll() is not None:
            raise click.ClickException(_end_of(log_path, offset))
        time.sleep(0.02)
    process.terminate()
    raise click.ClickException(f"tenantry did not answer within {DETACH_TIMEOUT_S:.0f} s. See {log_path}")


def _end_of(path: Path, offset: int) -> str:
    with path.open("rb") as log:
        log.seek(offset)
        return log.read().decode(errors="replace").strip().removeprefix("Error: ")
