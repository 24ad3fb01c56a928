"""Counters and their Prometheus text form.

Requests are counted on the objects a request already holds (`ClusterState`), so counting costs an addition;
names and labels are put together only when somebody asks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from gateway.core.balance import LATENCY_BUCKETS, ClusterState, RouteState

Labels = tuple[str, str, str]
"""service, cluster, policy."""

ServiceCluster = tuple[str, str]
"""service, cluster."""

MOST_GONE: Final = 8192
"""Label sets of routes that are gone, of which counts are kept: else tenants who make and delete services
could have the page grow for ever. The oldest is forgotten: its series ends, as those of a pod do."""

BUCKETS: Final = len(LATENCY_BUCKETS)
BOUNDS = [f"{bound:g}" for bound in LATENCY_BUCKETS] + ["+Inf"]


class Metrics:
    """Process-wide counters, and the counts of routes that are gone."""

    def __init__(self) -> None:
        self.connections = 0
        self.answers: dict[tuple[int, str], int] = {}
        """Answers made by the gateway itself, by status and reason."""
        self.most_gone = MOST_GONE
        self._retired: dict[Labels, ClusterState] = {}
        self._ejections: dict[ServiceCluster, int] = {}

    def answered(self, status: int, reason: str) -> None:
        key = (status, reason)
        self.answers[key] = self.answers.get(key, 0) + 1

    def retire(self, state: RouteState) -> None:
        """Keep the counts of a route that is no more: counters must not fall."""
        for cluster in state.clusters:
            if _counted(cluster):
                labels = _labels(state, cluster)
                gone = self._retired.pop(labels, None)
                # A new sum each time: a page in the making goes on with the old one and the route itself.
                self._retired[labels] = _sum([cluster] if gone is None else [gone, cluster])
                if len(self._retired) > self.most_gone:
                    del self._retired[next(iter(self._retired))]

    def retire_ejections(self, service: str, cluster: str, ejections: int) -> None:
        """Keep those of an endpoint that is no more."""
        if ejections:
            place = (service, cluster)
            self._ejections[place] = self._ejections.pop(place, 0) + ejections
            if len(self._ejections) > self.most_gone:
                del self._ejections[next(iter(self._ejections))]

    def gone_ejections(self) -> dict[ServiceCluster, int]:
        """A copy of what was kept of endpoints that are no more."""
        return dict(self._ejections)

    def render(self, states: Sequence[RouteState], gauges: Mapping[str, int]) -> Iterator[str]:
        """Prometheus text of everything as it is when this is called, but for what goes on counting.

        In pieces, of at most one route's series each and some of them empty: thousands of routes make a
        page of which no one should wait for the whole.
        """
        return self._pieces(states, gauges, dict(self._retired))

    def _pieces(
        self, states: Sequence[RouteState], gauges: Mapping[str, int], retired: dict[Labels, ClusterState]
    ) -> Iterator[str]:
        found = {labels: [cluster] for labels, cluster in retired.items()}
        for state in states:
            for cluster in state.clusters:
                if _counted(cluster):
                    found.setdefault(_labels(state, cluster), []).append(cluster)
            yield ""
        yield "# TYPE gateway_requests_total counter\n"
        for labels, clusters in found.items():
            yield _counts(labels, _whole(clusters))
        yield "# TYPE gateway_request_seconds histogram\n"
        for labels, clusters in found.items():
            yield _histogram(labels, _whole(clusters))
        yield "# TYPE gateway_retries_total counter\n"
        for labels, clusters in found.items():
            yield _one("gateway_retries_total", labels, _whole(clusters).retries)
        yield "# TYPE gateway_failovers_total counter\n"
        for labels, clusters in found.items():
            yield _one("gateway_failovers_total", labels, _whole(clusters).failovers)
        lines = ["# TYPE gateway_own_answers_total counter"]
        for (status, reason), count in sorted(self.answers.items()):
            lines.append(f'gateway_own_answers_total{{code="{status}",reason="{reason}"}} {count}')
        before = ""
        for series, value in gauges.items():
            name = series.partition("{")[0]
            if name != before:
                lines.append(f"# TYPE {name} {'counter' if name.endswith('_total') else 'gauge'}")
            lines.append(f"{series} {value}")
            before = name
        yield "\n".join(lines) + "\n"


def observe(cluster: ClusterState, status: int, seconds: float) -> None:
    """Count one finished request."""
    cluster.count(status)
    at = 0
    while at < BUCKETS and LATENCY_BUCKETS[at] < seconds:
        at += 1
    cluster.buckets[at] += 1
    cluster.seconds += seconds


def by_service(name: str, counts: Mapping[ServiceCluster, int]) -> dict[str, int]:
    """Series of this name by what they count."""
    return {
        f'{name}{{service="{_value(service)}",cluster="{_value(cluster)}"}}': count
        for (service, cluster), count in counts.items()
    }


def _counted(cluster: ClusterState) -> bool:
    return bool(cluster.by_status()) or cluster.retries > 0


def _labels(state: RouteState, cluster: ClusterState) -> Labels:
    return (state.route.service, cluster.cluster.key, state.route.policy)


def _names(labels: Labels) -> str:
    service, cluster, policy = labels
    return f'service="{_value(service)}",cluster="{_value(cluster)}",policy="{policy}"'


def _value(text: str) -> str:
    """A label's value: names come from objects of others, and one bad line costs the whole page."""
    if '"' in text or "\\" in text or "\n" in text:
        return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return text


def _one(name: str, labels: Labels, count: int) -> str:
    """The line of a counter; nothing before it has counted something."""
    return f"{name}{{{_names(labels)}}} {count}\n" if count else ""


def _whole(clusters: Sequence[ClusterState]) -> ClusterState:
    """What they counted together: the only one itself, as most are."""
    return clusters[0] if len(clusters) == 1 else _sum(clusters)


def _sum(clusters: Sequence[ClusterState]) -> ClusterState:
    total = ClusterState(clusters[0].cluster, [])
    for cluster in clusters:
        for code, count in cluster.by_status().items():
            total.codes[code] = total.codes.get(code, 0) + count
        total.buckets = [mine + more for mine, more in zip(total.buckets, cluster.buckets, strict=True)]
        total.seconds += cluster.seconds
        total.retries += cluster.retries
        total.failovers += cluster.failovers
    return total


def _counts(labels: Labels, cluster: ClusterState) -> str:
    start = f'gateway_requests_total{{{_names(labels)},code="'
    return "".join([f'{start}{code}"}} {count}\n' for code, count in sorted(cluster.by_status().items())])


def _histogram(labels: Labels, cluster: ClusterState) -> str:
    if not cluster.by_status():  # no request has ended here, only attempts
        return ""
    names = _names(labels)
    start = f'gateway_request_seconds_bucket{{{names},le="'
    lines = []
    count = 0
    for bound, inside in zip(BOUNDS, cluster.buckets, strict=True):
        count += inside
        lines.append(f'{start}{bound}"}} {count}')
    lines.append(f"gateway_request_seconds_sum{{{names}}} {cluster.seconds:.6f}")
    lines.append(f"gateway_request_seconds_count{{{names}}} {count}\n")
    return "\n".join(lines)
