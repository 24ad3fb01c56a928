"""A Kubernetes cluster as one value, whoever created it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

LABEL = "multicluster-dapr.environment"
# Ready pods take seconds where images are at hand and a minute or two where they are pulled.
READY = "5m"
# Kubernetes' range of node ports; outside it a load balancer has to publish the port.
NODE_PORTS = range(30000, 32768)
# On Services whose pods a Deployment beside them already waits for: waiting for their endpoints once more
# only makes them later.
UNAWAITED = {"pulumi.com/skipAwait": "true"}


def location(*, key: str, host: str, port: int) -> dict[str, Any]:
    """Spec of a flomesh.io Cluster object but for its credential: cluster key, and address of the gateway."""
    region, zone, group, _ = key.split("/")
    return {"region": region, "zone": zone, "group": group, "gatewayHost": host, "gatewayPort": port}


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A Kubernetes cluster as the other components see it.

    `server` is its API as the hub reaches it, `server_name` what the certificate there is for when that is
    not the URL's host, `gateway_host`:`gateway_port` its gateway as other clusters reach it, `http` the same
    gateway for a person on this machine. `creation_id` changes each time this stack creates the cluster;
    None for one that exists.
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
    server_name: str = ""
    creation_id: pulumi.Output[str] | None = None

    @property
    def owner(self) -> pulumi.Resource | None:
        """The resource whose deletion takes everything inside along, if this stack created the cluster.

        That is the provider, which exists as long as the cluster, and not the command that creates it:
        replacing the command, the engine deletes what depends on it first, when it knows that the provider
        ends but not yet that the command does. It would delete one by one, through a provider it has closed.
        """
        return self.provider if self.creation_id is not None else None

    def component(self) -> pulumi.ResourceOptions:
        """Options of a component in this cluster."""
        return pulumi.ResourceOptions(provider=self.provider)

    def patcher(self, name: str, parent: pulumi.Resource) -> kubernetes.Provider:
        """A provider for patches, which take server-side apply: in a cluster that exists, a second one.

        The first does without server-side apply there, so that it takes nothing over.
        """
        if self.creation_id is not None:
            return self.provider
        return kubernetes.Provider(
            name,
            kubeconfig=self.kubeconfig,
            context=self.context,
            cluster_identifier=self.server,
            opts=pulumi.ResourceOptions(parent=parent),
        )

    def child(
        self,
        parent: pulumi.Resource | None,
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
            # Names are fixed: replaced on demand, the engine would else delete what it has just upserted.
            delete_before_replace=True,
            depends_on=list(depends_on),
            custom_timeouts=pulumi.CustomTimeouts(create=READY, update=READY) if waits else None,
        )
