"""Grants of hosts: which namespaces may have which hosts in a cluster, by the word of its operator.

A request for a host that an export has is served by that export alone. So nobody has a host by asking for it:
else the name under which all share a gateway would be the first one's who writes it down.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gateway.core.export_hosts import HINT, unusable
from gateway.core.fields import parsed_mappings
from gateway.core.objects import Object, texts

ANY_BELOW = "*."
GRANT_IT = "have the settings grant it (exports[].host or hosts; --hosts of the gateway), or take it out"
"""What to do about a host that is not granted."""


@dataclass(frozen=True, slots=True)
class HostGrant:
    """A host that namespaces may have."""

    host: str
    """A name, or `*.` and a name: all that are below it, however deep. One that is granted itself is not."""
    namespaces: frozenset[str]
    clusters: frozenset[str] = frozenset()
    """Cluster keys; empty: any."""


@dataclass(frozen=True, slots=True)
class HostGrants:
    """What is granted in one cluster."""

    by_host: Mapping[str, frozenset[str]]

    def covers(self, host: str, namespace: str) -> bool:
        """Whether a namespace may have a host: by the grant of its name, else by that of the longest name
        above it."""
        granted = self.by_host.get(host)
        above = host
        while granted is None and above:
            above = above.partition(".")[2]
            granted = self.by_host.get(ANY_BELOW + above)
        return granted is not None and namespace in granted


NO_HOSTS = HostGrants({})


def granted_in(cluster: str, grants: Iterable[HostGrant]) -> HostGrants:
    """The grants that count in the cluster of this key; those of one host add up."""
    found: dict[str, frozenset[str]] = {}
    for grant in grants:
        if not grant.clusters or cluster in grant.clusters:
            found[grant.host] = found.get(grant.host, frozenset()) | grant.namespaces
    return HostGrants(found)


def read_host_grants(text: str) -> tuple[HostGrant, ...]:
    """Grants as JSON text: a list of mappings. ValueError says what is wrong with it."""
    return tuple(map(_read, parsed_mappings(text)))


def _read(item: Object) -> HostGrant:
    host = item.get("host")
    if not isinstance(host, str):
        raise ValueError(f"host is {host!r}: {HINT}")  # noqa: TRY004  it is a value of a text
    if reason := unusable(f"any.{host.removeprefix(ANY_BELOW)}" if host.startswith(ANY_BELOW) else host):
        raise ValueError(f"host {host!r} {reason}: {HINT}, or *. before one for all below it")
    namespaces = texts(item, "namespaces")
    if not namespaces:
        raise ValueError(f"host {host!r} has no namespaces: name those that may have it")
    return HostGrant(host, frozenset(namespaces), frozenset(texts(item, "clusters")))
