"""The frame: what the page is told, as JSON. Times are Unix seconds, latencies milliseconds.

`cluster` numbers are positions in `clusters`, -1 for a cluster that is none of this environment. A percentage
is a part of the next requests, as the gateways' own pages say. All text may come from clusters: it is for
text nodes alone.
"""

from __future__ import annotations

from typing import Any, Literal, TypedDict

State = Literal["good", "warn", "bad"]
Reach = Literal["up", "silent", "down", "planned"]
"""silent: has not answered for a while, nor refused; down: it, or the way to it, says that it does not;
planned: it stands in the settings, and nobody was asked."""
Shows = Literal["traffic", "moment", "settings"]
"""What a frame is of. traffic: what moves, of which the next frame tells more; moment: clusters as they were
once, when nothing was measured; settings: what they lead to, before anything runs."""


class Traffic(TypedDict):
    """Requests and errors (codes from 500 on) per second; latencies are null without requests."""

    rps: float
    errors: float
    p50: float | None
    p95: float | None


class ClusterFrame(TypedDict):
    """One cluster. What is known of one that is not up is old: `seen` says from when; 0: never read."""

    name: str
    key: str
    role: str
    address: str
    """Of gateway and API server, by the settings."""
    exports: int
    policies: int
    reach: Reach
    seen: float
    error: str
    state: State
    problems: int
    kubernetes: str
    ready: int | None
    wanted: int | None
    """Gateway pods; null when that could not be read."""
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
    """One service; good only when all its exporters were read.

    `served`: at the clusters that serve it; of each failed request one error.
    """

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


class PartFrame(TypedDict):
    """What a cluster gets of some requests, in percent. `backend`: a Service, where there are several.

    What moves there counts for all who call the service from the same cluster.
    """

    cluster: str
    backend: str
    percent: float
    ejected: bool
    rps: float
    errors: float
    p95: float | None


class MatchFrame(TypedDict):
    """Requests that have these headers."""

    headers: str
    parts: list[PartFrame]


class LossFrame(TypedDict):
    """Who would serve instead while a cluster is lost."""

    cluster: str
    parts: list[PartFrame]


class CallerFrame(TypedDict):
    """Callers of one service in one cluster, by their names for it. `direct`: why they pass no gateway."""

    cluster: str
    who: str
    policy: str
    direct: str
    parts: list[PartFrame]
    matches: list[MatchFrame]
    lost: list[LossFrame]
    """Foretold of settings alone."""


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
    shows: Shows
    at: float
    assumed: str
    """What is taken for granted, as nobody was asked; empty when somebody was."""
    untold: str
    """Why it is not told who serves whom; empty when it is."""
    totals: Totals
    clusters: list[ClusterFrame]
    services: list[ServiceFrame]
    namespaces: list[str]
    links: list[LinkFrame]
    problems: list[dict[str, Any]]
    """Failed checks, the first `frame.MOST_PROBLEMS`, as `./stack doctor --json` has them."""
    detail: dict[str, Any] | None
    """See cli/dashboard/detail.py."""
