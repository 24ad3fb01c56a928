"""A container image built from a folder of this repository: the gateway's, nodeapp's."""

from __future__ import annotations

import platform
from dataclasses import dataclass

import pulumi
import pulumi_docker as docker

# A name no public registry serves, in the canonical form that Docker, containerd and k3d agree on.
LOCAL_PREFIX = "docker.io/multicluster-dapr"


@dataclass(frozen=True, kw_only=True)
class BuiltImageArgs:
    """`context` is relative to the project; `registry` is empty for images that k3d imports.

    `base` is what the image lies on; `compiler` the same with a C compiler, for an image that has a stage to
    build on it.
    """

    context: str
    base: str
    compiler: str | None = None
    registry: str = ""


def docker_platform(machine: str) -> str:
    """Docker's platform for what `platform.machine()` returns."""
    names = {"x86_64": "amd64", "aarch64": "arm64"}
    return f"linux/{names.get(machine.lower(), machine.lower())}"


def image_name(name: str, registry: str) -> str:
    """The stable reference of an image built here, by which it is built and pushed."""
    return f"{registry.rstrip('/') or LOCAL_PREFIX}/{name}:dev"


def pinned(name: str, digest: str) -> str:
    """The reference of one content of an image, for pods: nodes that hold it by then have the right one.

    `digest` is what a registry answered to a push, name and all; without a registry the image's id. By an id
    no node finds an image, so a tag is made of it: twelve digits, by which Docker finds the image, too.
    """
    if "@" in digest:
        return digest
    return f"{name.rpartition(':')[0]}:{digest.removeprefix('sha256:')[:12]}"


class BuiltImage(pulumi.ComponentResource):
    """Builds the image; pushes it when there is a registry."""

    ref: pulumi.Output[str]
    digest: pulumi.Output[str]

    def __init__(self, name: str, args: BuiltImageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("multicluster-dapr:image:BuiltImage", name, None, opts)
        image = docker.Image(
            f"{name}-image",
            image_name=image_name(name, args.registry),
            build=docker.DockerBuildArgs(
                context=args.context,
                dockerfile=f"{args.context}/Dockerfile",
                args={"BASE_IMAGE": args.base, **({"BUILD_IMAGE": args.compiler} if args.compiler else {})},
                platform=docker_platform(platform.machine()),
            ),
            skip_push=not args.registry,
            opts=pulumi.ResourceOptions(parent=self),
        )
        # Of the content: when it changes, nodes get the image again and pods restart.
        self.digest = image.repo_digest
        self.ref = pulumi.Output.all(image.image_name, image.repo_digest).apply(lambda known: pinned(*known))
        self.register_outputs({"ref": self.ref, "digest": self.digest})
