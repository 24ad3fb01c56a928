"""What a drill takes away of a platform, and whose calls it follows. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cli.drill.followed import Calls, followed_calls
from cli.drill.losses import Denied, Filtered, Loss, Scaled, Stopped
from cli.drill.wanted import WHAT, Wanted
from cli.errors import UserError
from cli.observe.services import local_service, selector_of
from cli.observe.serving import routes
from cli.observe.view import (
    GATEWAY,
    SYSTEM,
    ClusterView,
    Key,
    Object,
    Platform,
    key_of,
    labels_of,
    spec,
)
from stacks.config.model import ClusterSettings

WORKLOADS = {"Deployment": "deployment", "StatefulSet": "statefulset"}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything decided before anything is changed.

    `words` names what is lost. `pairs`: a client's cluster and the one that serves it, between which nothing
    goes while it is lost. `left_out`: clusters whose calls are not followed, and why.
    """

    words: str
    meaning: str
    losses: tuple[Loss, ...]
    calls: tuple[Calls, ...]
    pairs: frozenset[tuple[str, str]]
    left_out: tuple[str, ...]


def plan(platform: Platform, wanted: Wanted) -> Plan:
    """The whole. Raises UserError for what is not there, is protected, or would show nothing."""
    followed, left_out = followed_calls(platform, wanted)
    if not followed:
        raise UserError(
            f"no calls to follow: {'; '.join(left_out) or 'nothing is exported'}. A policy that lets calls "
            "leave their cluster (`policies`), or local pods, give them somebody who serves."
        )
    kind, *names = wanted.lose.split(":")
    if kind not in WHAT:
        kind, names = "cluster", [kind, *names]
    clusters = _clusters(platform, kind, names, followed)
    _refuse_protected(platform, clusters)
    _refuse_half_read(clusters)
    plan_of = {"cluster": _cluster, "gateway": _gateway, "app": _app, "link": _link}[kind]
    return plan_of(platform, clusters, followed, left_out)


def _clusters(
    platform: Platform, kind: str, names: Sequence[str], followed: Sequence[Calls]
) -> list[ClusterView]:
    """The clusters that lose something: those that are named, else those that serve most."""
    wanted = 2 if kind == "link" else 1
    known = [view.name for view in platform.clusters]
    for name in names:
        if name not in known:
            what = ", ".join([*known, *WHAT])
            raise UserError(f"--lose {name}: there is no such cluster. Known: {what}.", code=2)
    if names and (len(names) != wanted or len(set(names)) != wanted):
        raise UserError(
            f"--lose {':'.join([kind, *names])}: it takes {wanted} cluster{'s' * (wanted > 1)}: "
            f"{kind}{':CLUSTER' * wanted}.",
            code=2,
        )
    return [platform.cluster(name) for name in names or _busiest(kind, followed)]


def _busiest(kind: str, followed: Sequence[Calls]) -> list[str]:
    """Who serves most of the calls that leave a cluster, or of all where none does; for a link also whom."""
    load: dict[tuple[str, str], float] = defaultdict(float)
    for calls in followed:
        for (cluster, _), percent in calls.serving.items():
            load[calls.cluster, cluster] += percent
    leaving = {pair: percent for pair, percent in load.items() if pair[0] != pair[1]}
    if kind == "link" and not leaving:
        raise UserError(
            "--lose link: no call leaves its cluster, so no link carries any. Name one: link:A:B, or "
            "set a policy that lets calls leave."
        )
    if kind == "link":
        return list(max(leaving.items(), key=lambda one: one[1])[0])
    total: dict[str, float] = defaultdict(float)
    for (_, cluster), percent in (leaving or load).items():
        total[cluster] += percent
    return [max(total.items(), key=lambda one: one[1])[0]]


def _refuse_protected(platform: Platform, clusters: Sequence[ClusterView]) -> None:
    for index, one in enumerate(platform.settings.clusters):
        if one.protect and one.name in {view.name for view in clusters}:
            raise UserError(
                f"clusters[{index}].protect is true: nothing of {one.name} is taken away. Choose another "
                f"cluster, or set it to false in Pulumi.{platform.environment}.yaml.",
                code=2,
            )


def _refuse_half_read(clusters: Sequence[ClusterView]) -> None:
    """What could not be read of a cluster may be what has to be taken away, and put back."""
    for view in clusters:
        for (kind, _), why in view.unread.items():
            if not why.is_refused:
                raise UserError(
                    f"{view.name}: {kind} objects {why}. Run it again when its API server answers."
                )


def _pairs(followed: Sequence[Calls], cluster: str, *, of_itself: bool) -> frozenset[tuple[str, str]]:
    return frozenset((calls.cluster, cluster) for calls in followed if of_itself or calls.cluster != cluster)


def _cluster(
    platform: Platform, clusters: Sequence[ClusterView], followed: Sequence[Calls], left_out: Sequence[str]
) -> Plan:
    (view,) = clusters
    if view.settings.source == "existing":
        found = _gateway(platform, clusters, followed, left_out)
        meaning = (
            f"{view.name} exists, so it is not stopped: its gateway is scaled to nothing, and other clusters "
            "and the outside reach nobody there"
        )
        return Plan(**{**vars(found), "words": view.name, "meaning": meaning})
    prefix = f"k3d-{view.name}-"
    running = tuple(
        sorted(n for n, state in platform.containers.items() if n.startswith(prefix) and state == "running")
    )
    if not running:
        raise UserError(f"{view.name} has no container that runs: ./stack doctor {platform.environment}.")
    others = [calls for calls in followed if calls.cluster != view.name]
    if not others:
        raise UserError(
            f"no calls to follow: all would come from {view.name} itself, and their pods go with it."
        )
    gone = [f"{view.name}: its pods go with it"] if len(others) < len(followed) else []
    return Plan(
        words=view.name, meaning="its containers are killed, as by a power cut, and started again",
        losses=(Stopped(cluster=view.name, containers=running),), calls=tuple(others),
        pairs=_pairs(others, view.name, of_itself=False), left_out=(*left_out, *gone),
    )  # fmt: skip


def _gateway(
    _platform: Platform, clusters: Sequence[ClusterView], followed: Sequence[Calls], left_out: Sequence[str]
) -> Plan:
    (view,) = clusters
    found = view.one("Deployment", SYSTEM, GATEWAY)
    losses = _scaled(view, [] if found is None else [("Deployment", found)])
    if not losses:
        raise UserError(f"{view.name} has no Deployment {GATEWAY} in {SYSTEM} with replicas.")
    return Plan(
        words=f"the gateway of {view.name}", meaning="its Deployment has no replicas, and its pods are ended",
        losses=losses, calls=tuple(followed), pairs=_pairs(followed, view.name, of_itself=False),
        left_out=tuple(left_out),
    )  # fmt: skip


def _app(
    _platform: Platform, clusters: Sequence[ClusterView], followed: Sequence[Calls], left_out: Sequence[str]
) -> Plan:
    (view,) = clusters
    names = sorted({name for calls in followed for name in calls.urls})
    services = sorted({_key(name.rpartition(":")[0]) for name in names})
    workloads = [one for service in services for one in _workloads(view, service)]
    losses = _scaled(view, list({key_of(found): (kind, found) for kind, found in workloads}.values()))
    if not losses:
        raise UserError(
            f"{view.name} runs no Deployment or StatefulSet behind {', '.join(map('/'.join, services))}."
        )
    said = ", ".join(f"{loss.namespace}/{loss.workload.partition('/')[2]}" for loss in losses)
    return Plan(
        words=f"the app {said} in {view.name}", meaning="no replicas, and its pods are ended",
        losses=losses, calls=tuple(followed), pairs=_pairs(followed, view.name, of_itself=True),
        left_out=tuple(left_out),
    )  # fmt: skip


def _link(
    platform: Platform, clusters: Sequence[ClusterView], followed: Sequence[Calls], left_out: Sequence[str]
) -> Plan:
    one, other = clusters
    losses = [_cut(platform, *pair) for pair in ((one, other), (other, one))]
    how = [
        "its gateways may not connect (NetworkPolicy) and are restarted, so that open connections end too"
        if isinstance(loss, Denied) else "its node drops the packets"
        for loss in losses
    ]  # fmt: skip
    return Plan(
        words=f"the link between {one.name} and {other.name}",
        meaning="; ".join(f"from {loss.cluster} {said}" for loss, said in zip(losses, how, strict=True)),
        losses=tuple(losses), calls=tuple(followed), left_out=tuple(left_out),
        pairs=frozenset({(one.name, other.name), (other.name, one.name)}),
    )  # fmt: skip


def _cut(platform: Platform, view: ClusterView, peer: ClusterView) -> Filtered | Denied:
    host, ports = _gateway_at(platform, peer.settings)
    if view.settings.source == "existing":
        return Denied(cluster=view.name, peer=peer.name, host=host, ports=ports)
    node = f"k3d-{view.name}-server-0"
    return Filtered(cluster=view.name, container=node, peer=peer.name, host=host, ports=ports)


def _gateway_at(platform: Platform, peer: ClusterSettings) -> tuple[str, tuple[int, ...]]:
    """Where others reach a cluster's gateway."""
    made_here = peer.source == "k3d"
    host = platform.settings.network.gateway if made_here else peer.gateway_host
    ports = (peer.http_port if made_here else peer.gateway_port, peer.peers_port)
    return str(host), tuple(port for port in ports if port is not None)


def _scaled(view: ClusterView, workloads: Sequence[tuple[str, Object]]) -> tuple[Scaled, ...]:
    return tuple(
        Scaled(
            cluster=view.name, namespace=key_of(found)[0], workload=f"{WORKLOADS[kind]}/{key_of(found)[1]}",
            pods=",".join(f"{name}={value}" for name, value in sorted(_match_labels(found).items())),
            replicas=int(spec(found).get("replicas", 1)),
        )
        for kind, found in workloads if spec(found).get("replicas", 1)
    )  # fmt: skip


def _match_labels(workload: Object) -> Mapping[str, str]:
    selector = spec(workload).get("selector") or {}
    found: Mapping[str, str] = selector.get("matchLabels") or {}
    # Labels alone might select pods of others as well; then these end in their own time.
    return {} if selector.get("matchExpressions") else found


def _workloads(view: ClusterView, service: Key) -> Iterator[tuple[str, Object]]:
    """Those whose pods a service has there, also behind the other backends of its export."""
    backends = {
        (service[0], one.backend)
        for route in routes(view.config) if _key(route.service) == service
        for one in route.clusters if one.backend and not one.remote
    }  # fmt: skip
    for key in sorted({service, *backends}):
        found = local_service(view, key)
        selector = selector_of(found) if found is not None else {}
        for kind in WORKLOADS if selector else ():
            for workload in view.all(kind, key[0]):
                template = spec(workload).get("template") or {}
                if labels_of(template).items() >= selector.items():
                    yield kind, workload


def _key(service: str) -> Key:
    namespace, _, name = service.partition("/")
    return namespace, name
