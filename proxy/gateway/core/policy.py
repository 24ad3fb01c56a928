"""GlobalTrafficPolicy: from lbType and targets to priorities of weighted clusters."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.core.fields import FieldError, mapping, mappings
from gateway.core.header_match import MATCH, Match, read_match
from gateway.core.json_annotation import read_json, shown
from gateway.core.objects import Object
from gateway.core.route import DEFAULT_WEIGHT, WeightedCluster

LOCALITY = "Locality"
FAIL_OVER = "FailOver"
ACTIVE_ACTIVE = "ActiveActive"
MAX_WEIGHT = 1_000_000


@dataclass(frozen=True, slots=True)
class Policy:
    """`targets`: weight by cluster key. None means every exporter."""

    kind: str = LOCALITY
    targets: Mapping[str, int] | None = field(default=None)
    matches: tuple[tuple[Match, frozenset[str]], ...] = ()
    """Requests that go to certain targets first, in order."""


def read_policy(raw: Object) -> tuple[Policy, list[FieldError]]:
    """A policy and what had to be left out of it. FieldError when nothing of it can be used."""
    spec = mapping(raw.get("spec"), "spec")
    kind = spec.get("lbType", LOCALITY)
    if kind not in (LOCALITY, FAIL_OVER, ACTIVE_ACTIVE):  # not a set: any JSON value may stand there
        raise FieldError("InvalidLbType", f"spec.lbType is {kind!r}: give Locality, FailOver or ActiveActive")
    faults: list[FieldError] = []
    targets: dict[str, int] = {}
    listed = mappings(spec.get("targets"), "spec.targets")
    for index, item in enumerate(listed):
        where = f"spec.targets[{index}]"
        try:
            cluster = _cluster_key(item.get("clusterKey"), f"{where}.clusterKey")
            if cluster in targets:
                raise FieldError(  # noqa: TRY301  one fault among those collected
                    "DuplicateTarget", f"{where}.clusterKey {cluster!r} is listed twice: the first counts"
                )
            targets[cluster] = _weight(item.get("weight"), f"{where}.weight")
        except FieldError as fault:
            faults.append(fault)
    if kind == LOCALITY and len(listed) > 1:
        raise FieldError(
            "InvalidTargets",
            f"spec.targets lists {len(listed)} clusters: Locality takes one at most, to pin to it",
        )
    if listed and not targets:
        # Not "every exporter": that is what an empty list asks for, and this one asked for something else.
        raise faults[0]
    try:
        matches = _read_matches(raw, kind, targets)
    except FieldError as fault:
        faults.append(fault)
        matches = ()
    return Policy(kind, targets or None, matches), faults


def _read_matches(
    raw: Object, kind: str, targets: Mapping[str, int]
) -> tuple[tuple[Match, frozenset[str]], ...]:
    """In the order of the targets; targets with one match share the requests that have it."""
    said = read_json(raw, MATCH, "InvalidMatch")
    if said is None:
        return ()
    where = f"annotation {MATCH}"
    if not isinstance(said, dict):
        raise FieldError("InvalidMatch", f"{where} is {shown(said)}: give a mapping from targets to matches")
    if kind == LOCALITY:
        raise FieldError("InvalidMatch", f"{where} does nothing with Locality: give FailOver or ActiveActive")
    if unknown := sorted(said.keys() - targets):
        listed = ", ".join(targets) or "none"
        raise FieldError(
            "InvalidMatch", f"{where}: {shown(unknown[0])} is no target: spec.targets has {listed}"
        )
    found: dict[Match, list[str]] = {}
    for cluster in targets:
        match = read_match(said.get(cluster), f"{where}: {cluster}")
        if match is not None:
            found.setdefault(match, []).append(cluster)
    return tuple((match, frozenset(clusters)) for match, clusters in found.items())


def _cluster_key(raw: Any, where: str) -> str:
    if not isinstance(raw, str) or len(raw.split("/")) != 4 or not all(raw.split("/")):
        raise FieldError("InvalidClusterKey", f"{where} is {raw!r}: give region/zone/group/name")
    return raw


def _weight(raw: Any, where: str) -> int:
    if raw is None:
        return DEFAULT_WEIGHT
    if not isinstance(raw, int) or isinstance(raw, bool) or not 0 <= raw <= MAX_WEIGHT:
        raise FieldError(
            "InvalidWeight", f"{where} is {raw!r}: give a whole number from 0 (drains) to {MAX_WEIGHT}"
        )
    return raw


def unknown_targets(
    policy: Policy, service: str, exporters: Collection[str], own: str
) -> Iterator[FieldError]:
    """A fault for each target that exports no such service. `own` is the cluster the policy is of."""
    for cluster in policy.targets or ():
        if cluster not in exporters:
            others = ", ".join(sorted(one for one in exporters if one != own)) or "none"
            message = f"target {cluster!r} exports no {service}: clusters that do: {others}"
            yield FieldError("UnknownTarget", message)


def make_priorities(
    policy: Policy, local: WeightedCluster, remotes: list[WeightedCluster]
) -> tuple[tuple[WeightedCluster, ...], ...]:
    """Clusters by priority and weight, as the table of policies in docs/gateway.md has them.

    `local` may have no endpoints.
    """
    weights = policy.targets
    own = local.key
    if policy.kind == LOCALITY:
        if weights is None or own in weights:
            return ((local,),)
        return (
            tuple(replace(cluster, weight=DEFAULT_WEIGHT) for cluster in remotes if cluster.key in weights),
        )
    if weights is None:
        others = tuple(replace(cluster, weight=DEFAULT_WEIGHT) for cluster in remotes)
    else:
        others = tuple(
            replace(cluster, weight=weights[cluster.key]) for cluster in remotes if cluster.key in weights
        )
        local = replace(local, weight=weights.get(own, DEFAULT_WEIGHT))
    if policy.kind == FAIL_OVER:
        return ((local,), others)
    return ((local, *others),)
