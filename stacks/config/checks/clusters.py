"""Rules about clusters: roles, names, and what each source needs."""

from __future__ import annotations

from collections.abc import Iterator

from stacks.config.model import ClusterSettings, Settings
from stacks.config.problem import Problem, once


def one_control_plane(settings: Settings) -> Iterator[Problem]:
    """Exactly one cluster runs the hub, at least one joins it."""
    planes = [index for index, cluster in enumerate(settings.clusters) if cluster.role == "control-plane"]
    if not planes:
        yield Problem(
            "clusters", None, "no cluster has role control-plane", "Give one cluster `role: control-plane`."
        )
    for index in planes[1:]:
        yield Problem(
            f"clusters[{index}].role",
            "control-plane",
            f"{settings.clusters[planes[0]].name} already is the control plane",
            "Make all but one cluster `role: member`.",
        )
    if not settings.members:
        yield Problem("clusters", None, "no cluster has role member", "Add a cluster with `role: member`.")


def unique_names(settings: Settings) -> Iterator[Problem]:
    """A name identifies a cluster in config, in Docker and in the state; it ends the cluster key, too."""
    first: dict[str, int] = {}
    for index, cluster in enumerate(settings.clusters):
        if cluster.name in first:
            yield Problem(
                f"clusters[{index}].name",
                cluster.name,
                f"clusters[{first[cluster.name]}] has the same name",
                "Rename one of them.",
            )
        first.setdefault(cluster.name, index)


def cluster_sources(settings: Settings) -> Iterator[Problem]:
    """Each source has keys it needs and keys that mean nothing to it."""
    needed = {
        "k3d": ("api_port", "http_port"),
        "existing": ("kubeconfig", "context", "gateway_host", "gateway_port"),
    }
    foreign = {
        "k3d": (*needed["existing"], "api_server", "cluster_domain"),
        "existing": (*needed["k3d"], "pod_cidr", "service_cidr"),
    }
    for index, cluster in enumerate(settings.clusters):
        for field in needed[cluster.source]:
            if getattr(cluster, field) is None:
                yield Problem(
                    f"clusters[{index}].{_alias(cluster, field)}",
                    None,
                    f"missing for cluster {cluster.name} with source {cluster.source}",
                    f"Set it: {_about(cluster, field)}",
                )
        for field in foreign[cluster.source]:
            value = getattr(cluster, field)
            if value is not None:
                yield Problem(
                    f"clusters[{index}].{_alias(cluster, field)}",
                    value,
                    f"has no meaning for source {cluster.source}",
                    "Remove it, or change `source`.",
                )
        if cluster.source == "existing" and not settings.images.registry:
            yield Problem(
                "images.registry",
                None,
                f"cluster {cluster.name} already exists and cannot be handed images by k3d",
                "Set a registry path its nodes can pull from, such as registry.example.org/multicluster.",
            )


def reached_apart(settings: Settings) -> Iterator[Problem]:
    """Clusters that exist are different ones, and so are their gateways."""
    contexts: dict[tuple[str | None, str | None], str] = {}
    gateways: dict[tuple[str | None, int | None], str] = {}
    for index, cluster in enumerate(settings.clusters):
        if cluster.source != "existing":
            continue
        context = (cluster.kubeconfig, cluster.context)
        if None not in context and context in contexts:
            yield Problem(
                f"clusters[{index}].context",
                cluster.context,
                f"{contexts[context]} is the same cluster: the same context of the same kubeconfig",
                "Name another context, or remove one of the two.",
            )
        for field, port in (("gatewayHost", cluster.gateway_port), ("peersPort", cluster.peers_port)):
            gateway = (cluster.gateway_host, port)
            if None not in gateway and gateways.setdefault(gateway, cluster.name) != cluster.name:
                yield Problem(
                    f"clusters[{index}].{field}",
                    f"{cluster.gateway_host}:{port}",
                    f"{gateways[gateway]} has its gateway there",
                    "Give each gateway its own host or port.",
                )
        contexts.setdefault(context, cluster.name)


def members_may_export(settings: Settings) -> Iterator[Problem]:
    """What a member may export is said to the hub, and holds for the exports of the settings as well."""
    allowed = {cluster.name: cluster.may_export for cluster in settings.clusters}
    for index, cluster in enumerate(settings.clusters):
        if cluster.may_export is None:
            continue
        where = f"clusters[{index}].mayExport"
        if cluster.role == "control-plane":
            reason = "has no meaning for the control plane, whose word it is"
            yield Problem(where, None, reason, "Remove it.")
        elif settings.mesh == "flomesh":
            yield Problem(where, None, "has no meaning for FSM's hub", "Remove it, or use `mesh: bundled`.")
        yield from once(where, cluster.may_export)
    for index, export in enumerate(settings.exports):
        for name in export.clusters:
            namespaces = allowed.get(name)
            if namespaces is not None and export.namespace not in namespaces:
                yield Problem(
                    f"exports[{index}].namespace",
                    export.namespace,
                    f"mayExport of {name} has only {', '.join(namespaces) or 'nothing'}",
                    "Add it there, or export from another cluster.",
                )


def versions_fit_the_mesh(settings: Settings) -> Iterator[Problem]:
    """The CRDs of the bundled mesh have CEL rules, which Kubernetes validates from 1.25 on."""
    on_k3d = any(cluster.source == "k3d" for cluster in settings.clusters)
    if settings.versions == "article" and settings.mesh == "bundled" and on_k3d:
        yield Problem(
            "versions",
            settings.versions,
            "the article's k3s is Kubernetes 1.23, and the bundled mesh needs 1.25",
            "Use `mesh: flomesh`, or `versions: current`.",
        )


def _alias(cluster: ClusterSettings, field: str) -> str:
    return str(type(cluster).model_fields[field].alias)


def _about(cluster: ClusterSettings, field: str) -> str:
    return str(type(cluster).model_fields[field].description).split(": ", 1)[-1]
