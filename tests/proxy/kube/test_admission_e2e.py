"""A thief of the controller's token against a real API server: what the roles allow and the policy does not.

That the controller's own writes pass is shown by all e2e tests beside this one: they run under the policy.
"""

from __future__ import annotations

from typing import Any

import pytest
from proxy.kube.admission import Bound, also
from proxy.kube.one_cluster import CONTROLLER_RULES, ENDPOINTS, FLOMESH, SERVICES, SLICES, Cluster
from proxy.kube.world import eventually

from components.mesh import admission, rbac
from gateway.core import derived_names, objects, reserved
from gateway.kube import finalizer, takeover

pytestmark = pytest.mark.e2e

MINE = {"multicluster.flomesh.io/imported": "true", "app.kubernetes.io/managed-by": "multicluster-gateway"}
SLICE = {"endpointslice.kubernetes.io/managed-by": "multicluster-gateway"}
PORTS = {"ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}
EVIL = {"addresses": ["10.42.6.66"], "conditions": {"ready": True}}
SHOP = {"app": "shop"}
KEPT = '{"app": "shop"}'
ANNOTATION = "multicluster.flomesh.io/selector"


@pytest.fixture
def thief(clean: Cluster) -> Bound:
    return Bound(clean.server, clean.server.account("controller", *CONTROLLER_RULES))


def service(name: str = "shop", labels: Any = None, **spec: Any) -> dict[str, Any]:
    metadata = {"name": name, "labels": labels or {}}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {**PORTS, **spec}}


def endpoint_slice(name: str, of: str, labels: Any) -> dict[str, Any]:
    return {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": of, **labels}},
        "endpoints": [EVIL], "ports": PORTS["ports"],
    }  # fmt: skip


def in_(namespace: str, kind: str = "services") -> str:
    root = "/apis/discovery.k8s.io/v1" if kind == "endpointslices" else "/api/v1"
    return f"{root}/namespaces/{namespace}/{kind}"


def refused(answer: tuple[int, str], words: str) -> None:
    status, message = answer
    assert status == 422, message
    assert words in message


def test_of_secrets_the_controller_makes_those_of_certificates_alone(clean: Cluster, thief: Bound) -> None:
    also(clean.server, "controller", rbac.CONTROLLER_CERTIFICATES)
    secrets = in_("multicluster-system", "secrets")

    def secret(name: str, kind: str, **metadata: Any) -> dict[str, Any]:
        labels = {"app.kubernetes.io/managed-by": "multicluster-controller"}
        return {"metadata": {"name": name, "labels": labels, **metadata}, "type": kind}

    account = {"kubernetes.io/service-account.name": "multicluster-hub"}
    token = "kubernetes.io/service-account-token"
    own = "no Secrets but gateway-ca and gateway-certificate"
    path = f"{secrets}?dryRun=All"
    eventually(lambda: thief.call("POST", path, secret("gateway-ca", "Opaque"))[0] == 201, "it makes Secrets")
    refused(thief.call("POST", secrets, secret("gateway-ca", token, annotations=account)), own)
    refused(thief.call("POST", secrets, secret("other", "Opaque")), own)
    refused(thief.call("POST", secrets, secret("gateway-ca", "Opaque", labels={})), own)
    refused(thief.call("POST", in_("dapr-test", "secrets"), secret("other", "Opaque")), own)
    assert thief.call("POST", secrets, secret("gateway-ca", "Opaque"))[0] == 201, "what the controller does"
    pair = {"tls.crt": "", "tls.key": ""}
    certificate = {**secret("gateway-certificate", "kubernetes.io/tls"), "data": pair}
    assert thief.call("POST", secrets, certificate)[0] == 201
    assert thief.call("PATCH", f"{secrets}/gateway-ca", {"data": {"tls.crt": "MQ=="}})[0] == 200
    refused(thief.call("PATCH", f"{secrets}/gateway-ca", {"metadata": {"labels": None}}), own)
    assert thief.call("GET", secrets)[0] == 403, "nor does it see which others there are"
    for name in ("gateway-ca", "gateway-certificate"):
        clean.delete(f"{secrets}/{name}")


def test_the_names_are_those_of_the_gateway() -> None:
    assert (admission.MANAGED_BY, admission.GATEWAY, admission.HUB, admission.CONTROLLER) == (
        objects.MANAGED_BY,
        objects.GATEWAY,
        objects.HUB,
        objects.CONTROLLER,
    )
    assert admission.SLICE_MANAGED_BY == objects.SLICE_MANAGED_BY
    assert admission.SELECTOR == derived_names.SELECTOR
    assert admission.FINALIZER == finalizer.FINALIZER
    assert admission.IMPORTED == objects.IMPORTED
    assert set(admission.KUBERNETES) == takeover.KUBERNETES
    assert set(admission.SYSTEM) == reserved.SYSTEM


def test_the_systems_services_are_out_of_reach(clean: Cluster, thief: Bound) -> None:
    clean.apply(in_("kube-system"), service("kube-dns", selector={"k8s-app": "kube-dns"}, clusterIP="None"))
    clean.apply(in_("default"), service("dapr-webhook", selector=SHOP))
    system = "no Services of the system's namespaces"
    for path in (f"{in_('kube-system')}/kube-dns", f"{in_('default')}/dapr-webhook"):
        refused(thief.call("PATCH", path, {"spec": {"selector": {"app": "evil"}}}), "")
        refused(thief.call("PATCH", path, {"metadata": {"labels": MINE}}), system)
        refused(thief.call("DELETE", path), "deletes Services with its label only")
    refused(
        thief.call("PATCH", f"{in_('default')}/kubernetes", {"spec": {"ports": [{"port": 6666}]}}), system
    )
    refused(thief.call("POST", in_("kube-system"), service(labels=MINE)), system)
    refused(
        thief.call("DELETE", "/api/v1/namespaces/default/endpoints/kubernetes"), "Endpoints of the system's"
    )
    slices = in_("default", "endpointslices")
    refused(thief.call("DELETE", f"{slices}/kubernetes"), "that Kubernetes can make again")
    more = endpoint_slice("kubernetes-more", "kubernetes", SLICE)
    refused(thief.call("POST", slices, more), "none of the system's namespaces")


def test_a_service_of_somebody_is_not_led_elsewhere(clean: Cluster, thief: Bound) -> None:
    clean.apply(SERVICES, service(selector=SHOP))
    shop = f"{SERVICES}/shop"
    away: dict[str, Any] = {"spec": {"selector": None}, "metadata": {"annotations": {ANNOTATION: KEPT}}}
    selector, rest = "takes a selector away only into", "nothing but the selector"
    for changed, words in (
        ({"spec": {"selector": {"app": "evil"}}}, selector),
        ({"spec": {"selector": {"app": "shop", "more": "evil"}}}, selector),
        ({"spec": {"selector": None}}, selector),
        ({**away, "metadata": {"annotations": {ANNOTATION: '{"app": "evil"}'}}}, selector),
        ({**away, "metadata": {"annotations": {ANNOTATION: KEPT[:-1] + ', "more": "evil"}'}}}, selector),
        ({**away, "metadata": {"annotations": {ANNOTATION: KEPT, "more": "1"}}}, rest),
        ({**away, "spec": {"selector": None, "externalIPs": ["192.0.2.1"]}}, rest),
        ({**away, "spec": {"selector": None, "type": "NodePort"}}, rest),
        ({"spec": {"type": "ExternalName", "externalName": "evil.example.org"}}, rest),
        ({"spec": {"externalIPs": ["192.0.2.1"]}}, rest),
        ({"spec": {"ports": [{"name": "http", "port": 80, "targetPort": 6666}]}}, rest),
        ({"metadata": {"labels": {"team": "evil"}}}, rest),
        ({"metadata": {"finalizers": ["evil.example.org/stay"]}}, rest),
        ({"metadata": {"labels": MINE}}, "makes no Service its own"),
    ):
        refused(thief.call("PATCH", shop, changed), words)
    refused(thief.call("DELETE", shop), "deletes Services with its label only")
    assert thief.call("PATCH", shop, away)[0] == 200, "what a takeover does"
    for back in ({"app": "evil"}, {"app": "shop", "more": "evil"}):
        refused(thief.call("PATCH", shop, {"spec": {"selector": back}}), selector)
    forged = {
        "spec": {"selector": {"app": "evil"}},
        "metadata": {"annotations": {ANNOTATION: '{"app": "evil"}'}},
    }
    gone = {"metadata": {"annotations": {ANNOTATION: None}}}
    for changed in (forged, {"metadata": forged["metadata"]}, gone):
        refused(thief.call("PATCH", shop, changed), selector)
    assert thief.call("PATCH", shop, {"spec": {"selector": SHOP}})[0] == 200
    assert thief.call("PATCH", shop, gone)[0] == 200
    assert clean.get(shop)["spec"]["selector"] == SHOP


def test_of_a_service_that_was_its_own_it_takes_off_what_it_left(clean: Cluster, thief: Bound) -> None:
    left = {admission.IMPORTED: "true", admission.MANAGED_BY: "Helm", "team": "shop"}
    owners = [
        {"apiVersion": version, "kind": kind, "name": "shop", "uid": kind}
        for version, kind in (("flomesh.io/v1alpha1", "ServiceImport"), ("v1", "ConfigMap"))
    ]
    body = service(labels=left, selector=SHOP)
    clean.apply(SERVICES, {**body, "metadata": {**body["metadata"], "ownerReferences": owners}})
    shop, rest = f"{SERVICES}/shop", "nothing but the selector"
    off: dict[str, Any] = {"labels": {admission.IMPORTED: None}, "ownerReferences": owners[1:]}
    for changed in (
        {**off, "labels": {admission.IMPORTED: None, "team": None}},
        {**off, "labels": {admission.IMPORTED: None, "more": "evil"}},
        {**off, "ownerReferences": owners[:1]},
        {**off, "annotations": {"more": "evil"}},
    ):
        refused(thief.call("PATCH", shop, {"metadata": changed}), rest)
    refused(thief.call("PATCH", shop, {"metadata": off, "spec": {"externalIPs": ["192.0.2.1"]}}), rest)
    assert thief.call("PATCH", shop, {"metadata": off})[0] == 200
    found = clean.get(shop)
    assert found["metadata"]["labels"] == {admission.MANAGED_BY: "Helm", "team": "shop"}
    assert [owner["kind"] for owner in found["metadata"]["ownerReferences"]] == ["ConfigMap"]
    assert found["spec"]["selector"] == SHOP


def test_what_carries_its_label_leads_nowhere_but_to_its_endpoints(clean: Cluster, thief: Bound) -> None:
    assert thief.call("POST", SERVICES, service("a", MINE))[0] == 201
    for spec in (
        {"type": "ExternalName", "externalName": "evil.example.org"},
        {"externalIPs": ["192.0.2.1"]},
        {"type": "LoadBalancer"},
        {"type": "NodePort"},
    ):
        refused(thief.call("POST", SERVICES, service("b", MINE, **spec)), "ClusterIP Services only")
        refused(thief.call("PATCH", f"{SERVICES}/a", {"spec": spec}), "ClusterIP Services only")
    assert thief.call("DELETE", f"{SERVICES}/a")[0] == 200


def test_slices_of_others_are_not_changed(clean: Cluster, thief: Bound) -> None:
    clean.apply(SLICES, endpoint_slice("theirs", "shop", {}))
    clean.apply(
        SLICES, endpoint_slice("kubernetes-made", "shop", {admission.SLICE_MANAGED_BY: takeover_by()})
    )
    others = "changes no EndpointSlice of others"
    for name in ("theirs", "kubernetes-made"):
        refused(thief.call("PATCH", f"{SLICES}/{name}", {"endpoints": [EVIL, EVIL]}), "")
        refused(thief.call("PATCH", f"{SLICES}/{name}", {"metadata": {"labels": SLICE}}), others)
    refused(thief.call("DELETE", f"{SLICES}/theirs"), others)
    assert thief.call("DELETE", f"{SLICES}/kubernetes-made")[0] == 200, "of a Service that is taken over"
    refused(thief.call("POST", SLICES, endpoint_slice("more", "shop", {})), "EndpointSlices with its label")
    assert thief.call("POST", SLICES, endpoint_slice("shop-imported", "shop", {**MINE, **SLICE}))[0] == 201


def takeover_by() -> str:
    return min(takeover.KUBERNETES)


def test_a_policy_keeps_what_it_says(clean: Cluster, thief: Bound) -> None:
    clean.policy("ActiveActive", "cluster-1")
    policy = f"{FLOMESH}/globaltrafficpolicies/nodeapp"
    only = "its own finalizer only"
    refused(thief.call("PATCH", policy, {"spec": {"lbType": "Locality"}}), only)
    refused(thief.call("PATCH", policy, {"metadata": {"annotations": {"a": "b"}}}), only)
    refused(thief.call("PATCH", policy, {"metadata": {"finalizers": ["evil.example.org/stay"]}}), only)
    assert thief.call("PATCH", policy, {"metadata": {"finalizers": [admission.FINALIZER]}})[0] == 200
    assert thief.call("PATCH", policy, {"metadata": {"finalizers": []}})[0] == 200


def test_nobody_else_is_bound(clean: Cluster) -> None:
    clean.apply(SERVICES, service("theirs", selector=SHOP))
    clean.apply(SERVICES, service("theirs", selector={"app": "other"}, externalIPs=["192.0.2.1"]))
    clean.delete(f"{SERVICES}/theirs")
    assert clean.get(f"{ENDPOINTS}/theirs") is None
