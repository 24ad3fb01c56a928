"""Calls put together from what client pods print and gateways log."""

from __future__ import annotations

import json
from typing import Any

from cli.drill.caller import main
from cli.drill.calls import Record

NAMES = {"default/default/default/cluster-1": "cluster-1"}
NOW = 1000.0


def line(name: str, began: float, status: int = 200) -> str:
    return json.dumps([name, "a/b:80", began, 0.5, status, "" if status else "refused"])


def entry(name: str, cluster: str | None, listener: str = "east-west") -> str:
    return json.dumps({"request_id": name, "cluster": cluster, "listener": listener})


def record(**more: Any) -> Record:
    return Record(client="cluster-2", **more)


def test_who_served_is_what_the_callers_own_gateway_logged() -> None:
    found = record()
    found.heard("\n".join([line("d-1", NOW - 2), line("d-2", NOW - 1), line("d-3", NOW - 0.6)]), NOW)
    found.logged(
        "\n".join([
            entry("d-1", next(iter(NAMES))),
            entry("d-2", "x", "north-south"),
            entry("d-3", None),
            "d-2 cut of",
            '"d-2"',
        ]),
        "d-",
    )  # fmt: skip
    assert [call.served for call in found.calls(NAMES)] == ["cluster-1", "unknown", "nobody"]


def test_who_was_served_past_the_gateways_was_served_by_local_pods() -> None:
    found = record(local=frozenset({"a/b:80"}))
    found.heard(line("d-1", NOW - 1), NOW)
    assert [call.served for call in found.calls(NAMES)] == ["cluster-2"]


def test_the_last_calls_are_had_without_all_the_others() -> None:
    found = record()
    for number in range(100):
        found.heard(line(f"d-{number}", NOW + number), NOW + number + 1)
    assert len(found.calls(NAMES, NOW + 95)) == 5
    assert len(found.calls(NAMES)) == 100


def test_lines_that_come_twice_or_cut_off_count_once() -> None:
    found = record()
    for _ in range(2):
        found.heard(f"{line('d-1', NOW - 1)}\n{line('d-2', NOW - 1)[:20]}\nTraceback", NOW)
    assert len(found.calls(NAMES)) == 1


def test_a_pods_clock_that_differs_is_set_right() -> None:
    ahead = record()
    ahead.heard(line("d-1", NOW + 99) + "\n" + line("d-2", NOW + 98), NOW)
    assert [call.began for call in ahead.calls(NAMES)] == [NOW - 1.5, NOW - 0.5]
    same = record()
    same.heard(line("d-1", NOW - 2), NOW)
    assert [call.began for call in same.calls(NAMES)] == [NOW - 2]


def test_the_caller_asks_on_time_and_tells_what_became_of_it(capsys: Any) -> None:
    wanted = {"urls": {"a/b:80": "http://127.0.0.1:1/x"}, "rate": 50, "seconds": 0.1, "prefix": "d-"}
    main(json.dumps(wanted))
    lines = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert sorted(name for name, *_ in lines) == [f"d-{number}" for number in range(len(lines))]
    assert len(lines) >= 5
    assert {(service, status) for _, service, _, _, status, _ in lines} == {("a/b:80", 0)}
    assert all("refused" in said for *_, said in lines)
