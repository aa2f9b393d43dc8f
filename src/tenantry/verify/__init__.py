"""`tenantry verify`: the proof of isolation that anyone can run.

    hostile/     the hostile function, a module a theme: tries everything, judges nothing; deployed for two tenants
    lab.py       where it runs: a platform of its own, the function deployed, the victim prepared, calls made
    vectors.py   the table: what is tried, which mechanism closes it, how the answer is judged, and its control
    runner.py    runs the table, makes the report

Every vector has a control: the same attack with the mechanism switched off must succeed, so that `closed` means something. The
controls run as tests (tests/security).
"""
