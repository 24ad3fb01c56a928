"""The hub's own dates of what members claim."""

from __future__ import annotations

from typing import Any

from gateway.core.export_hosts import HOST
from gateway.kube import first_seen
from gateway.kube.first_seen import FirstSeen

OLD = "2026-01-01T00:00:00.000Z"


def export(*paths: Any) -> dict[str, Any]:
    rules = [{"portNumber": 80, "path": path, "pathType": "Prefix"} for path in paths]
    return {"metadata": {"creationTimestamp": "1970-01-01T00:00:00Z"}, "spec": {"rules": rules}}


def test_claims_are_dated_when_they_come_and_kept() -> None:
    seen = FirstSeen({})
    assert seen.see({("demo", "app"): export("/a")}, 1_000.0)
    assert not seen.see({("demo", "app"): export("/a")}, 2_000.0)
    assert seen.see({("demo", "app"): export("/a", "/b")}, 3_000.0)
    times = {
        "demo/app": "1970-01-01T00:16:40.000Z",
        "demo/app /a": "1970-01-01T00:16:40.000Z",
        "demo/app /b": "1970-01-01T00:50:00.000Z",
    }
    assert seen.times == times
    assert FirstSeen({"status": seen.status()}).times == times, "the next hub reads them"
    assert seen.see({}, 4_000.0)
    assert seen.times == {}, "what is gone is given up"


def test_what_the_control_plane_exports_is_as_old_as_it_says_until_it_is_dated() -> None:
    seen = FirstSeen({})
    assert seen.see({("demo", "app"): export("/a")}, 1_000.0, believed=True)
    assert set(seen.times.values()) == {"1970-01-01T00:00:00Z"}
    assert seen.see({("demo", "app"): export("/a", "/b")}, 3_000.0, believed=True)
    assert seen.times["demo/app /b"] == "1970-01-01T00:50:00.000Z", "an old export that gets a path later"


def test_what_no_api_server_admits_claims_nothing() -> None:
    seen = FirstSeen({"status": {"firstSeen": [{"since": OLD, "claims": ["demo/app", 5]}, 5]}})
    seen.see({("../a", "app"): export("/a"), ("demo", "app"): export("/\ud800", 5, "/" + "a" * 1024)}, 0)
    assert seen.times == {"demo/app": OLD}


def test_an_exact_path_and_one_of_a_host_are_other_claims() -> None:
    seen = FirstSeen({})
    exact, hosted = export("/a"), export("/b")
    exact["spec"]["rules"][0]["pathType"] = "Exact"
    hosted["metadata"]["annotations"] = {HOST: "shop.example.com"}
    seen.see({("demo", "exact"): exact, ("demo", "hosted"): hosted}, 1_000.0)
    seen.see({("demo", "exact"): export("/a"), ("demo", "hosted"): export("/b")}, 3_000.0)
    assert seen.times["demo/exact /a"] == seen.times["demo/hosted /b"] == "1970-01-01T00:50:00.000Z"


def test_a_record_is_bounded_and_keeps_the_oldest(monkeypatch: Any) -> None:
    monkeypatch.setattr(first_seen, "LONGEST_RECORD", 90)
    seen = FirstSeen({"status": {"firstSeen": [{"since": OLD, "claims": ["demo/app"]}]}})
    seen.see({("demo", f"app{index or ''}"): export() for index in range(50)}, 1_800_000_000.0)
    oldest, newer = seen.status()["firstSeen"]
    assert oldest == {"since": OLD, "claims": ["demo/app"]}
    assert newer["claims"] == ["demo/app1"]
