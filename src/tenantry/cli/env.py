"""`tenantry env`: what a client needs to reach the running platform, as lines to evaluate in a shell.

Besides the address, the region and the key, it takes away what would override them: a session token or a profile of the user's
real account would make clients sign for, or go to, AWS itself.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
import orjson

from tenantry.cli.running import data_dir_option, running_platform, settings
from tenantry.store import credentials

UNSET = ("AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE")
SHELLS = ("sh", "fish")


def variables(address: str, region: str, key: credentials.RootKey) -> dict[str, str]:
    """The variables, by name."""
    return {
        "AWS_ENDPOINT_URL": address,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_ACCESS_KEY_ID": key.access_key_id,
        "AWS_SECRET_ACCESS_KEY": key.secret_access_key,
        # With telemetry on, sam posts to a host of AWS on every command.
        "SAM_CLI_TELEMETRY": "0",
    }


def shell_lines(shell: str, values: Mapping[str, str], unset: Sequence[str]) -> list[str]:
    """Lines that set and unset, in the words of a shell."""
    if shell == "fish":
        return [
            *(f"set -gx {name} {shlex.quote(value)};" for name, value in values.items()),
            *(f"set -e {name};" for name in unset),
        ]
    return [*(f"export {name}={shlex.quote(value)}" for name, value in values.items()), f"unset {' '.join(unset)}"]


@click.command("env")
@data_dir_option
@click.option("--region", help="The region to export. [default: the one the platform was started with]")
@click.option("--shell", type=click.Choice(SHELLS), default="sh", show_default=True, help="Whose words to print.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object instead.")
def command(data_dir: Path | None, region: str | None, shell: str, as_json: bool) -> None:
    """Print the variables that point clients at the platform: eval "$(tenantry env)"."""
    config = settings(data_dir=data_dir, region=region)
    run = running_platform(config)
    try:
        key = credentials.load(config.data_dir)
    except credentials.CredentialsFileError as error:
        raise click.ClickException(str(error)) from None
    if key is None:
        raise click.ClickException(f"{config.data_dir / credentials.FILE_NAME} is gone. Restart tenantry; it makes a new key.")
    values = variables(run.address, region or run.region or config.region, key)
    if as_json:
        click.echo(orjson.dumps(values, option=orjson.OPT_INDENT_2))
    else:
        click.echo("\n".join(shell_lines(shell, values, UNSET)))
