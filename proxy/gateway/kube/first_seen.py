"""When the hub first saw what a member claims, by the hub's own clock. Pure.

A member's API server may say any creationTimestamp. What the hub has seen stands in the status of the Cluster
object on the control plane, which the member cannot write, and so outlives the hub.

A claim is `namespace/name`, an export, or with ` ` and what the export claims behind it, as `core.dates` has
it: `namespace/name /path`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from gateway.core import dates
from gateway.core.admission import PATH_LENGTH, RULES, check_key
from gateway.core.fields import FieldError
from gateway.core.objects import Key, Object, created

STATUS = dates.STATUS
"""Field of the Cluster's status, as exports have it."""
LONGEST_RECORD = 1 << 20
"""Characters kept for one cluster: etcd refuses objects above 1.5 MiB. The youngest claims are beyond it."""


def export_claim(key: Key) -> str:
    return "/".join(key)


def path_claim(key: Key, path: str, *, exact: bool = False) -> str:
    return f"{export_claim(key)} {dates.path_claim(path, exact=exact)}"


def claims_of(key: Key, raw: Object) -> Iterator[str]:
    """What an export claims; what no API server would have admitted claims nothing."""
    try:
        check_key(key)
    except FieldError:
        return
    yield export_claim(key)
    for claim in islice(dates.claims_of(raw), RULES):
        if len(claim.removeprefix(dates.EXACT)) <= PATH_LENGTH and claim.isascii():
            yield f"{export_claim(key)} {claim}"


class FirstSeen:
    """The claims of one cluster and since when each stands."""

    def __init__(self, cluster: Object) -> None:
        self.times: Mapping[str, str] = dates.read_record(cluster)
        """By claim."""

    def see(self, exports: Mapping[Key, Object], now: float, *, believed: bool = False) -> bool:
        """Take the exports there are now: new claims count from now, those that are gone are given up.

        `believed`: while nothing is on record, exports are as old as they say themselves. True when something
        changed, so that `status` is to be written.
        """
        moment = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        times = {
            claim: self.times.get(claim) or (created(raw) if believed and not self.times else moment)
            for key, raw in exports.items()
            for claim in claims_of(key, raw)
        }
        changed = times != self.times
        self.times = times
        return changed

    def status(self) -> dict[str, Any]:
        """The field of the status, the oldest claims first while there is room."""
        kept: list[tuple[str, str]] = []
        size = 0
        for claim, when in dates.oldest_first(self.times.items()):
            size += len(claim) + 32
            if size > LONGEST_RECORD:
                break
            kept.append((claim, when))
        return {STATUS: dates.as_record(kept)}
