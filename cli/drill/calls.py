"""Calls of client pods and what became of each: read from their logs and those of the gateways. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

SERVER_ERROR = 500
NOBODY = "nobody"
UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request: when it began (seconds since 1970, by this machine's clock) and how long it took.

    `client` is the caller's cluster. `status` 0 is no answer; `said` tells why. `served` is the name of the
    cluster that the caller's gateway chose: NOBODY when it chose none, UNKNOWN when no gateway told.
    """

    client: str
    service: str
    began: float
    seconds: float
    status: int
    said: str
    served: str

    @property
    def ended(self) -> float:
        """When its answer, or the failure, was there."""
        return self.began + self.seconds

    @property
    def failed(self) -> bool:
        """Whether the caller got no answer of the application: none, an error of a server, or a gateway's."""
        return self.status == 0 or self.status >= SERVER_ERROR or self.served == NOBODY

    @property
    def why(self) -> str:
        """What the caller was told in place of an answer."""
        if self.served == NOBODY:
            return f"status {self.status}, and the gateway chose no cluster"
        return self.said or f"status {self.status}"


@dataclass
class Record:
    """Everything heard of the calls of one cluster. Lines may come late, twice, or cut off."""

    client: str
    local: frozenset[str] = frozenset()
    """Services with pods there: who was served past the gateways was served by them."""
    _calls: dict[str, tuple[float, float, int, str, str]] = field(default_factory=dict)
    _chosen: dict[str, str | None] = field(default_factory=dict)
    _ahead: float | None = None
    """Seconds that the pod's clock is ahead of ours, with the shortest time on the way: a call is heard of
    after it has ended."""

    def heard(self, lines: str, now: float) -> None:
        """What the client pod has printed: one JSON list a line."""
        for line in lines.splitlines():
            try:
                name, service, began, seconds, status, said = json.loads(line)
            except (ValueError, TypeError):
                continue
            if name not in self._calls:
                self._calls[name] = (began, seconds, status, said, service)
                ahead = began + seconds - now
                self._ahead = ahead if self._ahead is None else max(self._ahead, ahead)

    def logged(self, lines: str, prefix: str) -> None:
        """What a gateway's access log has of these calls, whose ids begin with `prefix`."""
        for entry in _entries(lines, prefix):
            self._chosen.setdefault(entry["request_id"], entry.get("cluster"))

    def calls(self, names: Mapping[str, str], since: float = 0.0) -> list[Call]:
        """Those that began from `since`, in their order. `names` of clusters by their keys."""
        # Clocks of one machine agree; then what remains is the time on the way, which is no clock's fault.
        ahead = self._ahead if self._ahead is not None and abs(self._ahead) > CLOCKS_AGREE else 0.0
        found = [
            Call(
                client=self.client, service=service, began=began - ahead, seconds=seconds, status=status,
                said=said, served=self._served(name, service, names),
            )
            for name, (began, seconds, status, said, service) in self._since(since + ahead)
        ]  # fmt: skip
        return sorted(begun(found, since), key=lambda call: call.began)

    def _since(self, began: float) -> Iterator[tuple[str, tuple[float, float, int, str, str]]]:
        """What may have begun from then on: heard of in the order of the ends, so some time is added."""
        return takewhile(lambda one: one[1][0] >= began - OUT_OF_ORDER, reversed(self._calls.items()))

    def _served(self, name: str, service: str, names: Mapping[str, str]) -> str:
        if name not in self._chosen:
            return self.client if service in self.local else UNKNOWN
        chosen = self._chosen[name]
        return NOBODY if chosen is None else names.get(chosen, chosen)


OUT_OF_ORDER = 30.0
"""Seconds by which a call may have begun before one that was heard of earlier."""
CLOCKS_AGREE = 3.0
"""Seconds. What is heard of is heard of every second, and an API server may take a while."""


def _entries(lines: str, prefix: str) -> Iterator[dict[str, Any]]:
    for line in lines.splitlines():
        if prefix not in line:
            continue
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        # Between gateways a request keeps its id: the caller's own gateway took it from a pod.
        ours = isinstance(entry, dict) and str(entry.get("request_id")).startswith(prefix)
        if ours and entry.get("listener") == EAST_WEST:
            yield entry


EAST_WEST = "east-west"


def begun(calls: Iterable[Call], since: float, until: float = float("inf")) -> list[Call]:
    """Those that began from `since` until before `until`."""
    return [call for call in calls if since <= call.began < until]
