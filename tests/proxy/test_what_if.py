"""What is foretold of who serves whom is what the balancers of all gateways then do."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from proxy.conftest import Make
from proxy.foreseen import CLIENT, EAST, PLANE, SET_NAME, WEST, Site, match, world

from gateway.__main__ import main
from gateway.core.balance import RouteState
from gateway.core.health import EndpointHealth
from gateway.core.route import Endpoint, Route, WeightedCluster
from gateway.core.what_if import OUTSIDE, Cluster, Row, rows

REQUESTS = 1000
HEADERS = (("x-canary", "true"), ("x-canary", "no"), ("x-tester", "ada"))

Raw = dict[str, Any]


class Gateways:
    """Every gateway's balancers, with health as health checks leave it while some clusters are lost."""

    def __init__(self, clusters: Mapping[str, Cluster], lost: frozenset[str]) -> None:
        self._clusters = clusters
        self._lost = lost
        self._states: dict[tuple[str, int], RouteState] = {}

    def state(self, at: str, route: Route) -> RouteState:
        if (at, id(route)) not in self._states:
            self._states[at, id(route)] = RouteState(route, self._health)
        return self._states[at, id(route)]

    def _health(self, _route: Route, cluster: WeightedCluster, endpoint: Endpoint) -> EndpointHealth:
        health = EndpointHealth(endpoint)
        health.down = cluster.remote and not self._would_serve(cluster)
        return health

    def _would_serve(self, cluster: WeightedCluster) -> bool:
        route = self._clusters[cluster.key].snapshot.identified(cluster.identity)
        up = cluster.key not in self._lost
        return up and route is not None and self.state(cluster.key, route).available(1.0)

    def request(self, at: str, route: Route, fields: Mapping[bytes, bytes]) -> tuple[str, str] | None:
        """Where a request ends; None when it is refused."""
        pick = self.state(at, route.of(fields)).pick(1.0)
        if pick is None:
            return None
        chosen = pick.state.cluster
        if not chosen.remote:
            return chosen.key, chosen.backend
        if chosen.key in self._lost:
            return None
        behind = self._clusters[chosen.key].snapshot.identified(chosen.identity)
        assert behind is not None
        return self.request(chosen.key, behind, fields)


def agree(row: Row, route: Route, clusters: Mapping[str, Cluster], lost: frozenset[str]) -> None:
    """A row's parts, and those of requests that match, are what a thousand picks are."""
    for headers, parts in (("", row.parts), *row.matches):
        said = dict(one.split(": ") for one in headers.split(", ")) if headers else {}
        fields = {name.encode(): value.encode() for name, value in said.items()}
        gateways = Gateways(clusters, lost)
        seen = Counter(gateways.request(row.client, route, fields) for _ in range(REQUESTS))
        for place in {*parts, *seen} - {None}:
            assert place is not None
            expected = REQUESTS * parts.get(place, 0.0)
            assert abs(seen[place] - expected) <= 5, (headers, parts, seen)
        assert abs(seen[None] - REQUESTS * (1 - sum(parts.values()))) <= 5, (headers, parts, seen)


WEIGHTS = st.sampled_from([0, 1, 50, 100, 999])
MATCHES = st.one_of(st.none(), st.sampled_from(HEADERS).map(match))


@st.composite
def exporters(draw: st.DrawFn) -> Site:
    refs = st.fixed_dictionaries({"weight": st.sampled_from([0, 1, 5, 95])}, optional={})
    backends: tuple[Raw, ...] = ()
    if draw(st.booleans()):
        own, canary = draw(refs), draw(refs)
        own["weight"] = own["weight"] or 10
        found = draw(MATCHES)
        backends = (
            {"name": "app", **own},
            {"name": "canary", **canary, **({"match": found} if found else {})},
        )
    return Site(draw(st.integers(0, 2)), draw(st.integers(0, 1)), exports=True, backends=backends)


@st.composite
def clients(draw: st.DrawFn) -> Site:
    policy = draw(st.sampled_from(["", "Locality", "FailOver", "ActiveActive"]))
    targets = draw(st.dictionaries(st.sampled_from([EAST, WEST, CLIENT]), WEIGHTS, min_size=1, max_size=3))
    if policy == "Locality":
        targets = dict(list(targets.items())[:1])
    matches = {key: draw(MATCHES) for key in targets} if policy in ("FailOver", "ActiveActive") else {}
    pods, every = draw(st.integers(0, 2)), draw(st.booleans())
    given = {key: found for key, found in matches.items() if found is not None}
    return Site(pods, 0, draw(st.booleans()), (), policy, targets if policy else {}, given, every)


@settings(max_examples=60)
@given(east=exporters(), west=exporters(), client=clients(), lost=st.sets(st.sampled_from([EAST, WEST])))
def test_the_parts_are_those_of_a_thousand_requests(
    east: Site, west: Site, client: Site, lost: set[str]
) -> None:
    clusters = world(east=east, west=west, client=client)
    gone = frozenset(lost)
    found = list(rows(clusters, gone))
    (east_west,) = clusters[CLIENT].snapshot.host_routes()
    for row in found:
        if row.client == CLIENT and SET_NAME in row.callers:
            agree(row, east_west, clusters, gone)
        if row.callers == (OUTSIDE,):
            (door,) = clusters[PLANE].snapshot.path_routes()
            agree(row, door, clusters, gone)
    assert {row.client for row in found}.isdisjoint(gone)


def written(folder: Path, **sites: Site) -> list[str]:
    """Options that name the objects of each cluster."""
    words = []
    for number, (name, site) in enumerate(sites.items()):
        path = folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump_all(site.objects(Make(), number)))
        words += ["--objects", f"default/default/default/{name}={path}"]
    return words


def test_the_command_says_what_changes_with_each_cluster_lost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exporter = Site(1, exports=True)
    client = Site(policy="FailOver", targets={EAST: 100, WEST: 50})
    words = written(tmp_path, plane=Site(), client=client, east=exporter, west=exporter)
    assert main(["what-if", *words, "--front-door", PLANE]) == 0
    said = json.loads(capsys.readouterr().out)
    row, by_other_names = [row for row in said["rows"] if row["client"] == CLIENT]
    assert by_other_names == {**row, "callers": ["app-id shop", SET_NAME]}
    assert row == {
        "client": CLIENT, "callers": ["app.demo"], "where": "app.demo:3000",
        "service": "demo/app", "port": 3000, "policy": "FailOver", "leaves": True, "direct": "",
        "served": [
            {"cluster": EAST, "backend": "", "percent": 66.6667},
            {"cluster": WEST, "backend": "", "percent": 33.3333},
        ],
        "refused": 0.0, "matches": [],
    }  # fmt: skip
    assert said["lost"][CLIENT] == []
    changed = {(row["client"], row["served"][0]["cluster"]) for row in said["lost"][EAST]}
    assert changed == {(CLIENT, WEST), (PLANE, WEST)}
    assert said["problems"] == []


def test_the_command_can_begin_with_a_cluster_lost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    client = Site(policy="Locality", targets={EAST: 100})
    words = written(tmp_path, client=client, east=Site(1, exports=True))
    assert main(["what-if", *words, "--without", EAST, "--no-lose-each"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert {(row["client"], len(row["served"]), row["refused"]) for row in said["rows"]} == {(CLIENT, 0, 100)}
    assert (said["without"], said["lost"]) == ([EAST], {})


@pytest.mark.parametrize(("exports", "reason"), [(True, "UnknownTarget"), (False, "TargetNotFound")])
def test_the_command_names_what_is_wrong_with_objects(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], exports: bool, reason: str
) -> None:
    client = Site(policy="FailOver", targets={EAST: 1})
    words = written(tmp_path, client=client, east=Site(), west=Site(1, exports=exports))
    assert main(["what-if", *words]) == 0
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert (problem["cluster"], problem["object"], problem["reason"]) == (CLIENT, "demo/app", reason)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--without", WEST], f"{WEST} is none of the clusters whose objects are given"),
        (["--front-door", PLANE], f"{PLANE} is none of the clusters"),
        (["--objects", f"{EAST}=nowhere.yaml"], "cannot read nowhere.yaml"),
        (["--paths", "{"], "what-if: "),
    ],
)
def test_the_command_says_what_cannot_be_read(
    more: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["what-if", *written(tmp_path, client=Site(), east=Site()), *more]) == 2
    assert message in capsys.readouterr().err


def test_objects_are_those_of_a_cluster(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["what-if", "--objects", "objects.yaml"])
    assert ended.value.code == 2
    assert "give REGION/ZONE/GROUP/NAME=PATH" in capsys.readouterr().err
