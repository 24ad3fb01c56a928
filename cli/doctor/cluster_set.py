"""Whether pods can call imports by the cluster set's name, which the cluster's DNS has to know. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cli.doctor import hints
from cli.doctor.check import Check
from cli.doctor.deployments import check
from cli.doctor.path import NOBODY_ASKED
from cli.doctor.reachability import SELF, Reachability
from cli.observe.services import cluster_set_names
from cli.observe.view import ClusterView, Platform

WHAT = "names of the cluster set"
DOCUMENT = "docs/existing-clusters.md"


def cluster_set_checks(platform: Platform, reached: Mapping[str, Reachability]) -> list[Check]:
    """A check for each cluster that has imports and a pod to ask from."""
    found = (_cluster(view, reached.get(view.name, NOBODY_ASKED)) for view in platform.clusters)
    return [check for checks in found for check in checks]


def _cluster(view: ClusterView, reached: Reachability) -> Iterator[Check]:
    names = sorted(cluster_set_names(view))
    # Where not even SELF resolves, DNS itself is at fault, as each path tells.
    if not names or reached.error or reached.names.get(SELF):
        return
    wrong = [(name, why) for name in names if (why := reached.names.get(name))]
    if not wrong:
        yield check(view, WHAT, "ok", f"{len(names)} resolve, such as {names[0]}")
        return
    name, why = wrong[0]
    seen = f"{len(wrong)} of {len(names)} do not resolve: {name}: {why}"
    if view.settings.source == "existing":
        # Somebody else's DNS: the names it knows already go on working.
        hint = f"Have its DNS learn these names: {DOCUMENT}, Names of the cluster set"
        yield check(view, WHAT, "warn", seen, hint)
    else:
        yield check(view, WHAT, "fail", seen, hints.again(view.environment))
