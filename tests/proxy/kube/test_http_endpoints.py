"""Dapr HTTPEndpoints of imports: what is written, where, and what is never touched."""

from __future__ import annotations

from typing import Any

from gateway.core.app_ids import APP_ID
from gateway.core.conditions import Condition
from gateway.kube.derived import Action
from gateway.kube.http_endpoints import Dapr, plan_endpoints

KEY = ("shop", "orders")
OURS = {"multicluster.flomesh.io/imported": "true", "app.kubernetes.io/managed-by": "multicluster-gateway"}
CALLERS = {"multicluster.flomesh.io/dapr-callers": "true"}


def imported(app_id: str | None = "orders", **port: Any) -> dict[str, Any]:
    annotations = {APP_ID: app_id} if app_id is not None else {}
    metadata = {"namespace": KEY[0], "name": KEY[1], "annotations": annotations}
    return {"metadata": metadata, "spec": {"ports": [{"port": 3000, "endpoints": []} | port]}}


def namespaces(*callers: str, uid: str = "home-uid") -> dict[Any, Any]:
    found = {("", name): {"metadata": {"name": name, "labels": CALLERS}} for name in callers}
    return {**found, ("", "multicluster-system"): {"metadata": {"name": "multicluster-system", "uid": uid}}}


def operators_service(namespace: str, app_id: str = "orders", name: str = "") -> dict[Any, Any]:
    """The Service that Dapr's operator makes for an app."""
    name = name or f"{app_id}-dapr"
    metadata = {"labels": {"dapr.io/enabled": "true"}, "annotations": {"dapr.io/app-id": app_id}}
    return {(namespace, name): {"metadata": {"namespace": namespace, "name": name, **metadata}}}


def run(
    imports: dict[Any, Any] | None = None,
    endpoints: dict[Any, Any] | None = None,
    *,
    callers: dict[Any, Any] | None = None,
    services: dict[Any, Any] | None = None,
    exports: dict[Any, Any] | None = None,
    leaves: bool = True,
) -> tuple[list[Action], dict[Any, Condition]]:
    dapr = Dapr(
        namespaces=namespaces("curl") if callers is None else callers,
        services=services or {},
        exports=exports or {},
        endpoints=endpoints or {},
        leaves=lambda *_: leaves,
        home="multicluster-system",
    )
    wanted = plan_endpoints({KEY: imported()} if imports is None else imports, dapr)
    return wanted.actions, wanted.conditions


def after(actions: list[Action]) -> dict[Any, Any]:
    """HTTPEndpoints as an API server would hold them after these creates."""
    assert {action.verb for action in actions} <= {"create"}
    return {
        action.key: {
            **action.body,
            "metadata": {**action.body["metadata"], "uid": "u", "resourceVersion": "7", "generation": 1},
        }
        for action in actions
    }


def test_callers_get_an_http_endpoint_named_by_the_app_id() -> None:
    (action,), conditions = run({KEY: imported("sales")})
    assert (action.verb, action.key) == ("create", ("curl", "sales"))
    assert action.body == {
        "apiVersion": "dapr.io/v1alpha1",
        "kind": "HTTPEndpoint",
        "metadata": {
            "namespace": "curl",
            "name": "sales",
            "labels": OURS,
            "annotations": {"multicluster.flomesh.io/import": "shop/orders"},
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "Namespace", "name": "multicluster-system", "uid": "home-uid"}
            ],
        },
        "spec": {"baseUrl": "http://orders-clusterset.shop.svc.cluster.local:3000"},
    }
    assert conditions[KEY].message == "HTTPEndpoint sales in curl"


def test_without_an_app_id_nothing_is_made_or_said() -> None:
    assert run({KEY: imported(None)}) == ([], {})


def test_what_is_there_already_is_not_written_again() -> None:
    endpoints = after(run()[0])
    assert run(endpoints=endpoints)[0] == []


def test_scopes_that_somebody_adds_stay() -> None:
    endpoints = after(run()[0])
    endpoints["curl", "orders"]["scopes"] = ["curl"]
    assert run(endpoints=endpoints)[0] == []


def test_a_changed_port_is_followed() -> None:
    (action,), _ = run({KEY: imported(port=4000)}, after(run()[0]))
    assert (action.verb, action.key) == ("merge", ("curl", "orders"))
    assert action.body["spec"] == {"baseUrl": "http://orders-clusterset.shop.svc.cluster.local:4000"}
    assert action.body["metadata"]["resourceVersion"] == "7"


def test_the_lowest_http_port_is_called() -> None:
    raw = imported()
    raw["spec"]["ports"] = [
        {"port": 90, "name": "grpc-api"}, {"port": 91, "appProtocol": "kubernetes.io/h2c"},
        {"port": 92, "protocol": "UDP"}, {"port": 94, "name": "web"}, {"port": 93, "appProtocol": "http"},
    ]  # fmt: skip
    (action,), _ = run({KEY: raw})
    assert action.body["spec"]["baseUrl"].endswith(":93")


def test_without_an_http_port_the_import_says_so() -> None:
    actions, conditions = run({KEY: imported(name="grpc")})
    assert actions == []
    assert (conditions[KEY].status, conditions[KEY].reason) == (False, "NoHttpPort")


def test_a_name_too_long_for_the_derived_service_is_said() -> None:
    raw = imported()
    raw["metadata"]["name"] = "a" * 53
    actions, conditions = run({("shop", "a" * 53): raw})
    assert actions == []
    assert conditions["shop", "a" * 53].reason == "NameTooLong"


def test_a_service_of_others_in_the_derived_ones_place_gets_no_calls() -> None:
    name = "orders-clusterset"
    theirs = {
        ("shop", name): {"metadata": {"namespace": "shop", "name": name}, "spec": {"selector": {"a": "b"}}}
    }
    actions, conditions = run(services=theirs)
    assert actions == []
    assert conditions[KEY].reason == "ForeignService"
    derived = {("shop", name): {"metadata": {"namespace": "shop", "name": name, "labels": OURS}, "spec": {}}}
    assert len(run(services=derived)[0]) == 1


def test_an_app_id_that_cannot_be_one_is_said() -> None:
    actions, conditions = run({KEY: imported("Orders")})
    assert actions == []
    assert conditions[KEY].reason == "InvalidAppId"


def test_what_is_not_wanted_any_more_is_taken_back() -> None:
    endpoints = after(run()[0])
    gone: list[dict[str, Any]] = [
        {"imports": {}},
        {"imports": {KEY: imported(None)}},
        {"imports": {KEY: imported("other")}},
        {"callers": namespaces()},
        {"exports": {KEY: {}}, "leaves": False},
        {"services": operators_service("shop")},
        {"services": operators_service("elsewhere")},
    ]
    for change in gone:
        actions, _ = run(endpoints=endpoints, **change)
        deleted = [(action.key, action.uid) for action in actions if action.verb == "delete"]
        assert deleted == [(("curl", "orders"), "u")], change


def test_a_namespace_that_is_being_deleted_gets_none() -> None:
    callers = namespaces("curl")
    callers["", "curl"]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert run(callers=callers)[0] == []


def test_only_the_label_true_counts() -> None:
    callers = namespaces()
    callers["", "curl"] = {
        "metadata": {"name": "curl", "labels": {"multicluster.flomesh.io/dapr-callers": "no"}}
    }
    assert run(callers=callers)[0] == []


def test_what_others_made_is_never_touched() -> None:
    theirs = {
        ("curl", "orders"): {"metadata": {"namespace": "curl", "name": "orders"}, "spec": {"baseUrl": "x"}}
    }
    actions, conditions = run(endpoints=theirs)
    assert actions == []
    assert conditions[KEY].reason == "ForeignHTTPEndpoint"
    assert run({}, theirs)[0] == []


def test_what_only_looks_like_a_dapr_app_hides_nothing() -> None:
    plain = operators_service("shop")
    plain["shop", "orders-dapr"]["metadata"]["labels"] = {}
    for services in (
        plain,
        operators_service("shop", name="x-dapr"),
        operators_service("shop", name="orders"),
    ):
        assert len(run(services=services)[0]) == 1


def test_an_exporter_follows_the_policy_of_its_cluster() -> None:
    local: dict[str, Any] = {"services": operators_service("shop"), "exports": {KEY: {}}}
    assert [action.verb for action in run(leaves=True, **local)[0]] == ["create"]
    actions, conditions = run(leaves=False, **local)
    assert actions == []
    assert (conditions[KEY].status, conditions[KEY].reason) == (True, "Native")


def test_a_new_system_namespace_becomes_the_owner() -> None:
    endpoints = after(run()[0])
    (action,), _ = run(endpoints=endpoints, callers=namespaces("curl", uid="new"))
    assert action.body["metadata"]["ownerReferences"][0]["uid"] == "new"


def test_an_app_id_stays_with_the_import_that_has_it() -> None:
    other = imported()
    other["metadata"] |= {"namespace": "evil", "creationTimestamp": "2020-01-01T00:00:00Z"}
    actions, _ = run()
    both = {KEY: imported(), ("evil", "orders"): other}
    assert run(both, after(actions))[0] == [], "an older import that says the app-id later gets it nowhere"
