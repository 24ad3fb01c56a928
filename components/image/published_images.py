"""A push of images that only the local Docker daemon holds, to the registry of existing clusters."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

import pulumi
import pulumi_command as command

SCRIPT = "components/image/publish.sh"


@dataclass(frozen=True, kw_only=True)
class PublishedImagesArgs:
    """`pattern` as `docker image ls` matches it: one image, or several that differ in their last part.

    `content` changes when the images do: not every tag tells.
    """

    pattern: str
    content: str
    registry: str


def publish_command(*, pattern: str, registry: str) -> str:
    """Push what the pattern names; each keeps the last part of its name, and its tag."""
    pattern = pattern.removeprefix("docker.io/")  # the daemon leaves it out
    return f"{SCRIPT} {shlex.quote(pattern)} {shlex.quote(registry)}"


def republished(ref: str, registry: str) -> str:
    """What an image is called in the registry; of a folder of images, the registry itself."""
    last = ref.rsplit("/", 1)[-1]
    return f"{registry}/{last}" if ":" in last else registry


class PublishedImages(pulumi.ComponentResource):
    """Creates one command; the registry keeps what it got."""

    registry: pulumi.Output[str]

    def __init__(
        self, name: str, args: PublishedImagesArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("multicluster-dapr:image:PublishedImages", name, None, opts)
        script = publish_command(pattern=args.pattern, registry=args.registry)
        pushed = command.local.Command(
            f"{name}-push",
            create=script,
            triggers=[args.content, args.registry],
            add_previous_output_in_env=False,
            opts=pulumi.ResourceOptions(parent=self),
        )
        # Nobody should pull before it is there.
        self.registry = pushed.id.apply(lambda _: args.registry)
        self.register_outputs({"registry": self.registry})
