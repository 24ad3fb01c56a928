"""What calls felt of a loss, by calls that a test has made up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree as ET

from cli.drill import show
from cli.drill.calls import NOBODY, UNKNOWN, Call
from cli.drill.followed import Calls
from cli.drill.losses import Stopped
from cli.drill.plan import Plan
from cli.drill.report import Report, Times, is_back, report
from stacks.config.model import DrillSettings

LOST, BACK, END = 1010.0, 1070.0, 1100.0
TIMES = Times(lost=LOST, back=BACK, end=END)
PLAN = Plan(
    words="cluster-1", meaning="killed", losses=(Stopped(cluster="cluster-1", containers=("x",)),),
    calls=(Calls(cluster="cluster-2", urls={"a/b:80": "http://b.a:80/"}, local=frozenset(), serving={}),),
    pairs=frozenset({("cluster-2", "cluster-1")}), left_out=(),
)  # fmt: skip


def call(began: float, served: str = "cluster-3", **more: Any) -> Call:
    made: dict[str, Any] = {
        "client": "cluster-2", "service": "a/b:80", "began": began, "seconds": 0.01, "status": 200,
        "said": "", "served": served,
    }  # fmt: skip
    return Call(**(made | more))


def calls(*, back_at: float = BACK + 10, rate: int = 10) -> Iterator[Call]:
    """Two clusters by turns, one of them while the other is lost and until `back_at`."""
    for number in range(int((END - 1000) * rate)):
        began = 1000 + number / rate
        lost = LOST <= began < back_at
        yield call(began, "cluster-1" if number % 2 and not lost else "cluster-3")


def made(*more: Call, back_at: float = BACK + 10, **budget: Any) -> Report:
    listed = sorted([*calls(back_at=back_at), *more], key=lambda one: one.began)
    return report(PLAN, listed, TIMES, DrillSettings(**budget))


def seen(found: Report) -> dict[str, float | None]:
    return {bound.name: bound.seen for bound in found.bounds}


def test_a_loss_that_nobody_notices_is_within_the_default_budget() -> None:
    found = made()
    assert found.passed
    assert seen(found) == {"failed requests": 0, "detection": 0.0, "fail-back": 14.0}
    assert found.all.before == {"cluster-1": 50.0, "cluster-3": 50.0}
    assert found.all.during == {"cluster-3": 100.0}
    assert found.all.after == {"cluster-1": 50.0, "cluster-3": 50.0}
    assert found.served_before == 50.0


def test_detection_is_until_the_last_request_that_noticed_ends() -> None:
    slow = call(LOST + 1, seconds=6.0)
    assert seen(made(slow))["detection"] == 7.0
    assert seen(made(slow, slowSeconds=6.5))["detection"] == 0.0
    assert not made(slow, detectionSeconds=5).passed
    assert made(slow).all.slow == 1


def test_a_request_under_way_when_it_was_lost_counts() -> None:
    found = made(call(LOST - 1, status=0, seconds=2.0, said="reset"))
    assert seen(found)["failed requests"] == 1
    assert seen(found)["detection"] == 1.0
    assert found.all.reasons == {"reset": 1}
    assert seen(made(call(LOST - 1, seconds=5.0)))["detection"] == 4.0


def test_who_is_lost_but_ends_its_work_has_no_part_once_that_is_settled() -> None:
    found = made(*(call(LOST + number / 10, "cluster-1") for number in range(30)))
    assert found.all.during == {"cluster-1": 4.8, "cluster-3": 95.2}
    assert found.all.settled == {"cluster-3": 100.0}


def test_a_request_that_failed_long_before_is_not_the_losss_fault() -> None:
    assert made(call(LOST - 5, status=503)).passed


def test_failures_that_last_as_long_as_the_loss_are_never_detected() -> None:
    found = made(call(BACK - 1, status=503))
    assert seen(found)["detection"] is None
    assert not found.passed
    assert "detection: not in the time of the drill, at most 10 s" in "\n".join(show.lines(found))


def test_a_request_that_fails_on_the_way_back_counts_and_is_no_detection() -> None:
    found = made(call(BACK + 3, status=502))
    assert (seen(found)["failed requests"], seen(found)["detection"]) == (1, 0.0)
    assert made(call(BACK + 3, status=502), failedRequests=1).passed
    both = made(call(BACK + 3, status=502), call(BACK + 4, seconds=3.0), call(LOST + 1, seconds=3.0))
    assert "2 of the failed and slow calls began after it was put back" in "\n".join(show.lines(both))
    assert "began after" not in "\n".join(show.lines(made()))


def test_an_answer_of_the_gateway_alone_is_a_failure() -> None:
    found = made(call(LOST + 1, NOBODY, status=404), call(LOST + 2, UNKNOWN, status=404))
    assert seen(found)["failed requests"] == 1, "an application may answer 404"
    assert list(found.all.reasons) == ["status 404, and the gateway chose no cluster"]


def test_what_does_not_come_back_in_time_is_not_within_the_budget() -> None:
    found = made(back_at=END + 1)
    assert seen(found)["fail-back"] is None
    assert not found.passed


def test_it_came_back_once_all_calls_say_so_or_it_served_none() -> None:
    assert made().came_back
    assert not made(back_at=END).came_back
    assert report(PLAN, [call(1000 + n / 10) for n in range(1000)], TIMES, DrillSettings()).came_back


def test_it_is_back_by_the_last_calls_unless_some_of_them_fail() -> None:
    some = [call(END - 2, "cluster-1"), call(END - 1)]
    assert is_back(PLAN, some, before=60.0)
    assert not is_back(PLAN, some, before=70.0)
    assert not is_back(PLAN, [*some, call(END, status=503)], before=50.0)
    assert not is_back(PLAN, [], before=0.0), "nothing was heard of"


def test_what_served_nothing_before_has_nothing_to_get_back() -> None:
    listed = [call(1000 + number / 10) for number in range(1000)]
    found = report(PLAN, listed, TIMES, DrillSettings())
    assert list(seen(found)) == ["failed requests", "detection"]
    assert found.passed
    assert "It served none of these calls before" in "\n".join(show.lines(found))
    assert is_back(PLAN, listed, before=0.0)


def test_the_way_back_is_told_second_by_second() -> None:
    found = made()
    assert [found.gets_back[0], found.gets_back[-1]] == [(5.0, 0.0), (30.0, 50.0)]
    assert "served 50 % before; after it was put back: 5 s 0 %, 9 s 0 %, 13 s 30 %" in "\n".join(
        show.lines(found)
    )


def test_the_report_is_also_for_machines() -> None:
    found = made(call(LOST + 1, status=503)).as_json("dev")
    assert (found["environment"], found["lost"], found["passed"]) == ("dev", "cluster-1", False)
    assert found["lostSeconds"] == 60.0
    assert found["budget"][0] == {"name": "failed requests", "most": 0, "seen": 1, "kept": False}
    assert found["clients"]["cluster-2"]["failed"] == 1
    suite = ET.fromstring(show.junit(made(call(LOST + 1, status=503)), "dev"))[0]  # noqa: S314 - our own
    assert suite.attrib["tests"] == "3"
    assert suite.attrib["failures"] == "1"
    assert [case.attrib["name"] for case in suite if len(case)] == ["failed requests"]
    assert suite[0][0].attrib["message"] == "failed requests: 1, at most 0"


def test_people_are_told_what_is_about_to_happen_and_how_it_goes() -> None:
    (*_, budget) = list(show.before(PLAN, DrillSettings(), 60, 50))
    assert budget.startswith("Budget: 0 failed requests, detection within 10 s, fail-back within 240 s")
    words = show.progress([call(LOST + 3), call(LOST + 3, status=503)])
    assert words == "of the last 2 calls 1 failed; served by cluster-3 100 %"
    assert show.table(made()).row_count == 1
