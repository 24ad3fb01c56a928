"""Dapr app-ids of imported services: who has one, where, and what the import says of it."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.core.app_ids import APP_ID, Candidate, Settled, read_app_id, settle
from gateway.core.conditions import dapr_invocable, not_invocable
from gateway.core.exports import evaluate_exports
from gateway.core.fields import FieldError
from gateway.core.services import read_service

ORDERS = ("shop", "orders")


def annotated(value: object) -> dict[str, Any]:
    return {"metadata": {"annotations": {APP_ID: value}}}


def candidate(
    key: tuple[str, str] = ORDERS,
    *,
    created: str = "2026-01-01",
    exported: bool = False,
    leaves: bool = False,
) -> Candidate:
    return Candidate(key, "orders", created, exported, leaves)


def said(settled: Settled) -> tuple[bool | None, str, str]:
    condition = dapr_invocable(settled)
    return condition.status, condition.reason, condition.message


@pytest.mark.parametrize("app_id", ["orders", "a", "7-up", "a" * 58])
def test_an_app_id_is_what_daprs_operator_takes(app_id: str) -> None:
    assert read_app_id(annotated(app_id)) == app_id


@pytest.mark.parametrize("app_id", ["", "Orders", "orders.shop", "-a", "a-", "a" * 59, "a\n", 7, ["orders"]])
def test_what_cannot_be_one_is_named(app_id: object) -> None:
    with pytest.raises(FieldError, match="give the app-id of a Dapr app") as caught:
        read_app_id(annotated(app_id))
    assert caught.value.reason == "InvalidAppId"
    assert repr(app_id) in str(caught.value)


@pytest.mark.parametrize("raw", [{}, {"metadata": {}}, {"metadata": {"annotations": {"other": "orders"}}}])
def test_without_the_annotation_there_is_none(raw: dict[str, Any]) -> None:
    assert not read_app_id(raw)


def test_an_export_says_its_app_id(make: Any) -> None:
    raw = make.export()
    raw["metadata"]["annotations"] = {APP_ID: "orders"}
    key = ("demo", "app")
    found = evaluate_exports({key: raw}, {key: read_service(make.service())})[key]
    assert found.app_id == "orders"
    assert not found.problems


def test_a_faulty_app_id_takes_no_rule_with_it(make: Any) -> None:
    raw = make.export()
    raw["metadata"]["annotations"] = {APP_ID: "Orders"}
    key = ("demo", "app")
    found = evaluate_exports({key: raw}, {key: read_service(make.service())})[key]
    assert [problem.reason for problem in found.problems] == ["InvalidAppId"]
    assert found.rules
    assert not found.app_id


def test_every_namespace_of_callers_gets_the_app_id() -> None:
    found = settle([candidate()], ["web", "curl"], {}, [])[ORDERS]
    assert found.namespaces == ["curl", "web"]
    assert said(found) == (True, "Invocable", "HTTPEndpoint orders in curl, web")


def test_without_callers_the_import_says_what_to_do() -> None:
    status, reason, message = said(settle([candidate()], [], {}, [])[ORDERS])
    assert (status, reason) == (False, "NoCallers")
    assert "label multicluster.flomesh.io/dapr-callers=true" in message


@pytest.mark.parametrize("leaves", [True, False])
def test_an_importer_has_it_whatever_the_policy(leaves: bool) -> None:
    assert settle([candidate(leaves=leaves)], ["curl"], {}, [])[ORDERS].namespaces == ["curl"]


def test_an_exporter_has_it_only_while_the_policy_lets_requests_leave() -> None:
    apps = {"orders": ["shop"]}
    leaving = settle([candidate(exported=True, leaves=True)], ["curl", "shop"], apps, [])[ORDERS]
    assert leaving.namespaces == ["curl", "shop"]
    staying = settle([candidate(exported=True)], ["curl", "shop"], apps, [])[ORDERS]
    assert (staying.namespaces, staying.refusals) == ([], [])
    assert said(staying)[:2] == (True, "Native")


def test_of_two_services_with_one_app_id_the_older_has_it() -> None:
    old, young = (
        candidate(("z", "orders"), created="2026-01-01"),
        candidate(("a", "orders"), created="2026-01-02"),
    )
    found = settle([young, old], ["curl"], {}, [])
    assert found["z", "orders"].namespaces == ["curl"]
    assert said(found["a", "orders"]) == (
        False, "AppIdTaken", "no HTTPEndpoint in curl: app-id orders is that of z/orders"
    )  # fmt: skip


def test_of_two_of_one_age_the_first_by_name_has_it() -> None:
    found = settle([candidate(("b", "orders")), candidate(("a", "orders"))], ["curl"], {}, [])
    assert found["a", "orders"].namespaces == ["curl"]


def test_in_its_own_namespace_a_service_comes_first() -> None:
    old, young = (
        candidate(("a", "orders"), created="2026-01-01"),
        candidate(("b", "orders"), created="2026-01-02"),
    )
    found = settle([old, young], ["b", "curl"], {}, [])
    assert found["b", "orders"].namespaces == ["b"]
    assert found["a", "orders"].namespaces == ["curl"]


def test_the_app_id_of_a_service_that_stays_native_goes_to_nobody_else() -> None:
    native = candidate(exported=True, created="2026-01-01")
    other = candidate(("b", "orders"), created="2026-01-02", leaves=True)
    assert settle([native, other], ["curl"], {}, [])["b", "orders"].namespaces == []


def test_a_local_app_that_does_not_export_is_not_hidden() -> None:
    found = settle([candidate()], ["curl", "shop"], {"orders": ["shop"]}, [])[ORDERS]
    assert not found.namespaces
    status, reason, message = said(found)
    assert (status, reason) == (False, "LocalApp")
    assert message == (
        "no HTTPEndpoint in curl, shop: "
        "shop has a Dapr app orders in this cluster that is not exported: export it too"
    )


def test_a_local_app_of_another_namespace_is_not_hidden() -> None:
    found = settle([candidate()], ["curl", "shop", "test"], {"orders": ["test"]}, [])[ORDERS]
    assert found.namespaces == ["shop"], "callers of the service's own namespace mean the service"
    status, reason, message = said(found)
    assert (status, reason) == (False, "LocalApp")
    assert message == (
        "HTTPEndpoint orders in shop; "
        "no HTTPEndpoint in curl, test: an HTTPEndpoint would hide the Dapr app orders in test"
    )


def test_an_http_endpoint_of_others_is_left_alone() -> None:
    found = settle([candidate()], ["curl", "web"], {}, {("curl", "orders")})[ORDERS]
    assert found.namespaces == ["web"]
    status, reason, message = said(found)
    assert (status, reason) == (False, "ForeignHTTPEndpoint")
    assert "no HTTPEndpoint in curl: there is an HTTPEndpoint orders that the gateway did not make" in message


def test_an_import_without_use_says_why() -> None:
    condition = not_invocable(FieldError("NoHttpPort", "no port"))
    assert (condition.status, condition.reason, condition.message) == (False, "NoHttpPort", "no port")


def test_who_has_an_app_id_keeps_it_when_an_older_import_says_it_later() -> None:
    holder = candidate(("shop", "orders"), created="2026-01-02")
    edited = candidate(("evil", "orders"), created="2026-01-01")
    holders = {("curl", "orders"): "shop/orders"}
    found = settle([edited, holder], ["curl", "web"], {}, [], holders)
    assert found["shop", "orders"].namespaces == ["curl"]
    assert found["evil", "orders"].namespaces == ["web"]
