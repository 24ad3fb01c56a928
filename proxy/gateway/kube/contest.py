"""Contested Services: somebody keeps putting a selector back that was taken over.

Whoever applies a Service now and then has its selector followed. One that puts it back at every turn, such as
a controller that guards its objects, would have callers sent to and fro for ever: then the Service is left to
it, until the policy is changed or some time has passed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gateway.core.objects import Key, Object, listed, meta, section

TURNS = 5
WITHIN_SECONDS = 60.0
"""So many takeovers of one Service in this time, from one writer and under one policy, are a contest."""
LEFT_ALONE_SECONDS = 600.0


@dataclass(slots=True)
class _Service:
    policy: str
    """Which policy it is taken over for."""
    turns: deque[float] = field(default_factory=lambda: deque(maxlen=TURNS))
    lost_until: float = float("-inf")
    rival: str = ""


class Contests:
    """Takeovers by Service. `clock` gives seconds that only grow."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._services: dict[Key, _Service] = {}

    def may_take(self, key: Key, policy: str, rival: str) -> bool:
        """Whether to take a Service over once more, whose selector `rival` wrote last."""
        found = self._services.get(key)
        if found is None or found.policy != policy:
            found = self._services[key] = _Service(policy)
        now = self._clock()
        if rival != found.rival:
            # Two who apply a Service in turn, as people do, are no contest.
            found.turns.clear()
            found.rival = rival
        if len(found.turns) == TURNS and now - found.turns[0] <= WITHIN_SECONDS:
            found.turns.clear()
            found.lost_until = now + LEFT_ALONE_SECONDS
        return now >= found.lost_until

    def taken(self, key: Key) -> None:
        """Note that it was."""
        self._services[key].turns.append(self._clock())

    def rivals(self, policies: Mapping[Key, str]) -> dict[Key, str]:
        """Who has the contested Services now."""
        now = self._clock()
        return {
            key: found.rival or "somebody"
            for key, found in self._services.items()
            if now < found.lost_until and found.policy == policies.get(key)
        }


def owner_of_selector(service: Object) -> str:
    """The field manager that wrote the selector last, by an object with its managedFields."""
    entries = [
        entry
        for entry in listed(meta(service), "managedFields")
        if "f:selector" in section(section(entry, "fieldsV1"), "f:spec")
    ]
    newest = max(entries, key=lambda entry: str(entry.get("time") or ""), default={})
    return str(newest.get("manager") or "")
