"""The hub's plan: who imports what, and what each export is told."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gateway.core.app_ids import APP_ID
from gateway.core.objects import DERIVED
from gateway.core.snapshot import compile_snapshot
from gateway.core.timeouts import TIMEOUTS
from gateway.kube.cluster_view import Address, ClusterView
from gateway.kube.plan import Plan, carried, plan, same_import

KEY = ("dapr-test", "nodeapp")
NAMESPACES = ("dapr-test", "demo", "shop")
NAMES = {"namespace": "dapr-test", "name": "nodeapp"}


def cluster(name: str) -> str:
    return f"default/default/default/{name}"


def service(*ports: dict[str, Any], **spec: Any) -> dict[str, Any]:
    listed = list(ports) or [{"name": "http", "port": 3000, "protocol": "TCP"}]
    return {"metadata": NAMES, "spec": {"ports": listed, **spec}}


def export(*rules: dict[str, Any], created: str = "2026-01-01T00:00:00Z", **spec: Any) -> dict[str, Any]:
    listed = list(rules) or [rule()]
    return {"metadata": {**NAMES, "creationTimestamp": created}, "spec": {"rules": listed, **spec}}


def rule(port: int = 3000, path: str = "/nodeapp", kind: str = "Prefix") -> dict[str, Any]:
    return {"portNumber": port, "path": path, "pathType": kind}


def member(
    number: int, export_: dict[str, Any] | None = None, service_: dict[str, Any] | None = None
) -> ClusterView:
    """cluster-<number>; with an export also the plain Service, unless another is given."""
    return ClusterView(
        cluster(f"cluster-{number}"),
        Address("172.28.0.1", "172.28.0.1", 80 + number),
        {KEY: export_} if export_ else {},
        {KEY: service_ or service()} if export_ or service_ else {},
        {},
        NAMESPACES,
    )


HOME = ClusterView(cluster("control-plane"), None, {}, {}, {}, NAMESPACES)


def who(made: Plan, view: ClusterView, key: tuple[str, str] = KEY) -> dict[int, list[str]]:
    """Exporters by port in the view's import."""
    body: Mapping[str, Any] = made.imports[view.key].get(key, {"spec": {"ports": []}})
    return {
        p["port"]: [e["clusterKey"].split("/")[-1] for e in p["endpoints"]] for p in body["spec"]["ports"]
    }


def condition(
    made: Plan, view: ClusterView, kind: str, key: tuple[str, str] = KEY
) -> tuple[bool | None, str]:
    (found,) = (found for found in made.conditions[view.key][key] if found.type == kind)
    return found.status, found.message


def stored(made: Plan, view: ClusterView) -> ClusterView:
    """The view after its plan was carried out."""
    return replace(view, imports=dict(made.imports[view.key]))


def test_everybody_else_imports_and_the_exporter_does_not() -> None:
    one, two = member(1, export()), member(2)
    made = plan([HOME, one, two])
    assert who(made, HOME) == who(made, two) == {3000: ["cluster-1"]}
    assert made.imports[one.key] == {}
    assert condition(made, one, "Valid") == (True, "ports 3000 are exported")
    assert condition(made, one, "Conflict")[0] is False


def test_an_import_is_written_as_the_article_expects() -> None:
    made = plan([member(1, export(serviceAccountName="*")), member(2)])
    target = {"host": "172.28.0.1", "ip": "172.28.0.1", "port": 81, "path": "/nodeapp"}
    assert made.imports[cluster("cluster-2")][KEY] == {
        "apiVersion": "flomesh.io/v1alpha1",
        "kind": "ServiceImport",
        "metadata": {**NAMES, "labels": {"app.kubernetes.io/managed-by": "multicluster-hub"}},
        "spec": {
            "type": "ClusterSetIP",
            "serviceAccountName": "*",
            "ports": [
                {
                    "name": "http",
                    "port": 3000,
                    "protocol": "TCP",
                    "endpoints": [{"clusterKey": cluster("cluster-1"), "target": target}],
                }
            ],
        },
    }


def test_different_ports_are_merged() -> None:
    grpc = {"name": "grpc", "port": 50051, "protocol": "TCP"}
    one = member(1, export())
    three = member(3, export(rule(), rule(50051, "/grpc")), service({"name": "http", "port": 3000}, grpc))
    made = plan([one, member(2), three])
    assert who(made, member(2)) == {3000: ["cluster-1", "cluster-3"], 50051: ["cluster-3"]}
    assert condition(made, three, "Conflict")[0] is False


def test_one_name_on_two_ports_is_made_unique() -> None:
    three = member(3, export(rule(4000)), service({"name": "http", "port": 4000}))
    made = plan([member(1, export()), member(2), three])
    ports = made.imports[cluster("cluster-2")][KEY]["spec"]["ports"]
    assert [port["name"] for port in ports] == ["http", "http-4000"]


def test_the_older_export_says_what_a_port_speaks() -> None:
    one = member(1, export(created="2026-01-02T00:00:00Z"), service({"port": 3000, "appProtocol": "grpc"}))
    three = member(3, export(created="2026-01-01T00:00:00Z"))
    made = plan([one, member(2), three])
    assert who(made, member(2)) == {3000: ["cluster-3"]}
    status, message = condition(made, one, "Conflict")
    assert status is True
    assert message.startswith("port 3000 is grpc here but http in default/default/default/cluster-3")
    assert condition(made, three, "Conflict")[0] is False


def test_target_clusters_limit_who_imports() -> None:
    one = member(1, export(targetClusters=[cluster("cluster-2"), cluster("cluster-9")]))
    made = plan([HOME, one, member(2), member(3)])
    assert who(made, member(2)) == {3000: ["cluster-1"]}
    assert who(made, member(3)) == who(made, HOME) == {}
    assert "have not joined: default/default/default/cluster-9" in condition(made, one, "Valid")[1]


def test_an_export_without_its_service_is_not_valid_and_not_imported() -> None:
    one = replace(member(1, export()), services={})
    made = plan([one, member(2)])
    assert who(made, member(2)) == {}
    assert condition(made, one, "Valid") == (False, "there is no Service dapr-test/nodeapp")


def test_a_service_derived_from_an_import_is_not_exported() -> None:
    derived = {**service(), "metadata": {**NAMES, "labels": DERIVED}}
    one = member(1, export(), derived)
    made = plan([one, member(2)])
    assert who(made, member(2)) == {}
    assert condition(made, one, "Valid") == (False, "there is no Service dapr-test/nodeapp")


def test_the_hub_exports_what_the_gateway_of_the_exporter_serves() -> None:
    """A fault that keeps a rule from being served keeps its port from being imported, in the same words."""
    for faulty in (
        export(rule(path="nodeapp")),
        export(rule(), loadBalancer="Random"),
        export({**rule(), "pathType": "Regex"}),
        export(rules=[]),
    ):
        one = member(1, faulty)
        made = plan([one, member(2)])
        kinds = {"Service": service(), "ServiceExport": faulty}
        compiled = compile_snapshot(({**obj, "kind": kind} for kind, obj in kinds.items()), one.key)
        assert who(made, member(2)) == {}
        assert condition(made, one, "Valid") == (False, compiled.problems[0].message)


def test_a_service_no_api_server_would_store_counts_as_none() -> None:
    one = member(1, export(), service({"port": "x"}))
    assert condition(plan([one]), one, "Valid")[1] == "there is no Service dapr-test/nodeapp"


def test_services_that_cannot_be_exported() -> None:
    gone = {**service(), "metadata": {**NAMES, "deletionTimestamp": "2026-01-01T00:00:00Z"}}
    for faulty, words in ((service(type="ExternalName"), "ExternalName"), (gone, "being deleted")):
        one = member(1, export(), faulty)
        made = plan([one, member(2)])
        assert who(made, member(2)) == {}
        assert words in condition(made, one, "Valid")[1]


def test_a_bad_rule_leaves_the_good_ones_alone() -> None:
    one = member(1, export(rule(), rule(9999, "/other")))
    made = plan([one, member(2)])
    assert who(made, member(2)) == {3000: ["cluster-1"]}
    status, message = condition(made, one, "Valid")
    assert status is False
    assert "9999 is not a TCP port of the Service, which has 3000; the rest of it is served" in message


def test_an_invalid_pattern_stops_only_its_own_export() -> None:
    one = member(1, export(pathRewrite={"from": "(", "to": "/"}))
    made = plan([one, member(2), member(3, export())])
    assert who(made, member(2)) == {3000: ["cluster-3"]}
    assert condition(made, one, "Valid")[1].startswith("spec.pathRewrite: ")


def test_an_exact_path_is_not_imported_and_says_so() -> None:
    one = member(1, export(rule(kind="Exact")))
    made = plan([one, member(2)])
    assert who(made, member(2)) == {}
    assert "has only an Exact path" in condition(made, one, "Valid")[1]


def test_of_two_exports_with_one_path_in_a_cluster_the_older_has_it() -> None:
    other = ("shop", "web")
    view = member(1, export(created="2026-01-02T00:00:00Z"))
    late = {"metadata": {"namespace": "shop", "name": "web", "creationTimestamp": "2026-01-01T00:00:00Z"}}
    rules = {"spec": {"rules": [rule(path="/nodeapp/")]}}
    assert view.exports is not None
    view = replace(
        view, exports={**view.exports, other: {**late, **rules}}, services={**view.services, other: service()}
    )
    made = plan([view, member(2)])
    assert who(made, member(2)) == {}
    assert who(made, member(2), other) == {3000: ["cluster-1"]}
    assert "already exported by shop/web" in condition(made, view, "Valid")[1]


def test_the_same_path_in_two_clusters_is_no_clash() -> None:
    made = plan([member(1, export()), member(2), member(3, export())])
    assert who(made, member(2)) == {3000: ["cluster-1", "cluster-3"]}


def test_a_cluster_without_address_exports_nothing_and_says_why() -> None:
    home = replace(HOME, exports={KEY: export()}, services={KEY: service()})
    made = plan([home, member(2)])
    assert who(made, member(2)) == {}
    assert "no Cluster object with a gatewayHost" in condition(made, home, "Valid")[1]


def test_endpoints_of_a_member_never_read_stay() -> None:
    two = stored(plan([member(1, export()), member(2), member(3, export())]), member(2))
    unread = replace(member(1), exports=None)
    made = plan([unread, two, member(3)])
    assert who(made, two) == {3000: ["cluster-1"]}
    assert same_import(made.imports[two.key][KEY], made.imports[two.key][KEY])


def test_a_port_known_only_from_a_member_never_read_stays_as_it_is() -> None:
    grpc = {"name": "grpc", "port": 50051, "protocol": "TCP", "appProtocol": "grpc"}
    before = plan([member(1, export(rule(50051, "/grpc")), service(grpc)), member(2)])
    two = stored(before, member(2))
    made = plan([replace(member(1), exports=None), two])
    assert made.imports[two.key][KEY]["spec"] == before.imports[two.key][KEY]["spec"]


def test_endpoints_of_a_cluster_that_left_go() -> None:
    two = stored(plan([member(1, export()), member(2)]), member(2))
    assert plan([two]).imports[two.key] == {}


def test_endpoints_of_a_changed_key_move() -> None:
    two = stored(plan([member(1, export()), member(2)]), member(2))
    moved = replace(member(1, export()), key="default/west/default/cluster-1")
    endpoints = plan([moved, two]).imports[two.key][KEY]["spec"]["ports"][0]["endpoints"]
    assert [endpoint["clusterKey"] for endpoint in endpoints] == ["default/west/default/cluster-1"]


def test_no_plan_for_imports_that_were_never_read() -> None:
    made = plan([member(1, export()), replace(member(2), imports=None)])
    assert cluster("cluster-2") not in made.imports
    assert made.conditions[cluster("cluster-2")] == {}


def test_an_import_made_by_somebody_else_is_left_alone_and_named() -> None:
    foreign = {"metadata": NAMES, "spec": {"ports": []}}
    one, two = member(1, export()), replace(member(2), imports={KEY: foreign})
    made = plan([one, two])
    assert made.imports[two.key] == {}
    assert "ServiceImport of this name the hub did not make" in condition(made, one, "Conflict")[1]


def test_the_plan_does_not_depend_on_the_order_of_anything() -> None:
    grpc = service({"name": "grpc", "port": 3000, "appProtocol": "grpc"})
    views = [
        HOME,
        member(1, export()),
        member(2),
        member(3, export(created="2025-01-01T00:00:00Z"), grpc),
        member(4, export()),
    ]
    wanted = plan(views)
    for seed in range(20):
        shuffled = random.Random(seed).sample(views, len(views))  # noqa: S311
        assert plan(shuffled) == wanted


def test_a_plan_carried_out_changes_nothing_the_next_time() -> None:
    views = [HOME, member(1, export(serviceAccountName="*")), member(2), member(3, export())]
    first = plan(views)
    again = plan([stored(first, view) for view in views])
    assert again == first
    for view in views:
        for key, body in again.imports[view.key].items():
            assert same_import(first.imports[view.key][key], body)


def named(app_id: str, created: str = "2026-01-01T00:00:00Z", **spec: Any) -> dict[str, Any]:
    """An export with an app-id for Dapr."""
    raw = export(created=created, **spec)
    raw["metadata"] = {**raw["metadata"], "annotations": {APP_ID: app_id}}
    return raw


def test_imports_carry_the_app_id_of_the_export() -> None:
    one, two = member(1, named("orders")), member(2)
    made = plan([one, two])
    assert made.imports[two.key][KEY]["metadata"]["annotations"] == {APP_ID: "orders"}
    assert condition(made, one, "Valid") == (True, "ports 3000 are exported; its app-id for Dapr is orders")


def test_one_export_with_an_app_id_is_enough() -> None:
    made = plan([member(1, export()), member(2), member(3, named("orders", created="2026-02-01T00:00:00Z"))])
    assert made.imports[cluster("cluster-2")][KEY]["metadata"]["annotations"] == {APP_ID: "orders"}


def test_of_two_app_ids_the_older_export_decides() -> None:
    one, three = member(1, named("orders", created="2026-01-02T00:00:00Z")), member(3, named("sales"))
    made = plan([one, member(2), three])
    assert {carried(imports[KEY])[APP_ID] for imports in made.imports.values()} == {"sales"}
    status, message = condition(made, one, "Conflict")
    assert status is True
    assert message.startswith("its app-id is orders here but sales in default/default/default/cluster-3")
    assert condition(made, three, "Conflict")[0] is False


def test_a_changed_app_id_is_another_import() -> None:
    before = plan([member(1, export()), member(2)]).imports[cluster("cluster-2")][KEY]
    wanted = plan([member(1, named("orders")), member(2)]).imports[cluster("cluster-2")][KEY]
    assert same_import(before, before)
    assert same_import(wanted, wanted)
    assert not same_import(before, wanted)
    assert not same_import(wanted, before)


def test_the_app_id_of_an_unknown_member_is_kept() -> None:
    one, two = member(1, named("orders")), member(2)
    two = stored(plan([one, two]), two)
    made = plan([replace(one, exports=None), two])
    assert carried(made.imports[two.key][KEY])[APP_ID] == "orders"


def timed(said: dict[str, str], created: str = "2026-01-01T00:00:00Z") -> dict[str, Any]:
    """An export with timeouts."""
    raw = export(created=created)
    raw["metadata"] = {**raw["metadata"], "annotations": {TIMEOUTS: json.dumps(said)}}
    return raw


def test_imports_carry_what_callers_wait_and_not_what_an_attempt_may_take() -> None:
    one, two = member(1, timed({"request": "30s", "backendRequest": "5s"})), member(2)
    imported = plan([one, two]).imports[two.key][KEY]
    assert json.loads(carried(imported)[TIMEOUTS] or "") == {"request": "30s"}
    without = plan([member(1, timed({"backendRequest": "5s"})), two]).imports[two.key][KEY]
    assert carried(without) == {APP_ID: None, TIMEOUTS: None}
    assert "annotations" not in without["metadata"]
    assert not same_import(without, imported)


def test_of_two_timeouts_the_older_export_decides_and_one_without_agrees() -> None:
    one = member(1, timed({"request": "5s"}, created="2026-01-02T00:00:00Z"))
    two, three = member(2, export(created="2026-01-03T00:00:00Z")), member(3, timed({"request": "30s"}))
    made = plan([one, two, three])
    said = {carried(imports[KEY])[TIMEOUTS] for imports in made.imports.values()}
    assert said == {'{"request": "30s"}'}
    status, message = condition(made, one, "Conflict")
    assert status is True
    assert message.startswith("its request timeout is 5s here but 30s in default/default/default/cluster-3")
    assert condition(made, two, "Conflict")[0] is condition(made, three, "Conflict")[0] is False


def test_the_timeouts_of_an_unknown_member_are_kept() -> None:
    one, two = member(1, timed({"request": "30s"})), member(2)
    two = stored(plan([one, two]), two)
    made = plan([replace(one, exports=None), two])
    assert carried(made.imports[two.key][KEY])[TIMEOUTS] == '{"request": "30s"}'
