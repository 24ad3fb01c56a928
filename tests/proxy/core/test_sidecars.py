"""Dapr's sidecars as the last hop: which exports ask for them, what they are sent and answer."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest

from gateway.core.app_ids import APP_ID
from gateway.core.errors import ProtocolError
from gateway.core.exports import evaluate_exports
from gateway.core.fields import FieldError
from gateway.core.forward import request_start
from gateway.core.limits import Limits
from gateway.core.request import parse_request_head
from gateway.core.rewrite import Rewrite
from gateway.core.route import Endpoint, WeightedCluster
from gateway.core.services import read_service
from gateway.core.sidecars import INVOKE, NOT_INVOKED, invoke_prefix, not_invoked, read_invoke
from gateway.core.snapshot import compile_snapshot

HERE = "default/default/default/here"
KEY = ("demo", "app")


def invoked(export: dict[str, Any], how: object = "sidecar", app_id: object = "orders") -> dict[str, Any]:
    export["metadata"]["annotations"] = {APP_ID: app_id, INVOKE: how}
    return export


def evaluated(make: Any, export: dict[str, Any], ports: dict[int, str] | None = None) -> Any:
    return evaluate_exports({KEY: export}, {KEY: read_service(make.service(ports=ports))})[KEY]


def sidecars(make: Any, *addresses: str) -> list[dict[str, Any]]:
    service = make.service("dapr-sidecars", {3500: "http"})
    endpoints = make.slice(*addresses, name="dapr-sidecars", port=3500)
    for obj in (service, endpoints):
        obj["metadata"]["namespace"] = "multicluster-system"
    return [service, endpoints]


@pytest.mark.parametrize("annotations", [{}, {INVOKE: "app"}])
def test_by_default_the_apps_own_port_is_asked(annotations: dict[str, str]) -> None:
    assert not read_invoke({"metadata": {"annotations": annotations}}, "orders")


@pytest.mark.parametrize(
    ("how", "app_id", "said"),
    [
        ("Sidecar", "orders", "give app or sidecar"),
        (True, "orders", "is True"),
        ("sidecar", "", "without an app-id"),
    ],
)
def test_an_export_that_asks_for_something_else_says_what_it_may(how: object, app_id: str, said: str) -> None:
    with pytest.raises(FieldError, match=said) as caught:
        read_invoke({"metadata": {"annotations": {INVOKE: how}}}, app_id)
    assert caught.value.reason == "InvalidDaprInvoke"


@pytest.mark.parametrize(("how", "app_id"), [("sidecars", "orders"), ("sidecar", "Orders"), ([], "orders")])
def test_who_counts_on_access_control_is_never_taken_past_it(make: Any, how: object, app_id: str) -> None:
    found = evaluated(make, invoked(make.export(), how, app_id))
    assert not found.rules, "a mistake must not lead to the app's port"
    assert "InvalidDaprInvoke" in [problem.reason for problem in found.problems]


def test_an_export_through_sidecars_has_the_apps_one_port(make: Any) -> None:
    ports = {3000: "http", 9000: "http-metrics"}
    export = invoked(make.export())
    assert [rule.invoked for rule in evaluated(make, export, ports).rules] == ["orders"]
    export["spec"]["rules"].append({"path": "/m", "pathType": "Prefix", "portNumber": 9000})
    found = evaluated(make, export, ports)
    assert not found.rules
    assert "export no other" in found.problems[0].message


def test_what_does_nothing_there_is_noted(make: Any) -> None:
    for spec in ({"sessionSticky": True}, {"loadBalancer": "LeastWorkLoadBalancer"}):
        assert "pick the pod" in evaluated(make, invoked(make.export(**spec))).notes[0]
        assert not evaluated(make, make.export(**spec)).notes
    assert not evaluated(make, invoked(make.export())).notes


def test_requests_from_outside_go_to_the_sidecars_and_those_from_inside_to_the_pods(make: Any) -> None:
    objects = [make.service(), make.slice("10.0.0.1"), *sidecars(make, "10.0.0.7", "10.0.0.8")]
    rewrite = {"from": "^/app/?", "to": "/"}
    export = invoked(make.export(pathRewrite=rewrite, sessionSticky=True))
    compiled = compile_snapshot([*objects, export], HERE, dapr_token=b"token")
    assert not compiled.problems
    route = compiled.snapshot.paths.find(b"/app/x")
    assert route is not None
    (local,) = route.clusters
    assert local.endpoints == (Endpoint("10.0.0.7", 3500), Endpoint("10.0.0.8", 3500))
    assert local.target(b"/app/x?y=1") == b"/v1.0/invoke/orders.demo/method/x?y=1"
    assert not route.balancing.sticky
    assert b"token" not in repr(local).encode()
    inside = compiled.snapshot.hosts.find(b"app.demo:3000")
    assert inside is not None
    assert inside.clusters[0].endpoints == (Endpoint("10.0.0.1", 3000),)


def test_only_while_a_pod_is_ready_somebody_is_asked(make: Any) -> None:
    objects = [make.service(), make.slice("10.0.0.1", ready=False), *sidecars(make, "10.0.0.7")]
    route = compile_snapshot([*objects, invoked(make.export())], HERE).snapshot.paths.find(b"/app")
    assert route is not None
    assert not route.clusters[0].endpoints, "the gateway in front goes elsewhere"


def test_without_sidecars_nobody_serves_and_the_export_says_why(make: Any) -> None:
    compiled = compile_snapshot([make.service(), make.slice("10.0.0.1"), invoked(make.export())], HERE)
    route = compiled.snapshot.paths.find(b"/app")
    assert route is not None
    assert not route.clusters[0].endpoints
    assert [problem.reason for problem in compiled.problems] == ["NoDaprSidecars"]
    assert "multicluster-system/dapr-sidecars" in compiled.problems[0].message


def test_the_front_door_shares_with_other_exporters(make: Any) -> None:
    objects = [make.service(), make.slice("10.0.0.1"), *sidecars(make, "10.0.0.7"), make.imported(c1=81)]
    snapshot = compile_snapshot([*objects, invoked(make.export())], HERE, front_door=True).snapshot
    route = snapshot.paths.find(b"/app")
    assert route is not None
    assert {cluster.remote: cluster.sidecar for cluster in route.clusters} == {False: b"", True: None}


PREFIX = invoke_prefix("orders", "demo")


@pytest.mark.parametrize(
    ("rewrite", "target", "asked"),
    [
        (None, b"/", b"/"),
        (None, b"/a//b?x=/../y", b"/a//b?x=/../y"),
        (Rewrite("^/app/?", ""), b"/app/a", b"/a"),
        (Rewrite("^/app/?", ""), b"/app?q", b"/?q"),
        (Rewrite("v1-", ""), b"/v1-../v1-../state/x", None),
        (Rewrite("_", "%2e"), b"/__/x", None),
        (Rewrite("_", "%2F.."), b"/a_", None),
        (Rewrite("_", "."), b"/_/x", None),
        (None, b"/a%zz", None),
        (None, b"*", None),
    ],
)
def test_a_sidecar_is_asked_for_that_app_and_nothing_else(
    rewrite: Rewrite | None, target: bytes, asked: bytes | None
) -> None:
    cluster = WeightedCluster(HERE, (), prefix=PREFIX, rewrite=rewrite, sidecar=b"")
    if asked is None:
        with pytest.raises(ProtocolError, match=r"dot segments|no path") as caught:
            cluster.target(target)
        assert caught.value.status == 400
    else:
        assert cluster.target(target) == PREFIX + asked


BASIC = {
    "names an app": (b"Basic " + b64encode(b"dapr-app-id:vault"), False),
    "in other letters": (b"bASIC  " + b64encode(b"Dapr-App-ID:vault.safe"), False),
    "names none": (b"Basic " + b64encode(b"dapr-app-id"), True),
    "of somebody": (b"Basic " + b64encode(b"user:dapr-app-id:"), True),
    "too short": (b"Basic QQ==", True),
    "no Base64": (b"Basic Z", True),
    "another scheme": (b"Bearer " + b64encode(b"dapr-app-id:vault"), True),
}


@pytest.mark.parametrize("which", BASIC)
def test_no_field_names_another_app(which: str) -> None:
    value, kept = BASIC[which]
    head = (
        b"GET / HTTP/1.1\r\nHost: x\r\nDapr-App-Id: vault\r\nAuthorization: %b\r\nDAPR-caller-app-id:shop\r\n"
        b"dapr-api-token: theirs\r\ntraceparent: 00-1\r\nX-Dapr-Like: basic\r\n\r\n"
    ) % value
    request = parse_request_head(head, Limits())
    sent = request_start(request, PREFIX + b"/", b"", to_gateway=False, sidecar=b"ours")
    authorization = b"\r\nAuthorization: " + value if kept else b""
    assert sent == (
        b"GET /v1.0/invoke/orders.demo/method/ HTTP/1.1\r\nHost: x" + authorization
        + b"\r\ntraceparent: 00-1\r\nX-Dapr-Like: basic\r\ndapr-api-token: ours"
    )  # fmt: skip
    without = request_start(request, b"/", b"", to_gateway=False, sidecar=b"")
    assert b"dapr-api-token" not in without
    assert b"Dapr-App-Id: vault" in request_start(request, b"/", b"", to_gateway=False), (
        "an app gets what was sent"
    )


@pytest.mark.parametrize(
    ("status", "body", "answer"),
    [
        (500, NOT_INVOKED + b',"message":"failed to invoke, id: orders"}', True),
        (403, NOT_INVOKED + b',"message":"denied"}', False),
        (500, b'{"errorCode":"ERR_STATE_STORE_NOT_FOUND"}', False),
        (500, b"", False),
    ],
)
def test_a_sidecar_says_when_no_application_answered(status: int, body: bytes, answer: bool) -> None:
    assert not_invoked(status, body) is answer
