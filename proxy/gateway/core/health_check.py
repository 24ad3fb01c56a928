"""Health checks: whether another cluster's gateway could serve a service, asked before users find out."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.core.answers import NOT_FOUND_TEXT
from gateway.core.errors import ProtocolError
from gateway.core.limits import Limits
from gateway.core.response import parse_response_head
from gateway.core.route import Route, WeightedCluster

RECENT_SECONDS = 60.0
"""A route not used for this long is not checked: ten thousand imports nobody calls cost nothing."""

HEALTHY_SECONDS = 2.0
"""Between health checks of a gateway that is well."""

FAILING_SECONDS = 0.5
"""Between health checks of one that is not: how long its return may go unnoticed."""

ANSWER_SECONDS = 1.0
"""For a connection and an answer. A gateway that swallows requests is left out within six seconds: two
between health checks, half of one for the round, two misses of one each, half of one between them."""


def health_check_request(route: Route, cluster: WeightedCluster, *, keep: bool = False) -> bytes:
    """A request the gateway answers itself. One that does not know the field passes on a plain GET.

    `keep`: others follow on the same connection. The field keeps its first name: gateways of different
    versions ask each other.
    """
    namespace, _, name = route.service.partition("/")
    path = cluster.prefix or (route.where.partition(" ")[2].encode() or b"/")
    identity = b"X-Gateway-Service: %b\r\n" % cluster.identity if cluster.identity else b""
    close = b"" if keep else b"Connection: close\r\n"
    return b"GET %b HTTP/1.1\r\nHost: %b\r\n%bX-Gateway-Probe: 1\r\nUser-Agent: gateway-probe\r\n%b\r\n" % (
        path,
        f"{name}.{namespace}:{route.port}".encode(),
        identity,
        close,
    )


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """What an answer to a health check says."""

    ok: bool
    """Requests would be served."""
    marks: bool = False
    """It comes from a gateway that marks what applications answer (see `answers.DOUBTFUL`)."""


def read_health_check(answer: bytes, limits: Limits, *, marks: bool) -> HealthCheck:
    """What the answer says. `marks`: a gateway that marks its answers has been seen there before, so that an
    answer without a mark is somebody else's."""
    head, end, body = answer.partition(b"\r\n\r\n")
    try:
        response = parse_response_head(head + end, limits)
    except ProtocolError:
        return HealthCheck(ok=False)
    if response.refused or response.status >= 500:
        return HealthCheck(ok=False)
    if response.passed:
        return HealthCheck(ok=True, marks=True)
    nothing_there = response.status == 404 and body.strip() == NOT_FOUND_TEXT.encode()
    return HealthCheck(ok=not marks and not nothing_there)
