"""What is shown: clusters, calls between them, and how they are; from the settings or what runs. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from cli.doctor.path import policy_of
from cli.doctor.platform import platform_checks, redis_container
from cli.observe.callers import callers
from cli.observe.serving import RouteView, parts_of, routes
from cli.observe.view import DEFAULT_WEIGHT, ClusterView, Platform, condition, key_of
from stacks.config.model import ClusterSettings, Settings
from stacks.config.traffic import ExportSettings, PolicySettings

State = Literal["planned", "good", "bad"]
"""planned: from the settings, nobody was asked."""
NOT_BY_NAME = "not by name"
"""Callers of the Service's own name reach its local pods directly."""


@dataclass(frozen=True, kw_only=True)
class CardPolicy:
    """A policy of a cluster. `followed`: its gateway routes by it; `note`: for whom it does not hold."""

    service: str
    lb_type: str
    followed: bool = True
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Card:
    """A cluster. `notes` say what is in it, `store`: it uses the state store."""

    name: str
    key: str
    address: str
    notes: tuple[str, ...] = ()
    policies: tuple[CardPolicy, ...] = ()
    exports: bool = False
    store: bool = False
    joined: bool = True
    state: State = "planned"
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class Link:
    """Calls from one cluster to another. `label` is a weight or the percentage now; idle ones get none."""

    source: str
    target: str
    lb_type: str
    label: str
    state: State = "planned"
    idle: bool = False


@dataclass(frozen=True, kw_only=True)
class Picture:
    """Everything drawn. `redis` is its address."""

    title: str
    subtitle: str
    plane: Card
    members: tuple[Card, ...]
    links: tuple[Link, ...]
    redis: str
    redis_state: State = "planned"


def planned(environment: str, settings: Settings) -> Picture:
    """The picture of the settings."""
    return Picture(
        title=environment,
        subtitle=f"as configured: {len(settings.clusters)} clusters, {settings.mesh} mesh",
        plane=_card(settings, settings.control_plane),
        members=tuple(_card(settings, member) for member in settings.members),
        links=tuple(_planned_links(settings)),
        redis=_redis(settings),
    )


def live(platform: Platform) -> Picture:
    """The picture of what runs."""
    settings = platform.settings
    up = sum(not view.error for view in platform.clusters)
    return Picture(
        title=platform.environment,
        subtitle=f"as it runs: {up} of {len(platform.clusters)} clusters answer, {settings.mesh} mesh",
        plane=_live_card(platform, platform.plane),
        members=tuple(_live_card(platform, view) for view in platform.clusters if view is not platform.plane),
        links=tuple(_live_links(platform)),
        redis=_redis(settings),
        redis_state=_redis_state(platform),
    )


def _card(settings: Settings, cluster: ClusterSettings) -> Card:
    exported = [export for export in settings.exports if cluster.name in export.clusters]
    apps = [app for app in settings.apps if cluster.name in app.clusters]
    policies = [policy for policy in settings.policies if policy.cluster == cluster.name]
    is_plane = cluster.role == "control-plane"
    published = [export for export in settings.exports if export.published]
    paths = dict.fromkeys(rule.path for export in published for rule in export.path_rules)
    return Card(
        name=cluster.name,
        key=cluster.key,
        address=_address(settings, cluster),
        notes=(
            *(["hub", *(f"front door {path}" for path in paths)] if is_plane else ()),
            *(f"{app.service} in {app.namespace}" for app in apps),
            *(_export(export) for export in exported),
        ),
        policies=tuple(
            CardPolicy(
                service=f"{one.namespace}/{one.name}", lb_type=one.lb_type, note=_planned_note(settings, one)
            )
            for one in policies
        ),
        exports=bool(exported),
        store=any(app.state_store is not None for app in apps),
    )


def _planned_note(settings: Settings, policy: PolicySettings) -> str:
    """Whom a policy lets go past it: callers of local pods, where it is not for every caller."""
    return NOT_BY_NAME if policy.cluster in _exporting(settings, policy) and not policy.every_caller else ""


def _exporting(settings: Settings, policy: PolicySettings) -> set[str]:
    service = (policy.namespace, policy.name)
    return {n for e in settings.exports if (e.namespace, e.service) == service for n in e.clusters}


def _address(settings: Settings, cluster: ClusterSettings) -> str:
    if cluster.source == "existing":
        return f"gateway {cluster.gateway_host}:{cluster.gateway_port}, context {cluster.context}"
    return f"gateway {settings.bind_addresses[0]}:{cluster.http_port}, API :{cluster.api_port}"


def _export(export: ExportSettings) -> str:
    ports = dict.fromkeys(rule.port for rule in export.path_rules)
    inside = f"{', '.join(map(str, ports))} between clusters"
    served = ", ".join(f"{rule.port} at {rule.path}" for rule in export.path_rules)
    served = served if export.published else inside
    return f"exports {export.namespace}/{export.service}: {served}"


def _planned_links(settings: Settings) -> Iterator[Link]:
    names = {cluster.key: cluster.name for cluster in settings.clusters}
    for policy in settings.policies:
        if policy.lb_type == "Locality" and len(policy.targets) != 1:
            continue
        for key, weight in _targets(settings, policy):
            target = names.get(key, key)
            if target in names.values() and target != policy.cluster:
                yield Link(
                    source=policy.cluster,
                    target=target,
                    lb_type=policy.lb_type,
                    label=str(weight),
                    idle=not weight,
                )


def _targets(settings: Settings, policy: PolicySettings) -> list[tuple[str, int]]:
    if policy.targets:
        return [
            (settings.target_key(target), DEFAULT_WEIGHT if target.weight is None else target.weight)
            for target in policy.targets
        ]
    exporting = _exporting(settings, policy)
    return [(cluster.key, DEFAULT_WEIGHT) for cluster in settings.clusters if cluster.name in exporting]


def _live_card(platform: Platform, view: ClusterView) -> Card:
    card = _card(platform.settings, view.settings)
    joined = condition(platform.plane.one("Cluster", "", view.name) or {}, "Managed").get("status") == "True"
    faults = [check for check in platform_checks(platform) if check.result == "fail"]
    mine = [check for check in faults if check.name.startswith(f"{view.name}: ")]
    return Card(
        name=card.name,
        key=card.key,
        address=card.address,
        notes=tuple(_door(platform, view)) or card.notes,
        policies=tuple(_live_policies(view)),
        exports=card.exports,
        store=card.store,
        joined=joined or card.name == platform.plane.name,
        state="bad" if mine else "good",
        error=f"{mine[0].name.partition(': ')[2]}: {mine[0].seen}" if mine else "",
    )


def _door(platform: Platform, view: ClusterView) -> Iterator[str]:
    """What the front door does with its requests."""
    if view is platform.plane and view.config is not None:
        yield "hub"
        for route in _routes(view, "north-south"):
            parts = parts_of(route.clusters, platform.short)
            yield f"front door {route.where.partition(' ')[2]} → {', '.join(parts) or 'nobody'}"


def _live_policies(view: ClusterView) -> Iterator[CardPolicy]:
    direct = {found.service for found in callers(view) if found.direct}
    for found in view.all("GlobalTrafficPolicy"):
        service = "/".join(key_of(found))
        yield CardPolicy(
            service=service,
            lb_type=policy_of(found).lb_type,
            followed=condition(found, "Programmed").get("status") == "True",
            note=NOT_BY_NAME if service in direct else "",
        )


def _routes(view: ClusterView, door: str) -> list[RouteView]:
    return [route for route in routes(view.config) if route.door == door]


def _live_links(platform: Platform) -> Iterator[Link]:
    for view in platform.clusters:
        for found in callers(view):
            by = "" if found.by_own_name else " by app-id" if found.by_app_id else " by cluster set"
            for serving in found.clusters:
                target = platform.by_key(serving.cluster)
                if not serving.remote or target is None:
                    continue
                bad = serving.ejected or bool(target.error)
                yield Link(
                    source=view.name,
                    target=target.name,
                    lb_type=found.policy,
                    label="ejected" if serving.ejected else f"{serving.part}{by}",
                    state="bad" if bad else "good",
                    idle=not serving.percent,
                )


def _redis(settings: Settings) -> str:
    redis = settings.redis
    host = settings.network.gateway if redis.mode == "container" else redis.host
    return f"{host}:{redis.port}"


def _redis_state(platform: Platform) -> State:
    if platform.settings.redis.mode != "container" or not platform.docker:
        return "planned"
    return "good" if platform.containers.get(redis_container(platform.environment)) == "running" else "bad"
