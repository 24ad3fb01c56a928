"""The frame: what the page is told, as JSON. Times are Unix seconds, latencies milliseconds.

`cluster` numbers are positions in `clusters`, -1 for a cluster that is none of this environment. A percentage
is a part of the next requests, as the gateways' own pages say. All text may come from clusters: it is for
text nodes alone.
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict

State = Literal["good", "warn", "bad"]
Reach = Literal["up", "silent", "down"]
"""silent: has not answered for a while, nor refused; down: it, or the way to it, says that it does not."""


class Traffic(TypedDict):
    """Requests and errors (codes from 500 on) per second; latencies are null without requests."""

    rps: float
    errors: float
    p50: float | None
    p95: float | None


class ClusterFrame(TypedDict):
    """One cluster. What is known of one that is not up is old: `seen` says from when."""

    name: str
    key: str
    role: str
    reach: Reach
    seen: float
    error: str
    state: State
    problems: int
    kubernetes: str
    ready: int
    wanted: int
    """Gateway pods."""
    served: Traffic
    """What its gateways brought to its own pods, from whomever it came."""
    sent: Traffic
    """What its gateways sent to other clusters."""
    own: dict[str, float]
    """Answers that its gateways made themselves, per second, by code and reason."""
    ejected: int
    """Endpoints that its gateways leave out now."""
    ejections: float
    retries: float
    certificate: float | None
    """When the first of its gateways' certificates ends; null without mutual TLS."""


class ServiceFrame(TypedDict):
    """One service. `served`: at the clusters that serve it; of each failed request one error."""

    name: str
    state: State
    why: str
    exporters: list[int]
    policies: dict[str, int]
    """In how many clusters callers have a policy of this type."""
    served: Traffic


class LinkFrame(TypedDict):
    """Calls from one cluster to another, of all services that were asked for.

    `services` are routed there now, the most to get `percent` of its callers' requests; `ejected` leave
    the target out.
    """

    source: int
    target: int
    services: int
    percent: float
    ejected: int
    traffic: Traffic


class Totals(TypedDict):
    """Of the whole environment, whatever is filtered."""

    clusters: int
    reachable: int
    services: int
    served: Traffic
    between: Traffic
    """Calls from one cluster to another."""
    problems: int


class Frame(TypedDict):
    """One moment. `services` and `links` are those that the query asks for, `detail` what it looks into."""

    environment: str
    at: float
    totals: Totals
    clusters: list[ClusterFrame]
    services: list[ServiceFrame]
    namespaces: list[str]
    links: list[LinkFrame]
    problems: list[dict[str, Any]]
    """Failed checks, the first `frame.MOST_PROBLEMS`, as `./stack doctor --json` has them."""
    detail: dict[str, Any] | None
    """See cli/dashboard/detail.py."""
