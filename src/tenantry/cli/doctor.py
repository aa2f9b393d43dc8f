"""`tenantry doctor`: what this host can do, what is missing and how to get it; tries every level with a real sandbox."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click
import orjson
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tenantry.cli.running import data_dir_option, settings
from tenantry.sandbox.choice import STRENGTH
from tenantry.sandbox.doctor import Report, examine, user_of
from tenantry.sandbox.requirements import MISSING, OK, PARTIAL, gather

_MARKS = {OK: "[green]ok[/]", PARTIAL: "[yellow]partial[/]", MISSING: "[red]missing[/]"}


@click.command("doctor")
@data_dir_option
@click.option("--level", type=click.Choice(("auto", *STRENGTH)), help="The level you want. [default: as for `tenantry up`]")
@click.option("--min-isolation", type=click.Choice(STRENGTH), help="The least you accept. [default: as for `tenantry up`]")
@click.option("--json", "as_json", is_flag=True, help="Print everything, as JSON.")
def command(data_dir: Path | None, level: str | None, min_isolation: str | None, as_json: bool) -> None:
    """Tell what this host can do, and try every level of isolation by booting a sandbox.

    Exit status 0 when the level you want can be had, 1 otherwise.
    """
    config = settings(data_dir=data_dir, level=level, min_isolation=min_isolation)
    if config.level not in ("auto", *STRENGTH) or config.min_isolation not in STRENGTH:
        raise click.ClickException(f"Levels are {', '.join(STRENGTH)}; see TENANTRY_LEVEL and TENANTRY_MIN_ISOLATION.")
    facts = gather(config.data_dir, config.environments_max)
    report = asyncio.run(examine(facts, config.level, config.min_isolation))
    if as_json:
        click.echo(orjson.dumps(report.as_json(), option=orjson.OPT_INDENT_2))
    else:
        show(Console(), report)
    raise SystemExit(0 if report.chosen is not None else 1)


def show(console: Console, report: Report) -> None:
    """Requirements, levels, the conclusion, and what to do."""
    console.print(_requirements(report))
    console.print(_levels(report))
    wanted = f"level {report.wanted}" if report.minimal == "process" else f"level {report.wanted}, at least {report.minimal}"
    if report.chosen is None:
        console.print(f"[red]This host cannot give {wanted}.[/]", highlight=False)
    else:
        console.print(f"[green]tenantry up ({wanted}) runs at level [bold]{report.chosen}[/] here.[/]", highlight=False)
    if not report.facts.rootless:
        console.print(
            "[dim]Rootless was tried with root's own id; run this as an ordinary user to know what that user gets.[/]"
        )
    remedies = [finding for finding in report.requirements if finding.remedy]
    if remedies:
        console.print("\n[bold]How to get more[/]")
    for finding in remedies:
        console.print(f"  [bold]{escape(finding.name)}[/]: {escape(finding.remedy)}", highlight=False, soft_wrap=True)


def _requirements(report: Report) -> Table:
    table = Table(title="This host", title_justify="left", box=None, pad_edge=False)
    table.add_column("requirement", style="bold", no_wrap=True)
    table.add_column("")
    table.add_column("found", overflow="fold")
    for finding in report.requirements:
        table.add_row(escape(finding.name), _MARKS[finding.state], escape(finding.detail))
    return table


def _levels(report: Report) -> Table:
    table = Table(title="\nLevels, each tried by booting a sandbox", title_justify="left", box=None, pad_edge=False)
    table.add_column("level", style="bold", no_wrap=True)
    table.add_column("as", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("", overflow="fold")
    for one in report.boots:
        if not one.works:
            table.add_row(one.level, user_of(one), "[red]does not work[/]", escape(one.problem or ""))
            continue
        limits = "limits memory, CPU and processes" if one.limited else "no limits on memory and CPU"
        table.add_row(one.level, user_of(one), "[green]works[/]", f"{limits} ({one.took_s:.1f} s)")
    return table
