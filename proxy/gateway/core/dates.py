"""Dates of claims: since when an export claims each of its paths and hosts. Pure.

An object is no measure: what is written into an old one is as young as the writing. The controller sees each
claim come, and notes when in the status of the export, which whoever writes exports does not write. Gateways,
controller and hub all read it there, and so decide alike.

A claim is a host, or a path with `=` before an Exact one. An export with hosts claims no path: where it is
published is nobody else's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gateway.core.export_hosts import read_hosts
from gateway.core.fields import FieldError
from gateway.core.objects import Object, created, listed, meta, number, section, spec_of, texts

STATUS = "firstSeen"
"""Field of the status: claims by the time they were first seen."""
EXACT = "="
UNDATED = created({})
"""Younger than whatever has a date."""


def path_claim(path: str, *, exact: bool) -> str:
    return f"{EXACT}{path}" if exact else path


def claims_of(raw: Object) -> Iterator[str]:
    """What an export claims; nothing when its hosts cannot be read, for then it is not served."""
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
    recorded, otherwise = _recorded(raw)
    return {claim: recorded.get(claim, otherwise) for claim in claims_of(raw)}


def record(raw: Object, now: str) -> list[dict[str, Any]] | None:
    """The status field as it should be from now on; None when it is that.

    New claims are dated now, those that are gone lose their date.
    """
    by_time: dict[str, list[str]] = {}
    for claim, since in sorted(dates_of(raw).items()):
        by_time.setdefault(now if since == UNDATED else since, []).append(claim)
    wanted = [{"since": since, "claims": claims} for since, claims in sorted(by_time.items())]
    return None if section(raw, "status").get(STATUS) == wanted else wanted


def _recorded(raw: Object) -> tuple[dict[str, str], str]:
    """Dates on record, and that of a claim that has none there."""
    status = section(raw, "status")
    found = {
        claim: str(entry.get("since")) for entry in listed(status, STATUS) for claim in texts(entry, "claims")
    }
    # The API server counts changes of the spec; the record is there, and be it empty, once it is kept.
    unchanged = STATUS not in status and number(meta(raw), "generation") <= 1
    return found, created(raw) if unchanged else UNDATED
