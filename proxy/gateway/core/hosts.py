"""Hosts: which service a Host field names on the east-west listener.

A Service is called by any name that Kubernetes' DNS gives it, by the name of the cluster set (KEP-1645), by
the name of the Service that is derived beside it, and by address. The table has a few entries for a service;
what may follow `name.namespace` is cut off a Host before it is looked for, so that no name can pass for
another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv6Address

from gateway.core.derived_names import cluster_set_name
from gateway.core.objects import Key
from gateway.core.route import Route

CLUSTER_DOMAIN = "cluster.local"
"""Kubernetes' default."""

NAMED_AT_MOST = 5
"""Services that an answer lists when a Host may mean any of them."""

Ports = dict[bytes, Route]
"""Routes of a service by port, as in a Host; without one for port 80, else for the lowest port."""


def suffixes(cluster_domain: str) -> tuple[bytes, ...]:
    """What may follow `name.namespace` in a Host."""
    return (f".svc.{cluster_domain}".lower().encode(), b".svc.clusterset.local", b".svc")


class HostTable:
    """Imported and exported services of the east-west listener, by lower-case Host."""

    __slots__ = ("ambiguous", "services", "suffixes")

    def __init__(
        self,
        services: dict[bytes, Ports] | None = None,
        ambiguous: dict[bytes, tuple[str, ...]] | None = None,
        cluster_domain: str = CLUSTER_DOMAIN,
    ) -> None:
        self.services = services or {}
        """By `name.namespace`, by `name` where no other service has it, and by address, without brackets."""
        self.ambiguous = ambiguous or {}
        """Names without a namespace that several services have, with the names that tell them apart."""
        self.suffixes = suffixes(cluster_domain)

    def find(self, host: bytes) -> Route | None:
        """The route of a valid Host."""
        name, _, port = host.partition(b":")
        ports = self.services.get(name)  # as it stands: what else may be meant by it takes longer to tell
        if ports is None:
            name, port = self._read(host)
            ports = self.services.get(name)
        return None if ports is None else ports.get(port)

    def ambiguity(self, host: bytes) -> str:
        """Why a Host cannot say which service it means, and which names can; empty when that is not it."""
        name, _ = self._read(host)
        names = self.ambiguous.get(name)
        if names is None:
            return ""
        listed = ", ".join(names[:NAMED_AT_MOST])
        listed += f" and {len(names) - NAMED_AT_MOST} more" if len(names) > NAMED_AT_MOST else ""
        return f"{name.decode()} is the name of several services of this cluster: use one of {listed}"

    def _read(self, host: bytes) -> tuple[bytes, bytes]:
        """The name that is looked for, and the port."""
        host = host.lower()
        if host.startswith(b"["):
            name, _, port = host[1:].partition(b"]")
            return _shortest(name), port[1:]
        name, _, port = host.partition(b":")
        name = name.rstrip(b".")
        for suffix in self.suffixes:
            rest = name.removesuffix(suffix)
            # One dot: `app.svc` is `app` in a namespace `svc`, and nobody else's short name.
            if len(rest) < len(name) and rest.count(b".") == 1:
                return rest, port
        return name, port

    def routes(self) -> list[Route]:
        """Every route once, by service and port."""
        ports = {id(ports): ports for ports in self.services.values()}
        routes = {id(route): route for each in ports.values() for route in each.values()}
        return sorted(routes.values(), key=lambda route: (route.service, route.port))


def _shortest(address: bytes) -> bytes:
    """An IPv6 address in its shortest form; empty for anything else."""
    try:
        return str(IPv6Address(address.decode())).encode()
    except ValueError:
        return b""


def host_table(
    routes: Iterable[Route], addresses: Mapping[str, Key], cluster_domain: str = CLUSTER_DOMAIN
) -> HostTable:
    """`addresses`: the Services by their cluster IPs, those derived from imports as well."""
    found: dict[tuple[str, str], dict[bytes, Route]] = {}
    for route in sorted(routes, key=lambda route: (route.port != 80, route.port)):
        namespace, _, name = route.service.partition("/")
        if "." in route.service:  # no Service's name, and `a.b` must not pass for `a` in a namespace `b`
            continue
        ports = found.setdefault((name.lower(), namespace.lower()), {})
        ports[b"%d" % route.port] = route
        ports.setdefault(b"", route)
    # A service's own name comes before a name that is made for another one.
    derived = {(cluster_set_name(name), namespace): ports for (name, namespace), ports in found.items()}
    services: dict[bytes, Ports] = {}
    short: dict[str, list[tuple[str, Ports]]] = {}
    for (name, namespace), ports in (derived | found).items():
        services[f"{name}.{namespace}".encode()] = ports
        short.setdefault(name, []).append((namespace, ports))
    ambiguous: dict[bytes, tuple[str, ...]] = {}
    for name, owners in short.items():
        if len(owners) == 1:
            services[name.encode()] = owners[0][1]
        else:
            ambiguous[name.encode()] = tuple(sorted(f"{name}.{namespace}" for namespace, _ in owners))
    for address, (namespace, name) in addresses.items():
        if (named := services.get(f"{name}.{namespace}".lower().encode())) is not None:
            services[address.encode()] = named
    return HostTable(services, ambiguous, cluster_domain)
