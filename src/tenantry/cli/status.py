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
    console.print(overview(content))
    for warning in content.get("warnings", []):
        console.print(f"[yellow]![/] {escape(str(warning))}")


def overview(content: dict[str, Any]) -> Table:
    """The status as a two-column table; nested parts are one row each, `name value` pairs side by side."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in content.items():
        if name != "warnings":
            table.add_row(name.replace("_", " "), escape(_text(value)))
    return table


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name.replace('_', ' ')} {_text(part)}" for name, part in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(_text(part) for part in value) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,.1f}" if isinstance(value, float) else str(value)
