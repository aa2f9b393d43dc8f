"""`make bench`: what a running platform costs, measured from outside through its own HTTP front.

Start-up, idle memory, a new tenant's first answer, and a warm call, one client, one connection. Machines differ: compare
figures within one run. The yardstick of each run is the start of a bare interpreter on the same machine.
"""

from __future__ import annotations

import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scripts.running import Platform  # noqa: E402  (the checkout is not a package)
from tests.clients.test_power_cut import TEMPLATE, deploy  # noqa: E402
from tests.support.aws import Aws  # noqa: E402

WARM_CALLS = 2000
NEW_TENANTS = 40
INTERPRETER_STARTS = 10
STARTS = 5
START_MS_MAX = 1000


def main() -> int:
    """Measure and print."""
    table = Table(title="tenantry, measured from outside")
    for heading in ("figure", "p50", "p99", "p50, in yardsticks"):
        table.add_column(heading, justify="left" if heading == "figure" else "right")
    bare = [
        timed(lambda: subprocess.run([sys.executable, "-I", "-S", "-c", ""], check=True)) for _ in range(INTERPRETER_STARTS)
    ]
    with tempfile.TemporaryDirectory(prefix="tenantry-bench-") as folder:
        platform = Platform(Path(folder))
        platform.start()
        starts = []
        for _ in range(STARTS):
            platform.stop()
            platform.start()
            starts.append(platform.started_in_s * 1000)
        try:
            idle_mib = resident_mib(platform.pid)
            aws = Aws(platform.environment)
            url = deploy(aws, "cut", TEMPLATE)["Outputs"][0]["OutputValue"]
            aws.close()
            connection = http.client.HTTPConnection("127.0.0.1", urlsplit(url).port)
            fresh = [timed(lambda number=number: call(connection, url, f"Tenant{number}")) for number in range(NEW_TENANTS)]
            warm = [timed(lambda: call(connection, url, "Tenant0")) for _ in range(WARM_CALLS)]
            connection.close()
        finally:
            platform.stop()
    yardstick_ms = statistics.median(bare)
    row(table, "bare interpreter (yardstick)", bare, yardstick_ms)
    row(table, f"`tenantry up`, later starts ({STARTS})", starts, yardstick_ms)
    row(table, f"new tenant ({NEW_TENANTS})", fresh, yardstick_ms)
    row(table, f"warm call ({WARM_CALLS})", warm, yardstick_ms)
    table.add_row("idle memory", f"{idle_mib:.0f} MiB", "", "")
    console = Console()
    console.print(table)
    if statistics.median(starts) > START_MS_MAX:
        console.print(f"`tenantry up` took more than the promised {START_MS_MAX} ms.")
        return 1
    return 0


def call(connection: http.client.HTTPConnection, url: str, tenant: str) -> None:
    """One request of the tenant; ValueError if it is not answered well."""
    parts = urlsplit(url)
    connection.request("GET", parts.path, headers={"Host": parts.netloc, "x-tenant-id": tenant})
    response = connection.getresponse()
    body = response.read()
    if response.status != 200 or json.loads(body)["tenant"] != tenant:
        raise ValueError(f"{response.status} {body!r}")


def timed(act: Callable[[], object]) -> float:
    """Milliseconds that it takes."""
    began = time.perf_counter()
    act()
    return (time.perf_counter() - began) * 1000


def row(table: Table, name: str, samples_ms: list[float], yardstick_ms: float) -> None:
    """A line of the table: median, 99th percentile, and the median in units of the yardstick."""
    ordered = sorted(samples_ms)
    median = statistics.median(ordered)
    p99 = ordered[max(0, int(len(ordered) * 0.99) - 1)]
    table.add_row(name, f"{median:.2f} ms", f"{p99:.2f} ms", f"{median / yardstick_ms:.2f}")


def resident_mib(pid: int) -> float:
    """Resident memory of one process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


if __name__ == "__main__":
    sys.exit(main())
