"""Routes: what a request is matched to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.core.affinity import DEFAULT_BALANCING, Balancing
from gateway.core.header_match import Match
from gateway.core.rewrite import Rewrite
from gateway.core.sidecars import check_method
from gateway.core.timeouts import NO_TIMEOUTS, Timeouts


@dataclass(frozen=True)
class Endpoint:
    """An address that is dialled: a pod of this cluster, or another cluster's gateway."""

    host: str
    port: int
    peer: str = ""
    """Key of the cluster that its certificate has to name, over TLS; empty for plain HTTP."""

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


DEFAULT_WEIGHT = 100
"""Of a cluster whose policy gives it none."""


@dataclass(frozen=True)
class WeightedCluster:
    """One cluster's part in serving a route."""

    key: str
    """Cluster key."""
    endpoints: tuple[Endpoint, ...]
    weight: int = DEFAULT_WEIGHT
    remote: bool = False
    """The endpoint is another gateway, not an application."""
    prefix: bytes = b""
    """Put before the request target, after it is rewritten; no `/` at its end."""
    identity: bytes = field(default=b"", repr=False)
    """What tells that gateway which service a request is for; empty to let it go by path."""
    rewrite: Rewrite | None = None
    rewritten_prefix: bytes = b""
    """Put before the request target for the rewrite: the export's path, which calls by name do not have."""
    sidecar: bytes | None = field(default=None, repr=False)
    """The endpoints are Dapr sidecars: the API token they want, empty for none."""
    front_door: bool = True
    """The front door serves the cluster's path; another service has it otherwise."""
    backend: str = ""
    """The Service of this cluster that the endpoints are of, where an export lists several."""

    def target(self, target: bytes) -> bytes:
        """The request target this cluster is asked for. ProtocolError when there is none that can be sent."""
        if target == b"*":  # of OPTIONS: the server as a whole (RFC 9110 section 9.3.7), no path to rewrite
            return check_method(target) if self.sidecar is not None else self.prefix or target
        if self.rewrite is not None:
            target = self.rewrite.apply(self.rewritten_prefix + target)
            if not target.startswith(b"/"):
                target = b"/" + target
        if self.sidecar is not None:
            check_method(target)
        return self.prefix + target if self.prefix else target


Priorities = tuple[tuple[WeightedCluster, ...], ...]
"""Clusters in order of preference."""


@dataclass(frozen=True)
class Route:
    """Where requests of one path rule or one imported port may go.

    `priorities` in order of preference: requests go to the first with a cluster that can take them, and
    within it by weight. A cluster of weight 0 is drained: never chosen, but named in `/config`.
    """

    service: str
    """`namespace/name`."""
    port: int
    """The Service's port."""
    where: str
    """The path rule or host this route is reached by, for people: `Prefix /nodeapp`, `nodeapp.dapr-
    test:3000`."""
    policy: str
    """lbType in force."""
    priorities: Priorities = ()
    balancing: Balancing = DEFAULT_BALANCING
    """How requests are spread over this cluster's own endpoints."""
    timeouts: Timeouts = field(default=NO_TIMEOUTS, compare=False)
    """How long a caller waits at most. With others it is the same route still, and its rotation goes on."""
    match: Match | None = None
    """What its requests have, when it is a variant."""
    variants: tuple[Route, ...] = field(default=(), compare=False)
    """For requests that match, in the order in which they are looked at; nearly all routes have none."""

    def of(self, fields: Mapping[bytes, bytes]) -> Route:
        """The variant for a request with these fields, by lower-case name, or the route itself."""
        for variant in self.variants:
            if variant.match is not None and variant.match.takes(fields):
                return variant.of(fields)
        return self

    def includes(self, other: Route) -> bool:
        """Whether the other one is like it, or like a variant of it, in everything."""
        return self == other or any(variant.includes(other) for variant in self.variants)

    @property
    def clusters(self) -> tuple[WeightedCluster, ...]:
        return tuple(cluster for priority in self.priorities for cluster in priority)

    @property
    def host(self) -> bytes:
        """A Host by which its Service can be called."""
        namespace, _, name = self.service.partition("/")
        return f"{name}.{namespace}:{self.port}".encode()

    @property
    def leaves(self) -> bool:
        """Whether its policy may send a request to another cluster at all.

        False for Locality without a target, for no policy, and when every eligible target is drained
        (weight 0) or unknown: then an import without a local Service has no endpoints.
        """
        own = any(cluster.remote and cluster.weight for cluster in self.clusters)
        return own or any(variant.leaves for variant in self.variants)

    @property
    def divided(self) -> bool:
        """Whether the export lists backends: a caller who goes to its Service's pods past the gateways misses
        them."""
        return any(cluster.backend for cluster in self.clusters)


def normal_prefix(path: str) -> bytes:
    """Key of a Prefix rule: `/a`, `/a/` and `/a/*` are the same rule."""
    return path.removesuffix("*").rstrip("/").encode()
