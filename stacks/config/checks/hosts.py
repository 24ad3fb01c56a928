"""Rules about the hosts of exports, as the gateway has them."""

from __future__ import annotations

from collections.abc import Iterator

from stacks.config.model import Settings
from stacks.config.problem import Problem

INSIDE = frozenset({"svc", "cluster", "clusterset", "local", "localhost", "internal"})
"""Last labels of names by which clusters and nodes themselves go."""


def granted_hosts_make_sense(settings: Settings) -> Iterator[Problem]:
    """A granted host is a name of the outside, in clusters there are."""
    names = [cluster.name for cluster in settings.clusters]
    for index, grant in enumerate(settings.hosts):
        where = f"hosts[{index}]"
        if settings.mesh == "flomesh":
            yield Problem(where, None, "FSM publishes under every host", "Remove it.")
        labels = grant.host.split(".")
        if labels[-1] in INSIDE or "svc" in labels:
            yield Problem(
                f"{where}.host", grant.host, "is a name inside clusters", "Write one of the outside."
            )
        if labels[-1].isdigit():
            yield Problem(f"{where}.host", grant.host, "is an address", "Write a name.")
        for name in grant.clusters:
            if name not in names:
                reason, hint = "no cluster has this name", f"Choose from: {', '.join(names)}."
                yield Problem(f"{where}.clusters", name, reason, hint, of_every="clusters")


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
        labels = export.host.split(".")
        if labels[-1] in INSIDE or "svc" in labels or export.host in services:
            yield Problem(where, export.host, "is a name inside clusters", "Write one of the outside.")
        if labels[-1].isdigit():
            yield Problem(where, export.host, "is an address", "Write a name.")
        for cluster in export.clusters:
            namespace, first = owners.setdefault((cluster, export.host), (export.namespace, where))
            if namespace != export.namespace:
                reason = f"{first}, of another namespace, has it on {cluster}"
                yield Problem(where, export.host, reason, "Change one of them.")
