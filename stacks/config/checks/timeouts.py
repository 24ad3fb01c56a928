"""Rules about the timeouts of exports, as the gateway has them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from stacks.config.model import Settings
from stacks.config.problem import Problem

PART = re.compile(r"([0-9]+)(h|ms|m|s)")
MILLISECONDS = {"h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}


def timeouts_can_be_kept(settings: Settings) -> Iterator[Problem]:
    """No attempt may take longer than all of them; FSM has no timeouts of an export."""
    for index, export in enumerate(settings.exports):
        timeouts, where = export.timeouts, f"exports[{index}].timeouts"
        if timeouts is None:
            continue
        if settings.mesh == "flomesh":
            yield Problem(where, None, "has no meaning for FSM", "Remove it, or use `mesh: bundled`.")
        whole, each = _milliseconds(timeouts.request), _milliseconds(timeouts.backend_request)
        if 0 < whole < each:
            reason = f"is longer than request {timeouts.request}, which is for all attempts together"
            yield Problem(f"{where}.backendRequest", timeouts.backend_request, reason, "Write a shorter one.")


def _milliseconds(duration: str | None) -> int:
    return sum(int(number) * MILLISECONDS[unit] for number, unit in PART.findall(duration or ""))
