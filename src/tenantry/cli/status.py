"""`tenantry status`: what the running platform says about itself, as a table or as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import orjson
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tenantry.cli.running import data_dir_option, fetch, running_platform, settings

ROWS_MAX = 50


@click.command("status")
@data_dir_option
@click.option("--json", "as_json", is_flag=True, help="Print everything, as JSON.")
def command(data_dir: Path | None, as_json: bool) -> None:
    """Show what the platform is doing. Exit status 1 when none runs."""
    content = fetch(running_platform(settings(data_dir=data_dir)), "status")
    if as_json:
        click.echo(orjson.dumps(content, option=orjson.OPT_INDENT_2))
        return
    console = Console()
    show(console, content)


def show(console: Console, content: dict[str, Any]) -> None:
    """Print the status: figures first, then a table for each list of rows, then what a person should know."""
    figures = Table(show_header=False, box=None, pad_edge=False)
    figures.add_column(style="bold")
    figures.add_column(overflow="fold")
    tables: list[tuple[str, list[dict[str, Any]]]] = []
    for name, value in content.items():
        if name == "warnings":
            continue
        if isinstance(value, list) and value and isinstance(value[0], dict):
            tables.append((name, value))
        else:
            figures.add_row(name.replace("_", " "), escape(_text(value)))
    console.print(figures)
    for name, rows in tables:
        console.print(f"\n[bold]{name}[/] ({len(rows)})", highlight=False)
        console.print(_rows(rows[:ROWS_MAX]))
        if len(rows) > ROWS_MAX:
            console.print(f"and {len(rows) - ROWS_MAX} more: tenantry status --json", highlight=False)
    for warning in content.get("warnings", []):
        console.print(f"[yellow]![/] {escape(str(warning))}")


def _rows(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in rows[0]:
        table.add_column(name.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(escape(_text(value)) for value in row.values()))
    return table


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, dict):
        return ", ".join(f"{name.replace('_', ' ')} {_text(part)}" for name, part in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(_text(part) for part in value) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,.1f}" if isinstance(value, float) else str(value)
