"""What is known of one cluster at one moment, digested so that a frame only adds up. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from cli.dashboard.metrics import Counters
from cli.dashboard.rates import Rates, Track, summed
from cli.dashboard.schema import Reach
from cli.observe.serving import routes, untold
from cli.observe.view import ClusterView, Object, key_of, spec, status

SILENT_SECONDS = 1.5
"""Without an answer, neither good nor bad, after it was due to be read, until a cluster is called silent."""
FAULTY = {"Valid": "False", "Programmed": "False", "Conflict": "True"}
"""Conditions of exports, imports and policies, and when they tell of a fault."""


class Serving(NamedTuple):
    """A cluster that a service's requests may be brought to, from one cluster's callers."""

    key: str
    percent: float
    ejected: bool


class ServiceAt(NamedTuple):
    """One service as one cluster has it. `policy` is the type of the object there; empty without one."""

    exported: bool = False
    policy: str = ""
    fault: str = ""
    ejected: bool = False
    serving: tuple[Serving, ...] = ()
    exporters: tuple[str, ...] = ()
    """Keys of those that its import is from."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A cluster. `view` is what was seen last, at `seen`; `error` what it, or the way to it, says instead.

    `due` is when it is read again. `planned`: it stands in the settings, and nobody was asked.
    """

    view: ClusterView
    seen: float = 0.0
    due: float = 0.0
    error: str = ""
    tracks: Mapping[str, Track] = field(default_factory=dict)
    """By gateway pod."""
    services: Mapping[str, ServiceAt] = field(default_factory=dict)
    rates: Rates = field(default_factory=Rates)
    planned: bool = False

    def reach(self, at: float) -> Reach:
        """Whether it answers."""
        if self.planned:
            return "planned"
        if self.error:
            return "down"
        return "up" if at - max(self.seen, self.due) < SILENT_SECONDS else "silent"

    @property
    def unread(self) -> str:
        """Why it is not known what it exports, or how it routes, now; empty when it is."""
        if self.planned:
            return ""
        unseen = self.view.unseen("ServiceExport")
        return self.error or (str(unseen) if unseen else untold(self.view))

    def failed(self, error: str) -> Reading:
        """It answers with an error: nothing moves there that anybody knows of."""
        return replace(self, error=error, rates=Rates())

    def answered(self, view: ClusterView, pages: Mapping[str, Counters], at: float) -> Reading:
        """The next reading, of a view and the metrics of its gateway pods."""
        known = {one.pod: self.tracks[one.pod] for one in view.gateways if one.pod in self.tracks}
        tracks = known | {
            pod: known[pod].follow(at, counters) if pod in known else Track(at, counters)
            for pod, counters in pages.items()
        }
        return Reading(
            view=view,
            seen=at,
            tracks=tracks,
            services=services_of(view),
            rates=summed(track.rates(at) for track in tracks.values()),
        )


def services_of(view: ClusterView) -> dict[str, ServiceAt]:
    """Every service that a cluster exports, imports, has a policy for, or routes."""
    found: dict[str, ServiceAt] = {}
    for kind in ("ServiceExport", "ServiceImport", "GlobalTrafficPolicy"):
        for obj in view.all(kind):
            name = "/".join(key_of(obj))
            at = found.get(name, ServiceAt())
            if kind == "ServiceExport":
                at = at._replace(exported=True)
            elif kind == "ServiceImport":
                listed = status(obj).get("clusters") or ()
                at = at._replace(exporters=tuple(str(one.get("cluster")) for one in listed))
            elif kind == "GlobalTrafficPolicy":
                at = at._replace(policy=str(spec(obj).get("lbType") or "Locality"))
            found[name] = at._replace(fault=at.fault or fault_of(kind, obj))
    front_door = view.settings.role == "control-plane"
    for route in routes(view.config):
        if route.door == "east-west" or (front_door and route.door == "north-south"):
            serving = tuple(Serving(one.cluster, one.percent, one.ejected) for one in route.clusters)
            at = found.get(route.service, ServiceAt())
            found[route.service] = routed(at, serving, leaves=route.leaves and bool(serving))
        else:
            found.setdefault(route.service, ServiceAt())
    return found


def fault_of(kind: str, obj: Object) -> str:
    """What is wrong with an object by its own conditions; empty when nothing is."""
    for entry in status(obj).get("conditions") or ():
        if entry.get("status") == FAULTY.get(str(entry.get("type"))):
            return f"{kind}: {entry.get('type')} is {entry.get('status')}: {entry.get('message')}"
    return ""


def routed(at: ServiceAt, serving: tuple[Serving, ...], *, leaves: bool) -> ServiceAt:
    """The service with one more route. `leaves`: its requests may go to another cluster, if there is any."""
    nobody = leaves and not any(one.percent for one in serving)
    return at._replace(
        serving=at.serving + serving,
        ejected=at.ejected or any(one.ejected for one in serving),
        fault=at.fault or ("nobody can serve its callers" if nobody else ""),
    )
