"""The picture of settings alone, before anything runs. Pure.

Who would serve whom is what the gateways' code says of the objects that the program would make; here it
becomes what the live page shows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from cli.dashboard.detail import objects, of_cluster, part
from cli.dashboard.frame import Moment, frame, links_by_service
from cli.dashboard.reading import Reading, ServiceAt, Serving, routed, services_of
from cli.dashboard.schema import CallerFrame, LossFrame, MatchFrame, PartFrame
from cli.dashboard.words import Query
from cli.doctor.check import Check
from cli.graph.picture import Picture, left_out, looked_into
from cli.observe.view import ClusterView, Object, Platform
from cli.preview.foreseen import Planned
from stacks.config.model import ClusterSettings, Settings
from stacks.outlook.outlook import Outlook, Row, Served, findings
from stacks.outlook.words import NOBODY, assumptions, merged

UNTOLD = "Who would serve whom can be told for the bundled mesh alone, not for {}; no cluster was asked."
NOTHING = Outlook(rows=(), lost={}, problems=())


def of_settings(
    environment: str, settings: Settings, there: Planned, outlook: Outlook | None, at: float
) -> Picture:
    """The picture of what settings lead to. `outlook` is None for a mesh that nothing can be told of."""
    told = outlook or NOTHING
    views = [_view(environment, settings, one, there.objects[one.name]) for one in settings.clusters]
    readings = [Reading(view=view, seen=at, services=_services(view, told), planned=True) for view in views]
    platform = Platform(environment=environment, settings=settings, clusters=tuple(views), at=at)
    moment = Moment(
        platform=platform,
        readings=readings,
        problems=list(_problems(told, settings)),
        shows="settings",
        assumed=f"No cluster was asked. Assumed: {assumptions(there.assumed)}." if outlook else "",
        untold="" if outlook else UNTOLD.format(settings.mesh),
    )
    whole = frame(moment, Query(), at)
    callers = _callers(platform, told)
    services = {
        name: {
            "service": name, "callers": callers.get(name, []), "served": [], "why": [],
            **objects(readings, name),
        }
        for name in looked_into(whole)
    }  # fmt: skip
    return Picture(
        frame=whole,
        links=links_by_service(readings),
        details=services
        | {view.name: of_cluster(platform, one) for view, one in zip(views, readings, strict=True)},
        left_out=left_out(whole),
        why={},
        doctor=None,
    )


def _view(
    environment: str, settings: Settings, cluster: ClusterSettings, planned: Sequence[Object]
) -> ClusterView:
    """A cluster with the objects that the program would make there."""
    kinds: defaultdict[str, list[Object]] = defaultdict(list)
    for obj in planned:
        kinds[obj["kind"]].append(obj)
    return ClusterView(
        environment=environment,
        settings=cluster,
        dapr_namespace=settings.dapr.namespace,
        objects={kind: tuple(listed) for kind, listed in kinds.items()},
    )


def _services(view: ClusterView, outlook: Outlook) -> Mapping[str, ServiceAt]:
    """The services of a cluster, and who would serve its callers."""
    services = services_of(view)
    for (name, _), rows in _by_route(row for row in outlook.rows if row.client == view.key).items():
        serving = tuple(Serving(key, percent, ejected=False) for key, percent in _most(rows).items())
        let_out = any(row.leaves or row.policy != "Locality" for row in rows)
        services[name] = routed(services.get(name, ServiceAt()), serving, leaves=let_out)
    return services


def _by_route(rows: Iterable[Row]) -> Mapping[tuple[str, str], list[Row]]:
    """Rows by service and route: callers by several names are one route."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row.service, row.where), []).append(row)
    return found


def _most(rows: Sequence[Row]) -> dict[str, float]:
    """The most that each cluster gets of the requests of any of these callers, by its key."""
    most: dict[str, float] = {}
    for row in rows:
        sums: defaultdict[str, float] = defaultdict(float)
        for key, _, percent in row.served.parts:
            sums[key] += percent
        most |= {key: max(percent, most.get(key, 0.0)) for key, percent in sums.items()}
    return most


def _callers(platform: Platform, outlook: Outlook) -> Mapping[str, list[CallerFrame]]:
    """The callers of each service, and what becomes of them with each cluster lost."""
    lost = {key: {row.id: row for row in rows} for key, rows in outlook.lost.items()}
    found: defaultdict[str, list[CallerFrame]] = defaultdict(list)
    for who, row in merged(outlook):
        found[row.service].append(
            CallerFrame(
                cluster=platform.short(row.client),
                who=who,
                policy=row.policy,
                direct=row.direct,
                parts=_parts(platform, row.served),
                matches=[
                    MatchFrame(headers=headers, parts=_parts(platform, served))
                    for headers, served in row.matches
                ],
                lost=[
                    LossFrame(cluster=platform.short(key), parts=_parts(platform, rows[row.id].served))
                    for key, rows in lost.items()
                    if row.id in rows
                ],
            )
        )
    return found


def _parts(platform: Platform, served: Served) -> list[PartFrame]:
    parts = [part(platform.short(key), backend, percent) for key, backend, percent in served.parts]
    if served.refused and parts:
        parts.append(part(NOBODY, "", served.refused))
    return parts


def _problems(outlook: Outlook, settings: Settings) -> Iterator[Check]:
    """What would go wrong."""
    for text in outlook.problems:
        yield Check(group="traffic", name=text, result="warn", seen="")
    for one in findings(outlook, settings):
        yield Check(
            group="traffic", name=one.text, result="fail" if one.level == "error" else "warn", seen=""
        )
