"""What a reconciler remembers: which writes wait a moment, and who keeps undoing them."""

from __future__ import annotations

from typing import Any

from gateway.core.derived_names import EVERY_CALLER
from gateway.core.header_match import BACKEND_REFS
from gateway.core.snapshot import compile_snapshot
from gateway.kube.actions import Action
from gateway.kube.contest import TURNS
from gateway.kube.resources import IMPORT, POLICY, SERVICE, SLICE
from gateway.kube.takeovers import VACANT_SECONDS, WAIT_SECONDS, Takeovers

KEY = ("shop", "checkout")
CREATE = Action("create", SERVICE, KEY)
SETTLE = Action("delete", SLICE, KEY, settled=True)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def taken(local: bool) -> dict[str, Any]:
    return {IMPORT.kind: {KEY: {}}, SERVICE.kind: {KEY: {"metadata": {}}} if local else {}}


def test_a_derived_service_takes_the_name_of_a_deleted_one_after_a_moment() -> None:
    """Whoever deletes a Service waits until the name is gone, and must see it gone."""
    clock = Clock()
    takeovers = Takeovers(clock)
    assert takeovers.settled([], taken(local=True)) == ([], True)
    clock.now += 60.0
    assert takeovers.settled([CREATE], taken(local=False)) == ([], False)
    clock.now += VACANT_SECONDS / 2
    assert takeovers.settled([CREATE], taken(local=False)) == ([], False)
    clock.now += VACANT_SECONDS
    assert takeovers.settled([CREATE], taken(local=False)) == ([CREATE], True)


def test_a_name_that_nobody_had_is_taken_at_once() -> None:
    assert Takeovers(Clock()).settled([CREATE], taken(local=False)) == ([CREATE], True)


def test_what_must_settle_is_written_when_it_was_wanted_for_a_moment() -> None:
    clock = Clock()
    takeovers = Takeovers(clock)
    assert takeovers.settled([SETTLE], taken(local=True)) == ([], False)
    clock.now += WAIT_SECONDS + 0.01
    assert takeovers.settled([SETTLE], taken(local=True)) == ([SETTLE], True)
    assert takeovers.settled([], taken(local=True)) == ([], True)
    assert takeovers.settled([SETTLE], taken(local=True)) == ([], False), (
        "wanted again: the time begins again"
    )


def test_who_puts_a_selector_back_is_named_though_the_news_of_each_takeover_comes_late() -> None:
    """A round that still sees the selector asks again for the Service, which has none by then."""
    clock = Clock()
    takeovers = Takeovers(clock)
    names = {"namespace": KEY[0], "name": KEY[1]}
    wrote = {"manager": "kubectl", "fieldsV1": {"f:spec": {"f:selector": {}}}}
    put_back = {"metadata": {**names, "managedFields": [wrote]}, "spec": {"selector": {"app": "checkout"}}}
    policy = {"metadata": {"uid": "p", "generation": 1}}
    for _ in range(TURNS):
        clock.now += 1.0
        assert takeovers.may_take(put_back, policy)
        takeovers.taken(KEY)
        assert not takeovers.may_take({"metadata": names, "spec": {}}, policy)
    assert not takeovers.may_take(put_back, policy)


def test_a_service_that_shares_its_requests_is_taken_over_though_they_stay_in_the_cluster(make: Any) -> None:
    """Its callers would else go to its own pods alone, past every gateway."""
    export, policy = make.export(), make.policy("Locality")
    policy["metadata"]["annotations"] = {EVERY_CALLER: "true"}
    service = {**make.service(), "kind": "Service"}
    service["spec"]["selector"] = {"app": "app"}
    imported = make.imported(c1=81)
    key = ("demo", "app")
    held = {
        POLICY.kind: {key: policy}, SERVICE.kind: {key: service}, IMPORT.kind: {key: imported},
    }  # fmt: skip

    def reason() -> str:
        compiled = compile_snapshot(
            [export, policy, service, make.service("canary"), imported], make.key("x")
        )
        return str(Takeovers(Clock()).reaches(held, compiled)[key].condition.reason)

    assert reason() == "NotNeeded"
    export["metadata"]["annotations"] = {BACKEND_REFS: '[{"name": "app", "weight": 9}, {"name": "canary"}]'}
    assert reason() == "TakenOver"
