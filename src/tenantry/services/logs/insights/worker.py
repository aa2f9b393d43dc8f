"""The process that runs one Insights query: a JSON object on standard input, a JSON object on standard output.

    in    {"folder", "region", "groups": [[name, log, oldest_ms], ...], "start_ms", "end_ms", "query", "limit"}
    out   {"results": [[[field, value], ...], ...], "statistics": {...}}   or   {"error": text}

It reads the log store's file by itself and may be ended at any time. Its memory is bounded.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tenantry.services.logs.insights.functions import text
from tenantry.services.logs.insights.rows import Row
from tenantry.services.logs.insights.run import Statistics, newest_first, run_query
from tenantry.services.logs.insights.syntax import parse_query
from tenantry.services.logs.insights.tokens import QueryError
from tenantry.store.logs.reader import SqliteReader
from tenantry.store.logs.records import LogReader, Scan
from tenantry.store.logs.writer import event_bytes

MEMORY_MAX_BYTES = 1 << 30
RESULT_BYTES_MAX = 64 << 20


def answer(request: dict[str, Any], reader: LogReader) -> dict[str, Any]:
    """Run a query on a reader."""
    statistics = Statistics()
    try:
        commands = parse_query(request["query"])
        parts = [_rows(request, group, reader, statistics) for group in request["groups"]]
        results, size = [], 0
        for result in run_query(commands, newest_first(parts), request["limit"], statistics):
            results.append(result)
            size += sum(len(name) + len(value) for name, value in result)
            if size > RESULT_BYTES_MAX:
                raise QueryError("the results are too large")
    except (QueryError, MemoryError, RecursionError) as error:
        return {"error": text(str(error)) or type(error).__name__}
    counted = {"scanned": statistics.scanned, "scanned_bytes": statistics.scanned_bytes, "matched": statistics.matched}
    return {"results": results, "statistics": counted}


def _rows(request: dict[str, Any], group: list[Any], reader: LogReader, statistics: Statistics) -> Iterator[Row]:
    name, log, oldest_ms = group
    start = max(request["start_ms"], oldest_ms)
    for event in reader.scan(Scan(request["region"], name, start_ms=start, end_ms=request["end_ms"], newest_first=True)):
        statistics.scanned += 1
        statistics.scanned_bytes += event_bytes(event.message)
        yield Row(event, log)


def main() -> None:
    """Answer the one request on standard input."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MAX_BYTES, MEMORY_MAX_BYTES))
    request = json.load(sys.stdin)
    reader = SqliteReader(Path(request["folder"]))
    json.dump(answer(request, reader), sys.stdout)
    reader.close()


if __name__ == "__main__":
    main()
