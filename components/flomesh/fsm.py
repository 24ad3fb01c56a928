"""FSM, the multi-cluster control plane of the flomesh mesh, by its chart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from components import chart
from components.cluster.cluster import Cluster
from components.joinable_cluster import location

NAMESPACE = "flomesh"


@dataclass(frozen=True, kw_only=True)
class FsmArgs:
    """`chart` is a folder or a name in `repository`."""

    cluster: Cluster
    chart: str
    version: str
    repository: str | None


def fsm_values() -> dict[str, Any]:
    """Values of the chart, as in the article."""
    return {"fsm": {"logLevel": 5}}


def join_kubeconfig(kubeconfig: str) -> str:
    """A member's kubeconfig as FSM reads it: one document, without k3d's separator in front."""
    return kubeconfig.removeprefix("---\n")


def join_spec(*, key: str, host: pulumi.Input[str], port: int, kubeconfig: Any) -> Mapping[str, Any]:
    """Spec of the Cluster object. FSM takes the credential inline and knows no other way."""
    return {**location(key=key, host=host, port=port), "kubeconfig": kubeconfig}


class Fsm(pulumi.ComponentResource):
    """Creates the namespace and the release; its pods bring the CRDs."""

    release: pulumi.CustomResource

    def __init__(self, name: str, args: FsmArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("multicluster-dapr:flomesh:Fsm", name, None, opts)
        installed = chart.install(
            name,
            self,
            cluster=args.cluster,
            namespace=NAMESPACE,
            release="fsm",
            chart=args.chart,
            version=args.version,
            repository=args.repository,
            values=fsm_values(),
            seconds=600,
        )
        self.release = installed.release
        self.register_outputs({})
