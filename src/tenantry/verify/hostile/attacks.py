"""The handler of the hostile function, and the table of its attacks.

An event is {"attack": name, ...}; the answer is what was seen, as JSON, and never a judgement: `verify/vectors.py` judges.
"""

from . import exhaustion, files, neighbour, network, privileges, randomness, runtime, state, victim

ATTACKS = {
    name: value
    for module in (victim, neighbour, privileges, exhaustion, network, files, randomness, runtime)
    for name, value in vars(module).items()
    if callable(value) and getattr(value, "__module__", "") == module.__name__ and not name.startswith("_")
}


def handler(event, context):
    """Run the attack that the event names."""
    state.COUNTER["n"] += 1
    return ATTACKS[event["attack"]](event, context)
