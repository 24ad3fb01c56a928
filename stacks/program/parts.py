"""What the steps of a topology hand to one another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as kubernetes

from components.cluster.cluster import Cluster
from components.cluster.local_network import LocalNetwork
from components.image.built_image import BuiltImage
from components.image.published_images import PublishedImages, republished
from stacks.config.kubeconfigs import Access
from stacks.config.model import ClusterSettings, Settings
from stacks.config.supply import Supply


@dataclass(frozen=True, kw_only=True)
class Mesh:
    """The mesh of one cluster.

    Objects of its kinds wait for `kinds`, pods for `before_pods`. `namespace` is where the bundled mesh
    lives; the flomesh mesh brings its own. `hub` is what runs the hub, on the control plane.
    """

    kinds: Sequence[pulumi.Resource]
    before_pods: Sequence[pulumi.Resource] = ()
    namespace: pulumi.Output[str] | None = None
    hub: pulumi.Resource | None = None


@dataclass(frozen=True, kw_only=True)
class Shared:
    """What every cluster's part of the graph draws on.

    `access` is how to reach the clusters that exist. `local` holds the providers of what runs on this
    machine: Docker objects and commands. `published` holds images that existing clusters get from a registry.
    """

    settings: Settings
    supply: Supply
    access: Mapping[str, Access]
    environment: str
    local: pulumi.ResourceOptions
    network: LocalNetwork | None
    gateway: BuiltImage | None
    nodeapp: BuiltImage
    password: pulumi.Output[str]
    published: Mapping[str, PublishedImages]

    def image(self, name: str, config: ClusterSettings) -> pulumi.Input[str]:
        """Where the nodes of a cluster have an image of the supply from: redis, curl or dapr's folder."""
        known = {"redis": self.supply.redis, "curl": self.supply.curl, "dapr": self.supply.dapr}[name]
        if config.source == "k3d" or name not in self.published:
            return known.ref
        return self.published[name].registry.apply(lambda registry: republished(known.ref, registry))


@dataclass(frozen=True, kw_only=True)
class Member:
    """What later steps need to know of one cluster.

    `imported` is what pods with our images wait for: nothing can flow from a node's image store.
    """

    config: ClusterSettings
    cluster: Cluster
    mesh: Mesh
    namespaces: dict[str, kubernetes.core.v1.Namespace]
    imported: Sequence[pulumi.Resource]

    def namespace(self, name: str) -> pulumi.Output[str]:
        """A namespace of this cluster, known once it is there."""
        known: pulumi.Output[str] = self.namespaces[name].metadata["name"]
        return known
