"""An import of images built here into the node of a k3d cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_command as command

from components.cluster import k3d_config
from components.cluster.cluster import Cluster
from components.image.built_image import BuiltImage


@dataclass(frozen=True, kw_only=True)
class ImageImportArgs:
    """`images` go into the node of `cluster` together, as one archive, each by the tag of its content."""

    cluster: Cluster
    images: Sequence[BuiltImage]


class ImageImport(pulumi.ComponentResource):
    """Creates one command per cluster, run again when an image's content or the cluster changes."""

    def __init__(self, name: str, args: ImageImportArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("multicluster-dapr:image:ImageImport", name, None, opts)
        cluster = args.cluster
        script = pulumi.Output.all(*(image.ref for image in args.images)).apply(
            lambda refs: k3d_config.import_command(name=cluster.name, images=refs)
        )
        self._done = command.local.Command(
            f"{name}-k3d",
            create=script,
            triggers=[cluster.creation_id, *(image.digest for image in args.images)],
            add_previous_output_in_env=False,
            opts=pulumi.ResourceOptions(parent=self, deleted_with=cluster.owner),
        ).id
        self.register_outputs({})

    def digest(self, image: BuiltImage) -> pulumi.Output[str]:
        """The digest of an image, known once the node has it: what uses it waits for that."""
        return pulumi.Output.all(image.digest, self._done).apply(lambda values: str(values[0]))
