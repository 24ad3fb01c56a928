"""A gateway's `/metrics` page as numbers. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

Flow = tuple[str, str]
"""Service (namespace/name) and the key of the cluster that requests for it are brought to."""

REQUESTS, BUCKETS = "gateway_requests_total", "gateway_request_seconds_bucket"
OWN_ANSWERS = "gateway_own_answers_total"
SERIES = re.compile(r"(\w+)(?:\{(.*)\})?")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
MOST_SERIES = 1 << 18
"""Names that are remembered: the gateways of an environment say the same ones again and again."""
FIRST_ERROR = 500
"""A code from here on is an error: a 404 is the application's answer, and by 499 the client had left."""


class Calls(NamedTuple):
    """Requests of one flow since the gateway began, or per second.

    `within`: how many took no longer than each of `bounds`, in seconds.
    """

    requests: float = 0
    errors: float = 0
    bounds: tuple[float, ...] = ()
    within: tuple[float, ...] = ()


class Counters(NamedTuple):
    """What one gateway has counted, and how it is. `own`: answers it made itself, by code and reason."""

    flows: Mapping[Flow, Calls]
    own: Mapping[str, float]
    totals: Mapping[str, float]
    """Other metrics by name, those with labels summed up."""


def read(text: str) -> Counters:
    """Counters from Prometheus text. A line that is none is left out."""
    requests: defaultdict[Flow, float] = defaultdict(float)
    errors: defaultdict[Flow, float] = defaultdict(float)
    buckets: defaultdict[Flow, defaultdict[float, float]] = defaultdict(lambda: defaultdict(float))
    own: defaultdict[str, float] = defaultdict(float)
    totals: defaultdict[str, float] = defaultdict(float)
    for line in text.splitlines():
        series, _, number = line.rpartition(" ")
        if line.startswith("#") or not series:
            continue
        try:
            name, flow, detail = _series(series)
            value = float(number)
        except ValueError:
            continue
        if name == REQUESTS:
            requests[flow] += value
            if detail >= FIRST_ERROR:
                errors[flow] += value
        elif name == BUCKETS:
            buckets[flow][detail] += value
        elif name == OWN_ANSWERS:
            own[flow[0]] += value
        else:
            totals[name] += value
    return Counters(
        {flow: Calls(count, errors[flow], *_histogram(buckets[flow])) for flow, count in requests.items()},
        dict(own),
        dict(totals),
    )


def _histogram(buckets: Mapping[float, float]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    bounds = tuple(sorted(buckets))
    return bounds, tuple(buckets[bound] for bound in bounds)


@lru_cache(MOST_SERIES)
def _series(series: str) -> tuple[str, Flow, float]:
    """Name and flow of a series, and its code or bound. Of own answers the flow begins with their words.

    Raises ValueError when it is none.
    """
    found = SERIES.fullmatch(series)
    if found is None:
        raise ValueError(series)
    name, labels = found[1], dict(LABEL.findall(found[2] or ""))
    if name == OWN_ANSWERS:
        return name, (f"{labels.get('code')} {labels.get('reason')}", ""), 0
    detail = float(labels.get("code" if name == REQUESTS else "le", 0))
    return name, (labels.get("service", ""), labels.get("cluster", "")), detail


def quantile(calls: Calls, part: float) -> float | None:
    """Seconds within which this part of the requests was answered; None without any.

    Inside a bucket requests are taken as spread evenly; beyond the last bound, it is that bound.
    """
    total = calls.within[-1] if calls.within else 0
    if total <= 0:
        return None
    wanted, low, below = part * total, 0.0, 0.0
    for bound, count in zip(calls.bounds, calls.within, strict=True):
        if count >= wanted:
            if bound == float("inf"):
                return low
            inside = count - below
            return low + (bound - low) * ((wanted - below) / inside if inside else 1.0)
        low, below = bound, count
    return low
