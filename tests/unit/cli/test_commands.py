"""The commands through click's runner, without a platform process."""

from __future__ import annotations

import io
import json
import os

import click
import pytest
from click.testing import CliRunner
from rich.console import Console

import tenantry
from tenantry.cli import env, main, status, up
from tenantry.config import Config
from tenantry.store.credentials import CredentialsFileError, load_or_create
from tenantry.store.data_dir import AlreadyRunningError, DataDir, Run


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run `tenantry ...` with a clean environment; gives click's result."""
    for name in list(os.environ):
        if name.startswith("TENANTRY_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TENANTRY_DATA_DIR", str(tmp_path / "data"))
    return lambda *arguments: CliRunner().invoke(main.main, arguments, prog_name="tenantry")


@pytest.fixture
def served(tmp_path):
    """A data folder that looks served, at an address where nothing answers."""
    folder = DataDir(tmp_path / "data")
    folder.acquire()
    folder.announce(Run(os.getpid(), "http://127.0.0.1:1", "eu-west-1", "0", 0.0, "token"))
    yield folder
    folder.release()


def test_every_command_is_listed_and_has_help(run):
    overview = run("--help").output
    for name in main.COMMANDS:
        assert f"  {name} " in overview
        assert run(name, "--help").exit_code == 0
    assert run("nothing").exit_code == 2


def test_version(run):
    assert run("version").output == f"tenantry {tenantry.__version__}\n"
    assert run("--version").output == f"tenantry {tenantry.__version__}\n"


@pytest.mark.parametrize("command", ["status", "env"])
def test_nothing_runs(run, command, tmp_path):
    result = run(command)
    assert result.exit_code == 1
    assert "not running" in result.output
    assert "tenantry up" in result.output
    assert not (tmp_path / "data").exists()


def test_env_exports_what_clients_need_and_takes_away_what_overrides_it(run, served):
    key, _ = load_or_create(served.path)
    lines = run("env").output.splitlines()
    assert "export AWS_ENDPOINT_URL=http://127.0.0.1:1" in lines
    assert "export AWS_REGION=eu-west-1" in lines
    assert "export AWS_DEFAULT_REGION=eu-west-1" in lines
    assert f"export AWS_ACCESS_KEY_ID={key.access_key_id}" in lines
    assert "export SAM_CLI_TELEMETRY=0" in lines
    assert lines[-1].startswith("unset AWS_SESSION_TOKEN AWS_PROFILE")


def test_env_as_json_in_another_region(run, served):
    key, _ = load_or_create(served.path)
    values = json.loads(run("env", "--json", "--region", "ap-south-1").output)
    assert values["AWS_REGION"] == values["AWS_DEFAULT_REGION"] == "ap-south-1"
    assert values["AWS_SECRET_ACCESS_KEY"] == key.secret_access_key


def test_env_quotes_for_each_shell():
    values = {"A": "it's $HOME"}
    assert env.shell_lines("sh", values, ("B", "C")) == ["export A='it'\"'\"'s $HOME'", "unset B C"]
    assert env.shell_lines("fish", values, ("B",)) == ["set -gx A 'it'\"'\"'s $HOME';", "set -e B;"]


def test_env_without_a_key_says_what_to_do(run, served):
    result = run("env")
    assert result.exit_code == 1
    assert "Restart tenantry" in result.output


def test_status_of_one_that_does_not_answer(run, served):
    result = run("status")
    assert result.exit_code == 1
    assert f"process {os.getpid()}" in result.output
    assert "does not answer at http://127.0.0.1:1" in result.output


def test_starting_platform_has_no_address_yet(run, served):
    served.announce(Run(os.getpid()))
    assert "is starting" in run("env").output


def test_status_shows_figures_rows_and_warnings():
    console = Console(width=100, file=io.StringIO())
    rows = [{"tenant": f"t{number}", "state": None} for number in range(status.ROWS_MAX + 3)]
    content = {"up_s": 1.5, "zygotes": [], "flags": {"idle": 2, "ok": True}, "environments": rows, "warnings": ["beware [x]"]}
    status.show(console, content)
    shown = console.file.getvalue()
    for text in ("up s     1.5", "idle 2, ok yes", "zygotes  none", "environments (53)", "t49", "and 3 more", "! beware [x]"):
        assert text in shown, text
    assert "t50" not in shown


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--port", "70000"), "70000"),
        (("--port", "x"), "x"),
        (("--level", "magic"), "magic"),
        (("--account-id", "12"), "12 digits"),
        (("--region", "Mars"), "region"),
    ],
)
def test_up_refuses_wrong_options(run, tmp_path, arguments, said):
    result = run("up", *arguments)
    assert result.exit_code != 0
    assert said in result.output
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "many"),
        ("PORT", "-1"),
        ("LEVEL", "magic"),
        ("MIN_ISOLATION", "magic"),
        ("STRICT_RUNTIMES", "perhaps"),
        ("ACCOUNT_ID", "x"),
        ("MAX_CONNECTIONS", "0"),
        ("DRAIN_TIMEOUT_S", "-1"),
    ],
)
def test_up_refuses_wrong_variables_and_names_them(run, monkeypatch, tmp_path, name, value):
    monkeypatch.setenv(f"TENANTRY_{name}", value)
    result = run("up")
    assert result.exit_code == 1
    assert value in result.output
    assert not (tmp_path / "data").exists()


def test_up_on_a_served_folder(run, served):
    result = run("up", "--port", "0")
    assert result.exit_code == 1
    assert f"process {os.getpid()}, at http://127.0.0.1:1" in result.output


def test_up_on_a_folder_that_cannot_be(run, tmp_path):
    (tmp_path / "file").write_text("")
    result = run("up", "--data-dir", str(tmp_path / "file" / "below"), "--port", "0")
    assert result.exit_code == 1
    assert "--data-dir" in result.output


def test_up_with_a_damaged_key(run, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "credentials.json").write_text("{")
    result = run("up", "--port", "0")
    assert result.exit_code == 1
    assert "credentials.json" in result.output
    assert DataDir(tmp_path / "data").running() is None


def test_up_at_an_address_of_another_machine(run):
    result = run("up", "--host", "192.0.2.1", "--port", "0")
    assert result.exit_code == 1
    assert "192.0.2.1 is no address of this machine" in result.output


def test_explanations_say_what_to_do_next(tmp_path):
    config = Config(tmp_path)
    for error in (AlreadyRunningError(tmp_path, None), CredentialsFileError("x"), OSError(98, "x"), OSError(13, "x")):
        assert any(hint in up.explain(error, config) for hint in ("--data-dir", "--port", "remove it")), error


def test_check_is_silent_about_good_settings(tmp_path):
    up.check(Config(tmp_path))
    with pytest.raises(click.ClickException):
        up.check(Config(tmp_path, region="nowhere"))
