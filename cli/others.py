"""What others have put into the namespaces that `destroy` would delete, in clusters that exist.

A namespace is deleted with everything that is in it. What the state knows is this environment's; so is what
Kubernetes, a controller or Helm made for that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cli import preflight
from cli.engine import Engine
from cli.errors import UserError
from cli.observe.api import Api, ApiError, ClientConfig, open_apis
from cli.observe.client_config import client_configs
from cli.observe.services import MANAGED_BY, WRITER
from cli.observe.view import HUB, Object, key_of, labels_of, meta

KINDS = {
    "Deployment": "apis/apps/v1/namespaces/{}/deployments",
    "StatefulSet": "apis/apps/v1/namespaces/{}/statefulsets",
    "DaemonSet": "apis/apps/v1/namespaces/{}/daemonsets",
    "Job": "apis/batch/v1/namespaces/{}/jobs",
    "CronJob": "apis/batch/v1/namespaces/{}/cronjobs",
    "Pod": "api/v1/namespaces/{}/pods",
    "Service": "api/v1/namespaces/{}/services",
    "ConfigMap": "api/v1/namespaces/{}/configmaps",
    "Secret": "api/v1/namespaces/{}/secrets",
    "PersistentVolumeClaim": "api/v1/namespaces/{}/persistentvolumeclaims",
}
"""What people work with. Custom resources are not looked for: there is no end of their kinds."""

OURS = frozenset({WRITER, HUB})
"""Who derives objects for imports."""
SHOWN = 20


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """What the state knows: namespaces that would be deleted, and objects in them, each by cluster."""

    namespaces: frozenset[tuple[str, str]]
    objects: frozenset[tuple[str, str, str]]


def recorded(resources: Iterable[Object]) -> Recorded:
    """What the state says of clusters that exist.

    What is in a cluster made here goes with that. Namespaces inside a component (of the mesh, of Dapr) are
    nobody else's.
    """
    resources = list(resources)
    clusters = _clusters(resources)
    namespaces, objects = set(), set()
    for resource in resources:
        kind = str(resource["type"]).rpartition(":")[2]
        if not str(resource["type"]).startswith("kubernetes:") or resource.get("deletedWith"):
            continue
        if not resource.get("provider"):  # a component, such as a folder of manifests: its objects are listed
            continue
        cluster = clusters[_urn_of(resource["provider"])]
        if kind == "Namespace" and "$" not in resource["urn"] and not resource.get("retainOnDelete"):
            namespaces.add((cluster, str(resource["id"])))
        objects.add((cluster, kind, str(resource["id"])))
    return Recorded(namespaces=frozenset(namespaces), objects=frozenset(objects))


def _clusters(resources: Iterable[Object]) -> dict[str, str]:
    """The cluster of each Kubernetes provider, by the provider's URN.

    Manifests have providers of their own. Those of one cluster have one identifier, and the cluster's name is
    that of the first, which the others have in front of theirs.
    """
    names: dict[str, str] = {}
    identifiers: dict[str, str] = {}
    for resource in resources:
        if resource["type"] == "pulumi:providers:kubernetes":
            urn = str(resource["urn"])
            identifier = str((resource.get("inputs") or {}).get("clusterIdentifier", urn))
            identifiers[urn] = identifier
            name = urn.rpartition("::")[2].removesuffix("-kubernetes")
            names[identifier] = min(names.get(identifier, name), name, key=len)
    return {urn: names[identifier] for urn, identifier in identifiers.items()}


def _urn_of(reference: Any) -> str:
    """The URN in a reference to a provider, behind which is its id."""
    return str(reference).rpartition("::")[0]


def foreign(cluster: str, kind: str, found: Iterable[Object], state: Recorded) -> Iterator[str]:
    """Those of the objects that somebody else made, as `Kind namespace/name in cluster`."""
    for one in found:
        namespace, name = key_of(one)
        made_for_another = (
            bool(meta(one).get("ownerReferences"))
            or labels_of(one).get(MANAGED_BY) in OURS
            or (kind == "ConfigMap" and name == "kube-root-ca.crt")
            or one.get("type") == "kubernetes.io/service-account-token"
            or (cluster, "Release", _release_of(one)) in state.objects
        )
        if not made_for_another and (cluster, kind, f"{namespace}/{name}") not in state.objects:
            yield f"{kind} {namespace}/{name} in {cluster}"


def _release_of(one: Object) -> str:
    """`namespace/name` of the Helm release that an object is of, or that it keeps for Helm; else nothing."""
    if one.get("type") == "helm.sh/release.v1":
        return f"{meta(one).get('namespace')}/{labels_of(one).get('name')}"
    said = meta(one).get("annotations") or {}
    return f"{said.get('meta.helm.sh/release-namespace')}/{said.get('meta.helm.sh/release-name')}"


def of_others(engine: Engine) -> list[str]:
    """What others have in namespaces that would be deleted; a cluster that does not answer is listed, too."""
    resources = engine.resources()
    state = recorded(resources)
    if not state.namespaces:
        return []
    return asyncio.run(_look(engine, state, _configs(engine)))


def _configs(engine: Engine) -> Mapping[str, ClientConfig]:
    """How clusters are reached; what their `up` said of it, when the settings have a mistake now."""
    try:
        chosen = preflight.checked_settings(engine.toolchain.paths, engine.environment)
    except UserError:
        known_ones: dict[str, str] = engine.secret_outputs().get("kubeconfigs") or {}
        return {name: ClientConfig(text) for name, text in known_ones.items()}
    return client_configs(engine, chosen)[0]


async def _look(engine: Engine, state: Recorded, configs: Mapping[str, ClientConfig]) -> list[str]:
    names = sorted({cluster for cluster, _ in state.namespaces})
    wanted = {name: config for name, config in configs.items() if name in names}
    async with open_apis(wanted, engine.toolchain.env) as apis:
        found = await asyncio.gather(*(_of_cluster(name, apis.get(name), state) for name in names))
    return [line for lines in found for line in lines]


async def _of_cluster(name: str, api: Api | None, state: Recorded) -> list[str]:
    if api is None:
        return [f"whatever is in {name}: there is no kubeconfig of it"]
    lines: list[str] = []
    for namespace in sorted(namespace for cluster, namespace in state.namespaces if cluster == name):
        for kind, path in KINDS.items():
            try:
                listed = (await api.json(f"/{path.format(namespace)}"))["items"]
            except ApiError as error:
                return [*lines, f"whatever is in {name}: {error}"]
            lines += foreign(name, kind, listed, state)
    return lines
