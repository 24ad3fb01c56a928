"""A cluster with its mesh and namespaces, as the later steps of a topology see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as kubernetes

from components.cluster.cluster import Cluster
from components.image.image_import import ImageImport
from stacks.config.model import ClusterSettings


@dataclass(frozen=True, kw_only=True)
class ClusterMesh:
    """The mesh, as what is put into one of its clusters sees it.

    Custom resources wait for `crds`, exports for `before_exports` as well, policies for `before_policies`,
    pods for `before_pods`. `namespace` is where the bundled mesh lives; the flomesh mesh brings its own.
    """

    crds: Sequence[pulumi.Resource]
    before_exports: Sequence[pulumi.Resource]
    before_policies: Sequence[pulumi.Resource] = ()
    before_pods: Sequence[pulumi.Resource] = ()
    namespace: pulumi.Output[str] | None = None


@dataclass(frozen=True, kw_only=True)
class PreparedCluster:
    """A control plane or member cluster that the mesh, apps, exports and policies can be put in.

    `imported` is what pods with our images wait for: nothing can flow from a node's image store. `namespaces`
    by name, each with the resource that makes or labels it, None for one that is used as it is.
    """

    config: ClusterSettings
    cluster: Cluster
    namespaces: Mapping[str, kubernetes.core.v1.Namespace | kubernetes.core.v1.NamespacePatch | None]
    imported: Sequence[ImageImport]

    def namespace(self, name: str) -> pulumi.Output[str]:
        """The name of a namespace, an output: what uses it waits for the namespace."""
        resource = self.namespaces[name]
        if resource is None:
            return pulumi.Output.from_input(name)
        output: pulumi.Output[str] = resource.metadata["name"]
        return output
