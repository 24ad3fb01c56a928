"""Contested Services: whoever keeps putting a selector back gets it in the end."""

from __future__ import annotations

from gateway.kube.contest import LEFT_ALONE_SECONDS, TURNS, WITHIN_SECONDS, Contests, owner_of_selector

KEY = ("shop", "checkout")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def take(contests: Contests, clock: Clock, times: int, apart: float, policy: str = "p/1") -> list[bool]:
    found = []
    for _ in range(times):
        clock.now += apart
        found.append(contests.may_take(KEY, policy, "argocd"))
        if found[-1]:
            contests.taken(KEY)
    return found


def test_one_who_puts_it_back_at_every_turn_is_left_alone() -> None:
    clock = Clock()
    contests = Contests(clock)
    assert take(contests, clock, TURNS + 2, 5.0) == [True] * TURNS + [False, False]
    assert contests.rivals({KEY: "p/1"}) == {KEY: "argocd"}


def test_one_who_applies_now_and_then_is_followed() -> None:
    clock = Clock()
    assert all(take(Contests(clock), clock, 20, WITHIN_SECONDS / (TURNS - 1)))


def test_two_who_apply_in_turn_are_followed() -> None:
    clock = Clock()
    contests = Contests(clock)
    for number in range(20):
        clock.now += 2.0
        assert contests.may_take(KEY, "p/1", ("kubectl", "helm")[number % 2])
        contests.taken(KEY)


def test_a_changed_policy_begins_again() -> None:
    clock = Clock()
    contests = Contests(clock)
    take(contests, clock, TURNS + 1, 1.0)
    assert contests.rivals({KEY: "p/2"}) == {}
    assert contests.may_take(KEY, "p/2", "argocd")


def test_after_some_time_it_is_tried_again() -> None:
    clock = Clock()
    contests = Contests(clock)
    take(contests, clock, TURNS + 1, 1.0)
    clock.now += LEFT_ALONE_SECONDS
    assert contests.rivals({KEY: "p/1"}) == {}
    assert contests.may_take(KEY, "p/1", "argocd")


def test_the_owner_of_a_selector_is_who_wrote_it_last() -> None:
    def entry(manager: str, time: str, *fields: str) -> dict[str, object]:
        spec = {f"f:{name}": {} for name in fields}
        return {"manager": manager, "time": time, "fieldsV1": {"f:spec": spec}}

    entries = [
        entry("helm", "2026-01-01T00:00:00Z", "selector", "ports"),
        entry("argocd", "2026-01-02T00:00:00Z", "selector"),
        entry("kubectl", "2026-01-03T00:00:00Z", "ports"),
    ]
    assert owner_of_selector({"metadata": {"managedFields": entries}}) == "argocd"
    assert owner_of_selector({"metadata": {}}) == ""
