"""`tenantry`: the group of commands.

Adding one is a module `tenantry/cli/<name>.py` with a click command called `command`, and its name in `COMMANDS`. A command's
module is imported only when it is asked for, so that `tenantry env` does not pay for `tenantry up`.
"""

from __future__ import annotations

import importlib

import click

from tenantry import __version__

COMMANDS = ("up", "env", "status", "verify", "doctor", "version")


class Commands(click.Group):
    """A group whose commands are the modules named in COMMANDS."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"tenantry.cli.{cmd_name}").command
        return command


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tenantry", message="%(prog)s %(version)s")
def main() -> None:
    """Multi-tenant APIs with AWS Lambda tenant isolation, on your own machine.

    Start with `tenantry up`, then in another terminal: eval "$(tenantry env)"
    """
