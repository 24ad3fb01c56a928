"""A frame for the page, from what is known of each cluster. Pure: the cost is that of adding up once.

What is counted twice on the way is told apart by where it was counted: a request that a gateway sends to
another cluster is a call between clusters there, and served where its pod is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from cli.dashboard.configured import address
from cli.dashboard.detail import detail
from cli.dashboard.metrics import Calls, quantile
from cli.dashboard.rates import joined
from cli.dashboard.reading import Reading, ServiceAt
from cli.dashboard.schema import (
    ClusterFrame,
    Frame,
    LinkFrame,
    ServiceFrame,
    Shows,
    State,
    Totals,
    Traffic,
)
from cli.dashboard.words import Query
from cli.doctor.check import Check
from cli.observe.view import GATEWAY, SYSTEM, Platform, spec, status

MOST_PROBLEMS = 50
CERTIFICATE = "gateway_certificate_expiry_seconds"
EJECTED, EJECTIONS, RETRIES = "gateway_endpoints_ejected", "gateway_ejections_total", "gateway_retries_total"


@dataclass(frozen=True, kw_only=True)
class Moment:
    """Everything a frame is made of. `readings` are in the order of the settings, as `platform.clusters`."""

    platform: Platform
    readings: Sequence[Reading]
    problems: Sequence[Check] = ()
    shows: Shows = "traffic"
    assumed: str = ""
    untold: str = ""


@dataclass
class _Cluster:
    exports: int = 0
    policies: int = 0


@dataclass
class _Link:
    services: int = 0
    percent: float = 0.0
    ejected: int = 0
    calls: Calls = field(default_factory=Calls)


@dataclass
class _Service:
    exporters: list[int] = field(default_factory=list)
    imported_from: set[str] = field(default_factory=set)
    policies: dict[str, int] = field(default_factory=dict)
    fault: str = ""
    ejected: bool = False
    served: Calls = field(default_factory=Calls)
    failed_between: float = 0.0


def frame(moment: Moment, query: Query, at: float) -> Frame:
    """What the page is told of a moment, `at` seconds since 1970."""
    readings = moment.readings
    index = {reading.view.key: number for number, reading in enumerate(readings)}
    services: defaultdict[str, _Service] = defaultdict(_Service)
    links: defaultdict[tuple[int, int], _Link] = defaultdict(_Link)
    clusters = [_Cluster() for _ in readings]
    for number, reading in enumerate(readings):
        for name, here in reading.services.items():
            _add_service(services[name], clusters[number], number, here)
            if query.matches(name):
                _add_links(links, number, here, index)
    between = _add_traffic(moment, index, services, links, query)
    problems = _problems_by_cluster(moment)
    return Frame(
        environment=moment.platform.environment,
        shows=moment.shows,
        at=at,
        assumed=moment.assumed,
        untold=moment.untold,
        totals=Totals(
            clusters=len(readings),
            reachable=sum(reading.reach(at) == "up" for reading in readings),
            services=len(services),
            served=traffic(_all(one.served for one in services.values())),
            between=traffic(between),
            problems=len(moment.problems),
        ),
        clusters=[
            _cluster(moment, reading, count, problems.get(reading.view.name, 0), at)
            for reading, count in zip(readings, clusters, strict=True)
        ],
        services=[
            _service(name, one, _unread(moment, one))
            for name, one in sorted(services.items())
            if query.matches(name)
        ],
        namespaces=sorted({name.partition("/")[0] for name in services}),
        links=[_link(pair, link) for pair, link in sorted(links.items())],
        problems=[check.as_json() for check in moment.problems[:MOST_PROBLEMS]],
        detail=detail(moment.platform, readings, query, at),
    )


def links_by_service(readings: Sequence[Reading]) -> dict[str, list[tuple[int, int, int, float, int]]]:
    """The links of a frame by each service alone, without traffic: what makes those of some services.

    Each is source, target, services, percent and ejected, as `LinkFrame` has them.
    """
    index = {reading.view.key: number for number, reading in enumerate(readings)}
    found: defaultdict[str, defaultdict[tuple[int, int], _Link]] = defaultdict(lambda: defaultdict(_Link))
    for number, reading in enumerate(readings):
        for name, here in reading.services.items():
            _add_links(found[name], number, here, index)
    return {
        name: [
            (*pair, one.services, round(one.percent, 2), one.ejected) for pair, one in sorted(links.items())
        ]
        for name, links in found.items()
        if links
    }


def traffic(calls: Calls) -> Traffic:
    """A flow per second as the page is told of it."""
    p50, p95 = (quantile(calls, part) for part in (0.5, 0.95))
    return Traffic(
        rps=round(calls.requests, 2),
        errors=round(calls.errors, 2),
        p50=None if p50 is None else round(p50 * 1000, 1),
        p95=None if p95 is None else round(p95 * 1000, 1),
    )


def _add_service(service: _Service, cluster: _Cluster, number: int, here: ServiceAt) -> None:
    if here.exported:
        service.exporters.append(number)
        cluster.exports += 1
    if here.policy:
        cluster.policies += 1
        service.policies[here.policy] = service.policies.get(here.policy, 0) + 1
    service.imported_from.update(here.exporters)
    service.fault = service.fault or here.fault
    service.ejected = service.ejected or here.ejected


def _add_links(
    links: defaultdict[tuple[int, int], _Link], source: int, here: ServiceAt, index: Mapping[str, int]
) -> None:
    for key, percent, ejected in here.serving:
        target = index.get(key, -1)
        if target != source and (percent or ejected):
            link = links[source, target]
            link.services += bool(percent)
            link.ejected += ejected
            link.percent = max(link.percent, percent)


def _add_traffic(
    moment: Moment,
    index: Mapping[str, int],
    services: defaultdict[str, _Service],
    links: defaultdict[tuple[int, int], _Link],
    query: Query,
) -> Calls:
    """Give each flow to its service and link; returns all calls between clusters."""
    between = Calls()
    failed: dict[tuple[str, str], float] = {}
    for number, reading in enumerate(moment.readings):
        for (name, key), calls in reading.rates.flows.items():
            service = services[name]
            if key == reading.view.key:
                service.served = joined(service.served, calls)
                continue
            between = joined(between, calls)
            failed[name, key] = failed.get((name, key), 0) + calls.errors
            if query.matches(name):
                link = links[number, index.get(key, -1)]
                link.calls = joined(link.calls, calls)
    _count_each_failure_once(moment, index, services, failed)
    return between


def _count_each_failure_once(
    moment: Moment,
    index: Mapping[str, int],
    services: defaultdict[str, _Service],
    failed: Mapping[tuple[str, str], float],
) -> None:
    """A failed call between clusters is one more error, unless the cluster that served it counted it too."""
    for (name, key), errors in failed.items():
        number = index.get(key, -1)
        there = moment.readings[number].rates.flows.get((name, key), Calls()) if number >= 0 else Calls()
        services[name].failed_between += max(errors - there.errors, 0)


def _all(several: Iterator[Calls]) -> Calls:
    total = Calls()
    for calls in several:
        total = joined(total, calls)
    return total


def _unread(moment: Moment, service: _Service) -> str:
    """Which exporters of a service were not read; empty when all were."""
    return ", ".join(
        f"{reading.view.name} exports it and was not read: {reading.unread}"
        for number, reading in enumerate(moment.readings)
        if (number in service.exporters or reading.view.key in service.imported_from) and reading.unread
    )


def _service(name: str, service: _Service, unread: str) -> ServiceFrame:
    ejected = "some endpoints are ejected" if service.ejected else ""
    state: State = "bad" if service.fault else "warn" if ejected or unread else "good"
    served = service.served._replace(errors=service.served.errors + service.failed_between)
    return ServiceFrame(
        name=name,
        state=state,
        why=service.fault or ejected or unread,
        exporters=service.exporters,
        policies=service.policies,
        served=traffic(served),
    )


def _link(pair: tuple[int, int], link: _Link) -> LinkFrame:
    source, target = pair
    return LinkFrame(
        source=source,
        target=target,
        services=link.services,
        percent=round(link.percent, 2),
        ejected=link.ejected,
        traffic=traffic(link.calls),
    )


def _cluster(moment: Moment, reading: Reading, count: _Cluster, problems: int, at: float) -> ClusterFrame:
    view, rates, reach = reading.view, reading.rates, reading.reach(at)
    flows = rates.flows.items()
    gauges = [track.counters.totals for track in reading.tracks.values()]
    ends = [totals[CERTIFICATE] for totals in gauges if totals.get(CERTIFICATE)]
    gateway = view.one("Deployment", SYSTEM, GATEWAY)
    known = gateway is not None or not view.unseen("Deployment", SYSTEM)
    ejected = int(sum(totals.get(EJECTED, 0) for totals in gauges)) if reach == "up" else 0
    return ClusterFrame(
        name=view.name,
        key=view.key,
        role=view.settings.role,
        address=address(moment.platform.settings, view.settings),
        exports=count.exports,
        policies=count.policies,
        reach=reach,
        seen=reading.seen,
        error=reading.error,
        state="bad" if problems or reach in ("down", "silent") else "warn" if ejected else "good",
        problems=problems,
        kubernetes=view.version,
        ready=int(status(gateway or {}).get("readyReplicas") or 0) if known else None,
        wanted=int(spec(gateway or {}).get("replicas") or 0) if known else None,
        served=traffic(_all(calls for (_, key), calls in flows if key == view.key)),
        sent=traffic(_all(calls for (_, key), calls in flows if key != view.key)),
        own={words: round(rate, 2) for words, rate in rates.own.items()},
        ejected=ejected,
        ejections=round(rates.totals.get(EJECTIONS, 0), 2),
        retries=round(rates.totals.get(RETRIES, 0), 2),
        certificate=min(ends, default=None),
    )


def _problems_by_cluster(moment: Moment) -> dict[str, int]:
    """How many failed checks each cluster has: their names begin with its own."""
    found: dict[str, int] = {}
    for check in moment.problems:
        name = check.name.partition(": ")[0]
        found[name] = found.get(name, 0) + 1
    return found
