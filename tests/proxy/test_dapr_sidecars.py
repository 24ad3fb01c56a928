"""The last hop through Dapr's sidecars, on sockets; tests/proxy/test_daprd_e2e.py has real ones."""

from __future__ import annotations

import argparse
from typing import Any

import pytest

from gateway.core.app_ids import APP_ID
from gateway.core.peers import MutualTls
from gateway.core.sidecars import INVOKE, NOT_INVOKED, SIDECARS
from gateway.core.snapshot import compile_snapshot
from gateway.kube.follower import relevant
from gateway.kube.resources import EXPORT, IMPORT, POLICY, SERVICE, SLICE
from gateway.options import DAPR_TOKEN, dapr_token
from gateway.serve import load

AWAY = NOT_INVOKED + b',"message":"failed to invoke, id: app.demo, err: connection refused"}'


def error(body: bytes, status: bytes = b"500 Internal Server Error") -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
        status, len(body), body,
    )  # fmt: skip


def exported(make: Any, sidecar: int) -> list[dict[str, Any]]:
    export = make.export(pathRewrite={"from": "^/app/?", "to": "/"})
    export["metadata"]["annotations"] = {APP_ID: "app", INVOKE: "sidecar"}
    objects = [
        make.service("dapr-sidecars", {3500: "http"}),
        make.slice("127.0.0.1", name="dapr-sidecars", port=sidecar),
    ]
    for obj in objects:
        obj["metadata"]["namespace"] = SIDECARS[0]
    return [make.service(), make.slice("10.255.255.1"), export, *objects]


async def test_a_request_from_outside_is_an_invocation(net: Any, make: Any, ok: Any) -> None:
    sidecar = await net.app(lambda head, body: ok(head + body))
    objects = exported(make, sidecar)
    north, _, server = await net.gateway(*objects)
    server.swap(compile_snapshot(objects, make.key("here"), dapr_token=b"secret").snapshot)
    fields = "dapr-app-id: vault\r\ndapr-api-token: theirs\r\ntraceparent: 00-1\r\n"
    status, _, seen = await net.ask(north, "/app/orders?x=1", method="POST", body=b"one", fields=fields)
    assert status == 200
    assert seen.startswith(b"POST /v1.0/invoke/app.demo/method/orders?x=1 HTTP/1.1\r\n")
    assert seen.endswith(b"\r\n\r\none")
    assert b"\r\ndapr-api-token: secret\r\n" in seen
    assert b"traceparent: 00-1\r\n" in seen
    assert b"vault" not in seen
    assert b"theirs" not in seen


@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_what_can_be_repeated_goes_to_another_cluster_when_dapr_reaches_nobody(
    net: Any, make: Any, ok: Any, method: str
) -> None:
    asked: list[bytes] = []

    def away(head: bytes, _body: bytes) -> bytes:
        asked.append(head)
        return error(AWAY)

    north, _, exporter = await net.gateway(*exported(make, await net.app(away)), cluster="c1")
    other = await net.app(lambda _head, _body: ok(b"other"))
    imported = make.imported(c1=north, c2=other)
    policy = make.policy("FailOver", c1=100, c2=1)
    _, east_west, _ = await net.gateway(imported, policy, cluster="c0")
    body = b"x" if method == "PUT" else b""
    assert (await net.ask(east_west, host="app.demo", method=method, body=body))[2] == b"other"
    assert len(asked) == 1
    status, head, _ = await net.ask(north, "/app/", method=method, body=body)
    assert status == 502
    assert b"\r\nX-Gateway-Refused: not-invoked\r\n" in head
    assert all(not health.failures for health in exporter.registry.health.values()), (
        "it serves other apps too"
    )


async def test_what_may_have_been_executed_gets_the_sidecars_answer(net: Any, make: Any) -> None:
    north, _, _ = await net.gateway(*exported(make, await net.app(lambda _head, _body: error(AWAY))))
    status, head, body = await net.ask(north, "/app/", method="POST", body=b"x")
    assert (status, body) == (500, AWAY)
    assert b"X-Gateway-Refused" not in head


@pytest.mark.parametrize("answer", [error(b'{"error":"mine"}'), error(AWAY, b"403 Forbidden")])
async def test_an_applications_500_and_a_denied_call_are_answers(net: Any, make: Any, answer: bytes) -> None:
    north, _, _ = await net.gateway(*exported(make, await net.app(lambda _head, _body: answer)))
    status, head, body = await net.ask(north, "/app/")
    assert head + body == answer
    assert status in {500, 403}


async def test_an_app_that_is_asked_directly_may_answer_as_a_sidecar_does(net: Any, make: Any) -> None:
    app = await net.app(lambda _head, _body: error(AWAY))
    north, _, _ = await net.gateway(make.service(), make.slice("127.0.0.1", port=app), make.export())
    assert (await net.ask(north, "/app"))[0] == 500


async def test_without_a_sidecar_a_gateway_in_front_may_go_elsewhere(net: Any, make: Any) -> None:
    north, _, _ = await net.gateway(*exported(make, net.dead_port()))
    status, head, _ = await net.ask(north, "/app/", method="POST", body=b"x")
    assert status == 502
    assert b"X-Gateway-Refused: unreachable" in head


def test_a_gateway_follows_the_sidecars_whatever_is_exported(make: Any) -> None:
    objects = exported(make, 1)
    taken: dict[str, dict[Any, Any]] = {one.kind: {} for one in (EXPORT, IMPORT, POLICY, SERVICE, SLICE)}
    for obj in objects:
        taken[obj["kind"]][obj["metadata"]["namespace"], obj["metadata"]["name"]] = obj
    assert {obj["metadata"]["namespace"] for obj in relevant(taken)} == {"demo", SIDECARS[0]}
    assert len(relevant(taken)) == len(objects)


def test_the_token_is_read_from_the_environment_as_daprs_own_programs_do(
    make: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.delenv(DAPR_TOKEN, raising=False)
    assert not dapr_token()
    monkeypatch.setenv(DAPR_TOKEN, "secret")
    assert dapr_token() == b"secret"
    file = tmp_path / "objects.yaml"
    file.write_text(str({"kind": "List", "items": exported(make, 1)}))
    args = argparse.Namespace(
        cluster_key=make.key("here"), front_door=False, cluster_domain="cluster.local",
        service_ports=range(0), peers_key_file=None, dial_loopback=True, foreign_imports=True,
        hosts=None, mutual_tls=MutualTls.OFF,
    )  # fmt: skip
    (route,) = load(file, args).snapshot.path_routes()
    assert route.clusters[0].sidecar == b"secret"
    for wrong in ("a b", "a\r\nx: y", "\u00e4", "\t"):
        monkeypatch.setenv(DAPR_TOKEN, wrong)
        with pytest.raises(ValueError, match=DAPR_TOKEN) as caught:
            dapr_token()
        assert wrong not in str(caught.value), "it may be a secret all the same"
