"""What the callers of a service in one cluster really get, by each name they may say. Pure.

A gateway shares requests by the policy. Whether a caller reaches one is decided by the EndpointSlices of the
Service behind the name: they list gateways, local pods or nobody.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from cli.observe.services import (
    DERIVED,
    cluster_set_key,
    gateway_addresses,
    listed_addresses,
    own_addresses,
    pod_addresses,
)
from cli.observe.serving import RouteView, ServingCluster, ServingClusters, routes, untold
from cli.observe.view import (
    DEFAULT_WEIGHT,
    GATEWAY,
    SYSTEM,
    ClusterView,
    Key,
    Object,
    annotations_of,
    condition,
    key_of,
    labels_of,
    spec,
)

OWN_NAME, APP_ID, CLUSTER_SET = "its pods", "app-id ", "svc.clusterset.local"
EVERY_CALLER = "multicluster.flomesh.io/every-caller"
IMPORT_OF = "multicluster.flomesh.io/import"
"""Annotation of a Dapr HTTPEndpoint: the import, as namespace/name, that its app-id leads to."""


@dataclass(frozen=True, kw_only=True)
class Callers:
    """Callers of one service that get the same, by the names they say.

    `names`: OWN_NAME, `app-id ...`, CLUSTER_SET. `direct` says why they reach local pods past the gateways,
    so that the policy does not hold for them; empty when it does. `matches`: who serves those that have
    certain headers.
    """

    names: tuple[str, ...]
    service: str
    policy: str
    clusters: ServingClusters
    where: str = ""
    """The route that gateways serve them by; empty when there is none."""
    direct: str = ""
    unsure: str = ""
    """Why it is not known whether these pass the gateways, as is told here."""
    matches: tuple[tuple[str, ServingClusters], ...] = ()

    @property
    def by_own_name(self) -> bool:
        """Whether these say the Service's own name."""
        return OWN_NAME in self.names


def callers(view: ClusterView) -> list[Callers]:
    """The callers of every imported service in a cluster; none while nobody tells how it routes."""
    if untold(view):
        return []
    if view.config is None and view.one("Deployment", SYSTEM, GATEWAY) and not gateway_addresses(view):
        return [found for key in map(key_of, view.all("ServiceImport")) for found in _grouped(view, key)]
    return [
        found
        for route in routes(view.config)
        if route.door == "east-west"
        for found in _grouped(view, _key(route.service), route)
    ]


def callers_of(view: ClusterView, route: RouteView) -> list[Callers]:
    """The callers of one port of a service, by what they get."""
    return list(_grouped(view, _key(route.service), route))


def _grouped(view: ClusterView, key: Key, route: RouteView | None = None) -> Iterator[Callers]:
    """Callers by what they get. The cluster set's name is told only where the Service's own differs."""
    behind = cluster_set_key(key)
    own, policy_followed = _by(view, key, key, route), _by(view, key, behind, route)
    app_ids = [f"{APP_ID}{app_id}" for app_id in _app_ids(view, key, route.port if route else None)]
    if (own.clusters, own.direct) == (policy_followed.clusters, policy_followed.direct):
        yield replace(own, names=(OWN_NAME, *app_ids))
        return
    yield replace(own, names=(OWN_NAME,))
    if app_ids or view.one("Service", *behind) is not None:
        yield replace(policy_followed, names=(*app_ids, CLUSTER_SET))


def _by(view: ClusterView, key: Key, behind: Key, route: RouteView | None) -> Callers:
    """What callers get who reach the Service `behind` for calls to the service `key`."""
    policy = view.one("GlobalTrafficPolicy", *key) or {}
    found = Callers(
        names=(),
        service="/".join(key),
        policy=route.policy if route else str(spec(policy).get("lbType") or "Locality"),
        clusters=route.clusters if route else (),
        where=route.where if route else "",
        matches=route.matches if route else (),
    )
    service = view.one("Service", *behind)
    unseen = view.unseen("EndpointSlice", key[0]) or (service is None and view.unseen("Service", key[0]))
    if service is None or unseen:
        return replace(
            found, unsure=f"its endpoints {unseen}" if unseen else ""
        )  # what the gateways would do
    listed = listed_addresses(view, behind)
    pods = pod_addresses(view, key)
    if spec(service).get("type") == "ExternalName" or own_addresses(view, behind) or listed & pods:
        only = ServingCluster(
            cluster=view.key, weight=DEFAULT_WEIGHT, percent=100, remote=False, ejected=False
        )
        why = _why(view, key, policy, gateways=route is not None)
        direct = "" if route and not route.passes_gateways else why
        return replace(found, clusters=(only,), direct=direct, matches=())
    if not listed:
        return replace(found, clusters=tuple(replace(one, percent=0) for one in found.clusters), matches=())
    return found


def _why(view: ClusterView, key: Key, policy: Object, *, gateways: bool) -> str:
    """Why callers of a Service reach its pods past the gateways."""
    if not gateways:
        return "no gateway is ready"
    if not policy and (unread := view.unseen("GlobalTrafficPolicy", key[0])):
        return f"its policy {unread}"
    said = condition(policy, "EveryCaller")
    if said.get("status") == "False":
        return str(said.get("reason"))
    if annotations_of(policy).get(EVERY_CALLER) != "true":
        return "everyCaller is off"
    return "not taken over yet"


def _app_ids(view: ClusterView, key: Key, port: int | None) -> list[str]:
    """App-ids by which Dapr's sidecars in this cluster reach a port of an imported service."""
    return sorted({
        key_of(endpoint)[1]
        for endpoint in view.all("HTTPEndpoint")
        if labels_of(endpoint).items() >= DERIVED.items()
        and annotations_of(endpoint).get(IMPORT_OF) == "/".join(key)
        and (port is None or str(spec(endpoint).get("baseUrl")).endswith(f":{port}"))
    })  # fmt: skip


def _key(service: str) -> Key:
    namespace, _, name = service.partition("/")
    return namespace, name
