"""What somebody else made, by kubectl say, is looked at as what it is: no false alarm, and its own faults."""

from __future__ import annotations

from typing import Any

import pytest
from platforms.world import (
    APP_POD,
    GATEWAY_POD,
    World,
    condition,
    derived,
    endpoint_slice,
    key,
    named,
    pod,
    service_import,
    workload,
)

from cli.doctor.check import Check
from cli.observe.view import Key

SHOP = ("shop", "checkout")
LABELS = {"app": "checkout"}
TO_1 = "cluster-2 → shop/checkout at cluster-1"
HOME_1 = "cluster-1 → shop/checkout at cluster-1"
DOOR = "front door → shop/checkout at cluster-1"
FROM_3 = "cluster-3 → shop/checkout"
BY_KUBECTL = [
    {"manager": "multicluster-hub", "time": "2026-01-01T10:00:05Z", "subresource": "status"},
    {"manager": "kubectl-client-side-apply", "time": "2026-01-01T10:00:00Z"},
    {"manager": "somebody-else", "time": "2026-01-01T11:00:00Z"},
]


def made_by_kubectl(obj: dict[str, Any]) -> dict[str, Any]:
    obj["metadata"]["managedFields"] = BY_KUBECTL
    return obj


class Shop(World):
    """kubectl made a Service in cluster-1 and exports it; cluster-2 calls it, cluster-3 has no namespace."""

    def __init__(self) -> None:
        super().__init__()
        for name in ("control-plane", "cluster-1", "cluster-2"):
            self[name].add("Namespace", named("", "shop"))
        self._serve("cluster-1")
        good = [condition("Valid"), condition("Programmed"), condition("Conflict", "False", "NoConflict")]
        rules = [{"portNumber": 3000, "path": "/checkout", "pathType": "Prefix"}]
        export = named(*SHOP, spec={"rules": rules}, status={"conditions": good})
        self["cluster-1"].add("ServiceExport", made_by_kubectl(export))
        for name in ("control-plane", "cluster-2"):
            self[name].add("ServiceImport", service_import("cluster-1", service=SHOP))
        self["cluster-2"].add("Service", derived("checkout", namespace="shop"))
        self["cluster-2"].add("EndpointSlice", endpoint_slice("checkout", "shop", GATEWAY_POD, imported=True))
        spec = {"lbType": "FailOver", "targets": [{"clusterKey": key("cluster-1")}]}
        status = {"conditions": [condition("Programmed")]}
        policy = named(*SHOP, spec=spec, status=status)
        self["cluster-2"].add("GlobalTrafficPolicy", made_by_kubectl(policy))
        self.follow()

    def _serve(self, name: str, ip: str = APP_POD) -> None:
        cluster = self[name]
        cluster.add("Pod", pod("shop", "checkout-1", LABELS, ip, "checkout"))
        cluster.add("Deployment", workload("shop", "checkout", LABELS))
        cluster.add("Service", named(*SHOP, spec={"selector": LABELS, "ports": [{"port": 3000}]}))
        cluster.add("EndpointSlice", endpoint_slice("checkout", "shop", ip))

    def follow(self) -> None:
        for cluster in self.clusters.values():
            cluster.follow()

    def of(self, cluster: str, kind: str) -> dict[str, Any]:
        """The object of this kind that is of the shop."""
        return next(obj for obj in self[cluster].objects[kind] if key_of(obj) == SHOP)

    def forget(self, cluster: str, kind: str) -> None:
        listed = self[cluster].objects[kind]
        self[cluster].objects[kind] = [obj for obj in listed if obj["metadata"].get("namespace") != "shop"]

    def scale(self, name: str) -> None:
        self[name].scale_to_zero("checkout")
        self.forget(name, "EndpointSlice")

    def wrong(self) -> list[Check]:
        """All that the doctor does not find in order."""
        return [check for check in (*self.checks().values(), *self.paths().values()) if check.result != "ok"]


def key_of(obj: dict[str, Any]) -> Key:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def test_what_kubectl_made_is_in_order() -> None:
    world = Shop()
    assert world.wrong() == []
    assert {TO_1, HOME_1, DOOR, FROM_3} <= set(world.paths())


def test_a_cluster_without_the_namespace_imports_nothing_and_that_is_no_fault() -> None:
    world = Shop()
    assert world.paths()[FROM_3].seen == "not imported: cluster-3 has no namespace shop"
    world["control-plane"].drop("Namespace", "shop")
    world["control-plane"].objects["ServiceImport"] = [service_import("cluster-1", "cluster-3")]
    world["control-plane"].follow()
    assert world.paths()[DOOR].seen == "not imported: control-plane has no namespace shop"
    assert world.wrong() == []


def test_a_namespace_that_the_settings_promised_is_missed() -> None:
    world = World()
    world["cluster-2"].drop("Namespace", "dapr-test")
    world["cluster-2"].objects |= {"ServiceImport": [], "Service": [], "EndpointSlice": []}
    check = world.paths()["cluster-2 → dapr-test/nodeapp at cluster-1"]
    assert "cluster-2 has no namespace dapr-test" in check.seen
    assert check.hint == "./stack up dev --refresh"


def test_namespaces_that_could_not_be_read_lack_nothing() -> None:
    world = Shop()
    world["cluster-3"].objects.pop("Namespace")
    check = world.paths()[FROM_3]
    assert (check.result, check.broken) == ("fail", "Service")


def test_an_export_for_some_clusters_is_no_path_of_the_others() -> None:
    world = Shop()
    world["cluster-3"].add("Namespace", named("", "shop"))
    assert world.paths()[FROM_3].result == "fail", "it should be imported there"
    world.of("cluster-1", "ServiceExport")["spec"]["targetClusters"] = [
        key("cluster-2"),
        key("control-plane"),
    ]
    assert FROM_3 not in world.paths()
    assert world.wrong() == []


@pytest.mark.parametrize("policy", [None, "Locality"])
def test_whoever_exports_may_keep_calls_in_the_cluster(policy: str | None) -> None:
    world = Shop()
    if policy is None:
        world.forget("cluster-2", "GlobalTrafficPolicy")
    else:
        world.of("cluster-2", "GlobalTrafficPolicy")["spec"] = {"lbType": policy}
    world.forget("cluster-2", "EndpointSlice")
    world["cluster-2"].add("EndpointSlice", endpoint_slice("checkout", "shop", imported=True))
    world.follow()
    assert world.wrong() == []
    assert (
        "so calls are refused, as nobody serves it there" in world.paths()["cluster-2 → shop/checkout"].seen
    )


def test_endpoints_that_somebody_listed_serve_like_pods() -> None:
    world = Shop()
    world["cluster-1"].drop("Pod", "checkout-1")
    world["cluster-1"].drop("Deployment", "checkout")
    world.of("cluster-1", "Service")["spec"].pop("selector")
    world.follow()
    assert world.wrong() == []
    world.forget("cluster-1", "EndpointSlice")
    check = world.paths()[TO_1]
    assert (check.result, check.broken) == ("fail", "app pod")
    assert "has no selector, and no endpoint that is ready" in check.seen
    assert "get endpointslices -l kubernetes.io/service-name=checkout" in check.hint
    world.of("cluster-1", "Service")["spec"] = {"type": "ExternalName", "externalName": "example.com"}
    assert world.paths()[HOME_1].result == "ok"


def test_a_stateful_set_serves_and_is_named_when_it_is_scaled_to_zero() -> None:
    world = Shop()
    cluster = world["cluster-1"]
    cluster.add("StatefulSet", cluster.get("Deployment", "checkout"))
    cluster.drop("Deployment", "checkout")
    assert world.wrong() == []
    cluster.drop("Pod", "checkout-1")
    world.forget("cluster-1", "EndpointSlice")
    cluster.get("StatefulSet", "checkout")["spec"]["replicas"] = 0
    check = world.paths()[TO_1]
    assert "StatefulSet checkout is scaled to zero" in check.seen
    assert check.hint.endswith("kubectl -n shop scale statefulset/checkout --replicas=1")


def test_a_service_without_pods_is_none_where_a_policy_has_others_serve() -> None:
    """One manifest for all clusters, as namespace sameness has it; pods are in some."""
    world = Shop()
    world["cluster-2"].drop("Service", "checkout")
    world["cluster-2"].add("Service", named(*SHOP, spec={"selector": LABELS, "ports": [{"port": 3000}]}))
    world.follow()
    assert world.wrong() == []
    world.forget("cluster-2", "GlobalTrafficPolicy")
    world.follow()
    check = world.paths()["cluster-2 → shop/checkout at cluster-2"]
    assert "nothing matches its selector" in check.seen
    assert "delete its ServiceExport there" in check.hint, "the settings do not deploy it"


def dapr_app(world: Shop, **component: Any) -> None:
    """The shop becomes a Dapr app, with a component in its namespace."""
    app = world["cluster-1"].get("Pod", "checkout-1")
    app["metadata"]["annotations"] = {"dapr.io/enabled": "true", "dapr.io/app-id": "checkout"}
    sidecar = {"name": "daprd", "ready": True, "state": {"running": {}}}
    app["spec"]["containers"].append({"name": "daprd"})
    app["status"]["containerStatuses"].append(sidecar)
    metadata = [{"name": "redisHost", "value": "redis.shop:6379"}]
    store = named("shop", "carts", spec={"type": "state.redis", "metadata": metadata})
    world["cluster-1"].add("Component", store | component)
    world["cluster-1"].stores["redis.shop:6379"] = ""


def test_a_dapr_app_with_a_store_of_its_own_needs_no_redis_of_the_settings() -> None:
    world = Shop()
    dapr_app(world)
    world.containers["multicluster-dapr-dev-redis"] = "exited"
    assert [check.name for check in world.wrong() if "shop" in check.name] == []
    assert world.paths()["cluster-1 → dapr-test/nodeapp at cluster-1"].broken == "state store"


def test_a_store_of_ones_own_that_is_down_is_corrected_where_it_was_made() -> None:
    world = Shop()
    dapr_app(world)
    world["cluster-1"].stores["redis.shop:6379"] = "Connection refused"
    check = world.paths()[TO_1]
    assert check.broken == "state store"
    assert "does not reach the store carts at redis.shop:6379: Connection refused" in check.seen
    assert check.hint.endswith("kubectl -n shop edit component carts")


def test_a_store_for_other_apps_of_the_namespace_is_not_asked_for() -> None:
    world = Shop()
    dapr_app(world, scopes=["billing"])
    world["cluster-1"].stores["redis.shop:6379"] = "Connection refused"
    assert world.wrong() == []


def test_a_fault_of_what_kubectl_made_is_named_with_who_made_it() -> None:
    world = Shop()
    said = [condition("Valid", "False", "Failed", "Service shop/checkout has no port 8080")]
    world.of("cluster-1", "ServiceExport")["status"]["conditions"] = said
    check = world.checks()["cluster-1: ServiceExport shop/checkout"]
    assert check.seen == "Failed: Service shop/checkout has no port 8080"
    by_hand = "KUBECONFIG=$(k3d kubeconfig write cluster-1) kubectl -n shop edit serviceexport checkout"
    assert check.hint.startswith(
        f"The settings do not have it, kubectl made it: correct it there, or by {by_hand}"
    )
    assert "Pulumi.dev.yaml" not in check.hint


def test_a_policy_of_somebody_else_that_targets_a_stranger_is_corrected_there() -> None:
    world = Shop()
    targets = [{"clusterKey": key("cluster-9")}]
    policy = world.of("cluster-2", "GlobalTrafficPolicy")
    policy["spec"]["targets"] = targets
    check = world.paths()[f"cluster-2 → shop/checkout at {key('cluster-9')}"]
    assert check.broken == "policy"
    assert "kubectl -n shop edit globaltrafficpolicy checkout: exporters are default/" in check.hint
    policy["metadata"].pop("managedFields")
    assert "The settings do not have it: correct" in world.paths()[check.name].hint


def test_an_app_that_kubectl_scaled_to_zero_is_broken_for_its_callers() -> None:
    world = Shop()
    world.scale("cluster-1")
    check = world.paths()[TO_1]
    assert (check.result, check.broken) == ("fail", "app pod")
    assert check.hint.endswith("kubectl -n shop scale deployment/checkout --replicas=1")


def test_an_export_that_went_is_brought_back_by_whoever_made_it() -> None:
    world = Shop()
    world.forget("cluster-1", "ServiceExport")
    world["cluster-3"].add("Namespace", named("", "shop"))
    world["cluster-3"].add("ServiceExport", named(*SHOP, spec={"rules": []}))
    world.follow()
    check = world.paths()[TO_1]
    assert "cluster-1 has no ServiceExport shop/checkout" in check.seen
    assert "kubectl -n shop apply -f FILE" in check.hint
