"""What the gateways' code says of traffic, and what is wrong with it by the settings. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from stacks.config.model import Settings
from stacks.outlook.assumed import Object

OUTSIDE = "outside"
WELL = ""
"""In place of the key of a lost cluster: none is."""


@dataclass(frozen=True, kw_only=True)
class Served:
    """Who serves some requests: percent by cluster key and backend. `refused`: what nobody serves."""

    parts: tuple[tuple[str, str, float], ...]
    refused: float

    @classmethod
    def read(cls, raw: Object) -> Served:
        """As `gateway what-if` prints it."""
        parts = ((str(one["cluster"]), str(one["backend"]), float(one["percent"])) for one in raw["served"])
        return cls(parts=tuple(parts), refused=float(raw["refused"]))

    def as_json(self) -> dict[str, Any]:
        """For machines, as it was read."""
        served = [
            {"cluster": cluster, "backend": backend, "percent": percent}
            for cluster, backend, percent in self.parts
        ]
        return {"served": served, "refused": self.refused}


@dataclass(frozen=True, kw_only=True)
class Row:
    """Callers of one service in one cluster, and who serves them. `leaves`: calls may leave the cluster."""

    client: str
    callers: tuple[str, ...]
    where: str
    service: str
    port: int
    policy: str
    leaves: bool
    direct: str
    served: Served
    matches: tuple[tuple[str, Served], ...]

    @classmethod
    def read(cls, raw: Object) -> Row:
        """As `gateway what-if` prints it."""
        return cls(
            client=str(raw["client"]),
            callers=tuple(raw["callers"]),
            where=str(raw["where"]),
            service=str(raw["service"]),
            port=int(raw["port"]),
            policy=str(raw["policy"]),
            leaves=bool(raw["leaves"]),
            direct=str(raw["direct"]),
            served=Served.read(raw),
            matches=tuple((str(one["headers"]), Served.read(one)) for one in raw["matches"]),
        )

    def as_json(self) -> dict[str, Any]:
        """For machines, as it was read."""
        said = ("client", "callers", "where", "service", "port", "policy", "leaves", "direct")
        matches = [{"headers": headers, **served.as_json()} for headers, served in self.matches]
        return {**{name: getattr(self, name) for name in said}, **self.served.as_json(), "matches": matches}

    @property
    def id(self) -> tuple[str, str, str]:
        """What stays the same of it when others serve it."""
        return self.client, self.where, self.callers[0]

    @property
    def by_own_name(self) -> bool:
        """Whether these say the Service's own name, or come from outside: one row for each client."""
        return self.callers[0] == OUTSIDE or self.callers[0].count(".") == 1


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """Who serves whom, and how that changes with one cluster lost: by its key, the rows that differ."""

    rows: tuple[Row, ...]
    lost: Mapping[str, tuple[Row, ...]]
    problems: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "rows": [row.as_json() for row in self.rows],
            "lost": {key: [row.as_json() for row in rows] for key, rows in self.lost.items()},
            "problems": list(self.problems),
        }

    def at(self, lost: str) -> list[Row]:
        """All rows while this cluster is lost."""
        changed = {row.id: row for row in self.lost.get(lost, ())}
        return [changed.get(row.id, row) for row in self.rows if not lost or row.client != lost]


def read(raw: Mapping[str, Any], settings: Settings) -> Outlook:
    """As `gateway what-if` prints it. In the control plane only the front door has callers."""
    plane = settings.control_plane.key

    def rows(listed: Sequence[Object]) -> tuple[Row, ...]:
        found = map(Row.read, listed)
        return tuple(row for row in found if row.client != plane or row.callers[0] == OUTSIDE)

    return Outlook(
        rows=rows(raw["rows"]),
        lost={key: rows(listed) for key, listed in raw["lost"].items()},
        problems=tuple(
            f"{one['kind']} {one['object']} in {one['cluster']}: {one['message']}" for one in raw["problems"]
        ),
    )


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What would go wrong. `lost`: the key of the cluster without which; empty: with all of them."""

    level: Literal["warn", "error"]
    reason: Literal["WithoutHome", "OverCapacity"]
    lost: str
    text: str

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {"level": self.level, "reason": self.reason, "lost": self.lost, "text": self.text}


def findings(outlook: Outlook, settings: Settings) -> list[Finding]:
    """By the settings: `preview` and the clusters' `capacity`."""
    names = {cluster.key: cluster.name for cluster in settings.clusters}
    found = []
    for lost in (WELL, *outlook.lost):
        without = f"without {names[lost]}" if lost else "with every cluster there"
        if settings.preview.without_home != "ignore":
            found += [
                Finding(level=settings.preview.without_home, reason="WithoutHome", lost=lost,
                        text=f"{without}, {text}")
                for text in dict.fromkeys(_without_home(outlook, lost, names))
            ]  # fmt: skip
        if settings.preview.over_capacity != "ignore":
            found += [
                Finding(level=settings.preview.over_capacity, reason="OverCapacity", lost=lost,
                        text=f"{without}, {text}")
                for text in _over_capacity(outlook, lost, settings)
            ]  # fmt: skip
    return found


def _without_home(outlook: Outlook, lost: str, names: Mapping[str, str]) -> Iterator[str]:
    """Callers who are let out and reach nobody; with a cluster lost, those who reached somebody before."""
    before = {row.id: row.served.refused for row in outlook.rows} if lost else {}
    for row in outlook.at(lost):
        let_out = row.leaves or row.policy != "Locality"
        if row.served.refused > before.get(row.id, 0.0) and let_out:
            who = "from outside" if row.callers[0] == OUTSIDE else f"of {names[row.client]}"
            yield f"nobody serves {row.served.refused:.4g} % of the calls {who} to {row.service}:{row.port}"


def _over_capacity(outlook: Outlook, lost: str, settings: Settings) -> Iterator[str]:
    """In percent of all calls to a service when every cluster is there; each client's calls count alike."""
    clients: dict[tuple[str, int], int] = defaultdict(int)
    for row in outlook.rows:
        clients[row.service, row.port] += row.by_own_name and bool(row.served.parts)
    load: dict[tuple[str, int, str], float] = defaultdict(float)
    for row in outlook.at(lost):
        for key, _, percent in row.served.parts if row.by_own_name else ():
            load[row.service, row.port, key] += percent / max(1, clients[row.service, row.port])
    bounds = {cluster.key: cluster for cluster in settings.clusters if cluster.capacity is not None}
    for (service, port, key), percent in sorted(load.items()):
        cluster = bounds.get(key)
        if cluster is not None and cluster.capacity is not None and percent > cluster.capacity + 1e-6:
            yield (
                f"{cluster.name} gets {percent:.4g} % of all calls to {service}:{port}, and its capacity is "
                f"{cluster.capacity} %"
            )
