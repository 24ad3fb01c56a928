"""What was decided for a past request, by the access logs of the gateways it passed. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from cli.explain.decision import Hop
from cli.observe.view import Object, Platform

WHY: Mapping[str, str] = {
    "local": "a local pod",
    "pinned": "the policy is pinned to this cluster",
    "weight": "it was this cluster's turn, by the weights",
    "match": "the request has the headers of a match",
    "fail-over": "nobody in a cluster before this one could serve",
    "session": "the session is there",
    "retry": "it failed elsewhere before, and was sent again",
    "last-resort": "everybody was left out, so everybody counted",
    "no-route": "no service is at this name or path",
    "ambiguous-host": "the name is that of several services",
    "unknown-identity": "it was for a service that is not exported here",
    "no-endpoints": "nobody had a pod that was ready",
    "health-check": "a gateway asked whether the service would be served",
}
"""By the access log's `reason`; the others are what went wrong."""


def found(lines: str, request_id: str) -> Iterator[Object]:
    """The entries of a log that are of this request."""
    for line in lines.splitlines():
        if request_id not in line:
            continue
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # cut off, or no entry of the access log
        if isinstance(entry, dict) and entry.get("request_id") == request_id:
            yield entry


def hops(platform: Platform, entries: Mapping[str, list[Object]]) -> list[Hop]:
    """In the order in which it arrived. `entries`: by the name of the cluster."""
    passed = [(cluster, entry) for cluster, listed in entries.items() for entry in listed]
    # A gateway waits for the one behind it, so what took longer came before; clocks of clusters differ.
    passed.sort(key=lambda one: -float(one[1].get("seconds") or 0.0))
    return [_hop(platform, cluster, entry) for cluster, entry in passed]


def _hop(platform: Platform, cluster: str, entry: Object) -> Hop:
    reason = str(entry.get("reason"))
    chosen, endpoint = entry.get("cluster"), entry.get("endpoint")
    went = f"{platform.short(str(chosen))} at {endpoint}" if chosen else "nowhere"
    attempts = int(entry.get("attempts") or 0)
    return Hop(
        at=f"{cluster}: gateway, {entry.get('listener')}",
        decided=f"{entry.get('method')} {entry.get('host')}{entry.get('target')} went to {went}",
        why=(
            f"{reason}: {WHY.get(reason, 'this went wrong')}",
            f"service {entry.get('service')}, policy {entry.get('policy')}, attempts {attempts}",
            f"answered {entry.get('status')} after {entry.get('seconds')} s",
        ),
    )
