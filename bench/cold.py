"""`make bench-cold`: what a new tenant waits for, and what keeping it costs, measured through the API Gateway route.

Every figure comes from real `tenantry up` processes with logs on, over HTTP on loopback: a new tenant's first answer when an
environment is parked, when it must be forked (a trivial handler; one that imports boto3 and pydantic, in both modes of INIT),
at level `exec`; memory per idle tenant; creations per second; a thousand tenants held, each answering again. The yardstick, a
plain `python -m awslambdaric` process start, is measured between the others, because machines are noisy: compare ratios of one
run.

A table for people first; the last line printed is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.client import Client  # noqa: E402  (the checkout is not a package)
from bench.deployment import TRIVIAL, Function, connect, deploy, heavy_folder, light_package, zip_folder  # noqa: E402
from bench.memory import environment_processes, pss_mib  # noqa: E402
from bench.report import Result, tables  # noqa: E402
from bench.ric import Yardstick  # noqa: E402
from scripts.running import Platform  # noqa: E402

PHASE_MAX_S = 60.0  # of the latency phase: what is not measured by then stays unmeasured, and the counts say so
CREATIONS_MAX_S = 20.0
PAUSE_S = 0.05  # between samples: topping up and destroying happen here, not inside the next sample
CREATORS = 2  # clients that create at the same time
NO_PARKING = {"tenantry:parked": "0"}

Sample = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Series:
    """Something to measure once every `every` rounds."""

    name: str
    every: int
    sample: Sample


class Tenants:
    """Names that were never used before."""

    def __init__(self) -> None:
        self._numbers = count()

    def fresh(self) -> str:
        """The next one."""
        return f"T-{next(self._numbers)}"


def main() -> int:
    """Measure, print the table and the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200, help="samples of the quick figures (heavy ones: a fifth) [200]")
    parser.add_argument("--tenants", type=int, default=1000, help="live tenants to hold [1000]")
    parser.add_argument("--creations", type=int, default=800, help="tenants to create and destroy in a row [800]")
    options = parser.parse_args()
    console = Console()
    folder = heavy_folder(ROOT / ".cache" / "bench")
    with (
        tempfile.TemporaryDirectory(prefix="tenantry-bench-") as scratch,
        Progress(console=console, transient=True) as progress,
    ):
        here = Path(scratch)
        samples = measure_latency(here, folder, options.rounds, progress)
        held, pss = hold(here, options.tenants, progress)
        rate = creations(here, options.creations, progress)
    result = Result(samples, pss, rate, held, options.tenants)
    for table in tables(result):
        console.print(table)
    print(json.dumps(result.as_json()))
    return 0


# -- a new tenant's first answer


def measure_latency(scratch: Path, heavy: Path, rounds: int, progress: Progress) -> dict[str, list[float]]:
    """Milliseconds by series, interleaved over `rounds` rounds."""
    light, heavy_zip = light_package(), zip_folder(heavy)
    functions = [
        Function("parked", light, tags={"tenantry:parked": "2"}),
        Function("forked", light, tags=NO_PARKING),
        Function("forked_heavy", heavy_zip, 512, tags=NO_PARKING),
        Function("snapshot_heavy", heavy_zip, 512, tags={**NO_PARKING, "tenantry:init-mode": "snapshot"}),
    ]
    code = scratch / "light"
    code.mkdir()
    (code / "app.py").write_text(TRIVIAL)
    with ExitStack() as stack:
        # Environments are ended soon after, so that their number stays the same from the first sample to the last.
        near = stack.enter_context(Platform(scratch / "namespace", "--level", "namespace", "--idle-timeout-s", "2"))
        far = stack.enter_context(Platform(scratch / "exec", "--level", "exec", "--idle-timeout-s", "2"))
        yardstick = stack.enter_context(Yardstick())
        first = first_answers(near, functions, stack)
        first_exec = first_answers(far, [Function("exec", light, tags=NO_PARKING)], stack)
        series = [
            Series("parked", 1, first["parked"]),
            Series("forked", 1, first["forked"]),
            Series("snapshot_heavy", 1, first["snapshot_heavy"]),
            Series("exec", 2, first_exec["exec"]),
            Series("ric_process", 2, lambda: yardstick.start_ms(code)),
            Series("forked_heavy", 5, first["forked_heavy"]),
            Series("ric_process_heavy", 5, lambda: yardstick.start_ms(heavy)),
        ]
        return interleave(series, rounds, progress)


def first_answers(platform: Platform, functions: list[Function], stack: ExitStack) -> dict[str, Sample]:
    """For each deployed function, how to measure a new tenant's first answer. Each has answered once already."""
    paths = deploy(platform.environment, functions)
    client = connect(platform.environment)
    stack.callback(client.close)
    tenants = Tenants()

    def first(path: str) -> float:
        tenant = tenants.fresh()
        began = time.perf_counter()
        answer = client.get(path, tenant)
        took = (time.perf_counter() - began) * 1000
        if answer != {"counter": 1, "tenant": tenant}:
            raise ValueError(f"the first answer of {tenant} was {answer}")
        return took

    for path in paths.values():
        first(path)
    return {name: lambda path=path: first(path) for name, path in paths.items()}  # type: ignore[misc]


def interleave(series: list[Series], rounds: int, progress: Progress) -> dict[str, list[float]]:
    """Take a sample of each series in turn, a pause after each."""
    samples: dict[str, list[float]] = {one.name: [] for one in series}
    task = progress.add_task("first answers", total=rounds)
    deadline = time.monotonic() + PHASE_MAX_S
    for number in range(rounds):
        for one in series:
            if number % one.every == 0:
                time.sleep(PAUSE_S)
                samples[one.name].append(one.sample())
        progress.advance(task)
        if time.monotonic() > deadline:
            break
    return samples


# -- many tenants


def hold(scratch: Path, wanted: int, progress: Progress) -> tuple[int, float | None]:
    """How many of `wanted` tenants answer a second time from the environment of the first, and the PSS of each in MiB."""
    options = ("--level", "namespace", "--idle-timeout-s", "600", "--environments-max", str(wanted + 10))
    with Platform(scratch / "hold", *options) as platform:
        path = deploy(platform.environment, [Function("held", light_package(), tags=NO_PARKING)])["held"]
        tenants = [f"T-{number}" for number in range(wanted)]
        task = progress.add_task("tenants held", total=2 * wanted)
        answers = ask_all(platform, path, tenants, lambda: progress.advance(task))
        if any(answer["counter"] != 1 for answer in answers):
            raise ValueError("a new tenant met an environment that was used before")
        try:
            pss = pss_mib(environment_processes(platform.pid)) / wanted
        except PermissionError:
            pss = None  # without root the kernel may hide the memory of another user namespace
        again = ask_all(platform, path, tenants, lambda: progress.advance(task))
        return sum(answer["counter"] == 2 for answer in again), pss


def creations(scratch: Path, wanted: int, progress: Progress) -> float:
    """New tenants per second, each created, answered and (when the next ones need its place) destroyed."""
    with Platform(scratch / "creations", "--level", "namespace", "--environments-max", "40") as platform:
        path = deploy(platform.environment, [Function("created", light_package(), tags=NO_PARKING)])["created"]
        ask_all(platform, path, [f"W-{number}" for number in range(40)], lambda: None)
        task = progress.add_task("creations", total=wanted)
        began = time.perf_counter()
        deadline = time.monotonic() + CREATIONS_MAX_S
        tenants = (f"T-{number}" for number in range(wanted) if time.monotonic() < deadline)
        done = len(ask_all(platform, path, tenants, lambda: progress.advance(task)))
        return done / (time.perf_counter() - began)


def ask_all(platform: Platform, path: str, tenants: Iterable[str], after: Callable[[], None]) -> list[dict[str, Any]]:
    """An answer for each tenant, over CREATORS connections at the same time."""
    answers: list[dict[str, Any]] = []
    problems: list[Exception] = []
    waiting = iter(tenants)
    lock = threading.Lock()

    def work(client: Client) -> None:
        try:
            for tenant in _shared(waiting, lock):
                answers.append(client.get(path, tenant))
                after()
        except Exception as error:  # noqa: BLE001 - handed to the caller below
            problems.append(error)
        finally:
            client.close()

    threads = [threading.Thread(target=work, args=(connect(platform.environment),)) for _ in range(CREATORS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise problems[0]
    return answers


def _shared(items: Iterator[str], lock: threading.Lock) -> Iterator[str]:
    while True:
        with lock:
            item = next(items, None)
        if item is None:
            return
        yield item


if __name__ == "__main__":
    sys.exit(main())
