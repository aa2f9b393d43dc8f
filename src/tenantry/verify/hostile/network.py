"""The network: connections, name servers, socket families."""

import socket

from .tools import attempt


def reach(event, context):
    """TCP connect; the error says how far it got."""
    with socket.socket(socket.AF_INET6 if ":" in event["host"] else socket.AF_INET) as client:
        client.settimeout(event.get("seconds", 1))
        return attempt(lambda: client.connect((event["host"], event["port"])))


def resolve(event, context):
    """DNS by the resolver and by hand over UDP."""

    def by_hand():
        query = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03com\x00\x00\x01\x00\x01"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(1)
            client.sendto(query, (event["server"], 53))
            return len(client.recv(512))

    return {
        "resolver": attempt(lambda: socket.gethostbyname("example.com")),
        "udp": attempt(by_hand),
        "interfaces": attempt(lambda: [name for _, name in socket.if_nameindex()]),
    }


def raw_sockets(event, context):
    """Families and types with a history: netlink is allowed and harmless, the others are not."""
    outcomes = {}
    for name, family, kind in (
        ("packet", 17, 3),
        ("vsock", 40, 1),
        ("alg", 38, 5),
        ("bluetooth", 31, 3),
        ("raw", 2, 3),
        ("xdp", 44, 3),
    ):

        def make(family=family, kind=kind):
            socket.socket(family, kind).close()
            return True

        outcomes[name] = attempt(make)
    return outcomes
