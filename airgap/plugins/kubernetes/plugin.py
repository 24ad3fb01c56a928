"""The kubernetes provider: its configuration, and which part serves which resource."""

import os
from typing import Any

import yaml

from airgap.plugins.base.diff import Diff, compare
from airgap.plugins.base.provider import (
    Failure,
    Provider,
    ProviderError,
    Request,
    refuse_unknown,
)
from airgap.plugins.base.server import serve as serve_provider
from airgap.plugins.base.values import UNKNOWN, drop_nulls, plain
from airgap.plugins.kubernetes.access import KubeconfigError, active_cluster, load, load_text
from airgap.plugins.kubernetes.client import ApiError, Client, NoKindError, probe
from airgap.plugins.kubernetes.kinds import namespaced_by_default, refusal
from airgap.plugins.kubernetes.objects import (
    annotation,
    assign_name,
    canonical_inputs,
    dashed,
    diff_objects,
    group_version_kind,
    mark_secrets,
    metadata,
)
from airgap.plugins.kubernetes.release import RELEASE, Releases
from airgap.plugins.kubernetes.resources import Resources

_CLUSTER_KEYS = ("kubeconfig", "context", "cluster")
_FLAGS = ("deleteUnreachable", "enablePatchForce", "enableSecretMutable", "upsertExistingObjects")
_CONFIG = (*_CLUSTER_KEYS, *_FLAGS, "clusterIdentifier", "namespace", "version", "pluginDownloadURL")
# Annotations that change what the official plugin does and that no part of this stand-in honours.
_REFUSED_ANNOTATIONS = ("pulumi.com/patchFieldManager", "pulumi.com/replaceUnready")
_UNREACHABLE_HINT = (
    "configured Kubernetes cluster is unreachable. If the cluster was deleted, you can remove this "
    "resource from Pulumi state by rerunning the operation with the PULUMI_K8S_DELETE_UNREACHABLE "
    'environment variable set to "true"'
)


class KubernetesProvider(Provider):
    """One process of it serves one provider resource, so it knows exactly one cluster."""

    name = "kubernetes"
    version = "4.34.2"

    def __init__(self) -> None:
        super().__init__()
        self._resources: Resources | None = None
        self._releases: Releases | None = None
        self._unreachable = "the provider is not configured"
        self._default_namespace = ""
        self._delete_unreachable = False
        self._secret_mutable = False

    async def check_config(self, inputs: dict[str, Any]) -> tuple[dict[str, Any], list[Failure]]:
        """Refuse the arguments this stand-in would otherwise silently ignore."""
        given = [name for name, value in inputs.items() if plain(value) not in (None, "", "false", False)]
        return inputs, refuse_unknown("kubernetes", "Provider", given, _CONFIG)

    async def diff_config(self, request: Request) -> Diff:
        """A provider is replaced only when it points to another cluster."""
        old = plain(request.old_inputs or request.state)
        new = plain(request.inputs)
        changes = {path[:1]: change for path, change in compare(old, new).items()}
        replaces = {(key,) for key in _CLUSTER_KEYS if new.get(key) is UNKNOWN}
        if not replaces and any((key,) in changes for key in _CLUSTER_KEYS):
            try:
                moved = _cluster_entry(old) != _cluster_entry(new)
            except KubeconfigError as error:
                raise ProviderError(str(error)) from error
            if moved:
                replaces = {(key,) for key in _CLUSTER_KEYS if (key,) in changes}
        old_id, new_id = old.get("clusterIdentifier"), new.get("clusterIdentifier")
        if old_id and new_id:
            replaces = {("clusterIdentifier",)} if old_id != new_id else set()
        return Diff(changes, {path for path in replaces if path in changes})

    async def configure(self, variables: dict[str, str]) -> None:
        """Find the cluster; one that cannot be reached is not an error yet."""
        delete_unreachable, force, mutable, upsert = (_flag(variables, name) for name in _FLAGS)
        self._delete_unreachable, self._secret_mutable = delete_unreachable, mutable
        self._default_namespace = variables.get("namespace", "")
        try:
            access = await load(*(variables.get(key, "") for key in _CLUSTER_KEYS))
        except KubeconfigError as error:
            self._unreachable = str(error)
            return
        self._default_namespace = self._default_namespace or access.namespace or "default"
        client = Client(access)
        self._unreachable = await probe(client)
        if self._unreachable:
            await client.close()
            return
        self._resources = Resources(client, self.cancelled, force, upsert)
        self._releases = Releases(client, self.cancelled, self._default_namespace)

    async def check(self, request: Request) -> tuple[dict[str, Any], list[Failure]]:
        """Name, namespace, canonical form; refuse what is not covered."""
        if request.type == RELEASE:
            return await self._releases.check(request) if self._releases else (request.inputs, [])
        values = canonical_inputs(plain(drop_nulls(dashed(request.inputs))))
        kind_name = str(values.get("kind", ""))
        api_version, kind_name, patch = group_version_kind(request.type, kind_name)
        if failures := refusal(request.type, api_version, kind_name):
            return request.inputs, failures
        if patch and not metadata(values).get("name"):
            raise ProviderError("patch resources require the `.metadata.name` field to be set")
        values, failures = assign_name(request, values, dashed(plain(request.old_inputs)))
        failures += [
            Failure(
                f'metadata.annotations["{name}"]',
                f"the closed network's kubernetes plugin does not cover the annotation {name}; leave it out",
            )
            for name in _REFUSED_ANNOTATIONS
            if annotation(values, name)
        ]
        meta = values.get("metadata")
        homeless = isinstance(meta, dict) and not meta.get("namespace")
        if homeless and self._default_namespace and await self._namespaced(api_version, kind_name):
            values["metadata"] = {**metadata(values), "namespace": self._default_namespace}
        return mark_secrets(dashed(request.inputs), values), failures

    async def _namespaced(self, api_version: str, kind_name: str) -> bool:
        """Whether a kind lives in namespaces; what nobody knows (yet) is assumed to."""
        if self._resources is not None:
            try:
                return (await self._resources.client.kind(api_version, kind_name)).namespaced
            except (NoKindError, ApiError, OSError):
                pass
        return namespaced_by_default(kind_name)

    async def diff(self, request: Request) -> Diff:
        """See `diff_objects`; releases have their own rules."""
        if request.ignore_changes:
            raise ProviderError(
                "the closed network's kubernetes plugin does not cover ignoreChanges "
                f"({', '.join(request.ignore_changes)}); leave these fields out of the program instead"
            )
        if request.type == RELEASE:
            return Releases.diff(request)
        kind_name = str(plain(request.inputs.get("kind", "")))
        api_version, kind_name, _ = group_version_kind(request.type, kind_name)
        namespaced = await self._namespaced(api_version, kind_name)
        return diff_objects(request, namespaced=namespaced, secret_mutable=self._secret_mutable)

    async def create(self, request: Request) -> tuple[str, dict[str, Any]]:
        """Make an object or a release."""
        if request.preview and (self._unreachable or request.type == RELEASE):
            return "", Releases.preview(request.inputs) if request.type == RELEASE else request.inputs
        return await self._part(request).create(request)

    async def update(self, request: Request) -> dict[str, Any]:
        """Change an object or upgrade a release."""
        if request.preview and (self._unreachable or request.type == RELEASE):
            return Releases.preview(request.inputs) if request.type == RELEASE else request.inputs
        return await self._part(request).update(request)

    async def read(self, request: Request) -> tuple[str, dict[str, Any], dict[str, Any]]:
        """Look at an object or a release."""
        if not self._unreachable:
            return await self._part(request).read(request)
        self._warn_unreachable(request)
        if not self._delete_unreachable:
            raise ProviderError(_UNREACHABLE_HINT)
        return "", {}, {}

    async def delete(self, request: Request) -> None:
        """Remove an object or a release."""
        if not self._unreachable:
            await self._part(request).delete(request)
            return
        self._warn_unreachable(request)
        if not self._delete_unreachable or request.type == RELEASE:
            raise ProviderError(_UNREACHABLE_HINT)
        request.log.info(
            "configured Kubernetes cluster is unreachable and the `deleteUnreachable` option is "
            "enabled. Deleting the unreachable resource from Pulumi state"
        )

    def _warn_unreachable(self, request: Request) -> None:
        request.log.warning(f"configured Kubernetes cluster is unreachable: {self._unreachable}")

    def _part(self, request: Request) -> Resources | Releases:
        part = self._releases if request.type == RELEASE else self._resources
        if part is None:
            raise ProviderError(f"configured Kubernetes cluster is unreachable: {self._unreachable}")
        return part


def _flag(variables: dict[str, str], name: str) -> bool:
    """A provider flag; its environment variable counts only when the argument is absent."""
    if name in variables:
        return variables[name] == "true"
    upper = "".join("_" + char if char.isupper() else char.upper() for char in name)
    return os.environ.get(f"PULUMI_K8S_{upper}") == "true"


def _cluster_entry(config: dict[str, Any]) -> dict[str, Any] | None:
    try:
        loaded = load_text(config.get("kubeconfig") or "")
    except (OSError, yaml.YAMLError) as error:
        raise KubeconfigError(f"failed to parse kubeconfig: {error}") from error
    return active_cluster(loaded, config.get("context") or "", config.get("cluster") or "")


async def serve(engine_address: str) -> None:
    """Run the plugin."""
    await serve_provider(KubernetesProvider, engine_address)
