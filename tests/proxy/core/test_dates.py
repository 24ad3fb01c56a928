"""Dates of claims: an old object is no old claim."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.core.dates import UNDATED, claims_of, dates_of, record
from gateway.core.export_hosts import HOST
from gateway.core.exports import evaluate_exports
from gateway.core.objects import Key
from gateway.core.services import Service, ServicePort

MADE = "2026-01-01T00:00:00Z"
NOW = "2026-02-01T00:00:00Z"


def export(*paths: str, made: str = MADE, generation: int = 1, host: str = "", **more: Any) -> dict[str, Any]:
    """Paths are of Prefix rules, with `=` before of Exact ones."""
    rules = [
        {
            "portNumber": 80,
            "path": path.removeprefix("="),
            "pathType": "Exact" if path[0] == "=" else "Prefix",
        }
        for path in paths
    ]
    metadata: dict[str, Any] = {"creationTimestamp": made, "generation": generation}
    if host:
        metadata["annotations"] = {HOST: host}
    return {"metadata": metadata, "spec": {"rules": rules}, **more}


def recorded(raw: dict[str, Any], now: str = NOW) -> dict[str, Any]:
    """The same export after the controller has seen it."""
    dates = record(raw, now)
    return raw if dates is None else {**raw, "status": {"firstSeen": dates}}


def changed(raw: dict[str, Any], *paths: str, host: str = "") -> dict[str, Any]:
    """The same export with other paths, or another host."""
    metadata = export(generation=2, made=raw["metadata"]["creationTimestamp"], host=host)["metadata"]
    return {**raw, "metadata": metadata, "spec": export(*paths)["spec"]}


def owners(**exports: dict[str, Any]) -> dict[str, str]:
    """Which namespace has which path, when each has one export of its own name."""
    service = Service({80: ServicePort("http", "")})
    found: dict[Key, Any] = {(name, name): raw for name, raw in exports.items()}
    evaluated = evaluate_exports(found, dict.fromkeys(found, service))
    return {rule.path: key[0] for key, export in evaluated.items() for rule in export.rules}


def test_what_is_written_into_an_old_export_is_young() -> None:
    evil, shop = recorded(export("/mine")), recorded(export("/shop", made="2026-01-09T00:00:00Z"))
    assert owners(evil=evil, shop=shop) == {"/mine": "evil", "/shop": "shop"}
    evil = changed(evil, "/mine", "/shop")
    assert owners(evil=evil, shop=shop) == {"/mine": "evil", "/shop": "shop"}, "before it is dated"
    assert owners(evil=recorded(evil), shop=shop) == {"/mine": "evil", "/shop": "shop"}
    inside = changed(evil, "/shop/login")
    assert owners(evil=inside, shop=shop) == {"/shop": "shop"}, "nor inside it"
    around = changed(recorded(export("=/shop")), "/shop")
    shop = recorded(export("/shop/cart", made="2026-01-09T00:00:00Z"))
    assert owners(evil=around, shop=shop) == {"/shop/cart": "shop"}, "an Exact path is another claim"


def test_a_path_of_a_host_is_no_claim_where_all_share_the_paths() -> None:
    evil = changed(recorded(export("/shop", host="evil.example.com")), "/shop")
    shop = recorded(export("/shop", made="2026-01-09T00:00:00Z"))
    assert owners(evil=evil, shop=shop) == {"/shop": "shop"}


def test_hosts_that_cannot_be_read_claim_nothing_and_are_on_record_all_the_same() -> None:
    evil = export("/shop", host="*")
    assert list(claims_of(evil)) == []
    seen = recorded(evil)
    assert seen["status"]["firstSeen"] == []
    del seen["metadata"]["annotations"]  # which is no change of the spec: the generation stays
    assert owners(evil=seen, shop=export("/shop", made="2026-01-09T00:00:00Z")) == {"/shop": "shop"}


def test_a_claim_without_a_service_keeps_the_path_from_those_who_come() -> None:
    found = {("evil", "evil"): export("/shop"), ("shop", "shop"): export("/shop", made=NOW)}
    service = Service({80: ServicePort("http", "")})
    evaluated = evaluate_exports(found, {("shop", "shop"): service})
    assert not evaluated["shop", "shop"].rules
    assert "is already exported by evil/evil" in evaluated["shop", "shop"].problems[0].message


def test_an_export_nobody_has_changed_is_as_old_as_it_says_before_and_after_it_is_dated() -> None:
    raw = export("/a", "=/b")
    assert dates_of(raw) == {"/a": MADE, "=/b": MADE} == dates_of(recorded(raw))
    assert record(recorded(raw), "2026-03-01T00:00:00Z") is None, "it is written once"


def test_dates_are_kept_and_end_with_the_claim() -> None:
    raw = changed(recorded(export("/a", "/b")), "/a", "/c")
    assert dates_of(raw) == {"/a": MADE, "/c": UNDATED}
    assert recorded(raw)["status"]["firstSeen"] == [
        {"since": MADE, "claims": ["/a"]}, {"since": NOW, "claims": ["/c"]},
    ]  # fmt: skip
    back = changed(recorded(raw), "/a", "/b")
    assert dates_of(back)["/b"] == UNDATED


def test_one_that_was_changed_before_it_was_seen_is_as_young_as_that() -> None:
    assert dates_of(export("/a", generation=2)) == {"/a": UNDATED}
    assert recorded(export("/a", generation=2))["status"]["firstSeen"] == [{"since": NOW, "claims": ["/a"]}]


@pytest.mark.parametrize("status", [{"firstSeen": 5}, {"firstSeen": [5, {}, {"claims": 5}]}, 5, {}])
def test_any_shape_of_a_record_and_of_rules_is_read(status: Any) -> None:
    raw = export("/a", status=status)
    raw["spec"]["rules"] += [{"path": 5}, 5, {}]
    assert set(dates_of(raw)) == {"/a"}
