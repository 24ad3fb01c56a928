"""CRDs, and an object of one, that pods of a Helm release create some time after it is installed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_command as command

from components.cluster.cluster import Cluster

SCRIPT = "components/flomesh/established.sh"


@dataclass(frozen=True, kw_only=True)
class EstablishedArgs:
    """`crds` as plural.group; `instance` is a namespace and kind/name in it; `release` brings them."""

    cluster: Cluster
    crds: Sequence[str]
    instance: tuple[str, str] | None = None
    release: pulumi.CustomResource


def wait_command(*, crds: Sequence[str], instance: tuple[str, str] | None) -> str:
    """Wait for all of them, at most five minutes each, by the kubeconfig on standard input."""
    return " ".join([SCRIPT, *crds, *(["--", *instance] if instance else [])])


class Established(pulumi.ComponentResource):
    """Creates one command that ends when they are served. Custom resources depend on this component."""

    def __init__(self, name: str, args: EstablishedArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("multicluster-dapr:flomesh:Established", name, None, opts)
        command.local.Command(
            f"{name}-wait",
            create=wait_command(crds=args.crds, instance=args.instance),
            stdin=args.cluster.kubeconfig,
            triggers=[args.release.id],
            add_previous_output_in_env=False,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})
