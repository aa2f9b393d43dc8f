"""`make demo`: the example deployed by the real SAM CLI to a platform of its own, every request played, every answer judged.

Exit status 0 only if every answer was right. `--keep` leaves the platform running afterwards, until Ctrl-C.
"""

from __future__ import annotations

import argparse
import http.client
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from running import Platform

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "tenant-counter"
STACK = "tiso"
ENABLED = "The invoked function is enabled with tenancy configuration. Add a valid tenant ID in your request and try again."
MISSING_HEADER = {"message": "Missing required request parameters: [x-tenant-id]"}
MISSING_TOKEN = {"message": "Missing Authentication Token"}


class DemoError(Exception):
    """A step without which the rest makes no sense has failed; the text says which, and what it printed."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back over HTTP."""

    status: int
    headers: dict[str, str]
    body: str


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request and the answer it must get. `path` is added to the stage's address; `body` None means an empty body."""

    path: str
    status: int
    body: dict[str, Any] | None
    tenant: str | None = None
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table that is shown at the end."""

    call: str
    answer: str
    expected: str
    right: bool


def shared(counter: int, tenant: str | None) -> dict[str, Any]:
    """The body that the function without isolation must answer, keys in order."""
    return {
        "counter": counter,
        "tenant_id_received": tenant,
        "tenant_id": None,
        "isolation_enabled": False,
        "message": f"Counter incremented successfully - SHARED across all tenants! (Received tenant: {tenant or 'none'})",
        "warning": "This function does NOT provide tenant isolation - all tenants share the same counter!",
    }


def isolated(counter: int, tenant: str) -> dict[str, Any]:
    """The body that the isolated function must answer, keys in order."""
    return {
        "counter": counter,
        "tenant_id": tenant,
        "isolation_enabled": True,
        "message": f"Counter incremented successfully for tenant {tenant}",
    }


ANSWER_CHARACTERS_MAX = 110
CORS = {"access-control-allow-origin": "*", "access-control-allow-methods": "GET,OPTIONS"}
REQUESTS = (
    Request("dev/standard", 200, shared(1, "BlueTenant"), "BlueTenant"),
    Request("dev/standard", 200, shared(2, "RedTenant"), "RedTenant"),
    Request("dev/standard", 200, shared(3, "GreenTenant"), "GreenTenant"),
    Request("dev/standard", 200, shared(4, None)),
    Request("dev/isolated", 200, isolated(1, "BlueTenant"), "BlueTenant"),
    Request("dev/isolated", 200, isolated(1, "GreenTenant"), "GreenTenant"),
    Request("dev/isolated", 200, isolated(2, "BlueTenant"), "BlueTenant"),
    Request("dev/isolated", 200, isolated(2, "GreenTenant"), "GreenTenant"),
    Request("dev/isolated", 200, isolated(3, "BlueTenant"), "BlueTenant"),
    Request("dev/isolated", 400, MISSING_HEADER),
    Request("dev/isolated", 400, {"message": ...}, "not!an!id"),
    Request("dev/standard", 200, None, method="OPTIONS", headers=CORS),
    Request("dev/isolated", 200, None, method="OPTIONS", headers=CORS),
    Request("dev/isolated", 403, MISSING_TOKEN, "BlueTenant", method="POST"),
    Request("dev/unknown", 403, MISSING_TOKEN, "BlueTenant"),
    Request("prod/isolated", 403, MISSING_TOKEN, "BlueTenant"),
)


def main(arguments: Sequence[str]) -> int:
    """Play the whole demonstration; the exit status."""
    parser = argparse.ArgumentParser(prog="make demo", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--keep", action="store_true", help="leave the platform running afterwards, until Ctrl-C")
    options = parser.parse_args(arguments)
    console = Console(width=max(100, Console().width))
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tenantry-demo-") as folder:
        platform = Platform(Path(folder))
        try:
            rows = play(console, platform)
            show(console, rows, time.monotonic() - began)
            if options.keep:
                keep(console, platform)
            clean_up(console, platform)
        except DemoError as error:
            console.print(str(error), style="red", markup=False, highlight=False)
            console.print(platform.log_end(), style="dim", markup=False)
            return 1
        finally:
            platform.stop()
    go_on(console)
    return 0 if all(row.right for row in rows) else 1


def play(console: Console, platform: Platform) -> list[Row]:
    """Start, deploy, ask everything; one row for each call."""
    with step(console, "starting tenantry on a free port, with data of its own"):
        try:
            platform.start()
        except RuntimeError:
            raise DemoError("tenantry did not come up; the end of its log:") from None
    app = platform.folder / "tenant-counter"
    shutil.copytree(EXAMPLE, app, ignore=shutil.ignore_patterns(".aws-sam", "samconfig.toml"))
    with step(console, "sam build"):
        must(platform, ["sam", "build"], app)
    with step(console, f"sam deploy --stack-name {STACK}"):
        deploy = ["sam", "deploy", "--stack-name", STACK, "--resolve-s3", "--capabilities", "CAPABILITY_IAM"]
        must(platform, [*deploy, "--no-confirm-changeset", "--region", platform.environment["AWS_REGION"]], app)
    stack = json.loads(must(platform, ["aws", "cloudformation", "describe-stacks", "--stack-name", STACK]))["Stacks"][0]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    url = outputs["IsolatedTenantAPIEndpointUrl"].removesuffix("dev/isolated")
    with step(console, f"{len(REQUESTS)} requests with {'curl' if shutil.which('curl') else 'python (there is no curl here)'}"):
        rows = [ask(platform, url, request) for request in REQUESTS]
    with step(console, "aws lambda invoke, with and without a tenant"):
        rows += invoke(platform)
    with step(console, "aws logs filter-log-events, both log groups"):
        rows += [logs(platform, "standard", shared_records_right), logs(platform, "isolated", isolated_records_right)]
    return rows


def ask(platform: Platform, base: str, request: Request) -> Row:
    """Send one request, judge its answer."""
    answer = send(platform, base + request.path, request)
    right = answer.status == request.status and same_body(answer.body, request.body)
    right = right and all(answer.headers.get(name) == value for name, value in request.headers.items())
    method = "" if request.method == "GET" else f"-X {request.method} "
    tenant = f' -H "x-tenant-id: {request.tenant}"' if request.tenant else ""
    return Row(f"curl {method}/{request.path}{tenant}", brief(answer.status, answer.body), expectation(request), right)


def send(platform: Platform, url: str, request: Request) -> Answer:
    """The request, by curl where there is one."""
    headers = {"x-tenant-id": request.tenant} if request.tenant else {}
    if shutil.which("curl") is None:
        return send_without_curl(url, request.method, headers)
    command = ["curl", "-sS", "-i", "-X", request.method, "--max-time", "30", url]
    for name, value in headers.items():
        command += ["-H", f"{name}: {value}"]
    head, _, body = must(platform, command).replace("\r\n", "\n").partition("\n\n")
    status, *lines = head.split("\n")
    fields = dict(line.split(": ", 1) for line in lines if ": " in line)
    return Answer(int(status.split(" ")[1]), {name.lower(): value for name, value in fields.items()}, body)


def send_without_curl(url: str, method: str, headers: dict[str, str]) -> Answer:
    """The same from here; every name under `localhost` is this machine, which not every resolver knows."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection("127.0.0.1", parts.port, timeout=30)
    connection.request(method, parts.path, headers={"Host": parts.netloc, **headers})
    response = connection.getresponse()
    fields = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, fields, response.read().decode())


def invoke(platform: Platform) -> list[Row]:
    """The isolated function called without the API: refused without a tenant, Blue's own environment with one."""
    event = json.dumps({"httpMethod": "GET", "path": "/isolated"})
    command = ["aws", "lambda", "invoke", "--function-name", f"{STACK}-counter-isolated", "--payload", event, "answer.json"]
    refused = platform.run(command)
    text = refused.stderr.strip()
    short = text.split("operation: ")[-1]
    rows = [Row("aws lambda invoke ...-isolated", short, ENABLED, refused.returncode != 0 and ENABLED in text)]
    must(platform, [*command, "--tenant-id", "BlueTenant"])
    answer = json.loads((platform.folder / "answer.json").read_text())
    right = same_body(answer["body"], isolated(4, "BlueTenant"))
    call = "aws lambda invoke ...-isolated --tenant-id BlueTenant"
    return [*rows, Row(call, brief(answer["statusCode"], answer["body"]), "200 counter 4, BlueTenant", right)]


def logs(platform: Platform, which: str, judge: Callable[[list[str]], tuple[str, str, bool]]) -> Row:
    """One log group's events of the last ten minutes, judged."""
    group = f"/aws/lambda/{STACK}-counter-{which}"
    since = str(int(time.time() - 600) * 1000)
    command = ["aws", "logs", "filter-log-events", "--log-group-name", group, "--start-time", since]
    events = json.loads(must(platform, command))["events"]
    return Row(f"aws logs filter-log-events ...-{which}", *judge([event["message"] for event in events]))


def shared_records_right(messages: list[str]) -> tuple[str, str, bool]:
    """Text records, four requests."""
    starts = sum(message.startswith("START RequestId: ") for message in messages)
    reports = sum(message.startswith("REPORT RequestId: ") for message in messages)
    return f"{starts} START, {reports} REPORT lines", "4 START, 4 REPORT lines", starts == reports == 4


def isolated_records_right(messages: list[str]) -> tuple[str, str, bool]:
    """JSON records, every request's start naming its tenant."""
    records = [json.loads(message) for message in messages if message.startswith("{")]
    starts = [record["record"].get("tenantId") for record in records if record.get("type") == "platform.start"]
    counts = {tenant: starts.count(tenant) for tenant in sorted(set(map(str, starts)))}
    expected = {"BlueTenant": 4, "GreenTenant": 2}
    return say(counts), say(expected), counts == expected


def say(counts: dict[str, int]) -> str:
    """How many records each tenant has."""
    return "platform.start with tenantId " + ", ".join(f"{tenant}: {count}" for tenant, count in counts.items())


def same_body(text: str, expected: dict[str, Any] | None) -> bool:
    """Equal, in the same order of keys; `...` stands for any text."""
    if expected is None:
        return text == ""
    try:
        actual = json.loads(text)
    except ValueError:
        return False
    if not isinstance(actual, dict) or list(actual) != list(expected):
        return False
    return all(value is ... or (actual[key] == value and type(actual[key]) is type(value)) for key, value in expected.items())


def brief(status: int, body: str) -> str:
    """An answer in a few words."""
    try:
        value = json.loads(body)
        if "counter" in value:
            tenant = value.get("tenant_id_received", value["tenant_id"])
            return f"{status} counter {value['counter']}, {tenant or 'no tenant'}"
        body = value.get("message", body)
    except ValueError:
        pass
    return f"{status} {body.strip()[:ANSWER_CHARACTERS_MAX] or '(empty)'}"


def expectation(request: Request) -> str:
    """What the request's answer should look like, in the words of `brief`."""
    if request.body is None:
        return f"{request.status} (empty), with CORS headers"
    if ... in request.body.values():
        return f"{request.status} with a message"
    return brief(request.status, json.dumps(request.body))


def must(platform: Platform, command: list[str], cwd: Path | None = None) -> str:
    """Run a client that has to succeed; what it printed."""
    done = platform.run(command, cwd)
    if done.returncode != 0:
        raise DemoError(f"{' '.join(command)} failed ({done.returncode}):\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return done.stdout


@contextmanager
def step(console: Console, title: str) -> Iterator[None]:
    """A line for a step, with the time it took."""
    began = time.monotonic()
    with console.status(title):
        yield
    console.print(f"[green]·[/green] {title} [dim]{time.monotonic() - began:.1f} s[/dim]", highlight=False)


def show(console: Console, rows: list[Row], took_s: float) -> None:
    """The table, and one line that sums it up."""
    table = Table(title=f"{EXAMPLE.name}: calls and answers", title_justify="left")
    table.add_column("call", no_wrap=True)
    table.add_column("answer", overflow="fold")
    table.add_column("")
    for row in rows:
        answer = row.answer if row.right else f"{row.answer}\nexpected: {row.expected}"
        table.add_row(escape(row.call), escape(answer), "[green]ok[/green]" if row.right else "[bold red]WRONG[/bold red]")
    console.print(table, markup=True, highlight=False)
    right = sum(row.right for row in rows)
    colour = "green" if right == len(rows) else "bold red"
    console.print(f"[{colour}]{right} of {len(rows)} answers right[/{colour}], {took_s:.0f} s", highlight=False)


def keep(console: Console, platform: Platform) -> None:
    """Stay up for a person to play with."""
    console.print("\nStill running. In another terminal:\n", highlight=False)
    console.print(
        f'  eval "$(.venv/bin/tenantry env --data-dir {platform.data_dir})"', markup=False, highlight=False, soft_wrap=True
    )
    console.print("\nCtrl-C deletes the stack and stops it.", highlight=False)
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        console.print()


def clean_up(console: Console, platform: Platform) -> None:
    """Take the stack away with the tool that made it."""
    with step(console, "sam delete"):
        must(platform, ["sam", "delete", "--no-prompts", "--stack-name", STACK, "--region", platform.environment["AWS_REGION"]])


def go_on(console: Console) -> None:
    """How to do the same by hand."""
    console.print(
        """
By hand, each step with AWS's own tools:

  .venv/bin/tenantry up                      # one terminal; stays in the foreground
  eval "$(.venv/bin/tenantry env)"           # the other: endpoint, region, credentials
  cd examples/tenant-counter
  sam build && sam deploy --guided           # prints both addresses (no sam? ../../.tools/clients/sam/bin/sam)
  curl -H "x-tenant-id: BlueTenant" <IsolatedTenantAPIEndpointUrl>
  sam logs --stack-name <your stack>
  sam delete
""",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except subprocess.TimeoutExpired as error:
        sys.exit(f"{' '.join(error.cmd)} did not end within {error.timeout:.0f} s")
