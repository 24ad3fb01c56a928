"""Rates from counters that were read again and again. Pure.

A counter that falls has begun again, with its process or its route: what it shows then is the increase. One
that was not there before has come since. Of a gateway's first page nothing is known but where it stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from operator import add, sub

from cli.dashboard.metrics import Calls, Counters, Flow

WINDOW_SECONDS = 3.0
"""Over which a rate is taken: shorter ones flicker, longer ones are late."""


@dataclass(frozen=True)
class Rates:
    """Per second: of flows that moved, of a gateway's own answers, and of other counters."""

    flows: Mapping[Flow, Calls] = field(default_factory=dict)
    own: Mapping[str, float] = field(default_factory=dict)
    totals: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """What came between two readings: when the first and the second was, and the increases."""

    since: float
    at: float
    came: Rates


@dataclass(frozen=True)
class Track:
    """One gateway over the last seconds."""

    at: float
    counters: Counters
    steps: tuple[Step, ...] = ()

    def follow(self, at: float, counters: Counters) -> Track:
        """The track with one more reading; steps that ended before the window are left behind."""
        step = Step(self.at, at, increase(self.counters, counters))
        kept = tuple(one for one in self.steps if one.at > at - WINDOW_SECONDS)
        return Track(at, counters, (*kept, step))

    def rates(self, now: float) -> Rates:
        """Per second over the window; nothing before the second reading, or after a window without one."""
        steps = [one for one in self.steps if one.at > now - WINDOW_SECONDS]
        seconds = steps[-1].at - steps[0].since if steps else 0.0
        return scaled(summed(step.came for step in steps), 1 / seconds) if seconds > 0 else Rates()


def increase(before: Counters, after: Counters) -> Rates:
    """How much each counter has grown; those that have not are left out."""
    flows = {}
    for flow, calls in after.flows.items():
        earlier = before.flows.get(flow)
        if calls != earlier:
            flows[flow] = calls if earlier is None else _grown(earlier, calls)
    return Rates(flows, _grown_totals(before.own, after.own), _grown_totals(before.totals, after.totals))


def _grown(before: Calls, after: Calls) -> Calls:
    if after.requests < before.requests:
        return after
    grown = after._replace(requests=after.requests - before.requests, errors=after.errors - before.errors)
    if after.bounds != before.bounds:
        return grown
    return grown._replace(within=tuple(map(sub, after.within, before.within)))


def _grown_totals(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    grown = {name: value - before.get(name, 0) for name, value in after.items()}
    return {name: after[name] if more < 0 else more for name, more in grown.items() if more}


def summed(several: Iterable[Rates]) -> Rates:
    """All of them together."""
    flows: dict[Flow, Calls] = {}
    own: dict[str, float] = {}
    totals: dict[str, float] = {}
    for rates in several:
        for flow, calls in rates.flows.items():
            flows[flow] = joined(flows[flow], calls) if flow in flows else calls
        for into, values in ((own, rates.own), (totals, rates.totals)):
            for name, value in values.items():
                into[name] = into.get(name, 0) + value
    return Rates(flows, own, totals)


def joined(one: Calls, other: Calls) -> Calls:
    """The calls of both; latencies of one alone where a gateway of another version has other bounds."""
    requests, errors = one.requests + other.requests, one.errors + other.errors
    if one.bounds == other.bounds:
        return Calls(requests, errors, one.bounds, tuple(map(add, one.within, other.within)))
    more = max(one, other, key=lambda calls: len(calls.bounds))
    return Calls(requests, errors, more.bounds, more.within)


def scaled(rates: Rates, factor: float) -> Rates:
    """Each number times a factor."""
    return Rates(
        {
            flow: Calls(
                calls.requests * factor,
                calls.errors * factor,
                calls.bounds,
                tuple(count * factor for count in calls.within),
            )
            for flow, calls in rates.flows.items()
        },
        {name: value * factor for name, value in rates.own.items()},
        {name: value * factor for name, value in rates.totals.items()},
    )
