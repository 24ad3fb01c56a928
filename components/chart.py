"""A Helm release in a namespace of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from .joinable_cluster import JoinableCluster


@dataclass(frozen=True, kw_only=True)
class Installed:
    """A release and its namespace, an output: what uses it waits for the namespace."""

    namespace: pulumi.Output[str]
    release: kubernetes.helm.v3.Release


def install(
    name: str,
    parent: pulumi.Resource,
    *,
    cluster: JoinableCluster,
    namespace: str,
    release: str,
    chart: str,
    version: str,
    repository: str | None,
    values: Mapping[str, Any],
    seconds: int,
    labels: Mapping[str, str] | None = None,
) -> Installed:
    """Create the namespace and the release, and wait until its pods are ready, at most `seconds`.

    `chart` is a folder or a name in `repository`; `labels` are the namespace's.
    """
    created = kubernetes.core.v1.Namespace(
        f"{name}-namespace",
        metadata={"name": namespace, **({"labels": labels} if labels else {})},
        opts=cluster.child(parent),
    )
    in_namespace: pulumi.Output[str] = created.metadata["name"]
    installed = kubernetes.helm.v3.Release(
        f"{name}-release",
        name=release,
        chart=chart,
        version=version,
        repository_opts=kubernetes.helm.v3.RepositoryOptsArgs(repo=repository) if repository else None,
        namespace=in_namespace,
        values=values,
        timeout=seconds,
        opts=cluster.child(parent),
    )
    return Installed(namespace=in_namespace, release=installed)
