"""Status conditions of exports, imports, policies and clusters: what each says, in the words of one place."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from gateway.core.app_ids import CALLERS, Settled
from gateway.core.exports import Evaluation
from gateway.core.fields import FieldError
from gateway.core.problem import Problem

EVERY_CALLER_CONDITION = "EveryCaller"
"""Whether a policy holds for callers of a local Service's own name too; only where that is asked for."""
INVOCABLE = "DaprInvocable"
DESIRED = {
    "Valid": True,
    "Conflict": False,
    "Managed": True,
    "Programmed": True,
    EVERY_CALLER_CONDITION: True,
    INVOCABLE: True,
}
"""The status each condition type should have."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition as it should be. `status` is True, False or None for Unknown."""

    type: str
    status: bool | None
    reason: str
    message: str


def valid(export: Evaluation, *, reachable: bool, clusters: Collection[str]) -> Condition:
    """Whether every rule of an export is served.

    `reachable`: the exporter's gateway has an address. `clusters`: keys of all clusters.
    """
    if export.problems:
        tail = "; the rest of it is served" if export.rules else ""
        return Condition("Valid", False, "Failed", _joined(export.problems) + tail)
    numbers = ", ".join(str(port.number) for port in export.ports)
    notes = [f"ports {numbers} are exported"] if numbers else []
    notes += [f"its app-id for Dapr is {export.app_id}"] if export.app_id else []
    if said := export.timeouts.described():
        notes.append("timeouts: " + ", ".join(f"{name} {value}" for name, value in said.items()))
    notes += export.notes
    if not reachable:
        notes.append("not exported to other clusters: this cluster has no Cluster object with a gatewayHost")
    if unknown := sorted(export.target_clusters - set(clusters)):
        notes.append(f"targetClusters names clusters that have not joined: {', '.join(unknown)}")
    return Condition("Valid", True, "Success", "; ".join(notes))


def conflict(conflicts: Sequence[str]) -> Condition:
    """Whether another cluster's export or a foreign import is in the way of an export."""
    if conflicts:
        return Condition("Conflict", True, "Conflict", "; ".join(conflicts))
    return Condition("Conflict", False, "NoConflict", "no other cluster's export is in the way")


def programmed(problems: Sequence[Problem]) -> Condition:
    """Whether the gateway of this cluster routes by an object."""
    if not problems:
        return Condition("Programmed", True, "Programmed", "the gateway routes by this object")
    return Condition("Programmed", False, problems[0].reason, _joined(problems))


def dapr_invocable(settled: Settled) -> Condition:
    """Whether Dapr apps of this cluster call an imported service by its app-id, and from which namespaces."""
    notes = []
    if settled.namespaces:
        notes.append(f"HTTPEndpoint {settled.app_id} in {', '.join(settled.namespaces)}")
    if settled.native:
        notes.append("the policy keeps calls in this cluster, where Dapr's sidecars find each other")
    if settled.refusals:
        by_message: dict[str, list[str]] = {}
        for refusal in settled.refusals:
            by_message.setdefault(refusal.message, []).append(refusal.namespace)
        refused = [
            f"no HTTPEndpoint in {', '.join(where)}: {message}" for message, where in by_message.items()
        ]
        return Condition(INVOCABLE, False, settled.refusals[0].reason, "; ".join(notes + refused))
    if not notes:
        message = f"no namespace has the label {CALLERS}=true: give it to those whose Dapr apps call"
        return Condition(INVOCABLE, False, "NoCallers", message)
    reason = "Invocable" if settled.namespaces else "Native"
    return Condition(INVOCABLE, True, reason, "; ".join(notes))


def not_invocable(error: FieldError) -> Condition:
    """What an import says whose app-id cannot be served anywhere."""
    return Condition(INVOCABLE, False, error.reason, str(error))


def managed(error: str = "", *, home: bool = False) -> Condition:
    """Whether the hub manages a cluster now; `home` is its own."""
    if error:
        return Condition("Managed", False, "Failed", error)
    own, other = "this is the hub's own cluster", "the API server answers and accepts the hub's credential"
    return Condition("Managed", True, "Success", own if home else other)


def _joined(problems: Sequence[Problem]) -> str:
    return "; ".join(problem.message for problem in problems)
