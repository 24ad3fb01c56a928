"""One drill from the first call to the report: before, while something is lost, until it is back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from airgap.report import Report as Progress
from airgap.report import Step
from cli.drill import act, show
from cli.drill.calls import Call, begun
from cli.drill.journal import Journal
from cli.drill.losses import Denied, Filtered
from cli.drill.plan import Plan
from cli.drill.report import WINDOW_SECONDS, Report, Times, is_back, part, report
from cli.drill.tools import Tools
from cli.drill.traffic import Traffic
from cli.errors import UserError
from stacks.config.model import DrillSettings

BEFORE_SECONDS = 10.0
"""Of calls before anything is taken away: who serves what part."""
FIRST_SECONDS = 30.0
"""Patience for the first calls to be heard of."""
LOOK_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Drill:
    """What a drill goes by. `seconds`: how long it is lost."""

    plan: Plan
    traffic: Traffic
    tools: Tools
    journal: Journal
    seconds: float
    budget: DrillSettings
    progress: Progress

    async def run(self) -> Report:
        """The three times, with calls under way. Raises UserError when something is amiss on the way."""
        words = self.plan.words
        with self.progress.step("Before: who serves") as step:
            before = await self._before(step)
        self.journal.add(words, self.plan.losses)
        lost = time.time()
        with self.progress.step(f"Taking away {words}"):
            for loss in self.plan.losses:
                await asyncio.to_thread(act.take, self.tools, loss)
            await self._check_cut()
        with self.progress.step(f"Without {words}") as step:
            until = time.time() + self.seconds
            await self._watch(step, lambda _: time.time() >= until)
        back = time.time()
        with self.progress.step(f"Putting back {words}"):
            await asyncio.to_thread(act.put_all_back, self.tools, self.journal, clients=False)
        with self.progress.step(f"Until {words} has its part again") as step:
            while True:
                await self._watch(step, lambda last: self._is_over(last, back, before))
                end = time.time()
                await self.traffic.settle()
                calls = begun(self.traffic.calls(), 0.0, end)
                found = report(self.plan, calls, Times(lost=lost, back=back, end=end), self.budget)
                # On a busy machine the last calls looked better than they were once all were heard of.
                if found.came_back or end - back > self.budget.fail_back_seconds:
                    return found

    async def _before(self, step: Step) -> float:
        """Until who serves is known: percent of the calls that go where nothing will go.

        Raises UserError when calls fail already.
        """
        started = time.time()

        def is_over(last: list[Call]) -> bool:
            patience = BEFORE_SECONDS if last else BEFORE_SECONDS + FIRST_SECONDS
            return time.time() - started > patience

        await self._watch(step, is_over)
        calls = self.traffic.calls()
        failed = [call for call in calls if call.failed]
        if failed or not calls:
            first = (
                f", such as one of {failed[0].client} to {failed[0].service}: {failed[0].why}"
                if failed
                else ""
            )
            raise UserError(
                f"before anything is taken away, {len(failed)} of {len(calls)} calls fail{first}. ./stack "
                "doctor says what is wrong; --path says what is asked for, --service and --from whose calls."
            )
        return part(self.plan, calls)

    async def _watch(self, step: Step, is_over: Callable[[list[Call]], bool]) -> None:
        """Say how it goes, until it is over by the last calls. The very last were not heard of yet."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            until = time.time() - 2 * LOOK_SECONDS
            last = begun(self.traffic.calls(until - WINDOW_SECONDS), until - WINDOW_SECONDS, until)
            step.update(show.progress(last))
            if is_over(last):
                return

    def _is_over(self, last: list[Call], back: float, before: float) -> bool:
        since = time.time() - back
        if since > self.budget.fail_back_seconds:
            return True
        return since > WINDOW_SECONDS + 2 * LOOK_SECONDS and is_back(self.plan, last, before)

    async def _check_cut(self) -> None:
        """Raise UserError when what should be cut is open: not every cluster's network enforces policies."""
        for loss in self.plan.losses:
            if not isinstance(loss, Filtered | Denied):
                continue
            if ports := await asyncio.to_thread(act.still_open, self.tools, loss):
                how = (
                    "enforces no NetworkPolicy" if isinstance(loss, Denied) else "goes past its node's rules"
                )
                raise UserError(
                    f"the link from {loss.cluster} to {loss.peer} is still open at {loss.host}, port "
                    f"{', '.join(map(str, ports))}: the network of {loss.cluster} {how}. Take the gateway "
                    f"away in its place: --lose gateway:{loss.peer}."
                )
