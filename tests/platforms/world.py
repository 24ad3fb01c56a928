"""A platform as ./stack sees it, in memory: healthy to begin with, then broken by a test in one place."""

from __future__ import annotations

import copy
import json
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from cli.doctor.check import Check
from cli.doctor.paths import path_checks
from cli.doctor.platform import platform_checks
from cli.doctor.reachability import SELF, Reachability
from cli.observe.services import CLUSTER_SET_SUFFIX
from cli.observe.view import SYSTEM, ClusterView, GatewayView, Platform, Unread
from gateway.core.derived_names import EVERY_CALLER, LOCAL_OF, SELECTOR, slice_name
from gateway.core.describe import HealthOf, describe
from gateway.core.health import EndpointHealth
from gateway.core.objects import DERIVED, GATEWAY, MANAGED_BY
from gateway.core.route import Endpoint, Route, WeightedCluster
from gateway.core.snapshot import compile_snapshot
from stacks.config.loading import parse

SERVICE = ("dapr-test", "nodeapp")
SLOW = Unread("does not answer within 4 s")
REDIS = "172.28.0.1:6379"
GATEWAY_POD, APP_POD = "10.42.0.5", "10.42.0.9"
"""Addresses in every cluster, for each has networks of its own."""
GATEWAYS = {"cluster-1": "172.28.0.1:81", "cluster-3": "172.28.0.1:83"}
CONFIG: dict[str, Any] = {
    "clusters": [
        {"name": "control-plane", "role": "control-plane", "apiPort": 6444, "httpPort": 80},
        {"name": "cluster-1", "apiPort": 6445, "httpPort": 81},
        {"name": "cluster-2", "apiPort": 6446, "httpPort": 82},
        {"name": "cluster-3", "apiPort": 6447, "httpPort": 83},
    ],
    "apps": [
        {"app": "nodeapp", "clusters": ["cluster-1", "cluster-3"], "namespace": "dapr-test"},
        {"app": "curl", "clusters": ["cluster-2"], "namespace": "curl"},
    ],
    "exports": [
        {
            "service": "nodeapp",
            "namespace": "dapr-test",
            "clusters": ["cluster-1", "cluster-3"],
            "rules": [{"portNumber": 3000, "path": "/nodeapp"}],
        }
    ],
    "gateway": {"mutualTls": "off"},
    "policies": [
        {
            "cluster": "cluster-2",
            "namespace": "dapr-test",
            "name": "nodeapp",
            "lbType": "FailOver",
            "targets": [{"cluster": "cluster-1"}, {"cluster": "cluster-3"}],
        }
    ],
}


def key(cluster: str) -> str:
    return f"default/default/default/{cluster}"


def named(namespace: str, name: str, labels: dict[str, str] | None = None, **rest: Any) -> dict[str, Any]:
    metadata: dict[str, Any] = {"namespace": namespace, "name": name}
    return {"metadata": metadata | ({"labels": labels} if labels else {}), **rest}


def condition(
    kind: str, status: str = "True", reason: str = "Success", message: str = "fine"
) -> dict[str, Any]:
    return {"type": kind, "status": status, "reason": reason, "message": message}


def workload(namespace: str, name: str, labels: dict[str, str]) -> dict[str, Any]:
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": name, "image": f"{name}:1.16.0"}]},
    }
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    return named(namespace, name, spec=spec, status={"readyReplicas": 1})


def pod(namespace: str, name: str, labels: dict[str, str], ip: str, *containers: str) -> dict[str, Any]:
    return named(
        namespace,
        name,
        labels,
        spec={"containers": [{"name": container} for container in containers]},
        status={
            "podIP": ip,
            "conditions": [condition("Ready")],
            "containerStatuses": [
                {"name": container, "ready": True, "state": {"running": {}}} for container in containers
            ],
        },
    )


def endpoint_slice(
    service: str, namespace: str, *addresses: str, imported: bool = False, local_of: str = ""
) -> dict[str, Any]:
    """A slice of a Service: written by the controller, or by Kubernetes for its pods."""
    writer = "multicluster-gateway" if imported else "endpointslice-controller.k8s.io"
    labels = {"kubernetes.io/service-name": service, "endpointslice.kubernetes.io/managed-by": writer}
    endpoints = [{"addresses": [address], "conditions": {"ready": True}} for address in addresses]
    ports = [{"port": 3000, "protocol": "TCP"}]
    marks = DERIVED if imported else {LOCAL_OF: local_of} if local_of else {}
    name = f"{service}-x"
    if imported:
        name = service if service.endswith(CLUSTER_SET_SUFFIX) else slice_name(service)
    return named(namespace, name, labels | marks, addressType="IPv4", endpoints=endpoints, ports=ports)


def leaving_out(ejected: Collection[str]) -> HealthOf:
    """What a gateway knows of its endpoints when these are ejected."""

    def health_of(_route: Route, _cluster: WeightedCluster, endpoint: Endpoint) -> EndpointHealth:
        health = EndpointHealth(endpoint)
        health.down = str(endpoint) in ejected
        return health

    return health_of


def gateway_page(cluster: str, objects: dict[str, list[dict[str, Any]]], ejected: set[str]) -> dict[str, Any]:
    """A cluster's `/config`, made by the gateway's own code so that the two cannot differ."""
    raw = [{**obj, "kind": kind} for kind, listed in objects.items() for obj in listed]
    compiled = compile_snapshot(raw, key(cluster), front_door=cluster == "control-plane")
    page: dict[str, Any] = json.loads(json.dumps(describe(compiled.snapshot, 1, leaving_out(ejected), 0.0)))
    return page


def derived(name: str, address: str = "10.43.0.7", namespace: str = SERVICE[0]) -> dict[str, Any]:
    """A Service that the controller derived from the import."""
    return named(namespace, name, DERIVED, spec={"clusterIP": address, "ports": [{"port": 3000}]})


def http_endpoint(namespace: str = "curl") -> dict[str, Any]:
    """What Dapr apps of a namespace call the import by."""
    url = "http://nodeapp-clusterset.dapr-test.svc.cluster.local:3000"
    found = named(namespace, "nodeapp", DERIVED, spec={"baseUrl": url})
    found["metadata"]["annotations"] = {"multicluster.flomesh.io/import": "/".join(SERVICE)}
    return found


def service_import(*exporters: str, service: tuple[str, str] = SERVICE) -> dict[str, Any]:
    endpoints = [
        {
            "clusterKey": key(name),
            "target": {
                "ip": GATEWAYS[name].split(":")[0],
                "port": int(GATEWAYS[name].split(":")[1]),
                "path": f"/{service[1]}",
            },
        }
        for name in exporters
    ]
    return named(
        *service,
        spec={"ports": [{"port": 3000, "endpoints": endpoints}]},
        status={
            "conditions": [condition("Programmed")],
            "clusters": [{"cluster": key(n)} for n in exporters],
        },
    )


@dataclass
class Cluster:
    """What one cluster would answer; a test changes it."""

    name: str
    objects: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    """What its gateway routes by, see `follow`."""
    peers: dict[str, Any] | None = None
    """What its gateway tells of mutual TLS."""
    page_error: str = ""
    """Why its gateway tells nothing."""
    ejected: set[str] = field(default_factory=set)
    error: str = ""
    unread: dict[tuple[str, str], Unread] = field(default_factory=dict)
    """What it does not tell, see `not_telling`."""
    names: dict[str, str] = field(default_factory=lambda: {SELF: "", "nodeapp.dapr-test": ""})
    gateways: dict[str, str] = field(default_factory=dict)
    stores: dict[str, str] = field(default_factory=lambda: {REDIS: ""})
    reach_error: str = ""

    def follow(self) -> None:
        """Its gateway takes in the objects of now; before, it routes by those it had."""
        self.config = gateway_page(self.name, self.objects, self.ejected)

    def add(self, kind: str, *objects: dict[str, Any]) -> None:
        self.objects.setdefault(kind, []).extend(objects)

    def drop(self, kind: str, name: str) -> None:
        self.objects[kind] = [obj for obj in self.objects[kind] if obj["metadata"]["name"] != name]

    def get(self, kind: str, name: str) -> dict[str, Any]:
        return next(obj for obj in self.objects[kind] if obj["metadata"]["name"] == name)

    def not_telling(self, kind: str, namespace: str = "", why: Unread = SLOW) -> None:
        """Its API server does not tell of objects of a kind, of one namespace or of all at once."""
        self.unread[kind, namespace] = why

    def told(self) -> dict[str, tuple[dict[str, Any], ...]]:
        """The objects that it does tell of."""
        return {
            kind: tuple(
                one
                for one in listed
                if not {(kind, ""), (kind, one["metadata"]["namespace"])} & self.unread.keys()
            )
            for kind, listed in self.objects.items()
        }

    def scale_to_zero(self, deployment: str) -> None:
        found = self.get("Deployment", deployment)
        found["spec"]["replicas"] = 0
        found["status"] = {}
        labels = found["spec"]["selector"]["matchLabels"]
        self.objects["Pod"] = [
            pod
            for pod in self.objects["Pod"]
            if not labels.items() <= (pod["metadata"].get("labels") or {}).items()
        ]


class World:
    """Four clusters: cluster-2 calls under FailOver what cluster-1 and cluster-3 serve."""

    def __init__(self) -> None:
        self.config = copy.deepcopy(CONFIG)
        self.containers = {f"k3d-{entry['name']}-server-0": "running" for entry in CONFIG["clusters"]}
        self.containers["multicluster-dapr-dev-redis"] = "running"
        self.at = 0.0
        self.clusters = {entry["name"]: self._cluster(entry["name"]) for entry in CONFIG["clusters"]}

    def __getitem__(self, name: str) -> Cluster:
        return self.clusters[name]

    def platform(self) -> Platform:
        settings = parse(self.config)
        return Platform(
            environment="dev",
            settings=settings,
            clusters=tuple(self._view(config, self.clusters[config.name]) for config in settings.clusters),
            containers=self.containers,
            at=self.at,
        )

    def reached(self) -> dict[str, Reachability]:
        return {
            cluster.name: Reachability(error=cluster.reach_error or "down")
            if cluster.reach_error or cluster.error or not self._gateway_ready(cluster)
            else Reachability(names=cluster.names, gateways=cluster.gateways, stores=cluster.stores)
            for cluster in self.clusters.values()
        }

    def paths(self) -> dict[str, Check]:
        return {check.name: check for check in path_checks(self.platform(), self.reached())}

    def checks(self) -> dict[str, Check]:
        return {check.name: check for check in platform_checks(self.platform())}

    @staticmethod
    def _gateway_ready(cluster: Cluster) -> bool:
        return any(
            (pod["metadata"].get("labels") or {}).get("app") == "gateway" for pod in cluster.objects["Pod"]
        )

    def _view(self, config: Any, cluster: Cluster) -> ClusterView:
        if cluster.error:
            return ClusterView(environment="dev", settings=config, error=cluster.error)
        objects = cluster.told()
        known = self._gateway_ready(cluster) and not {("Pod", ""), ("Pod", SYSTEM)} & cluster.unread.keys()
        told = GatewayView(pod="gateway-1", config=cluster.config, peers=cluster.peers)
        if cluster.page_error:
            told = GatewayView(pod="gateway-1", error=cluster.page_error)
        return ClusterView(
            environment="dev", settings=config, version="v1.34.4", objects=objects,
            gateways=(told,) if known else (), unread=dict(cluster.unread),
        )  # fmt: skip

    def _cluster(self, name: str) -> Cluster:
        cluster = Cluster(name)
        cluster.add("Node", named("", f"k3d-{name}-server-0", status={"conditions": [condition("Ready")]}))
        cluster.add("Namespace", *(named("", namespace) for namespace in NAMESPACES))
        for part in ("gateway", "controller"):
            cluster.add("Deployment", workload("multicluster-system", part, {"app": part}))
        cluster.add(
            "Pod", pod("multicluster-system", "gateway-1", {"app": "gateway"}, GATEWAY_POD, "gateway")
        )
        cluster.gateways = {address: "" for other, address in GATEWAYS.items() if other != name}
        if name == "control-plane":
            self._plane(cluster)
        else:
            cluster.add("Deployment", *(workload("dapr-system", part, {"app": part}) for part in DAPR))
            cluster.add("Component", _component())
        if name in GATEWAYS:
            self._exporter(cluster)
        cluster.add("ServiceImport", service_import(*(other for other in GATEWAYS if other != name)))
        if name == "cluster-2":
            self._importer(cluster)
        cluster.follow()
        return cluster

    @staticmethod
    def _plane(cluster: Cluster) -> None:
        cluster.add(
            "Deployment", workload("multicluster-system", "multicluster-hub", {"app": "multicluster-hub"})
        )
        for member in ("cluster-1", "cluster-2", "cluster-3"):
            cluster.add("Cluster", named("", member, status={"conditions": [condition("Managed")]}))

    @staticmethod
    def _exporter(cluster: Cluster) -> None:
        labels = {"app": "node"}
        app = pod("dapr-test", "nodeapp-1", labels, APP_POD, "node", "daprd")
        app["metadata"]["annotations"] = {"dapr.io/enabled": "true"}
        cluster.add("Pod", app)
        cluster.add("Deployment", workload("dapr-test", "nodeapp", labels))
        cluster.add("Service", named(*SERVICE, spec={"selector": labels, "ports": [{"port": 3000}]}))
        cluster.add("EndpointSlice", endpoint_slice("nodeapp", "dapr-test", APP_POD))
        good = [condition("Valid"), condition("Programmed"), condition("Conflict", "False", "NoConflict")]
        rules = [{"portNumber": 3000, "path": "/nodeapp", "pathType": "Prefix"}]
        cluster.add("ServiceExport", named(*SERVICE, spec={"rules": rules}, status={"conditions": good}))

    @staticmethod
    def _importer(cluster: Cluster) -> None:
        cluster.add("Service", named(*SERVICE, DERIVED, spec={"ports": [{"port": 3000}]}))
        cluster.add("EndpointSlice", endpoint_slice("nodeapp", "dapr-test", GATEWAY_POD, imported=True))
        targets = [{"clusterKey": key(name), "weight": 100} for name in GATEWAYS]
        spec = {"lbType": "FailOver", "targets": targets}
        status = {"conditions": [condition("Programmed")]}
        cluster.add("GlobalTrafficPolicy", named(*SERVICE, spec=spec, status=status))

    def set_policy(self, lb_type: str, targets: list[dict[str, Any]] | None = None) -> None:
        """Change the object in cluster-2, and what follows from it in its gateway and EndpointSlice."""
        cluster = self["cluster-2"]
        spec = cluster.get("GlobalTrafficPolicy", "nodeapp")["spec"]
        spec["lbType"], spec["targets"] = lb_type, targets if targets is not None else spec["targets"]
        if lb_type == "Locality":
            self._calls_stay_home()

    def take_over(self, name: str = "cluster-1", lb_type: str = "ActiveActive", **reach: str) -> Cluster:
        """A policy for every caller in a cluster with local pods, and what its controller makes of it.

        `reach`: reason and message of a refusal; then the Service is left as it is.
        """
        cluster = self[name]
        remote = next(other for other in GATEWAYS if other != name)
        targets = [{"clusterKey": key(remote), "weight": 100}]
        reached = condition("EveryCaller", "False", **reach) if reach else condition("EveryCaller")
        policy = named(
            *SERVICE,
            spec={"lbType": lb_type, "targets": targets},
            status={"conditions": [condition("Programmed"), reached]},
        )
        policy["metadata"]["annotations"] = {EVERY_CALLER: "true"}
        cluster.add("GlobalTrafficPolicy", policy)
        cluster.add("Service", derived("nodeapp-clusterset"))
        cluster.add(
            "EndpointSlice", endpoint_slice("nodeapp-clusterset", SERVICE[0], GATEWAY_POD, imported=True)
        )
        if not reach:
            self._take_selector(cluster)
        cluster.follow()
        return cluster

    @staticmethod
    def _take_selector(cluster: Cluster) -> None:
        service = cluster.get("Service", "nodeapp")
        selector = service["spec"].pop("selector")
        service["metadata"]["annotations"] = {SELECTOR: json.dumps(selector)}
        beside = {LOCAL_OF: "nodeapp", MANAGED_BY: GATEWAY}
        spec = {"selector": selector, "clusterIP": "None", "ports": [{"port": 3000}]}
        cluster.add("Service", named(SERVICE[0], "nodeapp-local", beside, spec=spec))
        cluster.drop("EndpointSlice", "nodeapp-x")
        cluster.add(
            "EndpointSlice",
            endpoint_slice("nodeapp-local", SERVICE[0], APP_POD, local_of="nodeapp"),
            endpoint_slice("nodeapp", SERVICE[0], GATEWAY_POD, imported=True),
        )

    def no_policy(self) -> None:
        self["cluster-2"].objects["GlobalTrafficPolicy"] = []
        self._calls_stay_home()

    def _calls_stay_home(self) -> None:
        cluster = self["cluster-2"]
        cluster.objects["EndpointSlice"] = [endpoint_slice("nodeapp", "dapr-test", imported=True)]
        cluster.follow()


NAMESPACES = ("curl", "dapr-system", "dapr-test", "kube-system", "multicluster-system")
DAPR = ("dapr-operator", "dapr-sidecar-injector", "dapr-sentry")


def _component() -> dict[str, Any]:
    metadata = [{"name": "redisHost", "value": REDIS}]
    return named("dapr-test", "statestore", spec={"type": "state.redis", "metadata": metadata})
