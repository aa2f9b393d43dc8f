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


def main() -> int:
    """Measure and print."""
    table = Table(title="tenantry, measured from outside")
    for heading in ("figure", "p50", "p99"):
        table.add_column(heading, justify="left" if heading == "figure" else "right")
    bare = [
        timed(lambda: subprocess.run([sys.executable, "-I", "-S", "-c", ""], check=True)) for _ in range(INTERPRETER_STARTS)
    ]
    with tempfile.TemporaryDirectory(prefix="tenantry-bench-") as folder:
        platform = Platform(Path(folder))
        platform.start()
        platform.stop()
        platform.start()
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
    row(table, "start of a bare interpreter (yardstick)", bare)
    table.add_row("`tenantry up` to its first answer, second start", f"{platform.started_in_s * 1000:.0f} ms", "")
    table.add_row("memory of the idle platform process", f"{idle_mib:.0f} MiB", "")
    row(table, f"first answer to a new tenant ({NEW_TENANTS})", fresh)
    row(table, f"warm call through the API, one client ({WARM_CALLS})", warm)
    Console().print(table)
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


def row(table: Table, name: str, samples_ms: list[float]) -> None:
    """A line of the table: median and 99th percentile."""
    ordered = sorted(samples_ms)
    table.add_row(name, f"{statistics.median(ordered):.2f} ms", f"{ordered[int(len(ordered) * 0.99) - 1]:.2f} ms")


def resident_mib(pid: int) -> float:
    """Resident memory of one process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


if __name__ == "__main__":
    sys.exit(main())
