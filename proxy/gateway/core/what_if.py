"""Who would serve whom: the parts of requests that each cluster gets, by the routes of all gateways. Pure.

A request is followed as it would go: from the callers' gateway to that of the exporter, and there to the
Services that its export lists. Routes are those of snapshots and parts those of `describe`, so that what is
foretold is what the gateways do. A cluster that is lost, or whose gateway has nobody to serve a service, is
left out by the others as health checks have it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations

from gateway.core.app_ids import APP_ID
from gateway.core.describe import shares_of
from gateway.core.every_caller import Reach, reaches
from gateway.core.header_match import Header, Match
from gateway.core.health import EndpointHealth
from gateway.core.objects import Key, Object, annotation, key_of
from gateway.core.problem import Problem
from gateway.core.route import Endpoint, Route, WeightedCluster
from gateway.core.services import Objects, sort_objects
from gateway.core.snapshot import Compiled, Snapshot
from gateway.core.steering import matches_of

OUTSIDE = "outside"
"""Callers at the front door."""
MOST_PAIRED = 16
"""Matches of a route of which every two are looked at together."""

Destination = tuple[str, str]
"""A cluster key, and the Service there where an export lists several."""
Parts = Mapping[Destination, float]
"""The part of the requests that each destination gets, from 0 to 1; what is missing from 1 is refused."""


@dataclass(frozen=True, slots=True)
class Row:
    """Who serves the requests of some callers of a service."""

    client: str
    """Key of the callers' cluster."""
    callers: tuple[str, ...]
    """The names they say, or OUTSIDE."""
    where: str
    service: str
    port: int
    policy: str
    leaves: bool
    """Whether requests may go to another cluster at all."""
    parts: Parts
    matches: tuple[tuple[str, Parts], ...] = ()
    """Requests that have these headers."""
    direct: str = ""
    """Why callers reach the pods of their own cluster past the gateways, and the policy does not hold."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """One cluster as its gateways and its controller would see it."""

    snapshot: Snapshot
    objects: Objects
    reached: Mapping[Key, Reach] = field(default_factory=dict)
    """How far policies reach that ask for every caller."""
    front_door: bool = False
    problems: tuple[Problem, ...] = ()

    def serves(self, identity: bytes) -> Route | None:
        """The route by which it serves what another gateway asks for; None when nobody could."""
        found = self.snapshot.identified(identity)
        able = found is not None and any(one.weight and one.endpoints for one in found.clusters)
        return found if able else None


def read_cluster(raw_objects: Iterable[Object], compiled: Compiled, *, front_door: bool = False) -> Cluster:
    """A cluster by its objects, imports among them, and the snapshot they were compiled to."""
    listed = list(raw_objects)
    objects = sort_objects(listed)
    services = {key_of(one): one for one in listed if one.get("kind") == "Service"}
    exports = {export.key: export for export in compiled.exports}
    needed = compiled.snapshot.needs_gateways
    reached = reaches(objects.policies, services, exports, needed, {}, imports=objects.imports)
    return Cluster(compiled.snapshot, objects, reached, front_door, compiled.problems)


def rows(
    clusters: Mapping[str, Cluster], lost: frozenset[str] = frozenset(), naming: str = ""
) -> Iterator[Row]:
    """Every service of every cluster that is not lost, and the front door's paths.

    `lost`: cluster keys. `naming`: only those whose requests may go to this cluster; empty: all.
    """
    for key, cluster in clusters.items():
        if key in lost:
            continue
        walk = _Walk(clusters, lost)
        for route in _naming(naming, cluster.snapshot.host_routes()):
            yield from _east_west(key, cluster, route, walk)
        doors = cluster.snapshot.path_routes() if cluster.front_door else ()
        for route in _naming(naming, doors):
            yield walk.row(key, (OUTSIDE,), route)


def _naming(key: str, routes: Iterable[Route]) -> Iterator[Route]:
    return (route for route in routes if not key or any(one.key == key for one in route.clusters))


def _east_west(key: str, cluster: Cluster, route: Route, walk: _Walk) -> Iterator[Row]:
    """Callers of a service inside a cluster: by its own name, and by those that always lead to a gateway."""
    namespace, _, name = route.service.partition("/")
    service = namespace, name
    by_gateway = walk.row(key, tuple(_names(cluster, service)), route)
    yield replace(_by_own_name(key, cluster, service, by_gateway), callers=(f"{name}.{namespace}",))
    if by_gateway.callers:
        yield by_gateway


def _names(cluster: Cluster, service: Key) -> Iterator[str]:
    """What callers say who always come by a gateway: names of imports."""
    imported = cluster.objects.imports.get(service)
    if imported is None:
        return
    if app_id := annotation(imported, APP_ID):
        yield f"app-id {app_id}"
    yield f"{service[1]}.{service[0]}.svc.clusterset.local"


def _by_own_name(key: str, cluster: Cluster, service: Key, by_gateway: Row) -> Row:
    """Callers of a Service's own name: Kubernetes takes them past the gateways while a local pod is ready and
    the Service is not taken over."""
    local, reach = cluster.objects.services.get(service), cluster.reached.get(service)
    passes = cluster.snapshot.needs_gateways(service)
    if local is not None and local.endpoints(by_gateway.port) and not (reach is not None and reach.wanted):
        why = reach.condition.reason if reach is not None else "everyCaller is off"
        return replace(by_gateway, parts={(key, ""): 1.0}, matches=(), direct=why if passes else "")
    return by_gateway if passes else replace(by_gateway, parts={}, matches=())


@dataclass(frozen=True, slots=True)
class _Request:
    """A request as far as header matches see it."""

    fields: Mapping[bytes, bytes] = field(default_factory=dict)
    patterns: tuple[Header, ...] = ()
    """Headers that it has with some value that their patterns take."""

    @classmethod
    def having(cls, *matches: Match) -> _Request:
        """One that has all of these."""
        headers = [header for match in matches for header in match.headers]
        fields = {one.key: one.value.encode() for one in headers if one.pattern is None}
        return cls(fields, tuple(one for one in headers if one.pattern is not None))

    def has(self, match: Match) -> bool:
        """Whether it has a match, as far as it can be told without a value for each pattern."""
        return all(map(self._has, match.headers))

    def chosen(self, route: Route) -> Route:
        """The variant of a route that it takes, as `Route.of` has it."""
        for variant in route.variants:
            if variant.match is not None and self.has(variant.match):
                return self.chosen(variant)
        return route

    def _has(self, header: Header) -> bool:
        if header.key in self.fields:
            return header.takes(self.fields)
        return any((one.key, one.value) == (header.key, header.value) for one in self.patterns)


ORDINARY = _Request()


class _Walk:
    """Follows requests between the clusters while some are lost."""

    def __init__(self, clusters: Mapping[str, Cluster], lost: frozenset[str]) -> None:
        self._clusters = clusters
        self._lost = lost

    def row(self, client: str, callers: tuple[str, ...], route: Route) -> Row:
        parts, matches = self._parts(route, ORDINARY), tuple(self._matches(route))
        of = route.where, route.service, route.port, route.policy, route.leaves
        return Row(client, callers, *of, parts, matches)

    def _matches(self, route: Route) -> Iterator[tuple[str, Parts]]:
        """For requests with one match of any gateway on their way, and two where that is another thing."""
        alone = {match: self._parts(route, _Request.having(match)) for match in self._asked(route)}
        yield from ((str(match), parts) for match, parts in alone.items())
        for one, other in combinations(list(alone)[:MOST_PAIRED], 2):
            both = _Request.having(one, other)
            # Of one header with two values no request has both.
            parts = self._parts(route, both) if both.has(one) and both.has(other) else alone[one]
            if parts not in (alone[one], alone[other]):
                yield f"{one}, {other}", parts

    def _asked(self, route: Route) -> Iterable[Match]:
        """Every match that this gateway or the next looks for."""
        asking = [route]
        for one in (route, *route.variants):
            behind = (self._behind(cluster) for cluster in one.clusters if cluster.remote)
            asking += [found for found in behind if found is not None]
        return dict.fromkeys(match for one in asking for matches, _ in matches_of(one) for match in matches)

    def _parts(self, route: Route, request: _Request) -> Parts:
        found: dict[Destination, float] = {}
        for cluster, part in shares_of(request.chosen(route), self._health):
            for destination, inner in self._destinations(cluster, request) if part else ():
                found[destination] = found.get(destination, 0.0) + part * inner
        return found

    def _destinations(
        self, cluster: WeightedCluster, request: _Request
    ) -> Iterable[tuple[Destination, float]]:
        """Where requests end that are sent to a cluster: nowhere, if it cannot serve."""
        if (
            not cluster.remote or cluster.key not in self._clusters
        ):  # of others it is only known that they export
            return [((cluster.key, cluster.backend), 1.0)]
        behind = self._behind(cluster)
        return self._parts(behind, request).items() if behind is not None else ()

    def _behind(self, cluster: WeightedCluster) -> Route | None:
        """The route of another cluster's gateway for what it is asked for; None while it cannot serve."""
        there = self._clusters.get(cluster.key) if cluster.key not in self._lost else None
        return there.serves(cluster.identity) if there is not None else None

    def _health(self, _route: Route, cluster: WeightedCluster, endpoint: Endpoint) -> EndpointHealth | None:
        """As health checks have it after a while: who cannot serve is left out."""
        if not cluster.remote or cluster.key not in self._clusters or self._behind(cluster) is not None:
            return None
        health = EndpointHealth(endpoint)
        health.down = True
        return health
