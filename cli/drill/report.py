"""What calls felt of a loss, from the calls alone, and whether that is within the budget. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cli.drill.calls import Call, begun
from cli.drill.plan import Plan
from stacks.config.model import DrillSettings

WINDOW_SECONDS = 5.0
"""Over which parts are counted while it comes back."""
BACK = 0.8
"""Of its part before: it is back then. The rest is chance, and a slow start's end."""
QUIET_SECONDS = 2.0
"""Of the loss without a request that notices it, at its end: who had to be found out was found out."""


@dataclass(frozen=True, kw_only=True)
class Times:
    """Seconds since 1970 at which it was lost, began to be put back, and the drill ended."""

    lost: float
    back: float
    end: float


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """The calls of one client, or of all. Parts are percent of the answered calls by serving cluster."""

    requests: int
    failed: int
    slow: int
    slowest: float
    before: Mapping[str, float]
    during: Mapping[str, float]
    settled: Mapping[str, float]
    """Of the end of the loss, when who was to be found out had been."""
    after: Mapping[str, float]
    reasons: Mapping[str, int]
    """How often which failure was seen."""


@dataclass(frozen=True, kw_only=True)
class Bound:
    """One bound of the budget. `seen` is None for what never came."""

    name: str
    most: float
    seen: float | None
    unit: str = ""

    @property
    def kept(self) -> bool:
        """Whether it holds."""
        return self.seen is not None and self.seen <= self.most


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything a drill has found.

    `gets_back`: percent of all calls by the second since it was put back, of those that it served before.
    `noticed_after`: calls that failed or were slow and began after that; they have no part in detection.
    """

    words: str
    times: Times
    all: Numbers
    clients: Mapping[str, Numbers]
    bounds: tuple[Bound, ...]
    served_before: float
    gets_back: tuple[tuple[float, float], ...]
    noticed_after: int

    @property
    def passed(self) -> bool:
        """Whether the budget holds."""
        return all(bound.kept for bound in self.bounds)

    @property
    def came_back(self) -> bool:
        """Whether what was lost serves its part again, if it served any."""
        return not self.served_before or _back(self.gets_back, self.served_before) is not None

    def as_json(self, environment: str) -> dict[str, Any]:
        """For machines."""
        return {
            "environment": environment,
            "lost": self.words,
            "passed": self.passed,
            "lostAt": round(self.times.lost, 3),
            "lostSeconds": round(self.times.back - self.times.lost, 3),
            "budget": [
                {"name": one.name, "most": one.most, "seen": one.seen, "kept": one.kept}
                for one in self.bounds
            ],
            "all": _json(self.all),
            "clients": {name: _json(found) for name, found in self.clients.items()},
            "servedBefore": self.served_before,
            "getsBack": [list(point) for point in self.gets_back],
        }


def report(plan: Plan, calls: Sequence[Call], times: Times, budget: DrillSettings) -> Report:
    """The whole of it."""
    before = part(plan, begun(calls, 0.0, times.lost))
    curve = tuple(gets_back(plan, calls, times.back, times.end))
    late = [call for call in begun(calls, times.back) if _disturbed(call, budget.slow_seconds)]
    since = [call for call in calls if _felt(call, times, budget.slow_seconds)]
    failed = sum(call.failed for call in since)
    bounds = [
        Bound(name="failed requests", most=budget.failed_requests, seen=failed),
        Bound(name="detection", most=budget.detection_seconds, unit="s",
              seen=detection(since, times, budget.slow_seconds)),
    ]  # fmt: skip
    if before:
        bounds.append(
            Bound(name="fail-back", most=budget.fail_back_seconds, unit="s", seen=_back(curve, before))
        )
    by_client = {one.cluster: [call for call in calls if call.client == one.cluster] for one in plan.calls}
    return Report(
        words=plan.words, times=times, all=numbers(calls, times, budget),
        clients={name: numbers(listed, times, budget) for name, listed in by_client.items()},
        bounds=tuple(bounds), served_before=before, gets_back=curve,
        noticed_after=len(late),
    )  # fmt: skip


def numbers(calls: Sequence[Call], times: Times, budget: DrillSettings) -> Numbers:
    """Counts of the calls that the loss could touch, and who served in each of the three times."""
    since = [call for call in calls if _felt(call, times, budget.slow_seconds)]
    failed = [call for call in since if call.failed]
    return Numbers(
        requests=len(since),
        failed=len(failed),
        slow=sum(_slow(call, budget.slow_seconds) for call in since),
        slowest=round(max((call.seconds for call in since), default=0.0), 2),
        before=parts(begun(calls, 0.0, times.lost)),
        during=parts(begun(calls, times.lost, times.back)),
        settled=parts(begun(calls, times.back - QUIET_SECONDS, times.back)),
        after=parts(begun(calls, times.end - WINDOW_SECONDS)),
        reasons=dict(Counter(call.why for call in failed).most_common()),
    )


def parts(calls: Iterable[Call]) -> dict[str, float]:
    """Percent of the answered calls by serving cluster."""
    counted = Counter(call.served for call in calls if not call.failed)
    return {name: round(100 * found / counted.total(), 1) for name, found in sorted(counted.items())}


def detection(since: Sequence[Call], times: Times, slow_seconds: float) -> float | None:
    """Seconds from the loss to the end of the last request that noticed it while it lasted.

    0 when none did; None when they still did when it was put back.
    """
    noticed = [
        call.ended
        for call in since
        if call.began < times.back and _disturbed(call, slow_seconds)
    ]  # fmt: skip
    if not noticed:
        return 0.0
    last = max(noticed)
    return None if last > times.back - QUIET_SECONDS else round(last - times.lost, 2)


def gets_back(
    plan: Plan, calls: Sequence[Call], back: float, end: float
) -> Iterable[tuple[float, float]]:  # fmt: skip
    """Second by second since `back`, the percent of the calls just before that what was lost served."""
    after = begun(calls, back, end)
    moment = back + WINDOW_SECONDS
    while moment <= end:
        window = begun(after, moment - WINDOW_SECONDS, moment)
        if window:
            yield round(moment - back, 1), part(plan, window)
        moment += 1.0


def is_back(plan: Plan, last: Sequence[Call], before: float) -> bool:
    """Whether, by the last calls, what was lost serves its part again, and nothing fails."""
    fine = bool(last) and not any(call.failed for call in last)
    return fine and part(plan, last) >= BACK * before


def _back(curve: Sequence[tuple[float, float]], before: float) -> float | None:
    return next((second for second, percent in curve if percent >= BACK * before), None)


def part(plan: Plan, calls: Sequence[Call]) -> float:
    """Percent of the answered calls that go the path which is lost."""
    answered = [call for call in calls if not call.failed]
    gone = sum((call.client, call.served) in plan.pairs for call in answered)
    return round(100 * gone / len(answered), 1) if answered else 0.0


def _felt(call: Call, times: Times, slow_seconds: float) -> bool:
    """Whether a call could feel the loss: one that was under way counts when it did not end well in time."""
    return call.began >= times.lost or (_disturbed(call, slow_seconds) and call.ended >= times.lost)


def _disturbed(call: Call, slow_seconds: float) -> bool:
    return call.failed or _slow(call, slow_seconds)


def _slow(call: Call, slow_seconds: float) -> bool:
    return call.seconds > slow_seconds and not call.failed


def _json(found: Numbers) -> dict[str, Any]:
    return {
        "requests": found.requests, "failed": found.failed, "slow": found.slow, "slowest": found.slowest,
        "before": found.before, "during": found.during, "settled": found.settled, "after": found.after,
        "reasons": found.reasons,
    }  # fmt: skip
