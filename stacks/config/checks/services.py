"""Rules about apps, the services they provide, exports of these, and policies for those."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from stacks.config.model import AppSettings, PolicyTarget, Settings
from stacks.config.problem import Problem

# What the demo apps serve: Service port by app.
APP_PORTS = {"nodeapp": 3000, "curl": 80}


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
        yield from _keys_exist(settings, f"{path}.targetClusters", export.target_clusters)


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
            yield Problem(f"{path}.cluster", policy.cluster, "no such cluster", _cluster_names(settings))
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
        key_of = {cluster.name: cluster.key for cluster in settings.clusters}
        keys = [target.cluster_key or key_of.get(str(target.cluster)) for target in policy.targets]
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


def sidecars_can_be_asked(settings: Settings) -> Iterator[Problem]:
    """The bundled mesh alone asks Dapr's sidecars, and they pick the pod themselves."""
    if settings.dapr.invoke != "sidecar":
        return
    if settings.mesh != "bundled":
        yield Problem(
            "dapr.invoke",
            settings.dapr.invoke,
            f"the {settings.mesh} mesh goes to the apps' ports",
            "Write `app`, or use the bundled mesh.",
        )
    for index, export in enumerate(settings.exports):
        chosen = (
            ("sessionSticky", export.session_sticky, False),
            ("loadBalancer", export.load_balancer, "RoundRobinLoadBalancer"),
        )
        for name, value, default in chosen:
            if value == default:
                continue
            yield Problem(
                f"exports[{index}].{name}",
                value,
                "does nothing with `dapr.invoke: sidecar`, where Dapr picks the pod",
                "Leave it out, or write `invoke: app`.",
            )


def _provides(app: AppSettings, cluster: str, namespace: str, service: str) -> bool:
    return app.app == service and app.namespace == namespace and cluster in app.clusters


def _cluster_names(settings: Settings) -> str:
    return f"Choose from: {', '.join(cluster.name for cluster in settings.clusters)}."


def _members_only(settings: Settings, path: str, names: Iterable[str]) -> Iterator[Problem]:
    members = {cluster.name for cluster in settings.members}
    names_of_all = {cluster.name for cluster in settings.clusters}
    for name in names:
        if name not in names_of_all:
            yield Problem(path, name, "no such cluster", _cluster_names(settings))
        elif name not in members:
            yield Problem(path, name, "is the control plane, which runs no apps", "Use a member.")


def _targets(settings: Settings, path: str, targets: Iterable[PolicyTarget]) -> Iterator[Problem]:
    names = {cluster.name for cluster in settings.clusters}
    for index, target in enumerate(targets):
        where = f"{path}[{index}]"
        if (target.cluster is None) == (target.cluster_key is None):
            yield Problem(where, None, "needs either cluster or clusterKey", "Give exactly one of them.")
        elif target.cluster is not None and target.cluster not in names:
            yield Problem(f"{where}.cluster", target.cluster, "no such cluster", _cluster_names(settings))
        elif target.cluster_key is not None:
            yield from _keys_exist(settings, f"{where}.clusterKey", [target.cluster_key])


def _keys_exist(settings: Settings, path: str, keys: Iterable[str]) -> Iterator[Problem]:
    existing = [cluster.key for cluster in settings.clusters]
    for key in keys:
        if key not in existing:
            yield Problem(path, key, "no cluster has this key", f"Choose from: {', '.join(existing)}.")
