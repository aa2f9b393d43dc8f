"""Log events on disk: a memory batch, a writer process, SQLite, and a reader that never blocks the event loop.

    LogStore.append -> memory batch -> frames over a socketpair -> writer process -> logs/events.db (SQLite, WAL)
    LogStore.read   -> (everything appended before is on disk) -> a reader thread with a read-only connection

- `store.py`   LogStore: what the platform holds; batching, acknowledgement, restarting the writer
- `writer.py`  the other process; standard library only, also run as `python -m tenantry.store.logs.writer`
- `reader.py`  SqliteReader: queries, for the reader threads
- `records.py` the values that cross the seam, and `LogReader`: what another kind of storage would have to answer

Why a process: a flusher thread shares the interpreter lock with the invoke path, which was measured to cost tens of
milliseconds of its p99. This package imports nothing here, so that the writer stays small.
"""
