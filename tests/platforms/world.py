"""A platform as ./stack sees it, in memory: healthy to begin with, then broken by a test in one place."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

from cli.doctor.check import Check
from cli.doctor.paths import path_checks
from cli.doctor.platform import platform_checks
from cli.doctor.reachability import SELF, Reachability
from cli.observe.view import ClusterView, GatewayView, Platform
from stacks.config.loading import parse

SERVICE = ("dapr-test", "nodeapp")
REDIS = "172.28.0.1:6379"
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


def endpoint_slice(service: str, namespace: str, *addresses: str, imported: bool = False) -> dict[str, Any]:
    writer = "multicluster-gateway" if imported else "endpointslice-controller.k8s.io"
    labels = {"kubernetes.io/service-name": service, "endpointslice.kubernetes.io/managed-by": writer}
    if imported:
        labels["multicluster.flomesh.io/imported"] = "true"
    endpoints = [{"addresses": [address], "conditions": {"ready": True}} for address in addresses]
    return named(namespace, f"{service}-x", labels, endpoints=endpoints)


def share(cluster: str, *, remote: bool, endpoints: list[str], weight: int = 100) -> dict[str, Any]:
    return {"cluster": key(cluster), "weight": weight, "remote": remote, "endpoints": endpoints}


def route(where: str, policy: str, *priorities: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "where": where,
        "service": "/".join(SERVICE),
        "port": 3000,
        "policy": policy,
        "priorities": list(priorities),
    }


def service_import(*exporters: str) -> dict[str, Any]:
    endpoints = [
        {
            "clusterKey": key(name),
            "target": {"ip": GATEWAYS[name].split(":")[0], "port": int(GATEWAYS[name].split(":")[1])},
        }
        for name in exporters
    ]
    return named(
        *SERVICE,
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
    trouble: str = ""
    names: dict[str, str] = field(default_factory=lambda: {SELF: "", "nodeapp.dapr-test": ""})
    gateways: dict[str, str] = field(default_factory=dict)
    stores: dict[str, str] = field(default_factory=lambda: {REDIS: ""})
    reach_error: str = ""

    def add(self, kind: str, *objects: dict[str, Any]) -> None:
        self.objects.setdefault(kind, []).extend(objects)

    def drop(self, kind: str, name: str) -> None:
        self.objects[kind] = [obj for obj in self.objects[kind] if obj["metadata"]["name"] != name]

    def get(self, kind: str, name: str) -> dict[str, Any]:
        return next(obj for obj in self.objects[kind] if obj["metadata"]["name"] == name)

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
        )

    def reached(self) -> dict[str, Reachability]:
        return {
            cluster.name: Reachability(error=cluster.reach_error or "down")
            if cluster.reach_error or cluster.trouble or not self._gateway_ready(cluster)
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
        if cluster.trouble:
            return ClusterView(environment="dev", settings=config, trouble=cluster.trouble)
        objects = {kind: tuple(listed) for kind, listed in cluster.objects.items()}
        gateways = (
            (GatewayView(pod="gateway-1", config=cluster.config),) if self._gateway_ready(cluster) else ()
        )
        return ClusterView(
            environment="dev", settings=config, version="v1.34.4", objects=objects, gateways=gateways
        )

    def _cluster(self, name: str) -> Cluster:
        cluster = Cluster(name)
        cluster.add("Node", named("", f"k3d-{name}-server-0", status={"conditions": [condition("Ready")]}))
        cluster.add("Deployment", workload("multicluster-system", "gateway", {"app": "gateway"}))
        cluster.add(
            "Pod", pod("multicluster-system", "gateway-1", {"app": "gateway"}, "10.42.0.5", "gateway")
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
        return cluster

    @staticmethod
    def _plane(cluster: Cluster) -> None:
        cluster.add(
            "Deployment", workload("multicluster-system", "multicluster-hub", {"app": "multicluster-hub"})
        )
        for member in ("cluster-1", "cluster-2", "cluster-3"):
            cluster.add("Cluster", named("", member, status={"conditions": [condition("Managed")]}))
        shares = [share(name, remote=True, endpoints=[address]) for name, address in GATEWAYS.items()]
        cluster.config = {"northSouth": [route("Prefix /nodeapp", "ActiveActive", shares)], "eastWest": []}

    @staticmethod
    def _exporter(cluster: Cluster) -> None:
        labels = {"app": "node"}
        app = pod("dapr-test", "nodeapp-1", labels, "10.42.0.9", "node", "daprd")
        app["metadata"]["annotations"] = {"dapr.io/enabled": "true"}
        cluster.add("Pod", app)
        cluster.add("Deployment", workload("dapr-test", "nodeapp", labels))
        cluster.add("Service", named(*SERVICE, spec={"selector": labels, "ports": [{"port": 3000}]}))
        cluster.add("EndpointSlice", endpoint_slice("nodeapp", "dapr-test", "10.42.0.9"))
        good = [condition("Valid"), condition("Programmed"), condition("Conflict", "False", "NoConflict")]
        rules = [{"portNumber": 3000, "path": "/nodeapp"}]
        cluster.add("ServiceExport", named(*SERVICE, spec={"rules": rules}, status={"conditions": good}))
        local = [share(cluster.name, remote=False, endpoints=["10.42.0.9:3000"])]
        cluster.config = {
            "northSouth": [route("Prefix /nodeapp", "Locality", local)],
            "eastWest": [route("nodeapp.dapr-test:3000", "Locality", local)],
        }

    @staticmethod
    def _importer(cluster: Cluster) -> None:
        marked = {"multicluster.flomesh.io/imported": "true"}
        cluster.add("Service", named(*SERVICE, marked, spec={"ports": [{"port": 3000}]}))
        cluster.add("EndpointSlice", endpoint_slice("nodeapp", "dapr-test", "10.42.0.5", imported=True))
        targets = [{"clusterKey": key(name), "weight": 100} for name in GATEWAYS]
        spec = {"lbType": "FailOver", "targets": targets}
        status = {"conditions": [condition("Programmed")]}
        cluster.add("GlobalTrafficPolicy", named(*SERVICE, spec=spec, status=status))
        remote = [share(name, remote=True, endpoints=[address]) for name, address in GATEWAYS.items()]
        local = [share("cluster-2", remote=False, endpoints=[])]
        cluster.config = {
            "northSouth": [],
            "eastWest": [route("nodeapp.dapr-test:3000", "FailOver", local, remote)],
        }

    def set_policy(self, lb_type: str, targets: list[dict[str, Any]] | None = None) -> None:
        """Change the object in cluster-2, and what follows from it in its gateway and EndpointSlice."""
        cluster = self["cluster-2"]
        spec = cluster.get("GlobalTrafficPolicy", "nodeapp")["spec"]
        spec["lbType"], spec["targets"] = lb_type, targets if targets is not None else spec["targets"]
        self._routes_stay_home("Locality") if lb_type == "Locality" else None

    def no_policy(self) -> None:
        self["cluster-2"].objects["GlobalTrafficPolicy"] = []
        self._routes_stay_home("Locality")

    def _routes_stay_home(self, policy: str) -> None:
        cluster = self["cluster-2"]
        local = [share("cluster-2", remote=False, endpoints=[])]
        cluster.config["eastWest"] = [route("nodeapp.dapr-test:3000", policy, local)]
        cluster.objects["EndpointSlice"] = [endpoint_slice("nodeapp", "dapr-test", imported=True)]


DAPR = ("dapr-operator", "dapr-sidecar-injector", "dapr-sentry")


def _component() -> dict[str, Any]:
    metadata = [{"name": "redisHost", "value": REDIS}]
    return named("dapr-test", "statestore", spec={"type": "state.redis", "metadata": metadata})
