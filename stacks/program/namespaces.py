"""Namespaces of apps, exports and policies: made in k3d clusters; in others it depends on whose they are.

What this environment made in a cluster that exists has its label. Nothing else of a namespace is touched, and
`destroy` deletes no other one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import pulumi
import pulumi_kubernetes as kubernetes

from components.cluster.cluster import LABEL, Cluster
from components.pod_security import STANDARD
from stacks.config.model import ClusterSettings, NamespaceSettings, Settings
from stacks.config.present import Answers, Present
from stacks.config.problem import Problem, SettingsError

Whose = Literal["ours", "nobody", "somebody", "unknown"]


def whose(name: str, environment: str, present: Present | None) -> Whose:
    """Who made a namespace. An older version of this program gave it no label, but the provider did."""
    if present is None:
        return "unknown"
    found = present.namespaces.get(name)
    if found is None:
        return "nobody"
    marked = found.labels.get(LABEL)
    return "ours" if marked == environment or (marked is None and found.by_pulumi) else "somebody"


def check(settings: Settings, environment: str, answers: Answers) -> None:
    """Raise SettingsError for namespaces that have to be there and are not, or the other way round."""
    problems = [
        problem
        for cluster in settings.clusters
        if cluster.name in answers.found
        for problem in _unfit(settings, cluster, environment, answers.found[cluster.name])
    ]
    if problems:
        raise SettingsError(problems)


def namespace(
    cluster: Cluster,
    config: ClusterSettings,
    metadata: Mapping[str, Any],
    *,
    mode: str,
    environment: str,
    present: Present | None,
) -> kubernetes.core.v1.Namespace | kubernetes.core.v1.NamespacePatch | None:
    """Make a namespace if it is ours to make; None when somebody else's is used as it is.

    Of somebody else's only labels that this program needs are set.
    """
    name = f"{config.name}-{metadata['name']}"
    options = pulumi.ResourceOptions.merge(cluster.component(), cluster.child(None))
    if config.source != "existing":
        if mode == "require":
            return None
        return kubernetes.core.v1.Namespace(name, metadata=dict(metadata), opts=options)
    owner = whose(str(metadata["name"]), environment, present)
    if owner == "somebody" or (mode == "require" and owner != "ours"):
        labels = metadata.get("labels") or {}
        # To which standard it holds its pods is its owner's to say.
        needed = {key: value for key, value in labels.items() if not key.startswith(f"{STANDARD}/")}
        return _labelled(name, cluster, {**metadata, "labels": needed}) if needed else None
    # One that was made here and is now said to be somebody's stays when it leaves the state.
    handed_over = mode == "require"
    labels = {**(metadata.get("labels") or {}), **({} if handed_over else {LABEL: environment})}
    kept = pulumi.ResourceOptions(retain_on_delete=True) if handed_over else None
    return kubernetes.core.v1.Namespace(
        name,
        metadata={**metadata, **({"labels": labels} if labels else {})},
        opts=pulumi.ResourceOptions.merge(options, kept),
    )


def mode_of(settings: Settings, cluster: str, name: str) -> str:
    """What the settings say of a namespace in one cluster."""
    found = (one for _, one in _about(settings, cluster, name))
    return next((one.mode for one in found), "adopt")


def _about(settings: Settings, cluster: str, name: str) -> Iterator[tuple[int, NamespaceSettings]]:
    for index, one in enumerate(settings.namespaces):
        if one.name == name and (not one.clusters or cluster in one.clusters):
            yield index, one


def _unfit(
    settings: Settings, cluster: ClusterSettings, environment: str, present: Present
) -> Iterator[Problem]:
    for name in {one.name for one in settings.namespaces}:
        for index, one in _about(settings, cluster.name, name):
            owner = whose(name, environment, present)
            if one.mode == "require" and owner == "nobody":
                reason = f"{cluster.name} has no namespace {name}, and it is not to be made here"
                yield Problem(f"namespaces[{index}].name", name, reason, "Make it, or write `mode: adopt`.")
            if one.mode == "make" and owner == "somebody":
                reason = f"{cluster.name} has a namespace {name} already, which this environment did not make"
                yield Problem(f"namespaces[{index}].name", name, reason, "Write `mode: adopt`, or require.")


def _labelled(name: str, cluster: Cluster, metadata: Mapping[str, Any]) -> kubernetes.core.v1.NamespacePatch:
    return kubernetes.core.v1.NamespacePatch(
        f"{name}-labels",
        metadata=dict(metadata),
        opts=pulumi.ResourceOptions(provider=cluster.patcher(f"{name}-patcher", cluster.provider)),
    )
