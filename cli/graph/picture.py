"""What stands in the file: one frame, and what the live page would ask its server for. Pure.

A subject is what can be looked into: a service, as namespace/name, or a cluster by its name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

from cli.dashboard.detail import of_cluster, of_service, why
from cli.dashboard.frame import Moment, frame, links_by_service
from cli.dashboard.schema import Frame
from cli.dashboard.words import Query, about
from cli.doctor.check import Check

MOST_PAIRS = 4000
"""Services times clusters up to which services are looked into: each pair takes some 2 KB of the file."""


class Picture(TypedDict):
    """One moment of an environment."""

    frame: Frame
    """Of everything: filters are the page's."""
    links: dict[str, list[tuple[int, int, int, float, int]]]
    """By service, see `links_by_service`."""
    details: dict[str, Any]
    """By subject, as `frame.detail` has it."""
    left_out: str
    """Why services cannot be looked into; empty when they can."""
    why: dict[str, dict[str, Any]]
    """By service and the callers' cluster, each hop of their calls."""
    doctor: dict[str, list[dict[str, Any]]] | None
    """By subject, the checks that are about it; None when nobody was asked."""


def of_clusters(moment: Moment, checks: Sequence[Check]) -> Picture:
    """The picture of clusters that were read, and of what the doctor says of them."""
    platform, readings, at = moment.platform, moment.readings, moment.platform.at
    whole = frame(moment, Query(), at)
    services = {name: of_service(platform, readings, Query(service=name), at) for name in looked_into(whole)}
    clusters = {reading.view.name: of_cluster(platform, reading) for reading in readings}
    subjects = [*(one["name"] for one in whole["services"]), *clusters]
    said = {subject: [one.as_json() for one in checks if about(one, subject)] for subject in subjects}
    return Picture(
        frame=whole,
        links=links_by_service(readings),
        details=services | clusters,
        left_out=left_out(whole),
        why={
            name: {
                source: why(platform, Query(service=name, source=source))
                for source in dict.fromkeys(one["cluster"] for one in found["callers"])
            }
            for name, found in services.items()
        },
        doctor={subject: found for subject, found in said.items() if found},
    )


def not_read(moment: Moment) -> list[str]:
    """Clusters that were not read, or not how they route, each with the reason."""
    return [f"{one.view.name}: {one.unread}" for one in moment.readings if one.unread]


def looked_into(whole: Frame) -> list[str]:
    """The services whose details are kept: all, or none of so many."""
    return [] if left_out(whole) else [one["name"] for one in whole["services"]]


def left_out(whole: Frame) -> str:
    """Why details of services are not kept; empty when they are."""
    services, clusters = len(whole["services"]), len(whole["clusters"])
    if services * clusters <= MOST_PAIRS:
        return ""
    return (
        f"A file does not hold the details of {services} services in {clusters} clusters: "
        f"./stack dashboard {whole['environment']} shows them."
    )
