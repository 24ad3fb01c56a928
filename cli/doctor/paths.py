"""Which ways there are in an environment, and the first broken hop of each. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cli.doctor import far, near
from cli.doctor.check import Check
from cli.doctor.leg import (
    LOCALITY,
    NOBODY_ASKED,
    Hop,
    Leg,
    Policy,
    live_policy,
    local_service,
    walk,
    wanted_policy,
)
from cli.doctor.probe import Probe
from cli.observe.view import ClusterView, Key, Platform, key_of

NEAR: tuple[Hop, ...] = (
    ("cluster", near.cluster),
    ("DNS", near.dns),
    ("Service", near.service),
    ("EndpointSlice", near.endpoint_slice),
    ("gateway", near.gateway),
    ("route", near.route),
    ("policy", near.policy),
)
SERVING: tuple[Hop, ...] = (("app pod", far.app), ("Dapr sidecar", far.sidecar), ("state store", far.store))
FAR: tuple[Hop, ...] = (("remote gateway", far.gateway), ("remote route", far.route), *SERVING)
DOOR: tuple[Hop, ...] = (NEAR[0], NEAR[4], NEAR[5], *FAR)


@dataclass(frozen=True)
class Facts:
    """What every path is judged by."""

    platform: Platform
    probes: Mapping[str, Probe]

    def leg(self, importer: ClusterView, service: Key, target: str, *, front_door: bool = False) -> Leg:
        """One way, with what is known of both ends."""
        exporter = self.platform.by_key(target)
        return Leg(
            platform=self.platform,
            importer=importer,
            service=service,
            target=target,
            exporter=exporter,
            probe=self.probes.get(importer.name, NOBODY_ASKED),
            far_probe=self.probes.get(exporter.name, NOBODY_ASKED) if exporter else NOBODY_ASKED,
            front_door=front_door,
        )


def path_checks(platform: Platform, probes: Mapping[str, Probe]) -> list[Check]:
    """One check per importer, service and serving cluster, and per service behind the front door."""
    facts = Facts(platform, probes)
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
        policy = live_policy(view, service)
        wanted = wanted_policy(platform, view, service)
        others = [other for other in serving if other is not view and _offers(platform, other, service, view)]
        if policy is not None and policy.leaves(view.key):
            for key in _targets(policy, others):
                if key != view.key:
                    yield _walk(facts, view, service, key)
        elif others and (not at_home or (wanted is not None and wanted.lb_type != LOCALITY)):
            yield _walk(facts, view, service)


def _offers(platform: Platform, exporter: ClusterView, service: Key, importer: ClusterView) -> bool:
    """Whether the exporter's export is meant for the importer."""
    for export in platform.settings.exports:
        if (export.namespace, export.service) == service and exporter.name in export.clusters:
            return not export.target_clusters or importer.key in export.target_clusters
    return True


def _targets(policy: Policy, others: list[ClusterView]) -> list[str]:
    return [key for key, _ in policy.targets] or [view.key for view in others]


def _walk(facts: Facts, importer: ClusterView, service: Key, target: str = "") -> Check:
    """Calls from inside a cluster; without a target they are not let out."""
    leg = facts.leg(importer, service, target)
    where = f" at {facts.platform.short(target)}" if target else ""
    hops = (*NEAR[:4], *SERVING) if leg.is_local else (*NEAR, *(FAR if target else ()))
    return walk(leg, f"{importer.name} → {leg.text}{where}", hops)


def _front_door(facts: Facts, service: Key) -> Iterator[Check]:
    platform, plane = facts.platform, facts.platform.plane
    if platform.settings.mesh != "bundled":
        return
    for exporter in exporters(platform, service):
        if exporter is not plane and _offers(platform, exporter, service, plane):
            leg = facts.leg(plane, service, exporter.key, front_door=True)
            yield walk(leg, f"front door → {leg.text} at {exporter.name}", DOOR)
