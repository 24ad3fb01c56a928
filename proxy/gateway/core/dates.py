"""Dates of claims: since when an export claims each of its paths and hosts. Pure.

An object is no measure: what is written into an old one is as young as the writing. The controller sees each
claim come, and notes when in the status of the export, which whoever writes exports does not write. Gateways,
controller and hub all read it there, and so decide alike.

A claim is a host, or a path with `=` before an Exact one. An export with hosts claims no path: where it is
published is nobody else's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from gateway.core.export_hosts import read_hosts
from gateway.core.fields import FieldError
from gateway.core.objects import Object, created, listed, meta, number, section, spec_of, texts
from gateway.core.published import is_published

STATUS = "firstSeen"
"""Field of the status: claims by the time they were first seen."""
EXACT = "="
UNDATED = created({})
"""Younger than whatever has a date."""


def path_claim(path: str, *, exact: bool) -> str:
    return f"{EXACT}{path}" if exact else path


def claims_of(raw: Object) -> Iterator[str]:
    """What an export claims: nothing unless it is published, and its hosts can be read."""
    if not is_published(raw):
        return
    try:
        hosts = read_hosts(raw)
    except FieldError:
        return
    yield from hosts
    for rule in () if hosts else listed(spec_of(raw), "rules"):
        path = rule.get("path")
        if isinstance(path, str):
            yield path_claim(path, exact=rule.get("pathType") == "Exact")


def dates_of(raw: Object) -> dict[str, str]:
    """The claims of an export and since when each stands, as text that sorts by time.

    While nothing is on record, an export that was not changed since it was made is as old as it says: that is
    what will be recorded. What is not recorded, of one that was, is the youngest.
    """
    recorded = read_record(raw)
    # The API server counts changes of the spec; the record is there, and be it empty, once it is kept.
    unchanged = STATUS not in section(raw, "status") and number(meta(raw), "generation") <= 1
    otherwise = created(raw) if unchanged else UNDATED
    return {claim: recorded.get(claim, otherwise) for claim in claims_of(raw)}


def record(raw: Object, now: str) -> list[dict[str, Any]] | None:
    """The status field as it should be from now on; None when it is that.

    New claims are dated now, those that are gone lose their date.
    """
    times = ((claim, now if since == UNDATED else since) for claim, since in dates_of(raw).items())
    wanted = as_record(oldest_first(times))
    return None if section(raw, "status").get(STATUS) == wanted else wanted


def read_record(raw: Object) -> dict[str, str]:
    """Claims on record in an object's status, and since when each stands."""
    entries = listed(section(raw, "status"), STATUS)
    return {claim: str(entry.get("since")) for entry in entries for claim in texts(entry, "claims")}


def as_record(times: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
    """Claims and since when each stands, in their order, as a status has them."""
    by_time: dict[str, list[str]] = {}
    for claim, since in times:
        by_time.setdefault(since, []).append(claim)
    return [{"since": since, "claims": claims} for since, claims in by_time.items()]


def oldest_first(times: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return sorted(times, key=lambda item: (item[1], item[0]))
