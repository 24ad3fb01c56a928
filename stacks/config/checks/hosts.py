"""Rules about the hosts of exports, as the gateway has them."""

from __future__ import annotations

from collections.abc import Container, Iterator

from stacks.config.checks.paths import clusters_exist
from stacks.config.model import Settings
from stacks.config.problem import Problem
from stacks.config.traffic import ExportSettings

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
        where = f"exports[{index}].host"
        if not export.published:
            yield from _between_clusters(settings, index, export)
        if export.host is None or not export.published:
            continue
        if settings.mesh == "flomesh":
            yield Problem(where, export.host, "FSM publishes under every host", "Remove it.")
        yield from _outside(where, export.host, services)
        for cluster in export.clusters:
            namespace, first = owners.setdefault((cluster, export.host), (export.namespace, where))
            if namespace != export.namespace:
                reason = f"{first}, of another namespace, has it on {cluster}"
                yield Problem(where, export.host, reason, "Change one of them.")


def _between_clusters(settings: Settings, index: int, export: ExportSettings) -> Iterator[Problem]:
    """What is not published needs gateways that ask for it by name, and has no host."""
    if settings.mesh == "flomesh":
        reason, hint = (
            "FSM's gateways know exports by their paths alone",
            "Remove it, or use `mesh: bundled`.",
        )
        yield Problem(f"exports[{index}].published", False, reason, hint)
    if export.host is not None:
        where = f"exports[{index}].host"
        yield Problem(where, export.host, "is published nowhere: `published` is false", "Remove one of them.")


def _outside(where: str, host: str, services: Container[str] = ()) -> Iterator[Problem]:
    """A problem unless a host is a name of the outside: `services` go by some inside."""
    labels = host.split(".")
    if labels[-1] in INSIDE or "svc" in labels or host in services:
        yield Problem(where, host, "is a name inside clusters", "Write one of the outside.")
    if labels[-1].isdigit():
        yield Problem(where, host, "is an address", "Write a name.")
