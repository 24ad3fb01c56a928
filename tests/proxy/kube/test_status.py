"""Conditions and events: written when something turned, and only then."""

from __future__ import annotations

from typing import Any

from gateway.core.conditions import Condition
from gateway.kube.events import condition_events
from gateway.kube.status import status_patch

NOW = 1_767_225_600.0
VALID = Condition("Valid", True, "Success", "ports 3000 are exported")


def export(*conditions: dict[str, Any], generation: int = 2) -> dict[str, Any]:
    metadata = {
        "namespace": "demo",
        "name": "app",
        "generation": generation,
        "uid": "u",
        "resourceVersion": "9",
    }
    base = {"apiVersion": "flomesh.io/v1alpha1", "kind": "ServiceExport", "metadata": metadata}
    return base | ({"status": {"conditions": list(conditions)}} if conditions else {})


def written(obj: dict[str, Any], *conditions: Condition, now: float = NOW) -> list[dict[str, Any]]:
    patch = status_patch(obj, conditions, now)
    return list(patch["status"]["conditions"]) if patch else []


def test_the_first_condition_is_written() -> None:
    (condition,) = written(export(), VALID)
    assert condition == {
        "type": "Valid",
        "status": "True",
        "reason": "Success",
        "message": "ports 3000 are exported",
        "observedGeneration": 2,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }


def test_the_same_condition_is_not_written_again() -> None:
    obj = export(*written(export(), VALID))
    assert status_patch(obj, [VALID], NOW + 60) is None


def test_other_words_do_not_move_the_transition_time() -> None:
    obj = export(*written(export(), VALID))
    (condition,) = written(obj, Condition("Valid", True, "Success", "other words"), now=NOW + 60)
    assert condition["lastTransitionTime"] == "2026-01-01T00:00:00Z"
    (condition,) = written(obj, Condition("Valid", False, "Failed", "no Service"), now=NOW + 60)
    assert condition["lastTransitionTime"] == "2026-01-01T00:01:00Z"


def test_a_new_generation_is_answered_for() -> None:
    obj = export(*written(export(), VALID), generation=3)
    assert written(obj, VALID)[0]["observedGeneration"] == 3


def test_conditions_of_others_are_neither_read_nor_written() -> None:
    other = {"type": "Programmed", "status": "False"}
    assert [condition["type"] for condition in written(export(other), VALID)] == ["Valid"]


def test_long_messages_are_cut() -> None:
    assert len(written(export(), Condition("Valid", False, "Failed", "x" * 50_000))[0]["message"]) == 2000


def test_an_event_tells_when_a_condition_turned() -> None:
    refused = Condition("Valid", False, "Failed", "no Service")
    (event,) = condition_events(export(*written(export(), VALID)), [refused], NOW)
    assert (event["type"], event["reason"], event["message"]) == ("Warning", "NotValid", "no Service")
    assert event["involvedObject"]["uid"] == "u"
    assert list(condition_events(export(*written(export(), refused)), [refused], NOW)) == []


def test_no_conflict_is_no_news_until_there_was_one() -> None:
    fine, bad = (
        Condition("Conflict", False, "NoConflict", "-"),
        Condition("Conflict", True, "Conflict", "port 3000"),
    )
    assert list(condition_events(export(), [fine], NOW)) == []
    (event,) = condition_events(export(*written(export(), fine)), [bad], NOW)
    assert (event["type"], event["reason"]) == ("Warning", "Conflict")
    (event,) = condition_events(export(*written(export(), bad)), [fine], NOW)
    assert (event["type"], event["reason"]) == ("Normal", "NotConflict")


def test_a_kept_condition_is_applied_as_it_is_and_a_dropped_one_left_out() -> None:
    other = {"type": "DaprInvocable", "status": "True", "reason": "Invocable", "message": "m"}
    obj = export(*written(export(), VALID), other)
    assert status_patch(obj, [VALID], NOW, kept=["DaprInvocable"]) is None
    patch = status_patch(obj, [Condition("Valid", False, "Failed", "no")], NOW, kept=["DaprInvocable"])
    assert patch is not None
    assert other in patch["status"]["conditions"], "whoever applies without it takes it off"
    patch = status_patch(obj, [VALID], NOW, dropped=["DaprInvocable"])
    assert patch is not None
    assert [condition["type"] for condition in patch["status"]["conditions"]] == ["Valid"]
    assert status_patch(export(*written(export(), VALID)), [VALID], NOW, dropped=["DaprInvocable"]) is None
