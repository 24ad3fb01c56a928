"""Why the next calls go where they go, by what the gateways on the way say of themselves. Pure.

Parts and ejections are those of the gateways' own pages: their code decides, here it is put into words.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cli.doctor.let_out import let_out
from cli.errors import UserError
from cli.explain.target import Target
from cli.observe.callers import OWN_NAME, Callers, callers_of
from cli.observe.serving import RouteView, parts_of, routes, untold
from cli.observe.view import ClusterView, Object, Platform, annotations_of, spec

LOCALITY = "Locality"


@dataclass(frozen=True, kw_only=True)
class Hop:
    """A place that a call passes, and what is decided there and why."""

    at: str
    decided: str
    why: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {"at": self.at, "decided": self.decided, "why": list(self.why)}


def explain(platform: Platform, view: ClusterView, target: Target) -> list[Hop]:
    """Each hop of calls from a cluster. Raises UserError when nothing can be said of them."""
    if view.error:
        raise UserError(f"{view.name} cannot be asked: {view.error}.")
    if view.config is None:
        reason = untold(view) or "none is ready"
        raise UserError(f"no gateway of {view.name} says how it routes: {reason}.")
    route, raw = _route(view, target)
    found = _callers(view, route, target)
    return [
        _name(platform, view, target, found),
        *([] if found.direct or not route.passes_gateways else [_gateway(platform, view, route, raw)]),
        *_exporters(platform, found, target),
    ]


def _route(view: ClusterView, target: Target) -> tuple[RouteView, Object]:
    """The gateway's route of the service, as read and as it stands on the page."""
    name = "/".join(target.service)
    listed = (view.config or {}).get("eastWest") or []
    raw = next((one for one in listed if (one["service"], one["port"]) == (name, target.port)), None)
    if raw is None:
        raise UserError(
            f"the gateway of {view.name} has no route for {target.text}, which no other cluster exports: its "
            "callers reach the Service's pods directly, and no policy holds."
        )
    (route,) = routes({"eastWest": [raw]})
    return route, raw


def _callers(view: ClusterView, route: RouteView, target: Target) -> Callers:
    groups = callers_of(view, route)
    # Names that get the same are told as one, by the first of them.
    return next((found for found in groups if target.by in found.names), groups[0])


def _name(platform: Platform, view: ClusterView, target: Target, found: Callers) -> Hop:
    said = "its own name" if target.by == OWN_NAME else target.by
    at = f"{view.name}: {target.text} by {said}"
    if found.direct:
        return Hop(at=at, decided="local pods directly, past the gateways", why=(f"{found.direct}",))
    if found.unsure:
        return Hop(at=at, decided="not known; its gateway would share as it says", why=(found.unsure,))
    if not any(one.percent for one in found.clusters):
        why = [_kept_in(view, target, found)]
        why += [let_out(platform, view, target.service)] if found.policy == LOCALITY else []
        return Hop(at=at, decided="refused: nobody serves it", why=tuple(why))
    if all(not one.remote for one in found.clusters if one.percent) and not found.matches:
        return Hop(at=at, decided="local pods", why=(_kept_in(view, target, found),))
    return Hop(at=at, decided="the gateway", why=("it is what the Service's endpoints are",))


def _kept_in(view: ClusterView, target: Target, found: Callers) -> str:
    if found.policy == LOCALITY and view.lacks("GlobalTrafficPolicy", *target.service):
        return "there is no policy for it, which is as Locality"
    return f"the policy is {found.policy}"


def _gateway(platform: Platform, view: ClusterView, route: RouteView, raw: Object) -> Hop:
    parts = parts_of(route.clusters, platform.short)
    why = [_policy(platform, view, raw), *_priorities(platform, raw), *_matches(platform, route)]
    return Hop(
        at=f"{view.name}: gateway", decided=", ".join(parts) or "refused: nobody serves it", why=tuple(why)
    )


def _matches(platform: Platform, route: RouteView) -> Iterator[str]:
    """Who gets what has certain headers; the first match counts."""
    for headers, shares in route.matches:
        yield f"requests that match {headers}: {', '.join(parts_of(shares, platform.short)) or 'nobody'}"


def _policy(platform: Platform, view: ClusterView, raw: Object) -> str:
    namespace, _, name = str(raw["service"]).partition("/")
    policy = view.one("GlobalTrafficPolicy", namespace, name)
    if policy is None and (unseen := view.unseen("GlobalTrafficPolicy")):
        return f"its policy {unseen}; in force: {raw['policy']}"
    if policy is None:
        return "no policy: calls stay in the cluster"
    targets = ", ".join(
        f"{platform.short(str(one.get('clusterKey')))} {one.get('weight', 100)}"
        for one in spec(policy).get("targets") or ()
    )
    said = f"policy {spec(policy).get('lbType') or LOCALITY} to {targets or 'every exporter'}"
    every = annotations_of(policy).get("multicluster.flomesh.io/every-caller") == "true"
    behind = (
        "" if spec(policy).get("lbType", LOCALITY) == raw["policy"] else f"; in force still: {raw['policy']}"
    )
    return f"{said}{', for every caller' if every else ''}{behind}"


def _priorities(platform: Platform, raw: Object) -> Iterator[str]:
    """The clusters in the order in which they are asked, each with what is known of it."""
    order = "first"
    for priority in raw["priorities"]:
        for one in priority:
            who = " ".join(filter(None, (platform.short(str(one["cluster"])), str(one.get("backend") or ""))))
            yield f"{order}: {who}, weight {one['weight']}: {_facts(one)} → {one['percent']:.4g} %"
        order = "else" if priority else order
    if any(
        one["percent"] and len(one["ejected"]) == len(one["endpoints"])
        for priority in raw["priorities"]
        for one in priority
    ):
        yield "all are left out, so all are tried"


def _facts(one: Object) -> str:
    endpoints, ejected = one["endpoints"], one["ejected"]
    what = "gateway" if one["remote"] else "pod"
    if not endpoints:
        return f"no {what} is ready"
    well = [endpoint for endpoint in endpoints if endpoint not in ejected]
    told = [f"{what} {', '.join(well)} is well"] if well else []
    told += [f"{what} {', '.join(ejected)} is left out"] if ejected else []
    return ", ".join(told)


def _exporters(platform: Platform, found: Callers, target: Target) -> Iterator[Hop]:
    """What the gateways of the clusters make of it that get some, also of requests that match."""
    shares = (found.clusters, *(shares for _, shares in found.matches))
    keys = dict.fromkeys(one.cluster for some in shares for one in some if one.percent and one.remote)
    for key in keys:
        other = platform.by_key(key)
        if other is None:
            yield Hop(at=key, decided="not known here: it is no cluster of this environment")
        elif other.config is None:
            yield Hop(
                at=f"{other.name}: gateway",
                decided=f"cannot be asked: {other.error or untold(other) or 'none is ready'}",
            )
        else:
            yield _at_exporter(platform, other, target)


def _at_exporter(platform: Platform, other: ClusterView, target: Target) -> Hop:
    name = "/".join(target.service)
    listed = (other.config or {}).get("northSouth") or []
    raw = next((one for one in listed if (one["service"], one["port"]) == (name, target.port)), None)
    if raw is None:
        why = ("its export is not served there: ./stack doctor says why",)
        return Hop(at=f"{other.name}: gateway", decided="refused: it has no such service", why=why)
    (route,) = routes({"northSouth": [raw]})
    parts = parts_of(route.clusters, platform.short)
    says = [*_priorities(platform, raw), *_matches(platform, route)]
    decided = ", ".join(parts) or "refused: no pod is ready"
    return Hop(at=f"{other.name}: gateway", decided=decided, why=tuple(says))
