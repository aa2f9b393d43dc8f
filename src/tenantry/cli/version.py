"""`tenantry version`."""

from __future__ import annotations

import click

from tenantry import __version__


@click.command("version")
def command() -> None:
    """Print the version."""
    click.echo(f"tenantry {__version__}")
