"""Counters and their Prometheus text form.

Requests are counted on the objects a request already holds (`ShareState`), so counting costs an addition;
names and labels are put together only when somebody asks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping

from gateway.core.balance import LATENCY_BUCKETS, RouteState, ShareState

Labels = tuple[str, str, str]
"""service, cluster, policy."""


class Metrics:
    """Process-wide counters, and the counts of routes that are gone."""

    def __init__(self) -> None:
        self.connections = 0
        self.retries = 0
        self.ejections = 0
        """Those of endpoints that are gone: counters must never fall."""
        self.answers: dict[tuple[int, str], int] = {}
        """Answers made by the gateway itself, by status and reason."""
        self._retired: dict[Labels, ShareState] = {}

    def answered(self, status: int, reason: str) -> None:
        key = (status, reason)
        self.answers[key] = self.answers.get(key, 0) + 1

    def retire(self, state: RouteState) -> None:
        """Keep the counts of a route that is no more: counters must never fall."""
        for share in state.shares:
            _add(self._retired, _labels(state, share), share)

    def render(self, states: Iterable[RouteState], gauges: Mapping[str, int]) -> str:
        """Prometheus text of everything."""
        series: dict[Labels, ShareState] = {}
        for labels, share in self._retired.items():
            _add(series, labels, share)
        for state in states:
            for share in state.shares:
                _add(series, _labels(state, share), share)
        lines = ["# TYPE gateway_requests_total counter"]
        for (service, cluster, policy), share in series.items():
            names = f'service="{service}",cluster="{cluster}",policy="{policy}"'
            lines += [
                f'gateway_requests_total{{{names},code="{code}"}} {n}'
                for code, n in sorted(share.codes.items())
            ]
        lines.append("# TYPE gateway_request_seconds histogram")
        for (service, cluster, policy), share in series.items():
            names = f'service="{service}",cluster="{cluster}",policy="{policy}"'
            lines += _histogram("gateway_request_seconds", names, share)
        lines.append("# TYPE gateway_own_answers_total counter")
        for (status, reason), count in sorted(self.answers.items()):
            lines.append(f'gateway_own_answers_total{{code="{status}",reason="{reason}"}} {count}')
        lines.append("# TYPE gateway_retries_total counter")
        lines.append(f"gateway_retries_total {self.retries}")
        for name, value in gauges.items():
            kind = "counter" if name.endswith("_total") else "gauge"
            lines += [f"# TYPE {name} {kind}", f"{name} {value}"]
        return "\n".join(lines) + "\n"


def observe(share: ShareState, status: int, seconds: float) -> None:
    """Count one finished request."""
    codes = share.codes
    codes[status] = codes.get(status, 0) + 1
    share.buckets[bisect_left(LATENCY_BUCKETS, seconds)] += 1
    share.seconds += seconds


def _labels(state: RouteState, share: ShareState) -> Labels:
    return (state.route.service, share.share.cluster, state.route.policy)


def _add(series: dict[Labels, ShareState], labels: Labels, share: ShareState) -> None:
    total = series.get(labels)
    if total is None:
        total = series[labels] = ShareState(share.share, [])
    for code, count in share.codes.items():
        total.codes[code] = total.codes.get(code, 0) + count
    total.buckets = [mine + more for mine, more in zip(total.buckets, share.buckets, strict=True)]
    total.seconds += share.seconds


def _histogram(name: str, labels: str, share: ShareState) -> list[str]:
    lines = []
    count = 0
    for bound, inside in zip(LATENCY_BUCKETS, share.buckets, strict=False):
        count += inside
        lines.append(f'{name}_bucket{{{labels},le="{bound:g}"}} {count}')
    count += share.buckets[-1]
    lines.append(f'{name}_bucket{{{labels},le="+Inf"}} {count}')
    lines += [f"{name}_sum{{{labels}}} {share.seconds:.6f}", f"{name}_count{{{labels}}} {count}"]
    return lines
