"""`gateway run` and `gateway control` against a real API server, with real requests through the listeners."""

from __future__ import annotations

import json
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from proxy.kube.one_cluster import (
    FLOMESH,
    GATEWAY_RULES,
    SERVICES,
    SLICES,
    Cluster,
    Controller,
    Gateway,
    ask,
    seconds,
)
from proxy.kube.world import eventually, made

pytestmark = pytest.mark.e2e

LEASE = "/apis/coordination.k8s.io/v1/namespaces/multicluster-system/leases/multicluster-controller"


def test_traffic_follows_the_policy(
    clean: Cluster, gateway: Gateway, controller: Controller, remote: int, capsys: pytest.CaptureFixture[str]
) -> None:
    clean.imported(remote)
    eventually(lambda: clean.derived() == [], "no endpoints, so that callers are refused")
    clean.policy("FailOver", "cluster-1")
    followed = seconds(lambda: gateway.call() == (200, "remote /nodeapp/ports"), "FailOver lets requests out")
    listed = seconds(
        lambda: clean.derived() == ["10.42.0.10", "10.42.0.11"], "the derived Service lists the gateways"
    )
    clean.policy("Locality")
    refused = seconds(lambda: clean.derived() == [], "Locality keeps requests in")
    with capsys.disabled():
        print(
            f"\nrouted {followed * 1000:.0f} ms after the policy changed, filled {listed * 1000:.0f} ms"
            f" later; emptied {refused * 1000:.0f} ms after Locality"
        )


def test_a_derived_service_is_one_without_selector(
    clean: Cluster, controller: Controller, remote: int
) -> None:
    clean.imported(remote)
    eventually(lambda: clean.derived() is not None, "a derived Service")
    service, endpoint_slice = clean.get(f"{SERVICES}/nodeapp"), clean.get(f"{SLICES}/nodeapp-imported")
    assert "selector" not in service["spec"]
    assert service["spec"]["clusterIP"].startswith("10.96.")
    assert [(port["name"], port["port"]) for port in service["spec"]["ports"]] == [("http", 3000)]
    assert endpoint_slice["ports"] == [{"name": "http", "port": 15080, "protocol": "TCP"}]
    for found in (service, endpoint_slice):
        assert found["metadata"]["labels"]["multicluster.flomesh.io/imported"] == "true"
        assert found["metadata"]["ownerReferences"][0]["kind"] == "ServiceImport"


def test_a_derived_service_goes_with_its_import(clean: Cluster, controller: Controller, remote: int) -> None:
    clean.imported(remote)
    eventually(lambda: clean.derived() is not None, "a derived Service")
    clean.delete(f"{FLOMESH}/serviceimports/nodeapp")
    eventually(lambda: clean.get(f"{SERVICES}/nodeapp") is None, "its Service goes")
    eventually(lambda: clean.get(f"{SLICES}/nodeapp-imported") is None, "its slice goes")


def test_a_damaged_derived_service_is_repaired(clean: Cluster, controller: Controller, remote: int) -> None:
    clean.imported(remote)
    clean.policy("ActiveActive")
    eventually(lambda: clean.derived() == ["10.42.0.10", "10.42.0.11"], "a derived Service")
    clean.delete(f"{SLICES}/nodeapp-imported")
    eventually(lambda: clean.derived() == ["10.42.0.10", "10.42.0.11"], "the slice returns")
    clean.delete(f"{SERVICES}/nodeapp")
    eventually(lambda: clean.derived() == ["10.42.0.10", "10.42.0.11"], "the Service returns")
    clean.gateway_pods("10.42.0.12")
    eventually(lambda: clean.derived() == ["10.42.0.12"], "the gateways of now")
    clean.gateway_pods("10.42.0.10", "10.42.0.11")


def test_the_names_of_ports_are_followed_as_they_come_and_go(
    clean: Cluster, controller: Controller, remote: int
) -> None:
    """By its name a port's endpoints are found: one that only the Service kept would have none."""

    def names(path: str) -> list[str]:
        found = clean.get(path) or {}
        return [str(port.get("name") or "") for port in found.get("spec", found).get("ports") or []]

    for named in ("http", "", "web", ""):
        clean.imported(remote, named=named)
        for path in (f"{SERVICES}/nodeapp", f"{SLICES}/nodeapp-imported", f"{SERVICES}/nodeapp-clusterset"):
            eventually(lambda path=path, named=named: names(path) == [named], f"port {named!r} at {path}")


def test_a_service_of_somebody_else_is_not_touched(
    clean: Cluster, controller: Controller, remote: int
) -> None:
    port = {"name": "web", "port": 3000, "protocol": "TCP"}
    body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "nodeapp"}, "spec": {"ports": [port]}}
    before = clean.apply(SERVICES, {**body, "spec": {"ports": [port], "selector": {"app": "nodeapp"}}})
    clean.imported(remote)
    eventually(lambda: clean.programmed("serviceimports")[0] == "True", "the import is looked at")
    assert (
        clean.get(f"{SERVICES}/nodeapp")["metadata"]["resourceVersion"]
        == before["metadata"]["resourceVersion"]
    )
    assert clean.get(f"{SLICES}/nodeapp-imported") is None


def test_a_derived_service_that_gets_a_selector_is_handed_over(
    clean: Cluster, controller: Controller, remote: int
) -> None:
    clean.imported(remote)
    clean.policy("ActiveActive")
    eventually(clean.derived, "a derived Service")
    clean.server.call(
        "PATCH", f"{SERVICES}/nodeapp", {"spec": {"selector": {"app": "nodeapp"}}}, content="merge"
    )
    eventually(
        lambda: "ownerReferences" not in clean.get(f"{SERVICES}/nodeapp")["metadata"], "our mark leaves it"
    )
    pod = {"addresses": ["10.42.0.30"], "conditions": {"ready": True}}
    body = {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "endpoints": [pod],
        "metadata": {"name": "nodeapp-x", "labels": {"kubernetes.io/service-name": "nodeapp"}},
        "ports": [{"name": "http", "port": 3000, "protocol": "TCP"}],
    }  # fmt: skip
    assert clean.derived(), "while it has no pods, the other clusters answer"
    clean.apply(SLICES, body)
    eventually(lambda: clean.get(f"{SLICES}/nodeapp-imported") is None, "our endpoints leave it")
    body["endpoints"] = [{**pod, "conditions": {"ready": False}}]
    clean.apply(SLICES, body)
    eventually(clean.derived, "its pods are gone, the other clusters answer again")
    clean.delete(f"{FLOMESH}/serviceimports/nodeapp")
    eventually(lambda: clean.get(f"{SLICES}/nodeapp-imported") is None, "nobody else is left")
    assert clean.get(f"{SERVICES}/nodeapp") is not None, "it is theirs now"


def test_objects_say_whether_they_are_routed(clean: Cluster, controller: Controller, remote: int) -> None:
    clean.imported(remote)
    clean.policy("ActiveActive", "cluster-9")
    rule = {"portNumber": 80, "path": "/late", "pathType": "Prefix"}
    clean.apply(f"{FLOMESH}/serviceexports", made("ServiceExport", "late", {"rules": [rule]}))
    eventually(lambda: clean.programmed("serviceimports")[0] == "True", "the import is fine")
    eventually(
        lambda: "cluster-9" in clean.programmed("globaltrafficpolicies")[1], "the unknown target is named"
    )
    eventually(lambda: clean.programmed("serviceexports", "late")[0] == "False", "the export has no Service")
    clean.policy("ActiveActive", "cluster-1")
    eventually(lambda: clean.programmed("globaltrafficpolicies")[0] == "True", "the policy is fine now")


def test_of_two_controllers_one_writes_and_the_other_goes_on(
    clean: Cluster, controller: Controller, remote: int, tmp_path: Path
) -> None:
    other = Controller(tmp_path / "controller-1", clean.server)
    try:
        eventually(lambda: other.ready, "the second follows along")
        clean.imported(remote)
        clean.policy("ActiveActive")
        eventually(clean.derived, "a derived Service")
        holder = clean.get(LEASE)["spec"]["holderIdentity"]
        assert holder == "controller-0"
        controller.kill()
        clean.gateway_pods("10.42.0.12")
        try:
            gone = seconds(lambda: clean.derived() == ["10.42.0.12"], "the second goes on")
        finally:
            clean.gateway_pods("10.42.0.10", "10.42.0.11")
        assert clean.get(LEASE)["spec"]["holderIdentity"] == "controller-1"
        assert gone < 10, "the Lease ends after 6 s"
    finally:
        other.stop()
        controller.start()
        eventually(lambda: controller.ready, "back for an orderly end")


def test_what_is_written_once_is_left_alone(clean: Cluster, controller: Controller, remote: int) -> None:
    clean.imported(remote)
    clean.policy("ActiveActive")
    eventually(clean.derived, "a derived Service")
    eventually(lambda: clean.programmed("globaltrafficpolicies")[0] == "True", "its conditions")
    paths = (f"{SERVICES}/nodeapp", f"{SLICES}/nodeapp-imported", f"{FLOMESH}/serviceimports/nodeapp")
    versions = []
    for name in ("second", "third"):  # each makes the controller look at everything again
        clean.imported(remote, name)
        clean.policy("ActiveActive", name=name)
        eventually(lambda n=name: clean.derived(n), f"{name} has its derived Service")
        eventually(lambda n=name: clean.programmed("serviceimports", n)[0] == "True", "its condition")
        versions.append([clean.get(path)["metadata"]["resourceVersion"] for path in paths])
    assert versions[0] == versions[1]


def test_routes_stay_while_the_api_server_is_away(
    clean: Cluster, gateway: Gateway, remote: int, tmp_path: Path
) -> None:
    clean.imported(remote)
    clean.policy("ActiveActive")
    eventually(lambda: gateway.call()[0] == 200, "routed")
    saved = tmp_path / "gateway-0" / "cache" / "objects.json"
    eventually(lambda: saved.exists() and "ActiveActive" in saved.read_text(), "kept on disk")
    clean.server.stop_api()
    try:
        eventually(lambda: gateway.logged("following serviceimports"), "it says what it cannot follow")
        assert gateway.call() == (200, "remote /nodeapp/ports")
        gateway.kill()
        gateway.start()
        eventually(lambda: gateway.ready, "ready from disk")
        assert gateway.call() == (200, "remote /nodeapp/ports")
    finally:
        clean.server.start_api()
    clean.policy("Locality")
    eventually(lambda: gateway.call()[0] != 200, "follows again after the API server's return", 30)
    assert json.loads(saved.read_text())["clusterKey"] == "default/default/default/cluster-2"


def test_without_anything_on_disk_a_gateway_waits_for_the_api_server(clean: Cluster, tmp_path: Path) -> None:
    clean.server.account("gateway", *GATEWAY_RULES)
    clean.server.stop_api()
    try:
        waiting = Gateway(tmp_path / "gateway-0", clean.server)
        eventually(lambda: waiting.logged("nothing is saved"), "it says what it waits for")
        assert ask(waiting.admin, "/livez", "x")[0] == 200
        assert not waiting.ready
    finally:
        clean.server.start_api()
    eventually(lambda: waiting.ready, "ready with the first answer", 30)
    waiting.stop()


def test_a_policy_for_every_caller_takes_the_local_service_over(
    clean: Cluster, controller: Controller, remote: int
) -> None:
    """Kubernetes' own controllers, which do not run here, are played by the test."""

    def kubernetes(service: str, labels: dict[str, str]) -> None:
        writer = {"endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}
        body = {
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.42.0.30"], "conditions": {"ready": True}}],
            "metadata": {
                "name": f"{service}-x", "labels": {"kubernetes.io/service-name": service, **writer, **labels},
            },
            "ports": [{"name": "web", "port": 8080, "protocol": "TCP"}],
        }  # fmt: skip
        clean.apply(SLICES, body)

    def reach() -> tuple[str, str]:
        status = (clean.get(f"{FLOMESH}/globaltrafficpolicies/nodeapp") or {}).get("status") or {}
        found = {one["type"]: (one["status"], one["reason"]) for one in status.get("conditions", [])}
        return found.get("EveryCaller", ("", ""))

    port = {"name": "web", "port": 3000, "targetPort": 8080, "protocol": "TCP"}
    spec = {"ports": [port], "selector": {"app": "nodeapp"}}
    body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "nodeapp"}, "spec": spec}
    clean.apply(SERVICES, body)
    kubernetes("nodeapp", {})
    clean.imported(remote)
    clean.policy("ActiveActive", every_caller=True)
    eventually(lambda: reach() == ("False", "NotExported"), "an export is missing, and that is said")
    rule = {"portNumber": 3000, "path": "/nodeapp", "pathType": "Prefix"}
    changed = {"rules": [rule], "pathRewrite": {"from": "^/nodeapp", "to": "/v2"}}
    clean.apply(f"{FLOMESH}/serviceexports", made("ServiceExport", "nodeapp", changed))
    eventually(lambda: reach() == ("False", "PathNotRestored"), "its path would be seen in some calls")
    restored = {"rules": [rule], "pathRewrite": {"from": "^/nodeapp/?", "to": "/"}}
    clean.apply(f"{FLOMESH}/serviceexports", made("ServiceExport", "nodeapp", restored))
    eventually(lambda: clean.get(f"{SERVICES}/nodeapp-local"), "a Service that selects the local pods")
    kubernetes("nodeapp-local", {"multicluster.flomesh.io/local-of": "nodeapp"})
    eventually(
        lambda: "selector" not in clean.get(f"{SERVICES}/nodeapp")["spec"], "the selector is taken over"
    )
    eventually(lambda: clean.get(f"{SLICES}/nodeapp-x") is None, "what Kubernetes wrote is gone")
    assert clean.derived() == ["10.42.0.10", "10.42.0.11"]
    eventually(lambda: reach() == ("True", "TakenOver"), "the policy says so")

    clean.apply(SERVICES, body)
    kubernetes("nodeapp", {})
    followed = seconds(lambda: clean.get(f"{SLICES}/nodeapp-x") is None, "a Service that is applied again")
    assert "selector" not in clean.get(f"{SERVICES}/nodeapp")["spec"]
    assert followed < 2

    clean.delete(f"{FLOMESH}/globaltrafficpolicies/nodeapp")
    assert clean.get(f"{FLOMESH}/globaltrafficpolicies/nodeapp"), "it waits until all is as it was"
    eventually(
        lambda: clean.get(f"{SERVICES}/nodeapp")["spec"].get("selector") == {"app": "nodeapp"}, "it is back"
    )
    assert clean.derived() == ["10.42.0.10", "10.42.0.11"], "the gateways stay until the pods are listed"
    kubernetes("nodeapp", {})
    eventually(lambda: clean.get(f"{FLOMESH}/globaltrafficpolicies/nodeapp") is None, "the policy is gone")
    eventually(lambda: clean.get(f"{SERVICES}/nodeapp-local") is None, "nothing of it is left")
    assert "annotations" not in clean.get(f"{SERVICES}/nodeapp")["metadata"]


def test_a_slice_that_names_a_gateways_pod_publishes_nothing(
    clean: Cluster, gateway: Gateway, controller: Controller
) -> None:
    """A Service without selector and a slice are all that a tenant needs to have an address dialled."""
    port = {"name": "http", "port": 3000, "protocol": "TCP"}
    service = {"apiVersion": "v1", "kind": "Service", "spec": {"ports": [port]}}
    clean.apply(SERVICES, {**service, "metadata": {"name": "mine"}})
    rules = [{"portNumber": 3000, "path": "/mine", "pathType": "Prefix"}]
    clean.apply(f"{FLOMESH}/serviceexports", made("ServiceExport", "mine", {"rules": rules}))
    endpoints = [{"addresses": [address]} for address in ("10.42.0.10", "10.42.0.11", "10.42.0.30")]
    clean.apply(
        SLICES,
        {
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": "mine-x", "labels": {"kubernetes.io/service-name": "mine"}},
            "endpoints": endpoints, "ports": [{**port, "port": 9090}],
        },
    )  # fmt: skip
    eventually(
        lambda: clean.programmed("serviceexports", "mine")[0] == "False", "its owner is told what is left out"
    )
    said = clean.programmed("serviceexports", "mine")[1]
    assert "10.42.0.10:9090" in said
    assert "10.42.0.11:9090 is one of namespace multicluster-system" in said
    assert "10.42.0.30" not in said
    (route,) = json.loads(ask(gateway.admin, "/config", "x")[1])["northSouth"]
    assert [cluster["endpoints"] for priority in route["priorities"] for cluster in priority] == [
        ["10.42.0.30:9090"]
    ]


def test_what_is_written_into_an_old_export_is_young(clean: Cluster, controller: Controller) -> None:
    """The controller's dates stand in the status of the export, to the second."""

    def export(name: str, *paths: str) -> None:
        clean.apply(SERVICES, made_service(name))
        rules = [{"portNumber": 80, "path": path, "pathType": "Prefix"} for path in paths]
        clean.apply(f"{FLOMESH}/serviceexports", made("ServiceExport", name, {"rules": rules}))

    def made_service(name: str) -> dict[str, Any]:
        spec = {"ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}
        return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}

    def since(name: str) -> dict[str, str]:
        status = clean.get(f"{FLOMESH}/serviceexports/{name}").get("status", {})
        return {claim: entry["since"] for entry in status.get("firstSeen", []) for claim in entry["claims"]}

    export("evil", "/mine")
    eventually(lambda: set(since("evil")) == {"/mine"}, "the old export is dated")
    export("shop", "/shop")
    eventually(lambda: set(since("shop")) == {"/shop"}, "the young one, too")
    second = datetime.fromisoformat(since("shop")["/shop"]).timestamp()
    eventually(lambda: time.time() >= second + 1, "the next second")
    export("evil", "/mine", "/shop")
    eventually(lambda: set(since("evil")) == {"/mine", "/shop"}, "what is new of the old one")
    found = clean.get(f"{FLOMESH}/serviceexports/evil")["metadata"]["creationTimestamp"]
    assert since("evil")["/mine"] == found
    assert since("evil")["/shop"] > since("shop")["/shop"]

    def refused() -> bool:
        status, message = clean.programmed("serviceexports", "evil")
        return status == "False" and "is already exported by dapr-test/shop" in message

    eventually(refused, "who came later is told")
    assert clean.programmed("serviceexports", "shop")[0] == "True"
    export("evil", "/mine")
    eventually(lambda: set(since("evil")) == {"/mine"}, "what is gone has no date")
