"""The admission policies that bind everybody, against a real API server: whose objects are the mesh's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from proxy.kube.admission import Bound, also
from proxy.kube.one_cluster import CONTROLLER_RULES
from proxy.kube.world import MEMBER, eventually

from components.mesh import guards, rbac
from gateway.core.dates import STATUS
from gateway.core.objects import CONTROLLER, GATEWAY, HUB, MANAGED_BY, SLICE_MANAGED_BY

pytestmark = pytest.mark.e2e

WRITE = ["get", "create", "patch", "update", "delete"]
TENANT = [
    (["flomesh.io"], ["serviceimports", "serviceexports", "serviceexports/status"], WRITE),
    (["discovery.k8s.io"], ["endpointslices"], WRITE),
    (["flomesh.io"], ["peers", "peers/status"], WRITE),
]
"""More than tenants should have."""
FLOMESH = "flomesh.io/v1alpha1"
SLICES = "discovery.k8s.io/v1"
PEERS = f"/apis/{FLOMESH}/peers"


@pytest.fixture(scope="module")
def server(api_servers: Callable[[int], list[Any]]) -> Any:
    (found,) = api_servers(1)
    for name in ("team", "multicluster-system"):
        found.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    found.kubectl("apply", "-f", str(guards.FOLDER.resolve()))  # kubectl follows no link
    tenant = As(found, "tenant", TENANT)
    eventually(lambda: refused(tenant.imports("probe", hub=True)), "the policy on imports holds")
    eventually(lambda: refused(tenant.slices("probe", GATEWAY)), "the policy on slices holds")
    assert done(tenant.export("probe"))
    eventually(lambda: refused(tenant.date("probe", "2020")), "the policy on dates holds")
    eventually(lambda: refused(tenant.peer("probe", HUB)), "the policy on Peers holds")
    return found


Answer = tuple[int, str]


def refused(answer: Answer) -> bool:
    """By one of the policies; RBAC has other words."""
    return answer[0] == 403 and "alone" in answer[1]


def done(answer: Answer) -> bool:
    return answer[0] in {200, 201}


class As:
    """What one account asks of the namespace `team`."""

    def __init__(self, server: Any, name: str, rules: Any) -> None:
        self._bound = Bound(server, server.account(name, *rules))

    def imports(self, name: str, *, hub: bool, ip: str = "10.9.9.9") -> Answer:
        target = {"host": ip, "ip": ip, "port": 80, "path": "/"}
        endpoint = {"clusterKey": "default/default/default/c1", "target": target}
        spec = {"ports": [{"port": 80, "endpoints": [endpoint]}]}
        return self._apply(FLOMESH, "ServiceImport", name, {MANAGED_BY: HUB} if hub else {}, spec=spec)

    def slices(self, name: str, managed_by: str, ip: str = "10.9.9.9") -> Answer:
        labels = {"kubernetes.io/service-name": "shop", SLICE_MANAGED_BY: managed_by}
        more = {"endpoints": [{"addresses": [ip]}], "ports": [{"name": "http", "port": 80}]}
        return self._apply(SLICES, "EndpointSlice", name, labels, addressType="IPv4", **more)

    def peer(self, name: str, managed_by: str, root: str = "a root") -> Answer:
        """A Peer of the cluster of that name, as that owner's."""
        metadata = {"name": name, "labels": {MANAGED_BY: managed_by} if managed_by else {}}
        spec = {"clusterKey": f"default/default/default/{name}", "roots": [root]}
        whole = {"apiVersion": FLOMESH, "kind": "Peer", "metadata": metadata, "spec": spec}
        made = self._bound.call("POST", PEERS, whole)
        changes = {"metadata": {"labels": {MANAGED_BY: managed_by or None}}, "spec": spec}
        return self._bound.call("PATCH", f"{PEERS}/{name}", changes) if made[0] == 409 else made

    def trust(self, name: str) -> Answer:
        return self._bound.call("PATCH", f"{PEERS}/{name}/status", {"status": {"trusted": ["0"]}})

    def export(self, name: str) -> Answer:
        rules = [{"portNumber": 80, "path": f"/{name}", "pathType": "Prefix"}]
        return self._apply(FLOMESH, "ServiceExport", name, {}, spec={"rules": rules})

    def date(self, name: str, since: str | None) -> Answer:
        """Write the dates of an export; None takes them out."""
        return self.status(name, {STATUS: since and [{"since": since, "claims": [f"/{name}"]}]})

    def status(self, name: str, status: Any) -> Answer:
        return self._bound.call("PATCH", f"{_at('ServiceExport', name)}/status", {"status": status})

    def label(self, kind: str, name: str, label: str, value: str | None) -> Answer:
        return self._bound.call("PATCH", _at(kind, name), {"metadata": {"labels": {label: value}}})

    def delete(self, kind: str, name: str) -> Answer:
        return self._bound.call("DELETE", _at(kind, name))

    def _apply(self, version: str, kind: str, name: str, labels: Any, **body: Any) -> Answer:
        whole = {"apiVersion": version, "kind": kind, "metadata": {"name": name, "labels": labels}, **body}
        path = f"{_at(kind, name)}?fieldManager=test&force=true"
        return self._bound.call("PATCH", path, whole, content="apply")


def _at(kind: str, name: str) -> str:
    version = SLICES if kind == "EndpointSlice" else FLOMESH
    return f"/apis/{version}/namespaces/team/{kind.lower()}s/{name}"


def test_only_the_hub_writes_imports_that_count(server: Any) -> None:
    hub, tenant = As(server, "multicluster-hub", MEMBER), As(server, "tenant", TENANT)
    assert done(hub.imports("made", hub=True))
    assert refused(tenant.imports("made", hub=True, ip="127.0.0.1"))
    assert refused(tenant.label("ServiceImport", "made", MANAGED_BY, None))
    assert done(tenant.imports("own", hub=False)), "RBAC says who makes others"
    assert refused(tenant.label("ServiceImport", "own", MANAGED_BY, HUB))
    assert done(tenant.label("ServiceImport", "own", MANAGED_BY, "me"))
    assert done(tenant.delete("ServiceImport", "made")), "the hub makes it again"
    server.kubectl("label", "serviceimport", "-n", "team", "own", f"{MANAGED_BY}={HUB}", "--overwrite")


def test_only_the_controller_writes_slices_by_which_gateways_know_their_ports(server: Any) -> None:
    controller, tenant = As(server, "controller", CONTROLLER_RULES), As(server, "tenant", TENANT)
    other = As(server, "another", [*MEMBER, *TENANT])
    assert done(controller.slices("made", GATEWAY))
    for one in (tenant, other):
        assert refused(one.slices("made", GATEWAY, ip="10.6.6.6"))
        assert refused(one.slices("new", GATEWAY))
        for value in (None, "me"):
            assert refused(one.label("EndpointSlice", "made", SLICE_MANAGED_BY, value))
        assert refused(one.label("EndpointSlice", "made", "kubernetes.io/service-name", "mine"))
    assert done(tenant.slices("own", "me")), "RBAC says who makes others"
    assert refused(tenant.label("EndpointSlice", "own", SLICE_MANAGED_BY, GATEWAY))
    assert done(tenant.delete("EndpointSlice", "made")), "the controller makes it again"


def test_only_the_controller_dates_exports(server: Any) -> None:
    controller, tenant = As(server, "controller", CONTROLLER_RULES), As(server, "tenant", TENANT)
    assert done(tenant.export("app"))
    assert refused(tenant.date("app", "2020-01-01T00:00:00Z"))
    assert done(controller.date("app", "2026-01-01T00:00:00Z"))
    for since in ("2020-01-01T00:00:00Z", None):
        assert refused(tenant.date("app", since))
    assert done(tenant.status("app", {"conditions": []})), "RBAC says who writes the rest"
    assert done(controller.status("app", {STATUS: []})), "of an export that claims nothing"
    kept = server.call("GET", _at("ServiceExport", "app"))
    assert kept["status"][STATUS] == []
    assert refused(tenant.date("app", None))


def test_only_the_hub_and_the_controller_say_what_certificates_count(server: Any) -> None:
    hub, controller = As(server, "multicluster-hub", MEMBER), As(server, "controller", CONTROLLER_RULES)
    tenant = As(server, "tenant", TENANT)
    also(server, "multicluster-hub", rbac.HUB_PEERS)
    also(server, "controller", rbac.CONTROLLER_PEERS)
    eventually(lambda: done(hub.peer("other", HUB)), "the hub writes Peers")
    eventually(lambda: done(controller.peer("here", CONTROLLER)), "the controller writes its own")
    for name, owner in (("other", HUB), ("here", CONTROLLER)):
        for managed_by in (owner, "me", ""):
            assert refused(tenant.peer(name, managed_by, "another root")), (name, managed_by)
        assert refused(tenant.peer(f"new-{name}", owner))
        assert refused(tenant.trust(name))
    assert refused(controller.peer("other", HUB, "another root")), "a member says nothing of another cluster"
    assert refused(controller.peer("other", CONTROLLER))
    assert refused(hub.peer("here", CONTROLLER, "another root")), "nor the hub of the cluster's own roots"
    assert done(controller.trust("other")), "it says what its gateways trust"
    assert done(hub.trust("here"))
    assert done(tenant.peer("own", "")), "RBAC says who makes others, which count for nobody"
    assert refused(tenant.peer("own", HUB))
