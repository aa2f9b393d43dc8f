"""What the function keeps between invocations, as globals of a module: what a neighbour must not find."""

COUNTER = {"n": 0}  # invocations of this process
SECRET_IN_MEMORY = None
KEPT = []  # the victim's sockets, so that they stay open
