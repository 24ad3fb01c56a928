"""Routing snapshots: compiled from Kubernetes objects, never changed afterwards.

The seam to whoever supplies the objects (files in `gateway serve`, watches in `gateway run`): call
`compile_snapshot` with all objects, give `Compiled.snapshot` to `GatewayServer.swap`, and report
`Compiled.problems` where the user looks (object status, log, `gateway check`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from gateway.core.affinity import DEFAULT_BALANCING, Balancing, session_secret
from gateway.core.backends import backends_of
from gateway.core.between import Between, Nowhere, asked_by
from gateway.core.dialling import FILES, Dialling, of_gateways, of_system
from gateway.core.export_hosts import host_of
from gateway.core.exports import Evaluation, Rule, evaluate_exports
from gateway.core.fields import FieldError
from gateway.core.host_grants import HostGrants
from gateway.core.hosts import CLUSTER_DOMAIN, HostTable, host_table
from gateway.core.identity import BY_PATH, NO_KEYS, PeersKeys
from gateway.core.imports import read_import
from gateway.core.objects import Key, Object, is_deleted
from gateway.core.own_routes import beside_front_door, between_clusters, published
from gateway.core.path_table import PathTable, path_table
from gateway.core.paths import normalise
from gateway.core.peers import NO_PEERS, Caller, MutualTls, PeerTable, asked_over_tls_alone
from gateway.core.policy import ACTIVE_ACTIVE, Policy, read_policy, unknown_targets
from gateway.core.problem import Problem
from gateway.core.rewrite import Rewrite
from gateway.core.route import Route, WeightedCluster, normal_prefix
from gateway.core.service_ports import service_ports
from gateway.core.services import Objects, sort_objects
from gateway.core.sidecars import SIDECAR_PORT, SIDECARS, invoke_prefix
from gateway.core.steering import steered
from gateway.core.timeouts import NO_TIMEOUTS, Timeouts, read_timeouts

__all__ = ["Compiled", "Problem", "Snapshot", "compile_snapshot"]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a gateway runs on. Never changed after it is made."""

    cluster_key: str
    paths: PathTable = field(default_factory=PathTable)
    """North-south, whatever the Host."""
    published: Mapping[str, PathTable] = field(default_factory=dict)
    """North-south, by the hosts of exports that have one."""
    hosts: HostTable = field(default_factory=HostTable)
    """East-west."""
    ports: Mapping[int, Route] = field(default_factory=dict)
    """East-west, by service port: what is served there whatever the Host."""
    imported: Mapping[Key, tuple[Route, ...]] = field(default_factory=dict)
    """Routes of the imported ports by (namespace, name)."""
    identities: Mapping[bytes, Route] = field(default_factory=dict, repr=False)
    """North-south, by what other gateways say a request is for."""
    exported: Mapping[str, tuple[Route, ...]] = field(default_factory=dict)
    """The routes of `identities` and `published` by service."""
    unpublished: tuple[Route, ...] = ()
    """Of `identities`, those of exports that are served between clusters alone."""
    session_secret: bytes = field(default=b"", repr=False)
    """What session tags are made with."""
    peers: tuple[str, ...] = ()
    """Fingerprints of the peers' keys."""
    table: PeerTable = NO_PEERS
    """Other clusters' gateways, as they are known by certificate."""
    named: Mapping[bytes, Route] = field(default_factory=dict)
    """By what other gateways say a request is for over mutual TLS."""
    callers: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By service: the clusters that may call it. Any, for one that is not here."""

    def asked_by(self, caller: Caller, value: bytes | None) -> tuple[Route | None, Nowhere]:
        """The route of the service that a gateway asks for over mutual TLS; without one the answer to it.

        Everything that is asked of such a request is asked here.
        """
        return asked_by(caller, value, self.named, self.callers)

    def identified(self, value: bytes) -> Route | None:
        """The route of the service that a gateway in front says a request is for; None when the value is not
        one that gateways of this cluster's peers make.

        Everything that is asked of such a request is asked here.
        """
        return self.identities.get(value)

    def paths_of(self, host: bytes) -> PathTable:
        """The north-south paths of a Host. One that an export has leads to nothing else."""
        table = self.published.get(host_of(host)) if self.published else None
        return self.paths if table is None else table

    def path_routes(self) -> list[Route]:
        """North-south routes, longest path first."""
        tables = self.paths, *self.published.values()
        routes = {
            route for table in tables for rules in (table.exact, table.prefix) for route in rules.values()
        }
        return sorted(routes, key=lambda route: (-len(route.where), route.where))

    def host_routes(self) -> list[Route]:
        """East-west routes by name and port."""
        return self.hosts.routes()

    def holds(self, route: Route) -> bool:
        """Whether it has this route, or one like it in everything."""
        if any(exported.includes(route) for exported in self.exported.get(route.service, ())):
            return True
        kind, path, pattern = route.where.partition(" ")
        if not path:
            found = self.hosts.find(route.where.encode())
        elif kind == "Exact":
            found = self.paths.exact.get(normalise(pattern.encode()))
        else:
            found = self.paths.prefix.get(normalise(normal_prefix(pattern)))
        return found is not None and found.includes(route)

    def leaves_cluster(self, key: Key) -> bool:
        """Whether a request for an imported service may go to another cluster at all."""
        return any(route.leaves for route in self.imported.get(key, ()))

    def needs_gateways(self, key: Key) -> bool:
        """Whether requests for it must come by a gateway for its policy and its export to hold."""
        return any(route.leaves or route.divided for route in self.imported.get(key, ()))


@dataclass(frozen=True, slots=True)
class Compiled:
    """A snapshot, and what is to be said of the objects it was made from."""

    snapshot: Snapshot
    problems: tuple[Problem, ...]
    exports: tuple[Evaluation, ...] = ()


def compile_snapshot(
    objects: Iterable[Object],
    cluster_key: str,
    front_door: bool = False,
    *,
    cluster_domain: str = CLUSTER_DOMAIN,
    listening: range = range(0),
    dapr_token: bytes = b"",
    peers: PeersKeys = NO_KEYS,
    dialling: Dialling = FILES,
    hosts: HostGrants | None = None,
    mutual_tls: MutualTls = MutualTls.OFF,
) -> Compiled:
    """Compile raw objects (any order, unknown kinds ignored) into a snapshot for one cluster.

    Takes ServiceExport, ServiceImport, GlobalTrafficPolicy (flomesh.io/v1alpha1), Service (v1) and
    EndpointSlice (discovery.k8s.io/v1). Services derived from imports have no endpoints here, and slices that
    list gateways only say what the service ports (`listening`) stand for. `dapr_token` is what the sidecars
    want that gateways ask. `peers`: by what gateways know each other; without keys they ask by path.
    `dialling`: what may be dialled, `hosts`: which exports may have (None: any); what stands in files is the
    operator's own word. `mutual_tls`: how gateways of different clusters talk, by the objects of kind Peer.
    Never raises for what is in an object: a bad object becomes a Problem.
    """
    between = Between(cluster_key, peers, mutual_tls)
    known = sort_objects(objects)
    compiler = _Compiler(known, cluster_key, dapr_token, between, dialling=dialling, hosts=hosts)
    return compiler.compile(front_door, cluster_domain, listening)


class _Compiler:
    """Holds what the steps of one compilation share."""

    def __init__(
        self,
        objects: Objects,
        cluster_key: str,
        dapr_token: bytes,
        between: Between,
        *,
        dialling: Dialling,
        hosts: HostGrants | None,
    ) -> None:
        self._objects = objects
        self._own = cluster_key
        self._dapr_token = dapr_token
        self._between = between
        self._dialling = dialling
        self._hosts = hosts
        self._problems: list[Problem] = list(objects.problems)
        self._policies: dict[Key, Policy] = {}
        self._remotes: dict[Key, dict[int, list[WeightedCluster]]] = {}
        self._exports: dict[Key, Evaluation] = {}

    def compile(self, front_door: bool, cluster_domain: str, listening: range) -> Compiled:
        for key, raw in sorted(self._objects.policies.items()):
            if not is_deleted(raw):  # it is kept only until what it brought about is undone
                self._read_policy(key, raw)
        self._read_imports()
        for key in sorted(self._policies):
            self._check_targets(key)
        self._exports = evaluate_exports(self._objects.exports, self._objects.services, self._hosts)
        exports = tuple(self._exports.values())
        self._problems.extend(problem for export in exports for problem in export.problems)
        rules = [rule for export in exports for rule in export.rules]
        own = [(rule, self._own_route(rule)) for rule in rules]
        paths = self._front_door_paths() if front_door else {}
        at_hosts = published(own)
        kept, losers = beside_front_door(own, paths)
        for key, error in losers:
            self._report("ServiceExport", key, error)
        paths.update({rule.match: self._export_route(rule, route, paths) for rule, route in kept})
        imported = {key: tuple(self._import_routes(key)) for key in self._remotes}
        by_host = [
            route
            for key in {rule.key for rule in rules} - set(imported)
            for route in self._import_routes(key)
        ]
        by_host.extend(route for routes in imported.values() for route in routes)
        ports, problems = service_ports(self._objects.gateway_slices, by_host, listening)
        self._problems.extend(problems)
        by_value, by_name = self._between.accepted(own)
        exported: dict[str, list[Route]] = {}
        beside = [
            *by_value.values(),
            *by_name.values(),
            *(route for table in at_hosts.values() for route in table.values()),
        ]
        for route in {id(route): route for route in beside}.values():
            exported.setdefault(route.service, []).append(route)
        snapshot = Snapshot(
            self._own,
            path_table(paths),
            {host: path_table(found) for host, found in at_hosts.items()},
            host_table(by_host, self._objects.addresses, cluster_domain),
            ports,
            imported,
            by_value,
            {service: tuple(routes) for service, routes in exported.items()},
            between_clusters(own),
            session_secret(self._between.keys.keys[0]) if self._between.keys.keys else b"",
            self._between.keys.fingerprints,
            self._between.table,
            by_name,
            {"/".join(one.key): frozenset(one.target_clusters) for one in exports if one.target_clusters},
        )
        return Compiled(snapshot, tuple(sorted(set(self._problems))), exports)

    def _read_imports(self) -> None:
        """The imports that count, and the local endpoints that may be dialled beside them."""
        dialling, objects = self._dialling, self._objects
        system = of_system(objects.system)
        check = partial(dialling.check_target, system=system)
        for key, raw in sorted(objects.imports.items()):
            report = partial(self._report, "ServiceImport", key)
            try:
                dialling.check_import(raw)
            except FieldError as error:
                report(error)
            else:
                self._remotes[key] = read_import(key, raw, self._own, report, check)
        ports = (clusters for each in self._remotes.values() for clusters in each.values())
        known = {cluster.endpoints[0].host for clusters in ports for cluster in clusters}
        # As with imports: whoever else makes a Peer could make himself another cluster.
        counted = {key: raw for key, raw in objects.peers.items() if dialling.takes(raw)}
        tls_alone = asked_over_tls_alone(objects.peers.values(), self._own)
        report = partial(self._report, "Peer")
        self._between = self._between.knowing(counted, report, check, tls_alone=tls_alone)
        known |= self._between.table.hosts
        for key, each in self._remotes.items():
            self._between.secure(each, partial(self._report, "ServiceImport", key))
        gateways = of_gateways(known)
        for key, refused in dialling.screen(objects.services, system, gateways):
            # Where the Service's owner looks; a slice has no conditions.
            shown = [("ServiceExport", objects.exports), ("ServiceImport", objects.imports)]
            for kind in [kind for kind, those in shown if key in those] or ["EndpointSlice"]:
                self._report(kind, key, refused)

    def _report(self, kind: str, key: Key, error: FieldError) -> None:
        self._problems.append(Problem(kind, key[0], key[1], error.reason, str(error)))

    def _read_policy(self, key: Key, raw: Object) -> None:
        """An unusable policy counts as none: the service stays in its cluster, which is the safe reading."""
        try:
            self._policies[key], faults = read_policy(raw)
        except FieldError as error:
            faults = [error]
        for fault in faults:
            self._report("GlobalTrafficPolicy", key, fault)

    def _check_targets(self, key: Key) -> None:
        objects = self._objects
        if key not in objects.services and key not in objects.imports and key not in objects.exports:
            message = f"there is no Service {'/'.join(key)} here, and no other cluster exports one"
            self._report("GlobalTrafficPolicy", key, FieldError("TargetNotFound", message))
            return
        clusters = (cluster for clusters in self._remotes.get(key, {}).values() for cluster in clusters)
        exporters = {cluster.key for cluster in clusters} | {self._own}
        for fault in unknown_targets(self._policies[key], "/".join(key), exporters, self._own):
            self._report("GlobalTrafficPolicy", key, fault)

    def _local(self, key: Key, port: int, rewrite: Rewrite | None = None) -> WeightedCluster:
        service = self._objects.services.get(key)
        return WeightedCluster(self._own, service.endpoints(port) if service else (), rewrite=rewrite)

    def _import_routes(self, key: Key) -> Iterable[Route]:
        remotes = self._remotes.get(key, {})
        service = self._objects.services.get(key)
        policy = self._policies.get(key, Policy())
        for port in sorted(set(remotes) | set(service.ports if service else ())):
            clusters = self._between.by_name("/".join(key), port, remotes.get(port, []))
            balancing = self._rules(key)[0].balancing if self._rules(key) else DEFAULT_BALANCING
            host = f"{key[1]}.{key[0]}:{port}"
            yield self._route((key, port, host), policy, self._local(key, port), clusters, balancing)

    def _route(
        self,
        of: tuple[Key, int, str],
        policy: Policy,
        local: WeightedCluster,
        remotes: list[WeightedCluster],
        balancing: Balancing = DEFAULT_BALANCING,
    ) -> Route:
        """The route of a service and port by which a policy divides requests.

        What the export here says of backends holds wherever `local` has the pods of its Service.
        """
        key, port, where = of
        refs = next((rule.backends for rule in self._rules(key) if rule.port == port), ())
        report = partial(self._report, "ServiceExport", key)
        backends = backends_of(refs, self._objects.services, key, (port, local), report)
        route = Route("/".join(key), port, where, policy.kind, (), balancing, self._timeouts(key))
        return steered(route, policy, local, remotes, backends)

    def _rules(self, key: Key) -> tuple[Rule, ...]:
        return self._exports[key].rules if key in self._exports else ()

    def _timeouts(self, key: Key) -> Timeouts:
        """How long callers of a service wait at most: as its export here says, or else its import."""
        own = self._exports.get(key)
        if own is not None and own.timeouts != NO_TIMEOUTS:
            return own.timeouts
        try:
            return read_timeouts(self._objects.imports.get(key, {}))
        except FieldError as error:
            self._report("ServiceImport", key, error)
            return NO_TIMEOUTS

    def _own_route(
        self, rule: Rule, policy: Policy | None = None, remotes: list[WeightedCluster] | None = None
    ) -> Route:
        """The pods of this cluster, as a rule has it, and other clusters by a policy."""
        local, balancing = self._local(rule.key, rule.port, rule.rewrite), rule.balancing
        if rule.invoked:
            local, balancing = self._through_sidecars(rule, local), DEFAULT_BALANCING
        where = f"{'Exact' if rule.exact else 'Prefix'} {rule.path}"
        return self._route((rule.key, rule.port, where), policy or Policy(), local, remotes or [], balancing)

    def _export_route(self, rule: Rule, own: Route, doors: Mapping[tuple[bool, bytes], Route]) -> Route:
        """Local pods; with a front door on the same path of the same service also the other exporters."""
        door = doors.get(rule.match)
        if door is None or door.service != own.service:
            return own
        return self._own_route(
            rule, self._door_policy(rule.key), self._door_clusters(rule.key, rule.match[1])
        )

    def _through_sidecars(self, rule: Rule, local: WeightedCluster) -> WeightedCluster:
        """The cluster's own pods by way of its Dapr sidecars; nobody while none of the pods is ready."""
        sidecars = self._objects.services.get(SIDECARS)
        if sidecars is None:
            message = f"there is no Service {'/'.join(SIDECARS)} of Dapr sidecars to go through"
            self._report("ServiceExport", rule.key, FieldError("NoDaprSidecars", message))
        endpoints = sidecars.endpoints(SIDECAR_PORT) if sidecars is not None and local.endpoints else ()
        prefix = invoke_prefix(rule.invoked, rule.key[0])
        return replace(local, endpoints=endpoints, prefix=prefix, sidecar=self._dapr_token)

    def _front_door_paths(self) -> dict[tuple[bool, bytes], Route]:
        """Prefix routes for the paths at which other clusters' gateways serve the imported services."""
        paths: dict[tuple[bool, bytes], Route] = {}
        for key, ports in self._remotes.items():
            policy = self._door_policy(key)
            for port, clusters in sorted(ports.items()):
                for prefix in sorted({normalise(one.prefix) for one in clusters if one.front_door}):
                    if (False, prefix) in paths:
                        owner = paths[False, prefix].service
                        message = (
                            f"path {prefix.decode() or '/'!r} at the front door already belongs to {owner}"
                        )
                        if owner != "/".join(key):
                            self._report("ServiceImport", key, FieldError("PathConflict", message))
                        continue
                    where = f"Prefix {prefix.decode() or '/'}"
                    route = Route("/".join(key), port, where, policy.kind, timeouts=self._timeouts(key))
                    nobody = WeightedCluster(self._own, ())
                    paths[False, prefix] = steered(route, policy, nobody, self._door_clusters(key, prefix))
        return paths

    def _door_policy(self, key: Key) -> Policy:
        return self._policies.get(key, Policy(ACTIVE_ACTIVE))

    def _door_clusters(self, key: Key, prefix: bytes) -> list[WeightedCluster]:
        """Exporters of this path. The path stays as it came: the exporter's gateway matches the same one."""
        found: dict[str, WeightedCluster] = {}
        service = "/".join(key)
        for port, clusters in self._remotes.get(key, {}).items():
            for cluster in clusters:
                if cluster.front_door and cluster.key not in found and normalise(cluster.prefix) == prefix:
                    identity = self._between.identity(cluster, service, port, BY_PATH)
                    found[cluster.key] = replace(cluster, prefix=b"", identity=identity)
        return list(found.values())
