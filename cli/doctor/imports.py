"""Why an export has not arrived in the callers' cluster: the exporter, the hub, a membership. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from cli.doctor import remedy
from cli.doctor.leg import Finding, Leg, fail, file_of, refresh
from cli.doctor.platform import deployment
from cli.observe.view import HUB, SYSTEM, condition


def not_imported(leg: Leg, where: str) -> Finding:
    """The first cause that is there, from the exporter to the importer. `where` says what is missing."""
    plane = leg.platform.plane
    unknown = "the hub has not carried it", f"Read why: {remedy.logs(plane.settings, HUB)}"
    seen, hint = [*_exporter(leg), *_hub(leg), *_memberships(leg), unknown][0]
    return fail(f"{where}: {seen}", hint)


def _exporter(leg: Leg) -> Iterator[tuple[str, str]]:
    exporter = leg.exporter
    if exporter is None or exporter.trouble:
        return
    exported = exporter.one("ServiceExport", *leg.service)
    if exported is None:
        yield f"{exporter.name} has no ServiceExport {leg.text}", refresh(leg)
        return
    valid = condition(exported, "Valid")
    if valid.get("status") == "False":
        hint = f"Correct `exports` in {file_of(leg)} and run ./stack up {leg.platform.environment}"
        yield f"its export in {exporter.name} is not valid: {valid.get('message')}", hint


def _hub(leg: Leg) -> Iterator[tuple[str, str]]:
    plane = leg.platform.plane
    if plane.trouble:
        yield (
            f"the hub's cluster is down: {plane.trouble}",
            remedy.revive(plane, leg.platform.containers),
        )
        return
    hub = deployment(plane, SYSTEM, HUB, "hub")
    if hub.verdict == "fail":
        yield f"the hub, which carries exports, is down: {hub.seen}", hub.hint


def _memberships(leg: Leg) -> Iterator[tuple[str, str]]:
    plane = leg.platform.plane
    ends = dict.fromkeys([leg.exporter.name if leg.exporter else leg.importer.name, leg.importer.name])
    for member in ends:
        if member == plane.name:
            continue
        joined = plane.one("Cluster", "", member)
        if joined is None:
            yield f"{member} has not joined: there is no Cluster object", refresh(leg)
        elif condition(joined, "Managed").get("status") == "False":
            why = condition(joined, "Managed").get("message")
            yield f"the hub cannot manage {member}: {why}", remedy.logs(plane.settings, HUB)
