"""The one value that stands for a cluster, whoever made it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as kubernetes

LABEL = "multicluster-dapr.environment"
# Ready pods take seconds where images are at hand and a minute or two where they are pulled.
READY = "5m"
# On Services whose pods a Deployment beside them already waits for: waiting for their endpoints once more
# only makes them later.
UNAWAITED = {"pulumi.com/skipAwait": "true"}


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A Kubernetes cluster as the other components see it.

    `server` is its API as the hub reaches it, `gateway_host`:`gateway_port` its gateway as other clusters
    reach it, `http` the same gateway for a person on this machine. `owner` is the resource whose deletion
    takes everything inside along; None for a cluster this stack did not make.
    """

    name: str
    key: str
    provider: kubernetes.Provider
    kubeconfig: pulumi.Output[str]
    server: pulumi.Input[str]
    gateway_host: str
    gateway_port: int
    http: str
    context: str
    owner: pulumi.Resource | None = None

    def component(self) -> pulumi.ResourceOptions:
        """Options of a component that lives in this cluster."""
        return pulumi.ResourceOptions(provider=self.provider)

    def child(
        self,
        parent: pulumi.Resource,
        *,
        depends_on: Sequence[pulumi.Resource] = (),
        waits: bool = False,
    ) -> pulumi.ResourceOptions:
        """Options of a resource inside this cluster: not deleted one by one when the cluster itself goes.

        `waits` is for what Pulumi waits for until its pods are ready: it gives up in time to read why.
        """
        return pulumi.ResourceOptions(
            parent=parent,
            deleted_with=self.owner,
            depends_on=list(depends_on),
            custom_timeouts=pulumi.CustomTimeouts(create=READY, update=READY) if waits else None,
        )
