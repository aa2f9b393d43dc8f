"""Randomness: what two environments would share."""

import ctypes
import os
import random
import uuid

from .tools import libc


def randomness(event, context):
    """What two environments would share if a fork were not reseeded."""
    import hashlib
    import secrets
    import ssl

    return {
        "random": random.random(),
        "tls": ssl.RAND_bytes(16).hex(),
        "secrets": secrets.token_hex(16),
        "uuid1": str(uuid.uuid1()),
        "uuid1_node": uuid.getnode(),
        "uuid4": str(uuid.uuid4()),
        "urandom": os.urandom(16).hex(),
        "pid": os.getpid(),
        "hash": hash("tenantry"),
        "address": hex(ctypes.cast(libc.getpid, ctypes.c_void_p).value),
        "md5": hashlib.md5(b"x", usedforsecurity=False).hexdigest(),
    }
