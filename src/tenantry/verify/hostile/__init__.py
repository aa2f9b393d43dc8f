"""The hostile function: everything a tenant's code could try, one function an attack. Standard library only; runs inside a
sandbox, where this package lies at the root of the code.

    attacks.py      the handler, and the table of attacks by name
    victim.py       the one attacked: leaves things about that others must not find
    neighbour.py    looking for the neighbour
    privileges.py   privileges and kernel surfaces
    exhaustion.py   using things up
    network.py      connections, name servers, socket families
    files.py        writing and linking out of the sandbox
    randomness.py   what two environments would share
    runtime.py      the Runtime API, the platform, the log
    state.py        what the function keeps between invocations
    tools.py        what the attacks are made of

Attacks are bounded (so many forks, so many bytes, so many seconds), because with a mechanism switched off they succeed.
"""
