"""Objects of any shape: nothing that is in an object may stop the hub or the gateway's controller."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.admission import check_key
from gateway.core.app_ids import APP_ID, CALLERS
from gateway.core.conditions import Condition
from gateway.core.every_caller import reaches
from gateway.core.objects import DERIVED, key_of
from gateway.core.snapshot import compile_snapshot
from gateway.kube import trim
from gateway.kube.client_config import from_kubeconfig
from gateway.kube.cluster_view import Address, ClusterView
from gateway.kube.connection import cluster_key
from gateway.kube.derived import reconcile
from gateway.kube.endpoints import peers
from gateway.kube.errors import CredentialError
from gateway.kube.first_seen import FirstSeen
from gateway.kube.http_endpoints import Dapr, plan_endpoints
from gateway.kube.plan import plan
from gateway.kube.slices import Gateways
from gateway.kube.status import status_patch

KEY = ("demo", "app")
NAMES = {"namespace": "demo", "name": "app"}
LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
JUNK = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


def shaped(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A mapping with these fields, some missing; or junk."""
    return st.fixed_dictionaries({}, optional=fields) | JUNK


PORT = shaped(port=st.integers(0, 70000) | JUNK, name=st.sampled_from(["http", "grpc", ""]) | JUNK,
              protocol=st.sampled_from(["TCP", "UDP"]) | JUNK, appProtocol=JUNK)  # fmt: skip
RULE = shaped(portNumber=st.just(3000) | JUNK, path=st.sampled_from(["/a", "/a/", "b"]) | JUNK, pathType=JUNK)
REWRITE = shaped(**{"from": st.sampled_from(["(", "^/a"]) | JUNK, "to": JUNK})
EXPORT = shaped(
    rules=st.lists(RULE, max_size=3) | JUNK, pathRewrite=REWRITE, targetClusters=JUNK, serviceAccountName=JUNK
)
SERVICE = shaped(
    ports=st.lists(PORT, max_size=3) | JUNK,
    type=st.just("ExternalName") | JUNK,
    selector=JUNK,
    clusterIP=JUNK,
)
TARGET = shaped(host=JUNK, ip=JUNK, port=JUNK, path=JUNK)
ENDPOINT = shaped(clusterKey=st.sampled_from(["a/b/c/one", "a/b/c/two"]) | JUNK, target=TARGET)
IMPORT = shaped(
    ports=st.lists(shaped(port=JUNK, name=JUNK, endpoints=st.lists(ENDPOINT, max_size=2) | JUNK), max_size=2)
    | JUNK
)
SLICE = shaped(
    endpoints=st.lists(shaped(addresses=JUNK, conditions=JUNK), max_size=2) | JUNK,
    ports=JUNK,
    addressType=JUNK,
)


def obj(kind: str, spec: Any, labels: dict[str, str] | None = None) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {**NAMES, "labels": labels or {}}, "spec": spec}


@given(export=EXPORT, service=SERVICE, imported=IMPORT)
@settings(max_examples=300, deadline=None)
def test_the_plan_stands_any_object(export: Any, service: Any, imported: Any) -> None:
    labels = {"app.kubernetes.io/managed-by": "multicluster-hub"}
    exports, services = {KEY: obj("ServiceExport", export)}, {KEY: obj("Service", service)}
    address = Address("h", "10.0.0.1", 80)
    imports = {KEY: obj("ServiceImport", imported, labels)}
    plan([
        ClusterView("a/b/c/one", address, exports, services, imports, ("demo",)),
        ClusterView("a/b/c/two", address, None, {}, imports, ("demo",)),
        ClusterView("a/b/c/three", None, {}, {}, imports, ("demo",)),
    ])  # fmt: skip


HOSTILE = st.sampled_from(
    ["\ud800", "/\ud800", "../../x", "a" * 5000, "/" + "a/" * 600, "1970-01-01T00:00:00Z"]
)
NAUGHTY = JUNK | HOSTILE


@given(
    export=shaped(
        rules=st.lists(
            shaped(
                portNumber=st.just(3000) | NAUGHTY, path=st.just("/a") | NAUGHTY, pathType=st.just("Prefix")
            )
        )
        | NAUGHTY,
        targetClusters=st.lists(NAUGHTY, max_size=3) | NAUGHTY,
        serviceAccountName=NAUGHTY,
    ),
    port=shaped(port=st.just(3000), name=NAUGHTY, appProtocol=NAUGHTY),
    metadata=shaped(
        namespace=st.just("demo") | NAUGHTY,
        name=st.just("app") | NAUGHTY,
        creationTimestamp=NAUGHTY,
        annotations=NAUGHTY,
        labels=NAUGHTY,
    ),
)
@settings(max_examples=300, deadline=None)
def test_a_hostile_member_costs_the_others_nothing(export: Any, port: Any, metadata: Any) -> None:
    """Whatever it serves, what the honest one exports is imported, and only what an API takes is written."""
    home = ClusterView("a/b/c/home", None, {}, {}, {}, ("demo",))
    rules = [{"portNumber": 3000, "path": "/app", "pathType": "Prefix"}]
    services = {KEY: obj("Service", {"ports": [{"port": 3000, "name": "http"}]})}
    exports = {KEY: obj("ServiceExport", {"rules": rules})}
    since = {"demo/app": "2026-01-01T00:00:00.000Z"}
    honest = ClusterView(
        "a/b/c/one", Address("h", "10.0.0.1", 80), exports, services, {}, ("demo",), None, since
    )
    raw = {"metadata": metadata, "spec": export}
    if not isinstance(metadata, dict):
        raw = {"metadata": NAMES, "spec": export}
    kept = trim.export(raw)
    key = key_of(kept)
    seen = FirstSeen({})
    seen.see({key: kept}, 1_800_000_000.0)
    service = trim.service({"metadata": raw["metadata"], "spec": {"ports": [port]}})
    hostile = ClusterView(
        "a/b/c/two",
        Address("h", "10.0.0.2", 80),
        {key: kept},
        {key: service},
        {},
        ("demo",),
        None,
        seen.times,
    )
    made = plan([home, hostile, honest])
    assert hostile.key not in made.faults or "cannot be evaluated" not in made.faults[hostile.key]
    endpoints = made.imports[home.key][KEY]["spec"]["ports"][0]["endpoints"]
    assert "a/b/c/one" in [endpoint["clusterKey"] for endpoint in endpoints]
    for where, body in made.imports[home.key].items():
        assert where == (body["metadata"]["namespace"], body["metadata"]["name"])
        check_key(where)
        json.dumps(body, ensure_ascii=False).encode()
    json.dumps(seen.status(), ensure_ascii=False).encode()


@given(imported=IMPORT, service=SERVICE, endpoint_slice=SLICE)
@settings(max_examples=300, deadline=None)
def test_derived_services_stand_any_object(imported: Any, service: Any, endpoint_slice: Any) -> None:
    labels = {"kubernetes.io/service-name": "app"}
    slices: dict[tuple[str, str], Any] = {("demo", "x"): {"metadata": {**NAMES, "labels": labels}}}
    if isinstance(endpoint_slice, dict):
        slices["demo", "x"].update(endpoint_slice)
    peers(slices, "demo", "app")
    gateways = Gateways(("1.1.1.1",), 1, range(20000, 20002))
    for marks, kept in (({}, ""), (DERIVED, ""), ({}, '{"app": "x"}')):
        local = obj("Service", service, marks)
        local["metadata"]["annotations"] = {"multicluster.flomesh.io/selector": kept}
        services = {KEY: local}
        asked = {"metadata": {"annotations": {"multicluster.flomesh.io/every-caller": "true"}}}
        reaches({KEY: asked}, services, {}, lambda _: True, {}, imports={KEY})
        for taken in (True, False):
            list(
                reconcile(
                    {KEY: obj("ServiceImport", imported)},
                    services,
                    slices,
                    gateways,
                    leaves=lambda _: True,
                    takes_over=lambda _, taken=taken: taken,
                )
            )


@given(
    imported=IMPORT,
    annotations=shaped(**{APP_ID: st.just("app") | JUNK, "dapr.io/app-id": st.just("app") | JUNK}),
    labels=shaped(**{CALLERS: st.just("true") | JUNK, "dapr.io/enabled": st.just("true") | JUNK}),
    metadata=JUNK,
)
@settings(max_examples=300, deadline=None)
def test_http_endpoints_stand_any_object(imported: Any, annotations: Any, labels: Any, metadata: Any) -> None:
    said = {**NAMES, "annotations": annotations, "labels": labels}
    for marked in (said, {**said, "labels": DERIVED}, metadata):
        raw = {"metadata": marked, "spec": imported}
        dapr = Dapr(
            namespaces={("", "demo"): raw, ("", "home"): raw},
            services={("demo", "app-dapr"): raw, ("demo", "app-clusterset"): raw},
            exports={},
            endpoints={KEY: raw},
            leaves=lambda _: True,
            home="home",
        )
        plan_endpoints({KEY: raw, ("demo", "other"): {"metadata": said, "spec": imported}}, dapr)


@given(export=EXPORT, service=SERVICE, imported=IMPORT, policy=JUNK)
@settings(max_examples=200, deadline=None)
def test_the_routes_stand_any_object(export: Any, service: Any, imported: Any, policy: Any) -> None:
    kinds = {
        "ServiceExport": export,
        "Service": service,
        "ServiceImport": imported,
        "GlobalTrafficPolicy": policy,
    }
    objects = [{**obj(kind, spec), "apiVersion": "flomesh.io/v1alpha1"} for kind, spec in kinds.items()]
    compile_snapshot(objects, "a/b/c/one", front_door=True)


@given(text=JUNK.map(yaml.safe_dump) | st.text())
@settings(max_examples=200, deadline=None)
def test_any_kubeconfig_is_taken_or_refused(text: str) -> None:
    with contextlib.suppress(CredentialError):
        from_kubeconfig(text)


@given(context=JUNK, cluster=JUNK, user=JUNK)
@settings(max_examples=200, deadline=None)
def test_any_part_of_a_kubeconfig_is_taken_or_refused(context: Any, cluster: Any, user: Any) -> None:
    document = {
        "current-context": "it",
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}, context],
        "clusters": [
            {"name": "it", "cluster": {"server": "https://a", "certificate-authority-data": cluster}}
        ],
        "users": [
            {"name": "it", "user": {"token": user, "client-key-data": user, "client-certificate-data": user}}
        ],
    }
    with contextlib.suppress(CredentialError):
        from_kubeconfig(yaml.safe_dump(document))


@given(spec=JUNK, status=JUNK)
def test_keys_and_conditions_of_any_object(spec: Any, status: Any) -> None:
    found = {**obj("Cluster", spec), "status": status}
    assert cluster_key(found).endswith("/app")
    assert status_patch(found, [Condition("Managed", True, "Success", "fine")], 0.0) is not None
