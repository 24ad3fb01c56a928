"""Which paths there are in an environment, and the first broken hop of each. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cli.doctor import client_side, server_side, stores, whose
from cli.doctor.check import Check
from cli.doctor.path import (
    LOCALITY,
    NOBODY_ASKED,
    CallPath,
    Hop,
    Policy,
    live_policy,
    walk,
    wanted_policy,
)
from cli.doctor.reachability import Reachability
from cli.observe.services import is_published, local_service
from cli.observe.view import ClusterView, Key, Platform, key_of, spec

CLIENT_SIDE: tuple[Hop, ...] = (
    ("cluster", client_side.cluster),
    ("DNS", client_side.dns),
    ("Service", client_side.service),
    ("EndpointSlice", client_side.endpoint_slice),
    ("gateway", client_side.gateway),
    ("route", client_side.route),
    ("policy", client_side.policy),
)
SERVING: tuple[Hop, ...] = (
    ("app pod", server_side.app),
    ("Dapr sidecar", server_side.sidecar),
    ("state store", stores.store),
)
SERVER_SIDE: tuple[Hop, ...] = (
    ("remote gateway", server_side.gateway),
    ("remote route", server_side.route),
    *SERVING,
)
DOOR: tuple[Hop, ...] = (CLIENT_SIDE[0], CLIENT_SIDE[4], CLIENT_SIDE[5], *SERVER_SIDE)


@dataclass(frozen=True)
class Facts:
    """What is known of every path."""

    platform: Platform
    reached: Mapping[str, Reachability]
    """What the pods of each cluster reach, by its name."""

    def path(self, importer: ClusterView, service: Key, target: str, *, front_door: bool = False) -> CallPath:
        """One path, with what is known of both ends."""
        exporter = self.platform.by_key(target)
        return CallPath(
            platform=self.platform,
            importer=importer,
            service=service,
            target=target,
            exporter=exporter,
            client_reach=self.reached.get(importer.name, NOBODY_ASKED),
            server_reach=self.reached.get(exporter.name, NOBODY_ASKED) if exporter else NOBODY_ASKED,
            front_door=front_door,
        )


def path_checks(platform: Platform, reached: Mapping[str, Reachability]) -> list[Check]:
    """One check per importer, service and serving cluster, and per service behind the front door."""
    facts = Facts(platform, reached)
    return [
        check
        for service in services(platform)
        for check in (*_east_west(facts, service), *_front_door(facts, service))
    ]


def services(platform: Platform) -> list[Key]:
    """Services exported by the settings or by an object in some cluster."""
    configured = {(export.namespace, export.service) for export in platform.settings.exports}
    live = {key_of(obj) for view in platform.clusters for obj in view.all("ServiceExport")}
    return sorted(configured | live)


def exporters(platform: Platform, service: Key) -> list[ClusterView]:
    """Clusters that export a service, or should by the settings."""
    configured = {
        name
        for export in platform.settings.exports
        if (export.namespace, export.service) == service
        for name in export.clusters
    }
    return [
        view
        for view in platform.clusters
        if view.name in configured or view.one("ServiceExport", *service) is not None
    ]


def _east_west(facts: Facts, service: Key) -> Iterator[Check]:
    platform = facts.platform
    serving = exporters(platform, service)
    for view in platform.clusters:
        if view.settings.role == "control-plane":
            continue
        at_home = view in serving or local_service(view, service) is not None
        if at_home:
            yield _walk(facts, view, service, view.key)
        elif serving and _is_left_out(platform, view, service):
            yield _left_out(view, f"{view.name} → {'/'.join(service)}", service)
            continue
        policy = live_policy(view, service)
        wanted = wanted_policy(platform, view, service)
        others = [
            other for other in serving if other is not view and _exports_to(platform, other, service, view)
        ]
        if policy is not None and policy.leaves(view.key):
            for key in _targets(policy, others):
                if key != view.key:
                    yield _walk(facts, view, service, key)
        elif others and (not at_home or (wanted is not None and wanted.lb_type != LOCALITY)):
            yield _walk(facts, view, service)


def _is_left_out(platform: Platform, view: ClusterView, service: Key) -> bool:
    """Whether nothing is imported here, as this cluster has no such namespace and nobody promised one."""
    return view.lacks_namespace(service[0]) and not whose.makes_namespace(platform.settings, service[0])


def _left_out(view: ClusterView, name: str, service: Key) -> Check:
    seen = f"not imported: {view.name} has no namespace {service[0]}"
    return Check(group="path", name=name, result="ok", seen=seen)


def _exports_to(platform: Platform, exporter: ClusterView, service: Key, importer: ClusterView) -> bool:
    """Whether the exporter's export is meant for the importer, by what is there, else by the settings."""
    live = exporter.one("ServiceExport", *service)
    if live is not None and not whose.has(platform.settings, exporter.name, "ServiceExport", service):
        targets = spec(live).get("targetClusters")
        return not targets or importer.key in targets
    for export in platform.settings.exports:
        if (export.namespace, export.service) == service and exporter.name in export.clusters:
            return not export.target_clusters or importer.key in export.target_clusters
    return True


def _targets(policy: Policy, others: list[ClusterView]) -> list[str]:
    return [key for key, _ in policy.targets] or [view.key for view in others]


def _walk(facts: Facts, importer: ClusterView, service: Key, target: str = "") -> Check:
    """Calls from inside a cluster; without a target they are not let out."""
    path = facts.path(importer, service, target)
    where = f" at {facts.platform.short(target)}" if target else ""
    ends = SERVING if path.is_local else SERVER_SIDE if target else ()
    hops = (*(CLIENT_SIDE[:4] if path.is_direct else CLIENT_SIDE), *ends)
    return walk(path, f"{importer.name} → {path.text}{where}", hops)


def _front_door(facts: Facts, service: Key) -> Iterator[Check]:
    platform, plane = facts.platform, facts.platform.plane
    if platform.settings.mesh != "bundled":
        return
    for exporter in exporters(platform, service):
        if not is_published(exporter.one("ServiceExport", *service)):
            continue
        if exporter is not plane and _exports_to(platform, exporter, service, plane):
            path = facts.path(plane, service, exporter.key, front_door=True)
            name = f"front door → {path.text} at {exporter.name}"
            left_out = _is_left_out(platform, plane, service)
            yield _left_out(plane, name, service) if left_out else walk(path, name, DOOR)
