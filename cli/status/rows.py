"""What a row of a status is about: objects with their conditions, and callers with who serves them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cli.choices import CLUSTERS, TRAFFIC
from cli.doctor.platform import dapr
from cli.observe import serving
from cli.observe.callers import Callers, callers
from cli.observe.serving import RouteView
from cli.observe.view import GATEWAY, SYSTEM, ClusterView, Key, Object, key_of, spec, status
from cli.status.chosen import Chosen, is_well

SHOWN_CONDITIONS = {
    "ServiceExport": ("Valid", "Conflict", "Programmed"),
    "ServiceImport": ("Programmed", "DaprInvocable"),
    "GlobalTrafficPolicy": ("Programmed", "EveryCaller"),
}
FROM = {"north-south": "from outside", "between-clusters": "from other clusters alone"}
"""Who comes by a door that is not the callers' own gateway."""
GOOD_WHEN_FALSE = {"Conflict"}


def objects(view: ClusterView, kind: str, chosen: Chosen) -> list[Object]:
    """Objects of a kind that are wanted."""
    if not chosen.kind(kind):
        return []
    return [
        obj for obj in view.all(kind) if chosen.service(key_of(obj)) and chosen.state(well=is_fine(kind, obj))
    ]


def strangers(views: Iterable[ClusterView], chosen: Chosen) -> list[str] | None:
    """The services that are known, where none of them is one that was asked for; None where one is."""
    keys = {key_of(obj) for view in views for kind in SHOWN_CONDITIONS for obj in view.all(kind)}
    named = chosen.services or chosen.namespaces
    return sorted("/".join(key) for key in keys) if named and not any(map(chosen.service, keys)) else None


def unknown(view: ClusterView, chosen: Chosen) -> dict[str, list[str]]:
    """Kinds of objects that are wanted and not known, by why."""
    found: dict[str, list[str]] = {}
    for kind in SHOWN_CONDITIONS:
        if chosen.kind(kind) and (why := view.unseen(kind)):
            found.setdefault(str(why), []).append(kind)
    return found


def untold(view: ClusterView, chosen: Chosen) -> str:
    """Why it is not known who serves the callers of a cluster; empty when it is, or nobody asks."""
    if not chosen.kind(TRAFFIC):
        return ""
    if unread := view.unseen("ServiceImport") if view.config is None else None:
        return str(unread)
    return f"could not be read ({why})" if (why := serving.untold(view)) else ""


def is_fine(kind: str, obj: Object) -> bool:
    """Whether somebody has looked at an object, and all its conditions are as they should be."""
    found = list(conditions(kind, obj))
    return bool(found) and all(good for good, _ in found)


def conditions(kind: str, obj: Object) -> Iterator[tuple[bool, str]]:
    """Whether each condition is as it should be, and in words: the message when it is not."""
    for entry in status(obj).get("conditions") or []:
        name = entry.get("type")
        if name not in SHOWN_CONDITIONS[kind]:
            continue
        good = (entry.get("status") == "True") is (name not in GOOD_WHEN_FALSE)
        if good and name in GOOD_WHEN_FALSE:
            continue  # nobody needs to read that nothing is wrong
        yield good, str(name) if good else f"{name}: {entry.get('reason')}: {entry.get('message')}"


def traffic(view: ClusterView, chosen: Chosen) -> Iterator[tuple[str, RouteView | Callers]]:
    """Callers that are wanted, in words, and who serves them."""
    if not chosen.kind(TRAFFIC):
        return
    rows: list[tuple[str, RouteView | Callers]] = [
        (f"{FROM[route.door]}, {route.where.partition(' ')[2]}", route)
        for route in serving.routes(view.config)
        if route.door in FROM
    ]
    rows += [(", ".join(found.names), found) for found in callers(view)]
    yield from (
        (who, served)
        for who, served in rows
        if chosen.service(_key(served.service)) and chosen.state(well=is_well(served))
    )


def _key(service: str) -> Key:
    namespace, _, name = service.partition("/")
    return namespace, name


def answered(view: ClusterView, served: RouteView | Callers) -> dict[str, int]:
    """How many requests of these callers each cluster has answered, by its key."""
    if isinstance(served, Callers) and served.direct:
        return {}  # no gateway counts these
    return serving.answered(view, served.where)


def is_wanted(view: ClusterView, chosen: Chosen) -> bool:
    """Whether the row of a cluster itself is wanted."""
    return chosen.cluster(view.name) and chosen.kind(CLUSTERS) and chosen.state(well=is_up(view))


def is_up(view: ClusterView) -> bool:
    """Whether a cluster answers and its gateway and Dapr are ready."""
    if view.error:
        return False
    ready, wanted = gateway_pods(view) or (0, 0)
    return ready >= wanted > 0 and (not has_dapr(view) or dapr(view).result == "ok")


def gateway_pods(view: ClusterView) -> tuple[int, int] | None:
    """Gateway pods that are ready, and that are wanted; None when that is not known."""
    found = view.one("Deployment", SYSTEM, GATEWAY)
    if found is None and view.unseen("Deployment", SYSTEM):
        return None
    found = found or {}
    return int(status(found).get("readyReplicas") or 0), int(spec(found).get("replicas") or 0)


def gateway_image(view: ClusterView) -> str:
    """The image of the gateway's pods."""
    template = spec(view.one("Deployment", SYSTEM, GATEWAY) or {}).get("template") or {}
    return next((str(container["image"]) for container in spec(template).get("containers") or []), "")


def has_dapr(view: ClusterView) -> bool:
    """Whether there should be Dapr."""
    return view.settings.role == "member" and view.settings.dapr != "none"
