"""Addresses that workers will share, taken by the supervisor before there is a worker."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import ExitStack

from gateway.edge.server import parse_address


class AddressError(Exception):
    """An address that cannot be listened on; the message says which, why and what to do."""

    def __init__(self, option: str, text: str, error: OSError) -> None:
        reason = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        taken = error.errno == errno.EADDRINUSE
        hint = f"end what listens there, or give {option} another" if taken else f"give {option} another one"
        super().__init__(f"cannot listen on {text}: {reason}; {hint}")


def reserve(option: str, text: str, held: ExitStack) -> str:
    """Bind an address without listening, until `held` closes; returns it with the port, if 0 left that open.

    A socket that does not listen gets no connections. With SO_REUSEPORT from the start, as workers bind, the
    port of another gateway with workers would look free: the kernel would share it out between the two.
    """
    host, port = parse_address(text)
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in found:
            sock = held.enter_context(socket.socket(family, kind, protocol))
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            # Connections of the last run that the kernel still remembers are no reason to refuse.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((address[0], port, *address[2:]))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            port = sock.getsockname()[1]
    except OSError as error:
        raise AddressError(option, text, error) from error
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
