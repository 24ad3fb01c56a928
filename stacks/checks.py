"""Rules between settings. Each yields every breach it finds, so that one run shows them all."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator

from stacks.model import AppSettings, ClusterSettings, PolicyTarget, Settings
from stacks.problem import Problem

# Where k3s puts pods and services; the Docker network must not cover them or nodes cannot reach either.
K3S_RANGES = ("10.42.0.0/16", "10.43.0.0/16")
# What the demo apps serve: Service port by app.
APP_PORTS = {"nodeapp": 3000, "curl": 80}

Check = Callable[[Settings], Iterable[Problem]]


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
    """A name identifies a cluster in config, in Docker and in the state."""
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
    foreign = {"k3d": (*needed["existing"], "api_server"), "existing": needed["k3d"]}
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


def unique_ports(settings: Settings) -> Iterator[Problem]:
    """Everything published shares the same host addresses."""
    owners: dict[int, str] = {}
    uses = [
        (f"clusters[{index}].{key}", port)
        for index, cluster in enumerate(settings.clusters)
        for key, port in (("apiPort", cluster.api_port), ("httpPort", cluster.http_port))
        if port is not None
    ]
    if settings.redis.mode == "container":
        uses.append(("redis.port", settings.redis.port))
    for path, port in uses:
        if port in owners:
            yield Problem(path, port, f"{owners[port]} has the same port", "Give each its own host port.")
        owners.setdefault(port, path)


def subnet_is_free(settings: Settings) -> Iterator[Problem]:
    """The Docker network stays clear of the ranges inside the clusters."""
    subnet = ipaddress.IPv4Network(settings.network.subnet)
    for text in K3S_RANGES:
        if subnet.overlaps(ipaddress.IPv4Network(text)):
            yield Problem(
                "network.subnet",
                settings.network.subnet,
                f"overlaps {text}, which the clusters use inside",
                "Choose another private range, such as 172.28.0.0/16.",
            )


def redis_fits_its_mode(settings: Settings) -> Iterator[Problem]:
    """An external Redis has an address and a password, one in a cluster an address, a container neither."""
    redis = settings.redis
    if redis.mode != "container" and not redis.host:
        yield Problem("redis.host", None, f"missing for mode {redis.mode}", "Set its host name or address.")
    if redis.mode == "external" and settings.redis_password is None:
        way_out = "Set it with `pulumi config set --secret redisPassword`."
        yield Problem("redisPassword", None, "missing for redis.mode external", way_out)
    if redis.mode == "container" and redis.host:
        way_out = "Remove it, or choose another mode."
        yield Problem("redis.host", redis.host, "has no meaning for mode container", way_out)
    on_k3d = any(cluster.role == "control-plane" and cluster.source == "k3d" for cluster in settings.clusters)
    if redis.mode == "statefulset" and on_k3d:
        reason = "the control plane is made by k3d, which publishes no port for it"
        yield Problem("redis.mode", redis.mode, reason, "Use `mode: container`.")


def apps_run_on_members(settings: Settings) -> Iterator[Problem]:
    """Apps need Dapr, which only members have; one app is on a cluster once."""
    seen: dict[tuple[str, str, str], str] = {}
    for index, app in enumerate(settings.apps):
        path = f"apps[{index}].clusters"
        yield from _members_only(settings, path, app.clusters)
        for cluster in app.clusters:
            at = (app.app, cluster, app.namespace)
            if at in seen:
                yield Problem(
                    path, cluster, f"{seen[at]} already puts {app.app} there", "Remove one of them."
                )
            seen.setdefault(at, path)


def exports_have_apps(settings: Settings) -> Iterator[Problem]:
    """An export names a service that an app provides on that cluster, by a port it has."""
    seen: dict[tuple[str, str, str], str] = {}
    for index, export in enumerate(settings.exports):
        path = f"exports[{index}]"
        yield from _members_only(settings, f"{path}.clusters", export.clusters)
        for cluster in export.clusters:
            at = (cluster, export.namespace, export.service)
            if at in seen:
                yield Problem(
                    f"{path}.clusters", cluster, f"{seen[at]} exports it already", "Remove one of them."
                )
            seen.setdefault(at, path)
            if not any(_provides(app, *at) for app in settings.apps):
                yield Problem(
                    f"{path}.service",
                    export.service,
                    f"no app provides {export.namespace}/{export.service} on {cluster}",
                    f"Add the app to `apps`, or take {cluster} out of the export.",
                )
        port = APP_PORTS.get(export.service)
        for number, rule in enumerate(export.rules):
            if port is not None and rule.port_number != port:
                yield Problem(
                    f"{path}.rules[{number}].portNumber",
                    rule.port_number,
                    f"service {export.service} has port {port}",
                    f"Write {port}.",
                )
        yield from _known_keys(settings, f"{path}.targetClusters", export.target_clusters)


def policies_make_sense(settings: Settings) -> Iterator[Problem]:
    """The rules of a GlobalTrafficPolicy, checked before the API server sees it."""
    seen: dict[tuple[str, str, str], str] = {}
    exported = {(export.namespace, export.service) for export in settings.exports}
    for index, policy in enumerate(settings.policies):
        path = f"policies[{index}]"
        at = (policy.cluster, policy.namespace, policy.name)
        if at in seen:
            yield Problem(
                path,
                None,
                f"{seen[at]} is for {policy.namespace}/{policy.name} on {policy.cluster} too",
                "Merge the two into one.",
            )
        seen.setdefault(at, path)
        if policy.cluster not in {cluster.name for cluster in settings.clusters}:
            yield Problem(f"{path}.cluster", policy.cluster, "no such cluster", _known_names(settings))
        if (policy.namespace, policy.name) not in exported:
            yield Problem(
                f"{path}.name",
                policy.name,
                f"no export is for {policy.namespace}/{policy.name}",
                "Add it to `exports`, or correct namespace and name.",
            )
        if policy.lb_type == "FailOver" and not policy.targets:
            yield Problem(
                f"{path}.targets", None, "FailOver needs a target", "List the clusters to fail over to."
            )
        if policy.lb_type == "Locality" and len(policy.targets) > 1:
            yield Problem(
                f"{path}.targets",
                len(policy.targets),
                "Locality takes at most one target",
                "Keep one target, or use FailOver or ActiveActive.",
            )
        yield from _targets(settings, f"{path}.targets", policy.targets)
        keys = [target.cluster_key or target.cluster for target in policy.targets]
        for key in dict.fromkeys(key for key in keys if key and keys.count(key) > 1):
            yield Problem(
                f"{path}.targets", key, "listed more than once", "Keep one entry with the weight you want."
            )


def weights_fit_the_mesh(settings: Settings) -> Iterator[Problem]:
    """FSM's admission fails on a target without a weight (fixed after the article's version)."""
    if settings.mesh != "flomesh":
        return
    for index, policy in enumerate(settings.policies):
        for number, target in enumerate(policy.targets):
            if policy.lb_type == "ActiveActive" and target.weight is None:
                yield Problem(
                    f"policies[{index}].targets[{number}].weight",
                    None,
                    "missing, and the flomesh mesh has no default",
                    "Write 100.",
                )


# Each check with the settings it reads: it runs only when all of them are valid on their own.
CHECKS: tuple[tuple[Check, frozenset[str]], ...] = (
    (one_control_plane, frozenset({"clusters"})),
    (unique_names, frozenset({"clusters"})),
    (cluster_sources, frozenset({"clusters", "images"})),
    (unique_ports, frozenset({"clusters", "redis"})),
    (subnet_is_free, frozenset({"network"})),
    (redis_fits_its_mode, frozenset({"clusters", "redis", "redis_password"})),
    (apps_run_on_members, frozenset({"clusters", "apps"})),
    (exports_have_apps, frozenset({"clusters", "apps", "exports"})),
    (policies_make_sense, frozenset({"clusters", "exports", "policies"})),
    (weights_fit_the_mesh, frozenset({"mesh", "clusters", "policies"})),
)


def _alias(cluster: ClusterSettings, field: str) -> str:
    return str(type(cluster).model_fields[field].alias)


def _about(cluster: ClusterSettings, field: str) -> str:
    return str(type(cluster).model_fields[field].description).split(": ", 1)[-1]


def _provides(app: AppSettings, cluster: str, namespace: str, service: str) -> bool:
    return app.app == service and app.namespace == namespace and cluster in app.clusters


def _known_names(settings: Settings) -> str:
    return f"Known: {', '.join(cluster.name for cluster in settings.clusters)}."


def _members_only(settings: Settings, path: str, names: Iterable[str]) -> Iterator[Problem]:
    members = {cluster.name for cluster in settings.members}
    known = {cluster.name for cluster in settings.clusters}
    for name in names:
        if name not in known:
            yield Problem(path, name, "no such cluster", _known_names(settings))
        elif name not in members:
            yield Problem(path, name, "is the control plane, which runs no apps", "Use a member.")


def _targets(settings: Settings, path: str, targets: Iterable[PolicyTarget]) -> Iterator[Problem]:
    names = {cluster.name for cluster in settings.clusters}
    for index, target in enumerate(targets):
        where = f"{path}[{index}]"
        if (target.cluster is None) == (target.cluster_key is None):
            yield Problem(where, None, "needs either cluster or clusterKey", "Give exactly one of them.")
        elif target.cluster is not None and target.cluster not in names:
            yield Problem(f"{where}.cluster", target.cluster, "no such cluster", _known_names(settings))
        elif target.cluster_key is not None:
            yield from _known_keys(settings, f"{where}.clusterKey", [target.cluster_key])


def _known_keys(settings: Settings, path: str, keys: Iterable[str]) -> Iterator[Problem]:
    known = [cluster.key for cluster in settings.clusters]
    for key in keys:
        if key not in known:
            yield Problem(path, key, "no cluster has this key", f"Known: {', '.join(known)}.")
