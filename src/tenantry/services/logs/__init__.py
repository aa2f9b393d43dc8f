"""CloudWatch Logs (aws-behaviour 6): `LogsService` in service.py.

    service.py       the class the platform wires: its parts put together, its background work
    base.py          groups found by name or identifier, tokens, what the parts share
    groups.py        log groups, retention, tags        streams.py   log streams
    events.py        PutLogEvents, GetLogEvents, FilterLogEvents
    patterns/        the filter pattern grammar, compiled to predicates
    queries.py       Insights operations                insights/    the query language
    live_tail.py     StartLiveTail
    records.py, errors.py

Groups are records of the control plane; streams and events belong to the log store, which takes them in by the thousand.
"""
