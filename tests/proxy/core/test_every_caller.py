"""Which policies hold for callers of a local Service's own name, and what is said of the others."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.core.affinity import DEFAULT_BALANCING
from gateway.core.every_caller import is_touched, reaches, selector_of
from gateway.core.exports import Evaluation, ExportedPort, Rule
from gateway.core.problem import Problem
from gateway.core.rewrite import Rewrite

KEY = ("shop", "checkout")
ASKED = {"metadata": {"annotations": {"multicluster.flomesh.io/every-caller": "true"}}}
RESTORES = Rewrite("^/shop/?", "/")
KEPT = "multicluster.flomesh.io/selector"


def service(**spec: Any) -> dict[str, Any]:
    ports = [{"name": "web", "port": 80, "protocol": "TCP"}]
    base = {"clusterIP": "10.43.0.7", "selector": {"app": "checkout"}, "ports": ports}
    return {"metadata": {"namespace": "shop", "name": "checkout"}, "spec": {**base, **spec}}


def export(number: int = 80, protocol: str = "http", rewrite: Rewrite | None = RESTORES) -> Evaluation:
    rule = Rule(KEY, False, "/shop", number, rewrite, DEFAULT_BALANCING)
    return Evaluation(KEY, "", rules=(rule,), ports=(ExportedPort(number, "web", "", protocol, "/shop"),))


def reach(
    local: dict[str, Any] | None, exported: Evaluation | None = None, policy: dict[str, Any] = ASKED, *,
    leaves: bool = True, rival: str = "", beside: dict[str, Any] | None = None, imported: bool = True,
) -> tuple[bool | None, str, str, bool]:  # fmt: skip
    services = {key: obj for key, obj in ((KEY, local), (("shop", "checkout-local"), beside)) if obj}
    exports = {KEY: exported or export()}
    rivals = {KEY: rival} if rival else {}
    (found,) = reaches(
        {KEY: policy}, services, exports, lambda _: leaves, rivals, imports={KEY} if imported else ()
    ).values()
    return found.condition.status, found.condition.reason, found.condition.message, found.wanted


def test_a_policy_that_lets_requests_leave_takes_the_local_service_over() -> None:
    status, reason, message, wanted = reach(service())
    assert (status, reason, wanted) == (True, "TakenOver", True)
    assert message == "callers of the Service's own name reach the gateways"


def test_nothing_is_said_of_a_policy_that_does_not_ask() -> None:
    for metadata in ({}, {"annotations": {"multicluster.flomesh.io/every-caller": "false"}}):
        assert (
            reaches({KEY: {"metadata": metadata}}, {KEY: service()}, {}, lambda _: True, {}, imports={KEY})
            == {}
        )


@pytest.mark.parametrize("said", ["yes", "True", "1", " true"])
def test_what_is_neither_true_nor_false_counts_as_false_and_is_told(said: str) -> None:
    policy = {"metadata": {"annotations": {"multicluster.flomesh.io/every-caller": said}}}
    status, reason, message, wanted = reach(service(), policy=policy)
    assert (status, reason, wanted) == (False, "InvalidAnnotation", False)
    assert f"is {said!r}, and counts as false: give 'true' or 'false'" in message


def test_a_policy_that_keeps_requests_in_needs_nothing() -> None:
    assert reach(service(clusterIP="None"), leaves=False)[:2] == (True, "NotNeeded")
    assert reach(service(), leaves=False)[:3] == (
        True, "NotNeeded", "it keeps requests in this cluster: callers reach the local pods directly",
    )  # fmt: skip


def test_a_policy_of_what_no_other_cluster_exports_says_so() -> None:
    assert reach(service(), leaves=False, imported=False)[:3] == (
        True, "NotNeeded", "no other cluster exports it to this one: callers reach the local pods directly",
    )  # fmt: skip


def test_a_policy_that_is_being_deleted_holds_for_nobody() -> None:
    policy = {"metadata": {**ASKED["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}}
    assert reach(service(), policy=policy)[3] is False


def test_without_a_local_service_callers_reach_the_gateways_anyway() -> None:
    assert reach(None)[1] == "NoLocalService"
    labels = {
        "multicluster.flomesh.io/imported": "true",
        "app.kubernetes.io/managed-by": "multicluster-gateway",
    }
    derived = {"metadata": {"namespace": "shop", "name": "checkout", "labels": labels}, "spec": {}}
    assert reach(derived)[1] == "NoLocalService"


@pytest.mark.parametrize(
    ("spec", "reason", "words"),
    [
        ({"clusterIP": "None"}, "Headless", "dial its pods"),
        ({"internalTrafficPolicy": "Local"}, "TrafficPolicyLocal", "internalTrafficPolicy Local"),
        ({"externalTrafficPolicy": "Local"}, "TrafficPolicyLocal", "externalTrafficPolicy Local"),
        ({"ports": [{"port": 53, "protocol": "UDP"}]}, "PortNotCarried", "port 53 is UDP"),
        ({"ports": [{"port": 80}, {"port": 9000}]}, "PortNotCarried", "port 9000 is not exported"),
    ],
)
def test_a_service_that_gateways_cannot_stand_for_is_refused(
    spec: dict[str, Any], reason: str, words: str
) -> None:
    status, found, message, wanted = reach(service(**spec))
    assert (status, found, wanted) == (False, reason, False)
    assert words in message
    assert message.endswith("While a local pod is ready, callers of the Service's own name reach it directly")


@pytest.mark.parametrize("leaves", [True, False])
@pytest.mark.parametrize(
    ("spec", "reason", "words"),
    [
        ({"type": "ExternalName", "externalName": "example.org"}, "ExternalName", "sent to another name"),
        ({"selector": None}, "NoSelector", "reach what somebody else lists"),
    ],
)
def test_callers_of_a_service_that_stands_for_something_else_never_meet_the_policy(
    spec: dict[str, Any], reason: str, words: str, leaves: bool
) -> None:
    status, found, message, wanted = reach(service(**spec), leaves=leaves)
    assert (status, found, wanted) == (False, reason, False)
    assert message.endswith(words)


def test_without_a_service_and_an_import_there_is_nothing_to_hold_for() -> None:
    assert reach(None, imported=False)[:2] == (False, "NoService")


def test_an_application_must_not_see_the_exports_path_now_and_then() -> None:
    status, reason, message, wanted = reach(service(), export(rewrite=Rewrite("^/shop", "/v2")))
    assert (status, reason, wanted) == (False, "PathNotRestored", False)
    assert "rewrite from ^/shop/? to /" in message
    assert reach(service(), export(rewrite=Rewrite(".", "x" * 2048)))[1] == "PathNotRestored", (
        "too much of it"
    )
    assert reach(service(), export(rewrite=Rewrite("^/shop/", "")))[1] == "TakenOver"
    assert reach(service(), export(rewrite=None))[1] == "TakenOver", "no path is in its calls"
    whole = Evaluation(
        KEY, "", rules=(Rule(KEY, True, "/x", 80, None, DEFAULT_BALANCING),
                        Rule(KEY, False, "/", 80, None, DEFAULT_BALANCING)),
        ports=(ExportedPort(80, "web", "", "http", "/"),),
    )  # fmt: skip
    assert reach(service(), whole)[3], "nothing is put in front of the path"


def test_a_port_that_is_not_http_is_refused() -> None:
    _, reason, message, wanted = reach(service(), export(protocol="grpc"))
    assert (reason, wanted) == ("PortNotCarried", False)
    assert message.startswith("port 80 speaks grpc by its appProtocol or name: gateways carry HTTP. ")
    assert reach(service(), export(protocol="ws"))[3]


def test_a_service_that_is_not_exported_is_refused() -> None:
    bad = Evaluation(KEY, "", problems=(Problem("ServiceExport", *KEY, "PortNotFound", "port 9 is none"),))
    for exported, words in ((Evaluation(KEY, ""), "no Prefix path"), (bad, "port 9 is none")):
        _, reason, message, _ = reach(service(), exported)
        assert reason == "NotExported"
        assert words in message
    (found,) = reaches({KEY: ASKED}, {KEY: service()}, {}, lambda _: True, {}, imports={KEY}).values()
    assert found.condition.reason == "NotExported"


def test_a_name_without_room_is_refused() -> None:
    long, key = service(), ("shop", "c" * 58)
    long["metadata"]["name"] = key[1]
    (found,) = reaches({key: ASKED}, {key: long}, {}, lambda _: True, {}, imports={KEY}).values()
    assert found.condition.reason == "NameTooLong"


def test_a_service_in_the_way_is_named() -> None:
    labels = {"multicluster.flomesh.io/local-of": "checkout"}
    assert reach(service(), beside={"metadata": {"labels": labels}})[3]
    _, reason, message, _ = reach(service(), beside={"metadata": {}})
    assert reason == "NameTaken"
    assert "checkout-local" in message


def test_who_keeps_putting_the_selector_back_is_named() -> None:
    _, reason, message, wanted = reach(service(), rival="argocd-controller")
    assert (reason, wanted) == ("SelectorContested", False)
    assert message.startswith("argocd-controller keeps putting the selector back")


def test_session_affinity_is_explained() -> None:
    assert "sessionSticky" in reach(service(sessionAffinity="ClientIP"))[2]


def test_the_selector_of_a_service_is_its_own_or_the_one_that_is_kept() -> None:
    kept = {"metadata": {"annotations": {KEPT: '{"app": "x"}'}}, "spec": {}}
    assert selector_of(service()) == {"app": "checkout"}
    assert selector_of(kept) == {"app": "x"}
    assert is_touched(kept)
    assert not is_touched(service())
    for wrong in ("", "[]", "{", '"x"'):
        broken = {"metadata": {"annotations": {KEPT: wrong}}, "spec": {}}
        assert selector_of(broken) == {}
