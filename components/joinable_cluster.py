"""A cluster as a mesh sees it, whoever created it and whatever else is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

# Ready pods take seconds where images are at hand and a minute or two where they are pulled.
READY = "5m"
# Kubernetes' range of node ports; outside it a load balancer has to publish the port.
NODE_PORTS = range(30000, 32768)
# On Services whose pods a Deployment beside them already waits for: waiting for their endpoints once more
# only makes them later.
UNAWAITED = {"pulumi.com/skipAwait": "true"}


def location(*, key: str, host: pulumi.Input[str], port: int) -> dict[str, Any]:
    """Spec of a flomesh.io Cluster object but for its credential: cluster key, and address of the gateway."""
    region, zone, group, _ = key.split("/")
    return {"region": region, "zone": zone, "group": group, "gatewayHost": host, "gatewayPort": port}


@dataclass(frozen=True, kw_only=True)
class JoinableCluster:
    """A cluster that can join a mesh.

    `server` is its API as the hub reaches it, `server_name` what the certificate there is for when that is
    not the URL's host, `gateway_host`:`gateway_port` its gateway as other clusters reach it, and `peers_port`
    beside it where their gateways do with mutual TLS.
    `ends_with_provider`: who deletes the provider deletes the cluster.
    """

    name: str
    key: str
    provider: kubernetes.Provider
    server: pulumi.Input[str]
    gateway_host: pulumi.Input[str]
    gateway_port: int
    peers_port: int | None = None
    server_name: str = ""
    ends_with_provider: bool = False

    @property
    def owner(self) -> pulumi.Resource | None:
        """The resource whose deletion takes everything inside along, if this stack created the cluster.

        That is the provider, which exists as long as the cluster, and not the command that creates it:
        replacing the command, the engine deletes what depends on it first, when it knows that the provider
        ends but not yet that the command does. It would delete one by one, through a provider it has closed.
        """
        return self.provider if self.ends_with_provider else None

    def component(self) -> pulumi.ResourceOptions:
        """Options of a component in this cluster."""
        return pulumi.ResourceOptions(provider=self.provider)

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
