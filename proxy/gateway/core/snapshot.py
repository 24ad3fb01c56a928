"""Kubernetes objects in, one immutable routing snapshot out.

The seam to whoever supplies the objects (files in `gateway serve`, watches in `gateway run`): call
`compile_snapshot` with everything known, give `Compiled.snapshot` to `GatewayServer.swap`, and report
`Compiled.problems` where the user looks (object status, log, `gateway check`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.core.objects import (
    FieldError,
    Key,
    Objects,
    Raw,
    address,
    items,
    path_text,
    port_number,
    section,
    sort_objects,
    text,
)
from gateway.core.policy import ACTIVE_ACTIVE, LOCALITY, Policy, make_tiers, read_policy
from gateway.core.problem import Problem
from gateway.core.rewrite import Rewrite, RewriteError
from gateway.core.route import Endpoint, HostTable, PathTable, Route, Share, host_table, normal_prefix

__all__ = ["Compiled", "Problem", "Snapshot", "compile_snapshot"]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a gateway runs on. Never changed after it is made."""

    cluster_key: str
    paths: PathTable = field(default_factory=PathTable)
    """North-south."""
    hosts: HostTable = field(default_factory=HostTable)
    """East-west."""
    imported: Mapping[Key, tuple[Route, ...]] = field(default_factory=dict)
    """Routes of the imported ports by (namespace, name)."""

    def path_routes(self) -> list[Route]:
        """North-south routes, longest path first."""
        routes = {*self.paths.exact.values(), *self.paths.prefix.values()}
        return sorted(routes, key=lambda route: (-len(route.where), route.where))

    def host_routes(self) -> list[Route]:
        """East-west routes by name and port."""
        return sorted(set(self.hosts.hosts.values()), key=lambda route: (route.service, route.port))

    def leaves_cluster(self, namespace: str, name: str) -> bool:
        """Whether the policy of an imported service may send a request to another cluster at all.

        False for Locality without a target, for no policy, and when every eligible target is drained
        (weight 0) or unknown: then an import without a local Service has no endpoints.
        """
        return any(
            share.remote and share.weight
            for route in self.imported.get((namespace, name), ())
            for share in route.shares
        )


@dataclass(frozen=True, slots=True)
class Compiled:
    snapshot: Snapshot
    problems: tuple[Problem, ...]


def compile_snapshot(
    objects: Iterable[Mapping[str, Any]], cluster_key: str, front_door: bool = False
) -> Compiled:
    """Compile raw objects (any order, unknown kinds ignored) into a snapshot for one cluster.

    Takes ServiceExport, ServiceImport, GlobalTrafficPolicy (flomesh.io/v1alpha1), Service (v1) and
    EndpointSlice (discovery.k8s.io/v1). Services and EndpointSlices labelled
    `multicluster.flomesh.io/imported: "true"` are this gateway's own stand-ins and are ignored.
    Never raises for what is in an object: a bad object becomes a Problem.
    """
    return _Compiler(sort_objects(objects), cluster_key).compile(front_door)


@dataclass(frozen=True, slots=True)
class _Rule:
    """One usable path rule of an export."""

    key: Key
    exact: bool
    path: str
    port: int
    rewrite: Rewrite | None


class _Compiler:
    """Holds what the steps of one compilation share."""

    def __init__(self, objects: Objects, cluster_key: str) -> None:
        self._objects = objects
        self._own = cluster_key
        self._problems: list[Problem] = list(objects.problems)
        self._policies: dict[Key, Policy] = {}
        self._remotes: dict[Key, dict[int, list[Share]]] = {}

    def compile(self, front_door: bool) -> Compiled:
        for key, raw in sorted(self._objects.policies.items()):
            self._read_policy(key, raw)
        for key, raw in sorted(self._objects.imports.items()):
            self._remotes[key] = self._read_import(key, raw)
        for key in sorted(self._policies):
            self._check_targets(key)
        rules = self._export_rules()
        paths = self._front_door_paths() if front_door else {}
        paths.update({(rule.exact, self._path_key(rule)): self._export_route(rule, paths) for rule in rules})
        prefixes = {path: route for (exact, path), route in paths.items() if not exact}
        imported = {key: tuple(self._import_routes(key)) for key in self._remotes}
        local_only = [route for key in {rule.key for rule in rules} - set(imported) for route in self._import_routes(key)]
        snapshot = Snapshot(
            self._own,
            PathTable(
                {path: route for (exact, path), route in paths.items() if exact},
                prefixes,
                max(map(len, prefixes), default=0),
            ),
            host_table([*local_only, *(route for routes in imported.values() for route in routes)]),
            imported,
        )
        return Compiled(snapshot, tuple(sorted(set(self._problems))))

    def _report(self, kind: str, key: Key, error: FieldError) -> None:
        self._problems.append(Problem(kind, key[0], key[1], error.reason, str(error)))

    def _read_policy(self, key: Key, raw: Raw) -> None:
        """An unusable policy counts as none: the service stays in its cluster, which is the safe reading."""
        try:
            self._policies[key], faults = read_policy(raw)
        except FieldError as error:
            faults = [error]
        for fault in faults:
            self._report("GlobalTrafficPolicy", key, fault)

    def _check_targets(self, key: Key) -> None:
        targets = self._policies[key].targets
        if targets is None:
            return
        exporters = {share.cluster for shares in self._remotes.get(key, {}).values() for share in shares} | {self._own}
        for cluster in targets:
            if cluster not in exporters:
                known = ", ".join(sorted(exporters - {self._own})) or "none"
                message = f"target {cluster!r} exports no {'/'.join(key)}: clusters that do: {known}"
                self._report("GlobalTrafficPolicy", key, FieldError("UnknownTarget", message))

    def _read_import(self, key: Key, raw: Raw) -> dict[int, list[Share]]:
        """Other clusters by imported port; the faulty endpoints are reported and left out."""
        ports: dict[int, list[Share]] = {}
        try:
            listed = items(section(raw.get("spec"), "spec").get("ports"), "spec.ports")
        except FieldError as error:
            self._report("ServiceImport", key, error)
            return ports
        for index, item in enumerate(listed):
            where = f"spec.ports[{index}]"
            try:
                shares = ports.setdefault(port_number(item.get("port"), f"{where}.port"), [])
                endpoints = items(item.get("endpoints"), f"{where}.endpoints")
            except FieldError as error:
                self._report("ServiceImport", key, error)
                continue
            for number, endpoint in enumerate(endpoints):
                try:
                    share = self._read_remote(endpoint, f"{where}.endpoints[{number}]")
                    if any(other.cluster == share.cluster for other in shares):
                        message = f"{where}.endpoints[{number}]: {share.cluster!r} is listed twice: the first counts"
                        raise FieldError("DuplicateEndpoint", message)  # noqa: TRY301
                except FieldError as error:
                    self._report("ServiceImport", key, error)
                else:
                    if share.cluster != self._own:
                        shares.append(share)
        return ports

    def _read_remote(self, raw: Raw, where: str) -> Share:
        target = section(raw.get("target"), f"{where}.target")
        path = path_text(target.get("path") or "/", f"{where}.target.path")
        return Share(
            cluster=text(raw.get("clusterKey"), f"{where}.clusterKey"),
            endpoints=(
                Endpoint(
                    address(target.get("ip"), f"{where}.target.ip"),
                    port_number(target.get("port"), f"{where}.target.port"),
                ),
            ),
            remote=True,
            prefix=normal_prefix(path),
        )

    def _local(self, key: Key, port: int, rewrite: Rewrite | None = None) -> Share:
        service = self._objects.services.get(key)
        return Share(self._own, service.endpoints(port) if service else (), rewrite=rewrite)

    def _import_routes(self, key: Key) -> Iterable[Route]:
        remotes = self._remotes.get(key, {})
        service = self._objects.services.get(key)
        policy = self._policies.get(key, Policy())
        for port in sorted(set(remotes) | set(service.ports if service else ())):
            tiers = make_tiers(policy, self._local(key, port), remotes.get(port, []))
            yield Route("/".join(key), port, f"{key[1]}.{key[0]}:{port}", policy.kind, tiers)

    def _export_rules(self) -> list[_Rule]:
        """Usable rules of all exports. Of two exports with one path the older wins, then the first by name."""
        taken: dict[tuple[bool, bytes], Key] = {}
        rules: list[_Rule] = []
        exports = self._objects.exports
        for key in sorted(exports, key=lambda key: (_created(exports[key]), key)):
            try:
                listed, rewrite = self._read_export(key, exports[key])
            except FieldError as error:
                self._report("ServiceExport", key, error)
                continue
            for index, item in enumerate(listed):
                try:
                    rule = self._read_rule(key, item, f"spec.rules[{index}]", rewrite)
                    place = (rule.exact, self._path_key(rule))
                    if place in taken:
                        owner = "/".join(taken[place])
                        message = f"spec.rules[{index}].path {rule.path!r} is already exported by {owner}: change one"
                        raise FieldError("PathConflict", message)  # noqa: TRY301
                except FieldError as error:
                    self._report("ServiceExport", key, error)
                else:
                    taken[place] = key
                    rules.append(rule)
        return rules

    def _read_export(self, key: Key, raw: Raw) -> tuple[list[Raw], Rewrite | None]:
        spec = section(raw.get("spec"), "spec")
        service = self._objects.services.get(key)
        if service is None:
            raise FieldError("ServiceNotFound", f"no Service {'/'.join(key)} in this cluster: create it")
        if service.external_name:
            raise FieldError("ExternalName", f"Service {'/'.join(key)} is of type ExternalName, which has no endpoints")
        listed = items(spec.get("rules"), "spec.rules")
        if not listed:
            raise FieldError("NoRules", "spec.rules is empty: give at least one path rule")
        rewriting = section(spec.get("pathRewrite"), "spec.pathRewrite")
        source, to = rewriting.get("from"), rewriting.get("to")
        if not source or not to:
            return listed, None
        try:
            return listed, Rewrite(text(source, "spec.pathRewrite.from"), text(to, "spec.pathRewrite.to"))
        except RewriteError as error:
            raise FieldError("InvalidRewrite", f"spec.pathRewrite: {error}") from error

    def _read_rule(self, key: Key, raw: Raw, where: str, rewrite: Rewrite | None) -> _Rule:
        kind = raw.get("pathType")
        if kind not in {"Exact", "Prefix"}:
            raise FieldError("InvalidPathType", f"{where}.pathType is {kind!r}: give Exact or Prefix")
        path = path_text(raw.get("path"), f"{where}.path")
        port = port_number(raw.get("portNumber"), f"{where}.portNumber")
        service = self._objects.services[key]
        if port not in service.ports:
            known = ", ".join(map(str, sorted(service.ports))) or "none"
            raise FieldError("PortNotFound", f"{where}.portNumber {port} is no TCP port of the Service: it has {known}")
        return _Rule(key, kind == "Exact", path, port, rewrite)

    @staticmethod
    def _path_key(rule: _Rule) -> bytes:
        return rule.path.encode() if rule.exact else normal_prefix(rule.path)

    def _export_route(self, rule: _Rule, doors: Mapping[tuple[bool, bytes], Route]) -> Route:
        """Local pods; with a front door on the same path of the same service also the other exporters."""
        local = self._local(rule.key, rule.port, rule.rewrite)
        service = "/".join(rule.key)
        where = f"{'Exact' if rule.exact else 'Prefix'} {rule.path}"
        door = doors.get((rule.exact, self._path_key(rule)))
        if door is not None and door.service == service:
            policy = self._door_policy(rule.key)
            remotes = self._door_shares(rule.key, normal_prefix(rule.path))
            return Route(service, rule.port, where, policy.kind, make_tiers(policy, local, remotes))
        return Route(service, rule.port, where, LOCALITY, ((local,),))

    def _front_door_paths(self) -> dict[tuple[bool, bytes], Route]:
        """Prefix routes for the paths at which other clusters' gateways serve the imported services."""
        paths: dict[tuple[bool, bytes], Route] = {}
        for key, ports in self._remotes.items():
            policy = self._door_policy(key)
            for port, shares in sorted(ports.items()):
                for prefix in sorted({share.prefix for share in shares}):
                    if (False, prefix) in paths:
                        owner = paths[False, prefix].service
                        message = f"path {prefix.decode() or '/'!r} at the front door already belongs to {owner}"
                        if owner != "/".join(key):
                            self._report("ServiceImport", key, FieldError("PathConflict", message))
                        continue
                    tiers = make_tiers(policy, Share(self._own, ()), self._door_shares(key, prefix))
                    where = f"Prefix {prefix.decode() or '/'}"
                    paths[False, prefix] = Route("/".join(key), port, where, policy.kind, tiers)
        return paths

    def _door_policy(self, key: Key) -> Policy:
        return self._policies.get(key, Policy(ACTIVE_ACTIVE))

    def _door_shares(self, key: Key, prefix: bytes) -> list[Share]:
        """Exporters of this path. The path stays as it came: the exporter's gateway matches the same one."""
        found: dict[str, Share] = {}
        for shares in self._remotes.get(key, {}).values():
            for share in shares:
                if share.prefix == prefix:
                    found.setdefault(share.cluster, Share(share.cluster, share.endpoints, remote=True))
        return list(found.values())


def _created(raw: Raw) -> str:
    metadata = raw.get("metadata")
    return str(metadata.get("creationTimestamp") or "9999") if isinstance(metadata, Mapping) else "9999"
