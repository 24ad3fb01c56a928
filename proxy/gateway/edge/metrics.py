"""Counters and their Prometheus text form.

Requests are counted on the objects a request already holds (`ShareState`), so counting costs an addition;
names and labels are put together only when somebody asks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence

from gateway.core.balance import LATENCY_BUCKETS, RouteState, ShareState

Labels = tuple[str, str, str]
"""service, cluster, policy."""

BOUNDS = [f"{bound:g}" for bound in LATENCY_BUCKETS] + ["+Inf"]


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
            if share.codes:
                labels = _labels(state, share)
                gone = self._retired.get(labels)
                # A new sum each time: a page in the making goes on with the old one and the route itself.
                self._retired[labels] = _sum([share] if gone is None else [gone, share])

    def render(self, states: Sequence[RouteState], gauges: Mapping[str, int]) -> Iterator[str]:
        """Prometheus text of everything as it is when this is called, but for what goes on counting.

        In pieces, of at most one route's series each and some of them empty: thousands of routes make a
        page of which no one should wait for the whole.
        """
        return self._pieces(states, gauges, dict(self._retired))

    def _pieces(
        self, states: Sequence[RouteState], gauges: Mapping[str, int], retired: dict[Labels, ShareState]
    ) -> Iterator[str]:
        found = {labels: [share] for labels, share in retired.items()}
        for state in states:
            for share in state.shares:
                if share.codes:
                    found.setdefault(_labels(state, share), []).append(share)
            yield ""
        yield "# TYPE gateway_requests_total counter\n"
        for labels, shares in found.items():
            yield _counts(labels, _whole(shares))
        yield "# TYPE gateway_request_seconds histogram\n"
        for labels, shares in found.items():
            yield _histogram(labels, _whole(shares))
        lines = ["# TYPE gateway_own_answers_total counter"]
        for (status, reason), count in sorted(self.answers.items()):
            lines.append(f'gateway_own_answers_total{{code="{status}",reason="{reason}"}} {count}')
        lines.append("# TYPE gateway_retries_total counter")
        lines.append(f"gateway_retries_total {self.retries}")
        for name, value in gauges.items():
            kind = "counter" if name.endswith("_total") else "gauge"
            lines += [f"# TYPE {name} {kind}", f"{name} {value}"]
        yield "\n".join(lines) + "\n"


def observe(share: ShareState, status: int, seconds: float) -> None:
    """Count one finished request."""
    codes = share.codes
    codes[status] = codes.get(status, 0) + 1
    share.buckets[bisect_left(LATENCY_BUCKETS, seconds)] += 1
    share.seconds += seconds


def _labels(state: RouteState, share: ShareState) -> Labels:
    return (state.route.service, share.share.cluster, state.route.policy)


def _names(labels: Labels) -> str:
    service, cluster, policy = labels
    return f'service="{service}",cluster="{cluster}",policy="{policy}"'


def _whole(shares: Sequence[ShareState]) -> ShareState:
    """What they counted together: the only one itself, as most are."""
    return shares[0] if len(shares) == 1 else _sum(shares)


def _sum(shares: Sequence[ShareState]) -> ShareState:
    total = ShareState(shares[0].share, [])
    for share in shares:
        for code, count in share.codes.items():
            total.codes[code] = total.codes.get(code, 0) + count
        total.buckets = [mine + more for mine, more in zip(total.buckets, share.buckets, strict=True)]
        total.seconds += share.seconds
    return total


def _counts(labels: Labels, share: ShareState) -> str:
    start = f'gateway_requests_total{{{_names(labels)},code="'
    return "".join([f'{start}{code}"}} {count}\n' for code, count in sorted(share.codes.items())])


def _histogram(labels: Labels, share: ShareState) -> str:
    names = _names(labels)
    start = f'gateway_request_seconds_bucket{{{names},le="'
    lines = []
    count = 0
    for bound, inside in zip(BOUNDS, share.buckets, strict=True):
        count += inside
        lines.append(f'{start}{bound}"}} {count}')
    lines.append(f"gateway_request_seconds_sum{{{names}}} {share.seconds:.6f}")
    lines.append(f"gateway_request_seconds_count{{{names}}} {count}\n")
    return "\n".join(lines)
