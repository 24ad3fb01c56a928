"""What another gateway is asked before users find out, and what its answer says."""

from __future__ import annotations

import pytest

from gateway.core.answers import HEALTH_CHECK_ANSWER, make_answer
from gateway.core.health_check import HealthCheck, health_check_request, read_health_check
from gateway.core.limits import Limits
from gateway.core.route import Route, WeightedCluster

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize(
    ("prefix", "where", "path"),
    [(b"/app", "Prefix /x", b"/app"), (b"", "Prefix /x", b"/x"), (b"", "app", b"/")],
)
def test_the_exporters_path_is_asked_for_in_the_services_name(prefix: bytes, where: str, path: bytes) -> None:
    cluster = WeightedCluster("a/b/c/east", (), remote=True, prefix=prefix)
    asked = health_check_request(Route("demo/app", 3000, where, "Locality", ()), cluster)
    assert asked.startswith(b"GET " + path + b" HTTP/1.1\r\nHost: app.demo:3000\r\nX-Gateway-Probe: 1\r\n")


def test_the_service_is_named_where_gateways_know_each_other() -> None:
    cluster = WeightedCluster("a/b/c/east", (), remote=True, identity=b"demo/app:3000;name;0")
    asked = health_check_request(Route("demo/app", 3000, "app.demo:3000", "Locality", ()), cluster)
    assert b"\r\nX-Gateway-Service: demo/app:3000;name;0\r\n" in asked


@pytest.mark.parametrize(
    ("answer", "marks", "finding"),
    [
        (HEALTH_CHECK_ANSWER, False, HealthCheck(ok=True, marks=True)),
        (PLAIN, False, HealthCheck(ok=True)),
        (PLAIN, True, HealthCheck(ok=False)),
        (make_answer(404, "Service Not Found"), False, HealthCheck(ok=False)),
        (make_answer(503, "no", refused="no-endpoint"), False, HealthCheck(ok=False)),
        (b"HTTP/1.1 500 Oh\r\n\r\n", False, HealthCheck(ok=False)),
        (b"SSH-2.0\r\n\r\n", False, HealthCheck(ok=False)),
    ],
)
def test_an_answer_counts_when_a_gateway_that_could_serve_gave_it(
    answer: bytes, marks: bool, finding: HealthCheck
) -> None:
    assert read_health_check(answer, Limits(), marks=marks) == finding
