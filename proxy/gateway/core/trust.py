"""Trusted proxies: whose word counts about where a request came from.

Anybody can send X-Forwarded-For, -Proto and -Host. They are believed, and continued, only when the peer is
one of the addresses an operator named; from everybody else they are replaced by what this gateway sees
itself. With nothing named nobody is believed, which is the only safe default: behind a node port or a
published port a client and another cluster's gateway arrive from the same address.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network


class TrustedProxies:
    """Networks whose forwarding fields are believed."""

    __slots__ = ("_networks",)

    def __init__(self, networks: Iterable[str] = ()) -> None:
        """Addresses or networks in CIDR form. ValueError names the one that is neither."""
        self._networks = tuple(_network(text) for text in networks)

    def __contains__(self, peer: bytes) -> bool:
        """Whether the address of a connection, as text, is one of them."""
        if not self._networks:
            return False
        try:
            address = ip_address(peer.decode())
        except ValueError:  # a socket without an address, such as one of a file system
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._networks)


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError as error:
        raise ValueError(
            f"{text!r} is neither an address nor a network: {error}; give 10.0.0.1 or 10.0.0.0/8"
        ) from error


NOBODY = TrustedProxies()
