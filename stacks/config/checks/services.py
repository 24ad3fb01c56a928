"""Rules about apps, exports and policies. The Services that these two name may be anybody's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from stacks.config.model import Settings
from stacks.config.problem import Problem, once
from stacks.config.traffic import ExportSettings, PolicyTarget


def apps_run_on_members(settings: Settings) -> Iterator[Problem]:
    """Apps need Dapr, which only members have; one app is on a cluster once."""
    seen: dict[tuple[str, str, str], str] = {}
    for index, app in enumerate(settings.apps):
        path = f"apps[{index}].clusters"
        yield from members_only(settings, path, app.clusters)
        for cluster in app.clusters:
            at = (app.service, cluster, app.namespace)
            if at in seen:
                yield Problem(
                    path, cluster, f"{seen[at]} already puts {app.service} there", "Remove one of them."
                )
            seen.setdefault(at, path)


def exports_make_sense(settings: Settings) -> Iterator[Problem]:
    """A Service is exported once by a cluster, and one that an app of the settings has, by a port it has."""
    seen: dict[tuple[str, str, str], str] = {}
    for index, export in enumerate(settings.exports):
        path = f"exports[{index}]"
        yield from members_only(settings, f"{path}.clusters", export.clusters)
        for cluster in export.clusters:
            at = (cluster, export.namespace, export.service)
            if at in seen:
                yield Problem(
                    f"{path}.clusters", cluster, f"{seen[at]} exports it already", "Remove one of them."
                )
            seen.setdefault(at, path)
        yield from _ports_are_there(settings, path, export)
        yield from _keys_exist(settings, f"{path}.targetClusters", export.target_clusters)
        yield from once(f"{path}.targetClusters", export.target_clusters)


def _ports_are_there(settings: Settings, path: str, export: ExportSettings) -> Iterator[Problem]:
    """The ports of a Service that the settings make are said by them; those of others nobody says here."""
    for number, rule in enumerate(export.rules):
        for cluster in export.clusters:
            ports = settings.ports_of(cluster, export.namespace, export.service)
            if ports and rule.port_number not in ports:
                has = " and ".join(map(str, ports))
                yield Problem(
                    f"{path}.rules[{number}].portNumber",
                    rule.port_number,
                    f"service {export.service} has port {has}",
                    f"Write {' or '.join(map(str, ports))}.",
                )
                break


def namespaces_are_somewhere(settings: Settings) -> Iterator[Problem]:
    """A namespace that others made is said once, and of clusters there are."""
    names = [cluster.name for cluster in settings.clusters]
    yield from once("namespaces", (namespace.name for namespace in settings.namespaces))
    for index, namespace in enumerate(settings.namespaces):
        for name in namespace.clusters:
            if name not in names:
                yield _no_cluster(settings, f"namespaces[{index}].clusters", name)


def policies_make_sense(settings: Settings) -> Iterator[Problem]:
    """The rules of a GlobalTrafficPolicy, checked before the API server sees it."""
    seen: dict[tuple[str, str, str], str] = {}
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
            yield _no_cluster(settings, f"{path}.cluster", policy.cluster)
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
        yield from once(f"{path}.targets", filter(None, keys), "Keep one entry with the weight you want.")


def app_ids_fit_the_mesh(settings: Settings) -> Iterator[Problem]:
    """FSM does not know Dapr's app-ids."""
    for index, export in enumerate(settings.exports):
        if settings.mesh != "bundled" and export.app_id is not None:
            reason, hint = "has no meaning for FSM's hub", "Remove it, or use `mesh: bundled`."
            yield Problem(f"exports[{index}].appId", export.app_id, reason, hint)


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
    asked = [(index, export) for index, export in enumerate(settings.exports) if settings.app_id(export)]
    for index, export in asked:
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


def _no_cluster(settings: Settings, path: str, name: str) -> Problem:
    hint = f"Choose from: {', '.join(cluster.name for cluster in settings.clusters)}."
    return Problem(path, name, "no such cluster", hint, of_every="clusters")


def members_only(settings: Settings, path: str, names: Iterable[str]) -> Iterator[Problem]:
    """A problem for each name that is no member's."""
    members = {cluster.name for cluster in settings.members}
    names_of_all = {cluster.name for cluster in settings.clusters}
    for name in names:
        if name not in names_of_all:
            yield _no_cluster(settings, path, name)
        elif name not in members:
            yield Problem(path, name, "is the control plane, which runs no apps", "Use a member.")


def _targets(settings: Settings, path: str, targets: Iterable[PolicyTarget]) -> Iterator[Problem]:
    names = {cluster.name for cluster in settings.clusters}
    for index, target in enumerate(targets):
        where = f"{path}[{index}]"
        if (target.cluster is None) == (target.cluster_key is None):
            yield Problem(where, None, "needs either cluster or clusterKey", "Give exactly one of them.")
        elif target.cluster is not None and target.cluster not in names:
            yield _no_cluster(settings, f"{where}.cluster", target.cluster)
        elif target.cluster_key is not None:
            yield from _keys_exist(settings, f"{where}.clusterKey", [target.cluster_key])


def _keys_exist(settings: Settings, path: str, keys: Iterable[str]) -> Iterator[Problem]:
    existing = [cluster.key for cluster in settings.clusters]
    for key in keys:
        if key not in existing:
            yield Problem(
                path, key, "no cluster has this key", f"Choose from: {', '.join(existing)}.", "clusters"
            )
