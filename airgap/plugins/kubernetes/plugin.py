"""The kubernetes provider: its configuration, and which part serves which resource."""

import json
import os
from typing import Any

import yaml

from airgap.plugins.base.diff import Diff, compare
from airgap.plugins.base.logs import Log
from airgap.plugins.base.provider import Failure, Provider, ProviderError, Request, UnknownFunctionError
from airgap.plugins.base.server import serve as serve_provider
from airgap.plugins.base.values import UNKNOWN, drop_nulls, plain
from airgap.plugins.kubernetes.access import KubeconfigError, active_cluster, load, load_text
from airgap.plugins.kubernetes.client import ApiError, Client, NoKindError, probe
from airgap.plugins.kubernetes.objects import (
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

VERSION = "4.34.2"

_CLUSTER_KEYS = ("kubeconfig", "context", "cluster")
_UNREACHABLE_HINT = (
    "configured Kubernetes cluster is unreachable. If the cluster was deleted, you can remove this "
    "resource from Pulumi state by rerunning the operation with the PULUMI_K8S_DELETE_UNREACHABLE "
    'environment variable set to "true"'
)
# Provider arguments that change what happens and that no part of this stand-in honours.
_REFUSED = ("renderYamlToDirectory", "alwaysRender", "strictMode")
# Built-in kinds without a namespace, for clusters that cannot be asked.
_CLUSTER_SCOPED = """
    Namespace Node PersistentVolume ClusterRole ClusterRoleBinding CustomResourceDefinition StorageClass
    PriorityClass IngressClass RuntimeClass APIService MutatingWebhookConfiguration
    ValidatingWebhookConfiguration ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding
"""


class KubernetesProvider(Provider):
    """One process of it serves one provider resource, so it knows exactly one cluster."""

    name = "kubernetes"
    version = VERSION

    def __init__(self) -> None:
        super().__init__()
        self._resources: Resources | None = None
        self._releases: Releases | None = None
        self._unreachable = "the provider is not configured"
        self._default_namespace = ""
        self._flags: dict[str, bool] = {}

    async def check_config(self, inputs: dict[str, Any]) -> tuple[dict[str, Any], list[Failure]]:
        """Refuse the arguments this stand-in would otherwise silently ignore."""
        failures = [
            Failure(name, f"the closed network's kubernetes plugin does not support {name}; leave it out")
            for name in _REFUSED
            if plain(inputs.get(name)) not in (None, "", "false", False)
        ]
        if plain(inputs.get("enableServerSideApply")) in ("false", False):
            reason = "the closed network's kubernetes plugin always uses server-side apply; leave it out"
            failures.append(Failure("enableServerSideApply", reason))
        return inputs, failures

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
        for name in (
            "deleteUnreachable",
            "skipUpdateUnreachable",
            "enablePatchForce",
            "upsertExistingObjects",
        ):
            self._flags[name] = _flag(variables, name)
        for name in ("enableConfigMapMutable", "enableSecretMutable"):
            self._flags[name] = _flag(variables, name)
        try:
            access = await load(
                variables.get("kubeconfig", ""), variables.get("context", ""), variables.get("cluster", "")
            )
        except KubeconfigError as error:
            self._unreachable = str(error)
            self._default_namespace = variables.get("namespace", "")
            return
        self._default_namespace = variables.get("namespace") or access.namespace or "default"
        client = Client(access)
        self._unreachable = await probe(client)
        if self._unreachable:
            await client.close()
        else:
            self._resources = Resources(
                client, self.cancelled, self._flags["enablePatchForce"], self._flags["upsertExistingObjects"]
            )
            settings = json.loads(variables.get("helmReleaseSettings") or "{}")
            self._releases = Releases(client, self.cancelled, self._default_namespace, settings)

    async def invoke(
        self, token: str, args: dict[str, Any], log: Log
    ) -> tuple[dict[str, Any], list[Failure]]:
        """No function of the package is needed by this program."""
        del args, log
        raise UnknownFunctionError(f"the closed network's kubernetes plugin has no function {token}")

    async def check(self, request: Request) -> tuple[dict[str, Any], list[Failure]]:
        """Name, namespace, canonical form; refuse what is not covered."""
        if self._unreachable and self._flags.get("skipUpdateUnreachable"):
            request.log.warning(
                "Cluster is unreachable but skipUpdateUnreachable flag is set to true, skipping..."
            )
            return request.old_inputs, []
        if request.type == RELEASE:
            return await self._release_part().check(request) if self._releases else (request.inputs, [])
        kind_name = str(plain(request.inputs.get("kind", "")))
        if kind_name.endswith("List"):
            raise ProviderError(
                "list resources exist for compatibility with YAML manifests and Helm charts, and cannot be "
                "created directly. Use the underlying resource type instead"
            )
        api_version, _, patch = group_version_kind(request.type, kind_name)
        values = canonical_inputs(plain(drop_nulls(dashed(request.inputs))))
        if patch and not metadata(values).get("name"):
            raise ProviderError("patch resources require the `.metadata.name` field to be set")
        values, failures = assign_name(request, values, dashed(plain(request.old_inputs)))
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
        return kind_name not in _CLUSTER_SCOPED.split()

    async def diff(self, request: Request) -> Diff:
        """See `diff_objects`; releases have their own rules."""
        if request.type == RELEASE:
            return Releases.diff(request)
        kind_name = str(plain(request.inputs.get("kind", "")))
        api_version, kind_name, patch = group_version_kind(request.type, kind_name)
        return diff_objects(
            request,
            namespaced=await self._namespaced(api_version, kind_name),
            patch=patch,
            secret_mutable=self._flags.get("enableSecretMutable", False),
            config_map_mutable=self._flags.get("enableConfigMapMutable", False),
        )

    async def create(self, request: Request) -> tuple[str, dict[str, Any]]:
        """Make an object or a release."""
        if request.preview and (self._unreachable or request.type == RELEASE):
            inputs = request.inputs
            return "", Releases.preview(inputs) if request.type == RELEASE else inputs
        self._require_cluster()
        if request.type == RELEASE:
            return await self._release_part().create(request)
        return await self._object_part().create(request)

    async def update(self, request: Request) -> dict[str, Any]:
        """Change an object or upgrade a release."""
        if request.preview and (self._unreachable or request.type == RELEASE):
            return Releases.preview(request.inputs) if request.type == RELEASE else request.inputs
        if self._unreachable and self._flags.get("skipUpdateUnreachable"):
            return request.state
        self._require_cluster()
        if request.type == RELEASE:
            return await self._release_part().update(request)
        return await self._object_part().update(request)

    async def read(self, request: Request) -> tuple[str, dict[str, Any], dict[str, Any]]:
        """Look at an object or a release."""
        if self._unreachable:
            if self._flags.get("skipUpdateUnreachable"):
                return request.id, request.state, request.old_inputs
            self._warn_unreachable(request)
            if self._flags.get("deleteUnreachable"):
                return "", {}, {}
            raise ProviderError(_UNREACHABLE_HINT)
        if request.type == RELEASE:
            return await self._release_part().read(request)
        return await self._object_part().read(request)

    async def delete(self, request: Request) -> None:
        """Remove an object or a release."""
        if self._unreachable:
            self._warn_unreachable(request)
            if self._flags.get("deleteUnreachable") and request.type != RELEASE:
                request.log.info(
                    "configured Kubernetes cluster is unreachable and the `deleteUnreachable` option is "
                    "enabled. Deleting the unreachable resource from Pulumi state"
                )
                return
            raise ProviderError(_UNREACHABLE_HINT)
        if request.type == RELEASE:
            await self._release_part().delete(request)
        else:
            await self._object_part().delete(request)

    def _warn_unreachable(self, request: Request) -> None:
        request.log.warning(f"configured Kubernetes cluster is unreachable: {self._unreachable}")

    def _require_cluster(self) -> None:
        if self._unreachable:
            raise ProviderError(f"configured Kubernetes cluster is unreachable: {self._unreachable}")

    def _object_part(self) -> Resources:
        if self._resources is None:
            raise ProviderError(f"configured Kubernetes cluster is unreachable: {self._unreachable}")
        return self._resources

    def _release_part(self) -> Releases:
        if self._releases is None:
            raise ProviderError(f"configured Kubernetes cluster is unreachable: {self._unreachable}")
        return self._releases


def _flag(variables: dict[str, str], name: str) -> bool:
    """A provider flag; its environment variable counts only when the argument is absent."""
    if name in variables:
        return variables[name] == "true"
    upper = "".join("_" + char if char.isupper() else char.upper() for char in name)
    return os.environ.get(f"PULUMI_K8S_{upper}") == "true"


def _cluster_entry(config: dict[str, Any]) -> dict[str, Any] | None:
    text = config.get("kubeconfig") or ""
    try:
        loaded = load_text(text)
    except (OSError, yaml.YAMLError) as error:
        raise KubeconfigError(f"failed to parse kubeconfig: {error}") from error
    return active_cluster(loaded, config.get("context") or "", config.get("cluster") or "")


async def serve(engine_address: str) -> None:
    """Run the plugin."""
    await serve_provider(KubernetesProvider, engine_address)
