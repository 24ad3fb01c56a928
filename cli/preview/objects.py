"""The objects of each cluster as the last `up` made them, by the state of the engine. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from cli.observe.view import Object
from stacks.config.model import Settings
from stacks.outlook.assumed import Objects

KINDS = frozenset(("Namespace", "Service", "ServiceExport", "GlobalTrafficPolicy"))
"""What decides who serves whom."""


def of_state(resources: Iterable[Object], settings: Settings) -> Objects:
    """What the state of the engine holds for each cluster of the settings."""
    found: dict[str, list[Object]] = {cluster.name: [] for cluster in settings.clusters}
    for resource in resources:
        inputs = resource.get("inputs") or {}
        if not str(resource["type"]).startswith("kubernetes:") or inputs.get("kind") not in KINDS:
            continue
        cluster = str(resource.get("provider")).split("::")[-2].removesuffix("-kubernetes")
        if cluster in found:
            found[cluster].append(inputs)
    return found
