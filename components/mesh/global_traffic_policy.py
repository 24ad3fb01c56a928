"""A GlobalTrafficPolicy: where calls of one cluster to a service go.

No `from __future__ import annotations` here: the SDK reads the annotations to make the package's schema.
"""

import json
from collections.abc import Sequence
from typing import Any, NotRequired, TypedDict

import pulumi

from .request_match import RequestMatch
from .traffic_object import create, traffic_object

EVERY_CALLER = "multicluster.flomesh.io/every-caller"
MATCH = "multicluster.flomesh.io/match"
"""Annotation of a GlobalTrafficPolicy: which requests go to which target first, as JSON by cluster key."""


class GlobalTrafficPolicyTarget(TypedDict):
    """A cluster that calls may go to."""

    cluster_key: pulumi.Input[str]
    """Its cluster key, region/zone/group/name: a Mesh has them by name, as clusterKeys."""
    weight: NotRequired[pulumi.Input[int]]
    """Its part of the calls, of the sum of all weights: 0 to 1000000; 0 drains it. Default: 100."""
    match: NotRequired[RequestMatch]
    """Requests that go there first, also with weight 0. Default: none."""


class GlobalTrafficPolicyArgs(TypedDict):
    """The service that a policy is for, and where calls go."""

    service: pulumi.Input[str]
    """Name of the service, whoever exports it."""
    namespace: pulumi.Input[str]
    """Namespace of the service, which has to be there in the callers' cluster."""
    lb_type: NotRequired[pulumi.Input[str]]
    """Locality keeps calls in the cluster, FailOver lets them go when nobody there can serve, ActiveActive
    spreads them by weight. Default: Locality."""
    targets: NotRequired[Sequence[GlobalTrafficPolicyTarget]]
    """The clusters calls may go to: FailOver wants one at least, Locality one at most. Default: every
    exporter, or with Locality nobody else."""
    every_caller: NotRequired[bool]
    """It holds for callers of a local Service's own name as well: its endpoints become the gateways.
    Default: true."""


def policy_spec(args: GlobalTrafficPolicyArgs) -> dict[str, Any]:
    """Spec of the GlobalTrafficPolicy: a weight that is not given is left to the CRD's default."""
    targets = [
        {"clusterKey": target["cluster_key"], **({"weight": target["weight"]} if "weight" in target else {})}
        for target in args.get("targets", ())
    ]
    return {"lbType": args.get("lb_type", "Locality"), **({"targets": targets} if targets else {})}


def annotations(args: GlobalTrafficPolicyArgs) -> dict[str, pulumi.Input[str]]:
    """What the gateways read besides the spec."""
    said: dict[str, pulumi.Input[str]] = {EVERY_CALLER: "true"} if args.get("every_caller", True) else {}
    matches = [
        pulumi.Output.all(target["cluster_key"], pulumi.Output.json_dumps(target["match"]))
        for target in args.get("targets", ())
        if "match" in target
    ]
    if matches:
        said[MATCH] = pulumi.Output.all(*matches).apply(
            lambda found: json.dumps({key: json.loads(match) for key, match in found})
        )
    return said


def policy_object(args: GlobalTrafficPolicyArgs) -> dict[str, Any]:
    """The GlobalTrafficPolicy, with what is not known yet as an output."""
    return traffic_object(
        "GlobalTrafficPolicy", args["service"], args["namespace"], annotations(args), policy_spec(args)
    )


class GlobalTrafficPolicy(pulumi.ComponentResource):
    """Creates the GlobalTrafficPolicy, named as its service, in the cluster of its Kubernetes provider.

    It is for the callers of that cluster, and wants the CRDs: let it depend on the Mesh.
    """

    def __init__(
        self, name: str, args: GlobalTrafficPolicyArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        before = pulumi.ResourceOptions(
            aliases=[pulumi.Alias(type_="multicluster-dapr:mesh:GlobalTrafficPolicy")]
        )
        opts = pulumi.ResourceOptions.merge(opts, before)
        super().__init__("multicluster-dapr:index:GlobalTrafficPolicy", name, None, opts)
        create(name, policy_object(args), self, opts)
        self.register_outputs({})
