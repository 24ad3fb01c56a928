"""Charts and manifests of the settings, as components take them."""

from __future__ import annotations

from typing import Any

import pulumi

from components.app.chart import Chart, ChartArgs
from components.app.manifests import Manifests, ManifestsArgs
from stacks.config import packages
from stacks.config.apps import AppSettings
from stacks.config.packaged import ChartSettings, ManifestsSettings, overlaid
from stacks.program.prepared_cluster import PreparedCluster


def chart(
    member: PreparedCluster,
    app: AppSettings,
    wanted: ChartSettings,
    name: str,
    options: pulumi.ResourceOptions,
) -> None:
    """Create the release of an app on a member."""
    args = ChartArgs(
        cluster=member.cluster,
        namespace=member.namespace(app.namespace),
        release=wanted.release or app.service,
        chart=str(wanted.path or wanted.name),
        version=wanted.version,
        repository=wanted.repository,
        values=values(wanted),
        seconds=wanted.timeout_seconds,
        content=packages.content_id(wanted.path) if wanted.path is not None else None,
    )
    Chart(name, args, options)


def manifests(
    member: PreparedCluster,
    app: AppSettings,
    wanted: ManifestsSettings,
    name: str,
    options: pulumi.ResourceOptions,
) -> None:
    """Create the objects of an app on a member."""
    args = ManifestsArgs(
        cluster=member.cluster,
        namespace=member.namespace(app.namespace),
        files=wanted.files,
        kustomize=wanted.kustomize,
    )
    Manifests(name, args, options)


def values(wanted: ChartSettings) -> dict[str, Any]:
    """Values of the release; with one that is secret all are, in the state."""
    found = dict(wanted.values)
    for path, secret in wanted.secret_values.items():
        inner: Any = pulumi.Output.secret(secret.get_secret_value())
        for key in reversed(path.split(".")):
            inner = {key: inner}
        found = overlaid(found, inner)
    return found
