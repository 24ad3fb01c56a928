"""Which rows of a status are wanted. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase

from cli.choices import KINDS
from cli.doctor.check import Check
from cli.doctor.lost import broken
from cli.observe.callers import Callers
from cli.observe.serving import RouteView
from cli.observe.view import Key, Platform

NAMED = re.compile(r"([a-z0-9.-]+)/([a-z0-9.-]+)(?= |$)")
"""The service in the name of a check."""


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """What is wanted; what is empty chooses all.

    `services`: patterns of namespace/name, or of a name in any namespace. `wrong`: only what is not well.
    """

    clusters: frozenset[str] = frozenset()
    namespaces: frozenset[str] = frozenset()
    services: tuple[str, ...] = ()
    kinds: frozenset[str] = frozenset()
    wrong: bool = False

    def cluster(self, name: str) -> bool:
        """Whether a cluster is wanted."""
        return not self.clusters or name in self.clusters

    def service(self, key: Key) -> bool:
        """Whether a service is wanted."""
        namespace, name = key
        patterns = (one if "/" in one else f"*/{one}" for one in self.services)
        return (not self.namespaces or namespace in self.namespaces) and (
            not self.services or any(fnmatchcase(f"{namespace}/{name}", one) for one in patterns)
        )

    def kind(self, kind: str) -> bool:
        """Whether rows of a kind are wanted, of those `--kind` names or of objects."""
        return not self.kinds or any(kind in (one, KINDS[one]) for one in self.kinds)

    def state(self, *, well: bool) -> bool:
        """Whether what is well, or not, is wanted."""
        return not (self.wrong and well)

    def check(self, check: Check) -> bool:
        """Whether a check is of a cluster that is wanted, and of a service that is if it is of one at all."""
        cluster, separated, what = check.name.partition(": ")
        found = NAMED.search(what)
        return (not separated or self.cluster(cluster)) and (
            found is None or self.service((found[1], found[2]))
        )


ALL = Chosen()


def problems(platform: Platform, chosen: Chosen) -> list[Check]:
    """What is broken of what is wanted."""
    return [check for check in broken(platform) if chosen.check(check)]


def is_well(served: RouteView | Callers) -> bool:
    """Whether callers get what their policy says: nobody is ejected, and somebody serves who may be asked."""
    if any(one.ejected for one in served.clusters):
        return False
    if isinstance(served, Callers) and served.direct:
        return served.direct == "everyCaller is off"
    return served.policy == "Locality" or any(one.percent for one in served.clusters)
