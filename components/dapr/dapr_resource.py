"""A resource of Dapr in one namespace, and the Secret that it names."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components.annotations import version_of
from components.cluster.cluster import Cluster

VERSIONS = {
    "Component": "dapr.io/v1alpha1",
    "Configuration": "dapr.io/v1alpha1",
    "Resiliency": "dapr.io/v1alpha1",
    "Subscription": "dapr.io/v2alpha1",
}
# What older versions of this program call the state stores of apps in their state.
FORMER_TYPE = "multicluster-dapr:dapr:StateStore"


@dataclass(frozen=True, kw_only=True)
class DaprResourceArgs:
    """`kind` is one of VERSIONS. `scopes` are the app-ids that read it; without any all in its namespace do.

    `secret` names the Secret that is made with the texts of `secrets`, by key; without any there is none.
    """

    cluster: Cluster
    kind: str
    name: str
    namespace: pulumi.Input[str]
    spec: Mapping[str, Any]
    scopes: Sequence[str] = ()
    secret: str = ""
    secrets: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


class _Object(pulumi.CustomResource):
    """The object itself. The SDK's CustomResource cannot set what stands beside `spec`."""

    def __init__(self, name: str, kind: str, props: dict[str, Any], opts: pulumi.ResourceOptions) -> None:
        given = {"apiVersion": VERSIONS[kind], "kind": kind, **props}
        super().__init__(f"kubernetes:{VERSIONS[kind]}:{kind}", name, given, opts)


class DaprResource(pulumi.ComponentResource):
    """Creates both. `digest` changes with what it says, `secret_version` with the Secret, if there is one."""

    digest: pulumi.Output[str]
    secret_version: pulumi.Output[str] | None = None

    def __init__(self, name: str, args: DaprResourceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        former = [pulumi.Alias(type_=FORMER_TYPE)] if args.kind == "Component" else []
        options = pulumi.ResourceOptions.merge(pulumi.ResourceOptions(aliases=former), opts)
        super().__init__(f"multicluster-dapr:dapr:{args.kind}", name, None, options)
        namespace = args.namespace
        if args.secrets:
            secret = kubernetes.core.v1.Secret(
                f"{name}-secret",
                metadata={"name": args.secret, "namespace": args.namespace},
                string_data={key: pulumi.Output.secret(text) for key, text in args.secrets.items()},
                opts=args.cluster.child(self),
            )
            namespace = secret.metadata["namespace"]  # so that the Secret is there first
            self.secret_version = secret.metadata.apply(version_of)
        props: dict[str, Any] = {"metadata": {"name": args.name, "namespace": namespace}, "spec": args.spec}
        if args.kind == "Component":
            props["auth"] = {"secretStore": "kubernetes"}
        if args.scopes:
            props["scopes"] = list(args.scopes)
        _Object(f"{name}-{args.kind.lower()}", args.kind, props, args.cluster.child(self))
        said = {"spec": args.spec, "scopes": list(args.scopes)}
        self.digest = pulumi.Output.json_dumps(said, sort_keys=True).apply(_digest)
        self.register_outputs({})
