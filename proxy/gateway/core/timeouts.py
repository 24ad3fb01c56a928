"""Timeouts of an export: how long whoever calls it has to wait at most. Names and units are Gateway API's.

`request` is for a whole exchange, from the arrival of the request's head to the last byte of the answer,
however often it is sent. Every gateway on the way keeps it: imports carry it. `backendRequest` is for one
attempt, from the choice of an endpoint to the last byte of its answer; only gateways of the exporting cluster
keep it, as each knows alone how many attempts it makes.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from gateway.core.fields import FieldError
from gateway.core.json_annotation import only, read_json, shown
from gateway.core.objects import Object

TIMEOUTS = "multicluster.flomesh.io/timeouts"
"""Annotation of an export, and of the imports the hub makes of it: a JSON mapping of `request` and
`backendRequest`. Ours: the schemas have no field."""

NAMES = frozenset(("request", "backendRequest"))
REASON = "InvalidTimeouts"
DURATION = re.compile(r"(?:[0-9]{1,5}(?:h|ms|m|s)){1,4}")
"""A duration of Gateway API (GEP-2257)."""
PART = re.compile(r"([0-9]+)(h|ms|m|s)")
SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


@dataclass(frozen=True, slots=True)
class Timeouts:
    """As they are said; empty when nothing is. `0s` asks for the longest there can be."""

    request: str = ""
    backend_request: str = ""

    @property
    def request_seconds(self) -> float:
        """At most this for a whole exchange; 0 when nothing is asked for, or the longest."""
        return seconds(self.request)

    @property
    def backend_seconds(self) -> float:
        """At most this for one attempt; 0 likewise."""
        return seconds(self.backend_request)

    def described(self) -> dict[str, str]:
        """What is said, by Gateway API's names."""
        said = {"request": self.request, "backendRequest": self.backend_request}
        return {name: value for name, value in said.items() if value}

    def annotation(self) -> str:
        """The annotation that says them; empty when nothing is said."""
        said = self.described()
        return json.dumps(said) if said else ""


NO_TIMEOUTS = Timeouts()
"""There is no other empty one."""


@lru_cache(maxsize=1024)
def seconds(duration: str) -> float:
    """A duration that `DURATION` matches, or nothing, in seconds."""
    return sum(int(number) * SECONDS[unit] for number, unit in PART.findall(duration))


def read_timeouts(raw: Object) -> Timeouts:
    """What an export or an import says. FieldError when it cannot be kept."""
    said = read_json(raw, TIMEOUTS, REASON)
    if said is None:
        return NO_TIMEOUTS
    entry = only(said, NAMES, f"annotation {TIMEOUTS}", REASON)
    found = Timeouts(_duration(entry, "request"), _duration(entry, "backendRequest"))
    if 0 < found.request_seconds < found.backend_seconds:
        message = (
            f"annotation {TIMEOUTS}: backendRequest {found.backend_request} is longer than request "
            f"{found.request}, which is for all attempts together"
        )
        raise FieldError(REASON, message)
    return NO_TIMEOUTS if found == NO_TIMEOUTS else found


def _duration(entry: Object, name: str) -> str:
    raw: Any = entry.get(name)
    if raw is None:
        return ""
    if not isinstance(raw, str) or DURATION.fullmatch(raw) is None:
        message = (
            f"annotation {TIMEOUTS}: {name} is {shown(raw)}: give a duration such as 30s, 1m30s or 500ms"
        )
        raise FieldError(REASON, message)
    return raw
