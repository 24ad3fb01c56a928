"""The rows of a status for machines. Pure."""

from __future__ import annotations

from typing import Any

from cli.choices import KINDS
from cli.doctor.platform import dapr, dapr_version
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
    unknown,
    untold,
)


def as_json(platform: Platform, chosen: Chosen = ALL) -> dict[str, Any]:
    """Everything that is wanted; null is what could not be read, as `problems` say."""
    wrong = problems(platform, chosen)
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
    pods = gateway_pods(view)
    ready, wanted = pods or (None, None)
    unread = {kind for kinds in unknown(view, chosen).values() for kind in kinds}
    shown = {
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
    }
    hidden = {name for name in shown if KINDS[name] in unread}
    why = untold(view, chosen)
    return found | {
        "kubernetes": view.version,
        "dapr": _dapr(view) if has_dapr(view) else None,
        "gateway": {"ready": ready, "wanted": wanted, "image": gateway_image(view) if pods else None},
        **{name: None if name in hidden else listed for name, listed in shown.items()},
        "serves": None if why else [_served(view, served) for _, served in traffic(view, chosen)],
    }


def _dapr(view: ClusterView) -> dict[str, Any]:
    result = dapr(view).result
    return {"version": dapr_version(view), "healthy": None if result == "warn" else result == "ok"}


def _object(kind: str, obj: Object) -> dict[str, Any]:
    shown = SHOWN_CONDITIONS[kind]
    conditions = [c for c in status(obj).get("conditions") or [] if c.get("type") in shown]
    return {"service": "/".join(key_of(obj)), "conditions": conditions}


def _served(view: ClusterView, served: RouteView | Callers) -> dict[str, Any]:
    """`direct` says why these callers reach local pods past the gateways; empty when the policy holds.

    `unsure`: why that is not known.
    """
    if isinstance(served, Callers):
        return {
            "door": "east-west",
            "callers": list(served.names),
            "direct": served.direct,
            "unsure": served.unsure,
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
