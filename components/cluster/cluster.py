"""A Kubernetes cluster as one value, whoever created it."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as kubernetes

from components.joinable_cluster import JoinableCluster

LABEL = "multicluster-dapr.environment"


@dataclass(frozen=True, kw_only=True)
class Cluster(JoinableCluster):
    """A Kubernetes cluster as the other components see it.

    `http` is its gateway for a person on this machine. `creation_id` changes each time this stack creates the
    cluster; None for one that exists.
    """

    kubeconfig: pulumi.Output[str]
    http: str
    context: str
    creation_id: pulumi.Output[str] | None = None

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

    def in_namespace(
        self, name: str, parent: pulumi.Resource, namespace: pulumi.Input[str]
    ) -> kubernetes.Provider:
        """A provider that puts objects without a namespace into this one, as `kubectl -n` does.

        Of the kinds in a cluster only the provider can tell which have one.
        """
        return kubernetes.Provider(
            name,
            kubeconfig=self.kubeconfig,
            context=self.context if self.creation_id is None else None,
            cluster_identifier=self.server if self.creation_id is None else self.creation_id,
            enable_server_side_apply=False if self.creation_id is None else None,
            enable_secret_mutable=True,
            enable_config_map_mutable=True,
            namespace=namespace,
            opts=pulumi.ResourceOptions(parent=parent, deleted_with=self.owner),
        )
