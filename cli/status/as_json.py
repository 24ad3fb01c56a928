"""The rows of a status for machines. Pure."""

from __future__ import annotations

from typing import Any

from cli.doctor.platform import dapr, dapr_version, platform_checks
from cli.observe.callers import Callers
from cli.observe.serving import RouteView, ServingCluster
from cli.observe.view import ClusterView, Object, Platform, key_of, spec, status
from cli.status import between
from cli.status.chosen import ALL, Chosen, problems
from cli.status.rows import (
    SHOWN_CONDITIONS,
    answered,
    gateway_image,
    gateway_pods,
    has_dapr,
    objects,
    traffic,
)


def as_json(platform: Platform, chosen: Chosen = ALL) -> dict[str, Any]:
    """Everything that is wanted."""
    wrong = problems(platform_checks(platform), chosen)
    return {
        "environment": platform.environment,
        "healthy": not wrong,
        "problems": [check.as_json() for check in wrong],
        "clusters": [_cluster(view, chosen) for view in platform.clusters if chosen.cluster(view.name)],
        "between": between.as_json(platform, chosen),
    }


def _cluster(view: ClusterView, chosen: Chosen) -> dict[str, Any]:
    found = {"name": view.name, "role": view.settings.role, "key": view.key, "reachable": not view.error}
    if view.error:
        return found | {"error": view.error}
    ready, wanted = gateway_pods(view)
    return found | {
        "kubernetes": view.version,
        "dapr": {"version": dapr_version(view), "healthy": dapr(view).result == "ok"}
        if has_dapr(view)
        else None,
        "gateway": {"ready": ready, "wanted": wanted, "image": gateway_image(view)},
        "exports": [_object("ServiceExport", obj) for obj in objects(view, "ServiceExport", chosen)],
        "imports": [
            _object("ServiceImport", obj)
            | {"from": [entry["cluster"] for entry in status(obj).get("clusters") or []]}
            for obj in objects(view, "ServiceImport", chosen)
        ],
        "policies": [
            _object("GlobalTrafficPolicy", obj)
            | {"lbType": spec(obj).get("lbType"), "targets": spec(obj).get("targets") or []}
            for obj in objects(view, "GlobalTrafficPolicy", chosen)
        ],
        "serves": [_served(view, served) for _, served in traffic(view, chosen)],
    }


def _object(kind: str, obj: Object) -> dict[str, Any]:
    shown = SHOWN_CONDITIONS[kind]
    conditions = [c for c in status(obj).get("conditions") or [] if c.get("type") in shown]
    return {"service": "/".join(key_of(obj)), "conditions": conditions}


def _served(view: ClusterView, served: RouteView | Callers) -> dict[str, Any]:
    """`direct` says why these callers reach local pods past the gateways; empty when the policy holds."""
    if isinstance(served, Callers):
        return {
            "door": "east-west",
            "callers": list(served.names),
            "direct": served.direct,
            **_shares(view, served),
        }
    return {"door": served.door, "where": served.where, **_shares(view, served)}


def _shares(view: ClusterView, served: RouteView | Callers) -> dict[str, Any]:
    counted = answered(view, served)
    return {
        "service": served.service,
        "policy": served.policy,
        "shares": [{**_share(found), "answered": counted.get(found.cluster, 0)} for found in served.clusters],
        "matches": [
            {"headers": headers, "shares": [_share(found) for found in shares]}
            for headers, shares in served.matches
        ],
    }


def _share(found: ServingCluster) -> dict[str, Any]:
    return {
        "cluster": found.cluster,
        "backend": found.backend,
        "weight": found.weight,
        "percent": found.percent,
        "ejected": found.ejected,
    }
