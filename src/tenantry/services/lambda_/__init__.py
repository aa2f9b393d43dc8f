"""AWS Lambda: functions, versions, aliases, layers, permissions, and Invoke (aws-behaviour 1, 2.5 and 3).

    service.py        LambdaService: wires the parts below; what the composition root sees
    registry.py       the state all parts share: lookup, activation, publishing, package references
    functions.py      functions themselves         versions.py     versions and aliases
    permissions.py    resource policies            settings.py     concurrency, event invoke config, tags, account
    layers.py         layers                       invocations.py  Invoke in its three forms
    refusing.py       what tenantry does not offer, and says so

Below them, pure: configuration.py (parameters to records), answers.py (records to answers), publish.py (records to what
placement reads), names.py, runtimes.py, tags.py. packages.py is the only module that touches the disk.
"""
