"""Logs Insights: the query language, and its execution (aws-behaviour 6.4).

    tokens.py     text -> tokens                 syntax.py     tokens -> commands (values)
    rows.py       an event as fields             functions.py  scalar and aggregate functions
    compile.py    expressions -> closures        run.py        commands -> stages over rows
    worker.py     the process that runs one query

StartQuery parses in the platform, to refuse what is malformed; the query then runs in a process of its own, because scanning
rows would hold the interpreter that serves requests, and a regular expression may take any time: a process can be ended.
"""
