"""The CustomResourceDefinitions of flomesh.io, from the gateway's own files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from ..documents import documents
from ..joinable_cluster import JoinableCluster

FOLDER = Path(__file__).parents[1] / "crds"
"""The gateway's own files: a link to proxy/crds here, a copy of it where this package is installed."""


@dataclass(frozen=True, kw_only=True)
class CrdsArgs:
    """`definitions` as load_definitions returns them."""

    cluster: JoinableCluster
    definitions: Sequence[Mapping[str, Any]]


@cache
def load_definitions(folder: Path) -> tuple[Mapping[str, Any], ...]:
    """Every CustomResourceDefinition in a folder of YAML files, in the order of their names.

    Read once for all clusters, as that takes a while. Raises ValueError when a file holds anything else.
    """
    found: dict[str, Mapping[str, Any]] = {}
    for path in sorted(folder.glob("*.yaml")):
        for document in documents(path):
            if not document:
                continue
            if document.get("kind") != "CustomResourceDefinition":
                raise ValueError(
                    f"{path} holds a {document.get('kind')}; only CustomResourceDefinition belongs here"
                )
            found[document["metadata"]["name"]] = document
    if not found:
        raise ValueError(f"{folder} holds no CustomResourceDefinition")
    return tuple(found[name] for name in sorted(found))


class Crds(pulumi.ComponentResource):
    """Creates the CRDs. Others depend on this component: no custom resource can precede its CRD."""

    def __init__(self, name: str, args: CrdsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("multicluster-dapr:mesh:Crds", name, None, opts)
        for definition in args.definitions:
            full_name = definition["metadata"]["name"]
            kubernetes.apiextensions.v1.CustomResourceDefinition(
                f"{name}-{full_name.split('.')[0]}",
                metadata=definition["metadata"],
                spec=definition["spec"],
                opts=args.cluster.child(self),
            )
        self.register_outputs({})
