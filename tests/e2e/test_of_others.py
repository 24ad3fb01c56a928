"""What kubectl made on the running platform: the doctor finds nothing wrong, until something is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e.load import gateway_image
from e2e.patient import Patient

pytestmark = pytest.mark.e2e

NAMESPACE = "market"
HERE = ("-n", NAMESPACE)
CALL = "cluster-2 → market/stall at cluster-1"
HOME = "cluster-1 → market/stall at cluster-1"
DOOR = "front door → market/stall at cluster-1"
ELSEWHERE = "cluster-3 → market/stall"
EXPORT = "cluster-1: ServiceExport market/stall"
SERVER = """
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
ThreadingHTTPServer(("", 8080), Answer).serve_forever()
"""


def metadata(**more: Any) -> dict[str, Any]:
    return {"name": "stall", "namespace": NAMESPACE, **more}


def app(image: str) -> list[dict[str, Any]]:
    container = {"name": "stall", "image": image, "command": ["python", "-c", SERVER]}
    labels = {"app": "stall"}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0},
    }
    return [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata(),
         "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}},
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata(),
         "spec": {"selector": labels, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}},
    ]  # fmt: skip


def export(port: int = 80) -> dict[str, Any]:
    return {
        "apiVersion": "flomesh.io/v1alpha1", "kind": "ServiceExport", "metadata": metadata(),
        "spec": {"rules": [{"portNumber": port, "path": "/market/stall", "pathType": "Prefix"}]},
    }  # fmt: skip


def policy(target: str = "cluster-1") -> dict[str, Any]:
    targets = [{"clusterKey": f"default/default/default/{target}"}]
    return {
        "apiVersion": "flomesh.io/v1alpha1", "kind": "GlobalTrafficPolicy", "metadata": metadata(),
        "spec": {"lbType": "FailOver", "targets": targets},
    }  # fmt: skip


def apply(patient: Patient, cluster: str, *objects: dict[str, Any]) -> None:
    listed = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
    patient.kubectl[cluster]("apply", "-f", "-", stdin=json.dumps(listed))


@pytest.fixture(scope="module")
def patient(platform: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Patient]:
    yield from with_a_stall(platform, tmp_path_factory.mktemp("others"))


def with_a_stall(env: dict[str, str], folder: Path) -> Iterator[Patient]:
    """kubectl made a Service in cluster-1 and exports it; cluster-2 calls it, cluster-3 has no namespace."""
    found = Patient(env, folder)
    clusters = ("control-plane", "cluster-1", "cluster-2")
    try:
        for name in clusters:
            space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
            apply(found, name, space)
        apply(found, "cluster-1", *app(gateway_image(found.kubectl["cluster-1"])), export())
        apply(found, "cluster-2", policy())
        yield found
    finally:
        for name in clusters:
            found.kubectl[name]("delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=120s")


@pytest.fixture(autouse=True)
def in_order_afterwards(patient: Patient) -> Iterator[None]:
    yield
    patient.healthy(CALL, HOME, DOOR)


def test_nothing_is_wrong_with_what_kubectl_made(patient: Patient) -> None:
    patient.healthy(CALL, HOME, DOOR)
    ours = {name: check for name, check in patient.examine().items() if NAMESPACE in name}
    assert {CALL, HOME, DOOR, ELSEWHERE} <= set(ours)
    assert {check.result for check in ours.values()} == {"ok"}, ours
    assert "cluster-3 has no namespace market" in ours[ELSEWHERE].seen


def test_an_app_of_others_that_is_scaled_to_zero(patient: Patient) -> None:
    with patient.without("cluster-1", HERE, "stall"):
        check = patient.shows(CALL, "app pod")
        assert "market/stall in cluster-1: Deployment stall is scaled to zero" in check.seen
        patient.heal(check)


def test_an_export_of_a_port_that_the_service_lacks(patient: Patient) -> None:
    apply(patient, "cluster-1", export(port=81))
    try:
        found = patient.until(lambda checks: EXPORT in checks and checks[EXPORT].result == "fail", EXPORT)
        assert "81" in found[EXPORT].seen
        assert found[EXPORT].hint.startswith(
            "The settings do not have it, kubectl made it: correct it there, or by"
        )
    finally:
        apply(patient, "cluster-1", export())


def test_a_policy_of_others_that_targets_an_unknown_cluster(patient: Patient) -> None:
    apply(patient, "cluster-2", policy("cluster-9"))
    try:
        check = patient.shows("cluster-2 → market/stall at default/default/default/cluster-9", "policy")
        assert "The settings do not have it, kubectl made it" in check.hint
    finally:
        apply(patient, "cluster-2", policy())
