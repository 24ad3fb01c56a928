"""Who would serve whom, by the objects of all clusters."""

from __future__ import annotations

from typing import Any

import pytest
from proxy.foreseen import CLIENT, EAST, NAME, PLANE, SET_NAME, WEST, Site, find, match, percents, world

from gateway.core.what_if import OUTSIDE, rows
from gateway.what_if import foresee


def test_calls_stay_where_no_policy_lets_them_go() -> None:
    clusters = world(east=Site(1, exports=True), client=Site())
    found = list(rows(clusters))
    assert find(found, CLIENT).parts == {}
    assert find(found, CLIENT).policy == "Locality"
    assert percents(find(found, EAST).parts) == {"east": 100}
    assert percents(find(found, PLANE, OUTSIDE).parts) == {"east": 100}


def test_a_lost_cluster_leaves_its_part_to_the_others_and_asks_nobody() -> None:
    exporter = Site(1, exports=True)
    client = Site(policy="ActiveActive", targets={EAST: 100, WEST: 300})
    clusters = world(east=exporter, west=exporter, client=client)
    assert percents(find(list(rows(clusters)), CLIENT).parts) == {"east": 25, "west": 75}
    found = list(rows(clusters, frozenset([EAST])))
    assert percents(find(found, CLIENT).parts) == {"west": 100}
    assert not [row for row in found if row.client == EAST]
    named = list(rows(clusters, frozenset([EAST]), naming=EAST))
    assert named == [row for row in found if row.client in (CLIENT, PLANE) and row.policy == "ActiveActive"]
    assert find(list(rows(clusters, frozenset([EAST, WEST]))), CLIENT).parts == {}


def test_an_exporter_without_pods_is_left_out() -> None:
    client = Site(policy="ActiveActive", targets={EAST: 100, WEST: 300})
    clusters = world(east=Site(1, exports=True), west=Site(0, exports=True), client=client)
    assert percents(find(list(rows(clusters)), CLIENT).parts) == {"east": 100}


def test_two_gateways_divide_one_after_the_other() -> None:
    canary = {"name": "canary", "weight": 1, "match": match(("x-canary", "true"))}
    backends = ({"name": "app", "weight": 3}, canary)
    client = Site(policy="ActiveActive", targets={EAST: 1, WEST: 1}, matches={WEST: match(("x-west", "1"))})
    clusters = world(
        east=Site(1, 1, exports=True, backends=backends), west=Site(1, exports=True), client=client
    )
    row = find(list(rows(clusters)), CLIENT)
    assert percents(row.parts) == {"east app": 37.5, "east canary": 12.5, "west": 50}
    matches = {headers: percents(parts) for headers, parts in row.matches}
    assert matches == {"x-west: 1": {"west": 100}, "x-canary: true": {"east canary": 50, "west": 50}}


def test_two_matches_are_shown_together_where_they_lead_elsewhere() -> None:
    backends = (
        {"name": "app", "weight": 1},
        {"name": "canary", "weight": 0, "match": match(("x-canary", "true"))},
    )
    client = Site(policy="ActiveActive", targets={EAST: 0, WEST: 1}, matches={EAST: match(("x-east", "1"))})
    clusters = world(
        east=Site(1, 1, exports=True, backends=backends), west=Site(1, exports=True), client=client
    )
    found = {headers: percents(parts) for headers, parts in find(list(rows(clusters)), CLIENT).matches}
    assert found == {
        "x-east: 1": {"east app": 100},
        "x-canary: true": {"west": 100},
        "x-east: 1, x-canary: true": {"east canary": 100},
    }


def test_a_pattern_is_met_by_what_is_said_of_it() -> None:
    pattern = match(("x-tester", "a.*"), kind="RegularExpression")
    client = Site(
        policy="ActiveActive",
        targets={EAST: 1, WEST: 1, CLIENT: 0},
        matches={EAST: pattern, WEST: match(("x-tester", "ada"), ("x-more", "1"))},
    )
    clusters = world(east=Site(1, exports=True), west=Site(1, exports=True), client=client)
    found = {headers: percents(parts) for headers, parts in find(list(rows(clusters)), CLIENT).matches}
    # A request with both headers of the second has the first, which is looked at before.
    assert found == {"x-tester ~ a.*": {"east": 100}, "x-tester: ada, x-more: 1": {"east": 100}}


@pytest.mark.parametrize(
    ("client", "expected", "direct"),
    [
        (Site(1, exports=True, policy="ActiveActive", targets={EAST: 300}), {"client": 25, "east": 75}, ""),
        (
            Site(1, exports=True, policy="ActiveActive", targets={EAST: 300}, every_caller=False),
            {"client": 100},
            "everyCaller is off",
        ),
        (Site(1, policy="ActiveActive", targets={EAST: 300}), {"client": 100}, "NotExported"),
        (Site(0, exports=True, policy="ActiveActive", targets={EAST: 300}), {"east": 100}, ""),
        (Site(1, exports=True, policy="Locality"), {"client": 100}, ""),
        (Site(0, exports=True), {}, ""),
    ],
)  # fmt: skip
def test_callers_of_the_own_name_reach_local_pods_until_the_service_is_taken_over(
    client: Site, expected: dict[str, float], direct: str
) -> None:
    found = list(rows(world(east=Site(1, exports=True), client=client)))
    own = find(found, CLIENT)
    assert (percents(own.parts), own.direct) == (expected, direct)
    by_set_name = find(found, CLIENT, SET_NAME)
    assert (own.parts == by_set_name.parts) is not bool(direct)
    assert "app-id shop" in by_set_name.callers


def test_what_nobody_imports_has_one_name() -> None:
    found = list(rows(world(east=Site(1, exports=True))))
    assert find(found, EAST).callers == (NAME,)


def test_an_import_of_somebody_else_counts_as_it_is(make: Any) -> None:
    client = [make.imported(elsewhere=8080), make.policy("ActiveActive", elsewhere=1)]
    found = list(rows(foresee({CLIENT: client})))
    assert percents(find(found, CLIENT).parts) == {"elsewhere": 100}


def test_callers_beside_the_only_exporter_reach_its_own_pods() -> None:
    backends = ({"name": "app", "weight": 1}, {"name": "canary", "weight": 1})
    found = list(rows(world(east=Site(1, 1, exports=True, backends=backends))))
    assert percents(find(found, EAST).parts) == {"east": 100}
    assert percents(find(found, PLANE, OUTSIDE).parts) == {"east app": 50, "east canary": 50}
