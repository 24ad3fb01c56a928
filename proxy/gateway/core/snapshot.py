"""Kubernetes objects in, one immutable routing snapshot out.

The seam to whoever supplies the objects (files in `gateway serve`, watches in `gateway run`): call
`compile_snapshot` with everything known, give `Compiled.snapshot` to `GatewayServer.swap`, and report
`Compiled.problems` where the user looks (object status, log, `gateway check`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """Something in an object that cannot be routed as written. Everything else keeps working."""

    kind: str
    namespace: str
    name: str
    reason: str
    """CamelCase word fit for a status condition's reason."""
    message: str
    """Value, place, why and way out, in one sentence fit for a condition's message."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a gateway runs on. Never changed after it is made."""

    cluster_key: str

    def leaves_cluster(self, namespace: str, name: str) -> bool:
        """Whether the policy of an imported service may send a request to another cluster at all.

        False for Locality without a target, for no policy, and when every eligible target is drained
        (weight 0) or unknown: then an import without a local Service has no endpoints.
        """
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Compiled:
    snapshot: Snapshot
    problems: tuple[Problem, ...]


def compile_snapshot(
    objects: Iterable[Mapping[str, Any]], cluster_key: str, front_door: bool = False
) -> Compiled:
    """Compile raw objects (any order, unknown kinds ignored) into a snapshot for one cluster.

    Takes ServiceExport, ServiceImport, GlobalTrafficPolicy (flomesh.io/v1alpha1), Service (v1) and
    EndpointSlice (discovery.k8s.io/v1). Services and EndpointSlices labelled
    `multicluster.flomesh.io/imported: "true"` are this gateway's own stand-ins and are ignored.
    Never raises for what is in an object: a bad object becomes a Problem.
    """
    raise NotImplementedError
