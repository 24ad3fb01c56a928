"""Derived Services of imports: what is written, and what is never touched."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.kube.actions import Action
from gateway.kube.derived import reconcile
from gateway.kube.endpoints import assign_ports, family_of, peers
from gateway.kube.slices import Gateways

KEY = ("dapr-test", "nodeapp")
SLICE_KEY = ("dapr-test", "nodeapp-imported")
CLUSTER_SET = ("dapr-test", "nodeapp-clusterset")
OURS = {"multicluster.flomesh.io/imported": "true", "app.kubernetes.io/managed-by": "multicluster-gateway"}
PODS = ("10.42.0.10", "10.42.0.11")


def imported(*ports: dict[str, Any], uid: str = "import-uid") -> dict[str, Any]:
    listed = list(ports) or [{"name": "http", "port": 3000, "protocol": "TCP", "endpoints": []}]
    return {"metadata": {"namespace": "dapr-test", "name": "nodeapp", "uid": uid}, "spec": {"ports": listed}}


def everything(
    imports: dict[Any, Any], services: dict[Any, Any] | None = None, slices: dict[Any, Any] | None = None,
    leaves: bool = True, *, pods: tuple[str, ...] = PODS, listening: range = range(0),
) -> list[Action]:  # fmt: skip
    gateways = Gateways(pods, 15080, listening)
    return list(reconcile(imports, services or {}, slices or {}, gateways, leaves=lambda _: leaves))


def run(*args: Any, **more: Any) -> list[Action]:
    """What is written for callers of the service's own name."""
    return [action for action in everything(*args, **more) if action.key != CLUSTER_SET]


def after(actions: list[Action]) -> tuple[dict[Any, Any], dict[Any, Any]]:
    """Services and slices as an API server would hold them after these creates, with its defaults."""
    services: dict[Any, Any] = {}
    slices: dict[Any, Any] = {}
    for action in actions:
        assert action.verb == "create"
        body: dict[str, Any] = {
            **action.body,
            "metadata": {**action.body["metadata"], "uid": "u", "resourceVersion": "7"},
        }
        if action.resource.kind == "Service":
            ports = [{**port, "targetPort": port["port"]} for port in body["spec"]["ports"]]
            services[action.key] = {
                **body,
                "spec": {**body["spec"], "clusterIP": "10.43.0.9", "ports": ports},
            }
        else:
            slices[action.key] = {**body, "endpoints": body["endpoints"] or None}
    return services, slices


def test_the_cluster_sets_name_has_a_service_of_its_own() -> None:
    """Beside a local Service too: it always follows the policy."""
    for local in ({}, local_service()):
        actions = everything({KEY: imported()}, local, local_pods(True))
        service, endpoint_slice = (action for action in actions if action.key == CLUSTER_SET)
        assert service.body["spec"]["ports"] == [{"port": 3000, "protocol": "TCP", "name": "http"}]
        assert addresses(endpoint_slice) == list(PODS)
        assert endpoint_slice.body["metadata"]["labels"]["kubernetes.io/service-name"] == CLUSTER_SET[1]
        assert endpoint_slice.body["metadata"]["labels"]["multicluster.flomesh.io/service"] == "nodeapp"


def test_the_cluster_sets_name_is_refused_when_nobody_may_serve() -> None:
    def listed(leaves: bool, ready: bool) -> list[str]:
        actions = everything({KEY: imported()}, local_service(), local_pods(ready), leaves)
        return addresses(
            next(a for a in actions if a.key == CLUSTER_SET and a.resource.kind == "EndpointSlice")
        )

    assert listed(leaves=False, ready=True) == list(PODS), "the local pods serve, through a gateway"
    assert listed(leaves=True, ready=False) == list(PODS)
    assert listed(leaves=False, ready=False) == []


def test_while_no_gateway_is_ready_the_local_pods_are_in_the_cluster_sets_slice() -> None:
    pods = local_pods(True)
    for one in pods.values():
        one |= {"addressType": "IPv4", "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}]}
    actions = everything({KEY: imported()}, local_service(), pods, pods=())
    endpoint_slice = next(a for a in actions if a.key == CLUSTER_SET and a.resource.kind == "EndpointSlice")
    assert addresses(endpoint_slice) == ["10.42.0.20"]
    assert endpoint_slice.body["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]


def test_a_service_of_somebody_else_with_the_cluster_sets_name_stays() -> None:
    foreign = {
        "metadata": {"namespace": "dapr-test", "name": CLUSTER_SET[1]},
        "spec": {"selector": {"a": "b"}},
    }
    assert [a.key for a in everything({KEY: imported()}, {CLUSTER_SET: foreign})] == [KEY, SLICE_KEY]


def test_each_port_of_a_service_gets_a_service_port_and_keeps_it() -> None:
    ports = [
        {"port": 3000, "name": "http", "endpoints": []},
        {"port": 4000, "name": "admin", "endpoints": []},
    ]
    wanted = {KEY: imported(*ports)}
    actions = everything(wanted, listening=range(20000, 20002))
    found = [a for a in actions if a.resource.kind == "EndpointSlice"]
    for endpoint_slice in found:
        assert [port["port"] for port in endpoint_slice.body["ports"]] == [20000, 20001]
        said = endpoint_slice.body["metadata"]["annotations"]["multicluster.flomesh.io/service-ports"]
        assert said == '{"20000": 3000, "20001": 4000}'
    services, slices = after(actions)
    earlier = ("dapr-test", "a")
    other = imported({"port": 80, "endpoints": []})
    other["metadata"] |= {"name": "a"}
    actions = everything({**wanted, earlier: other}, services, slices, listening=range(20000, 20002))
    (new,) = (a for a in actions if a.key == ("dapr-test", "a-imported"))
    assert new.body["ports"][0]["port"] == 15080, (
        "the range is used up: it shares the port that routes by Host"
    )
    assert {a.key[1] for a in actions} == {"a", "a-imported", "a-clusterset"}, "the first keeps its ports"


def test_a_slice_that_somebody_wrote_into_is_written_again() -> None:
    services, slices = after(everything({KEY: imported()}, listening=range(20000, 20010)))
    for wrong in ("[]", "{", '{"x": 1}', '{"20000": null}', '{"7": 3000}'):
        slices[SLICE_KEY]["metadata"]["annotations"] = {"multicluster.flomesh.io/service-ports": wrong}
        (action,) = everything({KEY: imported()}, services, slices, listening=range(20000, 20010))
        assert action.key == SLICE_KEY
        assert action.body["ports"][0]["port"] == 20000


def addresses(action: Action) -> list[str]:
    return [address for endpoint in action.body["endpoints"] for address in endpoint["addresses"]]


def test_an_import_gets_a_service_and_a_slice_with_the_gateways() -> None:
    service, endpoint_slice = run({KEY: imported()})
    assert service.body["spec"] == {
        "type": "ClusterIP",
        "ports": [{"port": 3000, "protocol": "TCP", "name": "http"}],
    }
    assert [endpoint["addresses"] for endpoint in endpoint_slice.body["endpoints"]] == [
        ["10.42.0.10"],
        ["10.42.0.11"],
    ]
    assert endpoint_slice.body["ports"] == [{"name": "http", "port": 15080, "protocol": "TCP"}]
    assert endpoint_slice.body["metadata"]["labels"]["kubernetes.io/service-name"] == "nodeapp"


def test_when_nothing_may_leave_there_are_no_endpoints() -> None:
    _, endpoint_slice = run({KEY: imported()}, leaves=False)
    assert endpoint_slice.body["endpoints"] == []


def test_what_is_there_already_is_not_written_again() -> None:
    for leaves in (True, False):
        services, slices = after(run({KEY: imported()}, leaves=leaves))
        assert run({KEY: imported()}, services, slices, leaves) == []


def test_a_changed_policy_changes_only_the_slice() -> None:
    services, slices = after(run({KEY: imported()}, leaves=False))
    (action,) = run({KEY: imported()}, services, slices)
    assert (action.verb, action.key) == ("merge", SLICE_KEY)
    assert action.body["metadata"]["resourceVersion"] == "7"


def test_several_ports_get_names() -> None:
    ports = [
        {"port": 3000, "endpoints": []},
        {"port": 4000, "name": "admin", "appProtocol": "http", "endpoints": []},
    ]
    service, _ = run({KEY: imported(*ports)})
    assert service.body["spec"]["ports"] == [
        {"port": 3000, "protocol": "TCP", "name": "port-3000"},
        {"port": 4000, "protocol": "TCP", "name": "admin", "appProtocol": "http"},
    ]


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ({"name": "http", "port": 3000}, {"port": 3000}),
        ({"port": 3000}, {"name": "http", "port": 3000}),
        ({"port": 3000, "appProtocol": "http"}, {"port": 3000}),
    ],
)
def test_a_port_that_loses_or_gets_its_name_does_so_in_service_and_slice(
    before: dict[str, Any], now: dict[str, Any]
) -> None:
    """kube-proxy finds a port's endpoints by its name: a Service that kept it would have none."""
    services, slices = after(everything({KEY: imported(before)}))
    actions = everything({KEY: imported(now)}, services, slices)
    bodies = {(action.resource.kind, action.key): action.body for action in actions}
    for key in (KEY, CLUSTER_SET):
        (port,) = bodies["Service", key]["spec"]["ports"]
        assert {name: port[name] for name in ("name", "appProtocol")} == {
            "name": now.get("name"), "appProtocol": now.get("appProtocol"),
        }  # fmt: skip
    if before.get("name") != now.get("name"):
        assert bodies["EndpointSlice", SLICE_KEY]["ports"][0]["name"] == now.get("name", "")


def test_a_local_service_is_left_alone() -> None:
    for spec in ({"selector": {"app": "nodeapp"}}, {}):
        local = {"metadata": {"namespace": "dapr-test", "name": "nodeapp"}, "spec": spec}
        assert run({KEY: imported()}, {KEY: local}, local_pods(True)) == []


def local_pods(ready: bool) -> dict[Any, Any]:
    metadata = {"labels": {"kubernetes.io/service-name": "nodeapp"}}
    endpoints = [{"addresses": ["10.42.0.20"], "conditions": {"ready": ready}}]
    return {("dapr-test", "nodeapp-x"): {"metadata": metadata, "endpoints": endpoints}}


def local_service(**spec: Any) -> dict[Any, Any]:
    ports = [{"name": "web", "port": 3000}, {"name": "other", "port": 3001}]
    base = {"selector": {"app": "nodeapp"}, "ports": ports, **spec}
    return {KEY: {"metadata": {"namespace": "dapr-test", "name": "nodeapp"}, "spec": base}}


def test_a_local_service_without_ready_pods_falls_back_on_the_gateways() -> None:
    (action,) = run({KEY: imported()}, local_service(), local_pods(False))
    assert (action.verb, action.key) == ("create", SLICE_KEY)
    assert action.body["ports"] == [{"name": "web", "port": 15080, "protocol": "TCP"}]
    assert run({KEY: imported()}, local_service(), local_pods(False), leaves=False) == []
    assert run({KEY: imported()}, local_service(), local_pods(False), pods=()) == []
    assert run({KEY: imported()}, local_service(clusterIP="None"), local_pods(False)) == []


def test_a_local_service_with_ready_pods_answers_for_itself_again() -> None:
    _, ours = after(run({KEY: imported()}, local_service(), local_pods(False)))
    assert run({KEY: imported()}, local_service(), {**ours, **local_pods(False)}) == []
    (action,) = run({KEY: imported()}, local_service(), {**ours, **local_pods(True)})
    assert (action.verb, action.key) == ("delete", SLICE_KEY)


def test_a_local_service_that_comes_later_takes_our_slice_away() -> None:
    _, slices = after(run({KEY: imported()}))
    local = {
        "metadata": {"namespace": "dapr-test", "name": "nodeapp"},
        "spec": {"selector": {"app": "nodeapp"}},
    }
    (action,) = run({KEY: imported()}, {KEY: local}, {**slices, **local_pods(True)})
    assert (action.verb, action.key, action.uid) == ("delete", SLICE_KEY, "u")


def test_both_go_with_the_import() -> None:
    services, slices = after(run({KEY: imported()}))
    assert [(action.verb, action.key, action.uid) for action in run({}, services, slices)] == [
        ("delete", KEY, "u"),
        ("delete", SLICE_KEY, "u"),
    ]


def test_a_derived_service_with_a_selector_is_handed_over_before_it_is_taken_over() -> None:
    """With our labels and no selector it would count as derived again, and its selector be put back."""
    services, slices = after(run({KEY: imported()}))
    services[KEY]["spec"]["selector"] = {"app": "node"}
    gateways = Gateways(PODS, 15080)
    own = {**slices, **local_pods(True)}
    actions = reconcile(
        {KEY: imported()}, services, own, gateways, leaves=lambda _: True, takes_over=lambda _: True
    )
    (release,) = [action for action in actions if action.key == KEY]
    assert release.body["metadata"]["labels"] == dict.fromkeys(OURS)
    assert "spec" not in release.body


def test_a_derived_service_with_a_selector_is_handed_over() -> None:
    services, slices = after(run({KEY: imported()}))
    services[KEY]["spec"]["selector"] = {"app": "nodeapp"}
    release, remove = run({KEY: imported()}, services, {**slices, **local_pods(True)})
    assert release.body["metadata"] == {
        "labels": dict.fromkeys(OURS),
        "ownerReferences": None,
        "resourceVersion": "7",
    }
    assert (remove.verb, remove.key) == ("delete", SLICE_KEY)


def test_the_slices_of_a_service_that_was_handed_over_are_never_touched() -> None:
    """Kubernetes copies our labels from the Service to the slice it makes, until it has seen them gone."""
    services, slices = after(run({KEY: imported()}))
    services[KEY]["spec"]["selector"] = {"app": "nodeapp"}
    copied = local_pods(True)
    ((key, copy),) = copied.items()
    copy["metadata"]["labels"] |= OURS
    copy["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] = "endpointslice-controller.k8s.io"
    touched = [(action.verb, action.key) for action in run({KEY: imported()}, services, {**slices, **copied})]
    assert touched == [("merge", KEY), ("delete", SLICE_KEY)]
    assert key != SLICE_KEY
    assert run({}, local_service(), copied) == []


def test_a_slice_of_somebody_else_with_our_name_stays() -> None:
    services, _ = after(run({KEY: imported()}))
    foreign = {"metadata": {"namespace": "dapr-test", "name": "nodeapp-imported", "labels": {}}}
    assert run({KEY: imported()}, services, {SLICE_KEY: foreign}) == []
    assert [action.key for action in run({}, services, {SLICE_KEY: foreign})] == [KEY]


def test_an_import_made_again_becomes_the_owner() -> None:
    services, slices = after(run({KEY: imported()}))
    actions = run({KEY: imported(uid="second")}, services, slices)
    assert [action.body["metadata"]["ownerReferences"][0]["uid"] for action in actions] == [
        "second",
        "second",
    ]


def test_peers_are_the_ready_pods_behind_the_gateway_service() -> None:
    def endpoint_slice(service: str, family: str, *endpoints: tuple[str, bool | None]) -> dict[str, Any]:
        listed = [{"addresses": [address], "conditions": {"ready": ready}} for address, ready in endpoints]
        return {
            "metadata": {"labels": {"kubernetes.io/service-name": service}},
            "addressType": family,
            "endpoints": listed,
        }

    slices = {
        ("mesh", "a"): endpoint_slice(
            "gateway", "IPv4", ("10.0.0.2", True), ("10.0.0.3", False), ("10.0.0.1", None)
        ),
        ("mesh", "b"): endpoint_slice("gateway", "IPv6", ("fd00::1", True)),
        ("mesh", "c"): endpoint_slice("other", "IPv4", ("10.0.0.4", True)),
        ("apps", "d"): endpoint_slice("gateway", "IPv4", ("10.0.0.5", True)),
    }
    assert peers(slices, "mesh", "gateway") == ("10.0.0.1", "10.0.0.2")
    assert peers(slices, "mesh", "gateway", "IPv6") == ("fd00::1",)


@pytest.mark.parametrize(
    ("address", "family"), [("10.42.0.10", "IPv4"), ("fd00:42::a", "IPv6"), ("", "IPv4")]
)
def test_a_cluster_has_the_family_of_its_pods_first_address(address: str, family: str) -> None:
    assert family_of(address) == family


def test_in_a_cluster_of_ipv6_slices_have_its_addresses_whoever_is_ready() -> None:
    pods = local_pods(True)
    for number, one in enumerate(pods.values()):
        port = {"name": "http", "port": 8080, "protocol": "TCP"}
        one |= {"addressType": "IPv6", "ports": [port], "endpoints": [{"addresses": [f"fd00::{number + 1}"]}]}
    for gateways, listed in ((("fd00::a",), ["fd00::a"]), ((), ["fd00::1"])):
        actions = reconcile(
            {KEY: imported()},
            local_service(),
            pods,
            Gateways(gateways, 15080, family="IPv6"),
            leaves=lambda _: True,
        )
        slices = [one for one in actions if one.resource.kind == "EndpointSlice" and one.key == CLUSTER_SET]
        assert [one.body["addressType"] for one in slices] == ["IPv6"]
        assert addresses(slices[0]) == listed
    nobody = Gateways((), 15080, family="IPv6")
    actions = reconcile({KEY: imported()}, {}, {}, nobody, leaves=lambda _: True)
    slices = [one for one in actions if one.resource.kind == "EndpointSlice"]
    assert {one.body["addressType"] for one in slices} == {"IPv6"}, "it cannot be changed afterwards"


def test_a_derived_service_that_somebody_made_stand_for_something_else_is_handed_over() -> None:
    """Another name, or endpoints of his own: it is left alone from then on, also when the import goes."""
    services, slices = after(run({KEY: imported()}))
    services[KEY]["spec"] |= {"type": "ExternalName", "externalName": "example.org"}
    by_hand = {
        ("dapr-test", "by-hand"): {
            "metadata": {"labels": {"kubernetes.io/service-name": "nodeapp"}},
            "endpoints": [{"addresses": ["10.9.9.9"]}],
        }
    }
    plain, _ = after(run({KEY: imported()}))
    for local, more in ((services, {}), (plain, by_hand)):
        for imports in ({KEY: imported()}, {}):
            actions = run(imports, local, {**slices, **more})
            assert [(a.verb, a.key) for a in actions] == [("merge", KEY), ("delete", SLICE_KEY)]
            assert actions[0].body["metadata"]["labels"] == dict.fromkeys(OURS)


def test_what_kubernetes_left_of_a_deleted_service_makes_nobody_its_owner() -> None:
    services, slices = after(run({KEY: imported()}))
    left = local_pods(True)
    for one in left.values():
        one["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] = (
            "endpointslice-controller.k8s.io"
        )
    assert run({KEY: imported()}, services, {**slices, **left}) == []


def test_a_service_port_that_a_forged_slice_claims_goes_to_nobody() -> None:
    mine, forger = (KEY, 3000), (("aaa", "evil"), 80)
    _, slices = after(everything({KEY: imported()}, listening=range(20000, 20010)))
    forged = {**slices[SLICE_KEY], "metadata": {**slices[SLICE_KEY]["metadata"]}}
    forged["metadata"] |= {
        "namespace": "aaa",
        "labels": {**forged["metadata"]["labels"], "multicluster.flomesh.io/service": "evil"},
        "annotations": {"multicluster.flomesh.io/service-ports": '{"20000": 80}'},
    }
    slices["aaa", "forged"] = forged
    found = assign_ports([forger, mine], slices, range(20000, 20010))
    assert sorted(found.values()) == [20001, 20002]


@pytest.mark.parametrize("imports", [{KEY: imported()}, {}], ids=["imported", "the import goes"])
def test_a_derived_service_that_helm_takes_is_handed_over_and_stays_helms(imports: dict[Any, Any]) -> None:
    """It changes but the label that says who manages it; the import that owns it would take it along."""
    services, slices = after(run({KEY: imported()}))
    metadata = services[KEY]["metadata"]
    metadata["labels"] = {**metadata["labels"], "app.kubernetes.io/managed-by": "Helm"}
    services[KEY]["spec"]["selector"] = {"app": "nodeapp"}
    (action,) = [one for one in run(imports, services, slices) if one.resource.kind == "Service"]
    assert action.verb == "merge"
    assert action.body["metadata"]["labels"] == {"multicluster.flomesh.io/imported": None}, "not Helm's"
    assert action.body["metadata"]["ownerReferences"] is None
