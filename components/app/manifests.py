"""An app that comes as files with objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as kubernetes

from components.cluster.cluster import Cluster


@dataclass(frozen=True, kw_only=True)
class ManifestsArgs:
    """Either `files`, patterns of them, or a folder to `kustomize`; from the program's folder.

    Objects without a namespace are put into `namespace`.
    """

    cluster: Cluster
    namespace: pulumi.Input[str]
    files: Sequence[str] = ()
    kustomize: str | None = None


class Manifests(pulumi.ComponentResource):
    """Creates the objects in the order that they need, and waits until they are ready."""

    def __init__(self, name: str, args: ManifestsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("multicluster-dapr:app:Manifests", name, None, opts)
        if args.kustomize is not None:
            # To import it takes a tenth of a second: it reads from the web as well.
            from components.app.directory import Directory  # noqa: PLC0415

            Directory(
                f"{name}-objects",
                directory=args.kustomize,
                namespace=args.namespace,
                opts=self._options(args, args.cluster.provider),
            )
        else:
            provider = args.cluster.in_namespace(f"{name}-kubernetes", self, args.namespace)
            kubernetes.yaml.v2.ConfigGroup(
                f"{name}-objects", files=list(args.files), opts=self._options(args, provider)
            )
        self.register_outputs({})

    def _options(self, args: ManifestsArgs, provider: kubernetes.Provider) -> pulumi.ResourceOptions:
        # Its objects are deleted with the same as it is: the engine hands that down.
        return pulumi.ResourceOptions(parent=self, provider=provider, deleted_with=args.cluster.owner)
