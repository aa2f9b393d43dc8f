"""`tenantry verify`: attack the isolation over every vector we know, and show what came of it."""

from __future__ import annotations

import json
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from tenantry.cli.running import data_dir_option, fetch, running_platform, settings
from tenantry.sandbox.choice import LevelError
from tenantry.store.credentials import load_or_create
from tenantry.verify.lab import Lab, Refused, borrow_lab, open_lab
from tenantry.verify.platform_thread import NotEndedError
from tenantry.verify.runner import CLOSED, OPEN, RESIDUAL, Finding, report, run
from tenantry.verify.vectors import VECTORS, Vector

_STYLES = {CLOSED: "green", RESIDUAL: "yellow", OPEN: "bold red"}


@click.command("verify")
@click.option("--level", type=click.Choice(["auto", "process", "namespace", "exec"]), default="auto", help="Level to attack.")
@click.option("--function", "name", help="Attack with this function's configuration, on the running platform.")
@data_dir_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def command(level: str, name: str | None, data_dir: Path | None, as_json: bool) -> None:
    """Attack the isolation between tenants, and show the result.

    Two tenants of a hostile function try to reach each other, the platform and the host, over every vector that
    docs/SECURITY.md lists, on a platform made for this and thrown away. Exit status 0 only if nothing leaked.
    """
    console = Console(stderr=as_json)
    try:
        with _laboratory(level, name, data_dir) as lab:
            findings = _attack(lab, console)
            found_level = lab.level
    except LevelError as error:
        raise click.ClickException(f"{error} `tenantry doctor` says what is missing.") from None
    except Refused as refusal:
        raise click.ClickException(f"the laboratory could not be set up: {refusal}") from None
    except NotEndedError as error:
        raise click.ClickException(f"{error}\nThis is a defect of tenantry: please report it with these lines.") from None
    if as_json:
        click.echo(json.dumps(report(found_level, findings)))
    else:
        console.print(_table(found_level, findings))
        console.print(_verdict(findings))
    sys.exit(1 if any(finding.result == OPEN for finding in findings) else 0)


def _laboratory(level: str, name: str | None, data_dir: Path | None) -> AbstractContextManager[Lab]:
    if name is None:
        return open_lab(level)
    config = settings(data_dir=data_dir)
    running = running_platform(config)
    found_level = str(fetch(running, "status")["isolation"])
    key, _ = load_or_create(config.data_dir)
    return borrow_lab(running.address, running.region, (key.access_key_id, key.secret_access_key), found_level, name)


def _attack(lab: Lab, console: Console) -> list[Finding]:
    with console.status(f"attacking level {lab.level} ...") as status:
        done = 0

        def progress(vector: Vector, finding: Finding) -> None:
            nonlocal done
            done += 1
            status.update(f"attacking level {lab.level}: {done} of {len(VECTORS)}, {vector.title}")

        return run(lab, progress=progress)


def _table(level: str, findings: list[Finding]) -> Table:
    table = Table(title=f"Isolation between tenants, level {level}", title_justify="left", show_lines=False)
    table.add_column("vector", overflow="fold", ratio=4)
    table.add_column("closed by", overflow="fold", ratio=3)
    table.add_column("result", no_wrap=True)
    details = any(finding.detail for finding in findings)
    if details:
        table.add_column("detail", overflow="fold", ratio=3)
    for finding in findings:
        style = _STYLES[finding.result]
        cells = [finding.vector, finding.mechanism, f"[{style}]{finding.result}[/]"]
        table.add_row(*cells, *([finding.detail] if details else []))
    return table


def _verdict(findings: list[Finding]) -> str:
    counts = {result: sum(finding.result == result for finding in findings) for result in _STYLES}
    if counts[OPEN]:
        advice = "Do not host untrusted code on this machine like this."
        return f"[bold red]{counts[OPEN]} of {len(findings)} vectors leaked.[/] {advice}"
    residual = f", {counts[RESIDUAL]} known at this level (docs/SECURITY.md)" if counts[RESIDUAL] else ""
    return f"[green]Nothing leaked: {counts[CLOSED]} of {len(findings)} vectors closed[/]{residual}."
