"""Rules about the hosts of exports, as the gateway has them."""

from __future__ import annotations

from collections.abc import Container, Iterator

from stacks.config.checks.paths import clusters_exist
from stacks.config.model import Settings
from stacks.config.problem import Problem

INSIDE = frozenset({"svc", "cluster", "clusterset", "local", "localhost", "internal"})
"""Last labels of names by which clusters and nodes themselves go."""


def granted_hosts_make_sense(settings: Settings) -> Iterator[Problem]:
    """A granted host is a name of the outside, in clusters there are."""
    for index, grant in enumerate(settings.hosts):
        where = f"hosts[{index}]"
        if settings.mesh == "flomesh":
            yield Problem(where, None, "FSM publishes under every host", "Remove it.")
        yield from _outside(f"{where}.host", grant.host)
        yield from clusters_exist(settings, f"{where}.clusters", grant.clusters)


def hosts_make_sense(settings: Settings) -> Iterator[Problem]:
    """A host is a name of the outside, and on a cluster that of one namespace."""
    owners: dict[tuple[str, str], tuple[str, str]] = {}
    services = {f"{export.service}.{export.namespace}" for export in settings.exports}
    for index, export in enumerate(settings.exports):
        if export.host is None:
            continue
        where = f"exports[{index}].host"
        if settings.mesh == "flomesh":
            yield Problem(where, export.host, "FSM publishes under every host", "Remove it.")
        yield from _outside(where, export.host, services)
        for cluster in export.clusters:
            namespace, first = owners.setdefault((cluster, export.host), (export.namespace, where))
            if namespace != export.namespace:
                reason = f"{first}, of another namespace, has it on {cluster}"
                yield Problem(where, export.host, reason, "Change one of them.")


def _outside(where: str, host: str, services: Container[str] = ()) -> Iterator[Problem]:
    """A problem unless a host is a name of the outside: `services` go by some inside."""
    labels = host.split(".")
    if labels[-1] in INSIDE or "svc" in labels or host in services:
        yield Problem(where, host, "is a name inside clusters", "Write one of the outside.")
    if labels[-1].isdigit():
        yield Problem(where, host, "is an address", "Write a name.")
