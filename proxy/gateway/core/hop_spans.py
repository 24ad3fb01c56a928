"""What spans of a hop through the gateway say, by OpenTelemetry's semantic conventions for HTTP spans.

https://opentelemetry.io/docs/specs/semconv/http/http-spans/, those that are stable. Queries stand nowhere, as
in the access log: secrets like to stand there. What is ours begins with `multicluster.`.
"""

from __future__ import annotations

from typing import Final

from gateway.core.request import RequestHead
from gateway.core.route import Endpoint, Route

METHODS: Final = frozenset(
    (b"CONNECT", b"DELETE", b"GET", b"HEAD", b"OPTIONS", b"PATCH", b"POST", b"PUT", b"QUERY", b"TRACE")
)
"""Others are `_OTHER`: a client must not be able to make up names of spans."""

Found = dict[str, str | int | list[str]]


def server_attributes(
    head: RequestHead, route: Route | None, *, client: str, cluster: str, reason: str, attempts: int,
    request_id: bytes,
) -> Found:  # fmt: skip
    """Of the request as it came. `cluster` was chosen last, and `reason` says why, or what went wrong."""
    found = _asked(head)
    address, port = _host_and_port(head.host)
    if address:
        found["server.address"] = address
        if port:
            found["server.port"] = port
    found["url.scheme"] = "http"
    found["url.path"] = head.path.partition(b"?")[0].decode("latin-1")
    found["client.address"] = client
    if request_id:
        found["http.request.header.x-request-id"] = [request_id.decode("latin-1")]
    if route is not None:
        if path := path_of(route):
            found["http.route"] = path
        found["multicluster.service"] = route.service
        found["multicluster.policy"] = route.policy
    if cluster:
        found["multicluster.cluster"] = cluster
    if reason:
        found["multicluster.reason"] = reason
    found["multicluster.attempts"] = attempts
    return found


def client_attributes(
    head: RequestHead, target: bytes, endpoint: Endpoint, *, cluster: str, resent: int
) -> Found:
    """Of an attempt at an endpoint; `resent` is how many went before it."""
    found = {**_asked(head), "network.protocol.version": "1.1"}
    path = target.partition(b"?")[0].decode("latin-1")
    scheme = "https" if endpoint.peer else "http"
    found["url.full"] = f"{scheme}://{endpoint}{path if path.startswith('/') else ''}"
    found["server.address"] = found["network.peer.address"] = endpoint.host
    found["server.port"] = found["network.peer.port"] = endpoint.port
    if resent:
        found["http.request.resend_count"] = resent
    found["multicluster.cluster"] = cluster
    return found


def span_name(head: RequestHead, path: str = "") -> str:
    """`GET /path-of-the-route`, or `GET` where no route by path is known; HTTP for methods that are not."""
    method = head.method.decode("ascii") if head.method in METHODS else "HTTP"
    return f"{method} {path}" if path else method


def path_of(route: Route) -> str:
    """The path rule by which a route is reached; empty for one that is reached by name."""
    kind, _, where = route.where.partition(" ")
    return where[where.find("/") :] if kind in {"Prefix", "Exact"} else ""  # a host may stand before it


def is_error(status: int, reason: str, *, client: bool) -> bool:
    """Whether a span has failed: `status` as the caller saw it, 0 for none, and what went wrong besides.

    What a server refuses is an error of its caller's alone.
    """
    return status >= (400 if client else 500) or (bool(reason) and status < 400)


def _asked(head: RequestHead) -> Found:
    method = head.method.decode("ascii")
    if head.method in METHODS:
        return {"http.request.method": method, "network.protocol.version": f"1.{head.minor}"}
    return {
        "http.request.method": "_OTHER",
        "http.request.method_original": method,
        "network.protocol.version": f"1.{head.minor}",
    }


def _host_and_port(host: bytes) -> tuple[str, int]:
    """Of a Host field; the port is 0 where it says none."""
    text = host.decode("latin-1")
    address, colon, port = text.rpartition(":")
    if colon and "]" not in port:
        return address.strip("[]"), int(port or 0)
    return text.strip("[]"), 0
