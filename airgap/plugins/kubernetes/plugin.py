"""The kubernetes provider: its configuration, and which part serves which resource."""

import functools
import os

import aiohttp

from airgap.plugins.base.diff import Diff, compare, top_level
from airgap.plugins.base.provider import (
    Failure,
    Part,
    Provider,
    ProviderError,
    Request,
    Values,
    refuse_unknown,
)
from airgap.plugins.base.server import serve as serve_provider
from airgap.plugins.base.values import UNKNOWN, plain
from airgap.plugins.kubernetes.access import KubeconfigError, entry, load, parse
from airgap.plugins.kubernetes.checks import Cluster
from airgap.plugins.kubernetes.client import ApiError, Client, NoKindError
from airgap.plugins.kubernetes.release import RELEASE, Releases
from airgap.plugins.kubernetes.resources import Resources
from airgap.plugins.kubernetes.unreachable import Unreachable

_CLUSTER_KEYS = ("kubeconfig", "context")
_FLAGS = ("deleteUnreachable", "enablePatchForce", "enableSecretMutable", "upsertExistingObjects")
CONFIG = (*_CLUSTER_KEYS, *_FLAGS, "clusterIdentifier", "version", "pluginDownloadURL")


class KubernetesProvider(Provider):
    """One process of it serves one provider resource, so it knows exactly one cluster."""

    name = "kubernetes"
    version = "4.34.2"

    def __init__(self) -> None:
        super().__init__()
        self._objects: Part = Unreachable(Cluster(), "the provider is not configured")
        self._releases: Part = self._objects

    def part(self, token: str) -> Part:
        """Every token but one is a kind of object."""
        return self._releases if token == RELEASE else self._objects

    async def check_config(self, inputs: Values) -> tuple[Values, list[Failure]]:
        """Refuse the arguments this stand-in would otherwise silently ignore."""
        given = [name for name, value in inputs.items() if plain(value) not in (None, "", "false", False)]
        return inputs, refuse_unknown("kubernetes", "Provider", given, CONFIG)

    async def diff_config(self, request: Request) -> Diff:
        """A provider is replaced only when it points to another cluster."""
        old, new = plain(request.old_inputs or request.state), plain(request.inputs)
        changes = top_level(compare(old, new))
        replaces = {(key,) for key in _CLUSTER_KEYS if new.get(key) is UNKNOWN}
        if not replaces and any((key,) in changes for key in _CLUSTER_KEYS) and _moved(old, new):
            replaces = {(key,) for key in _CLUSTER_KEYS}
        old_id, new_id = old.get("clusterIdentifier"), new.get("clusterIdentifier")
        if old_id and new_id:
            replaces = {("clusterIdentifier",)} if old_id != new_id else set()
        return Diff(changes, {path for path in replaces if path in changes})

    async def configure(self, variables: dict[str, str]) -> None:
        """Find the cluster; one that cannot be reached is not an error yet."""
        forget, force, secret_mutable, upsert = (_flag(variables, name) for name in _FLAGS)
        namespace = "default"
        try:
            access = await load(variables.get("kubeconfig", ""), variables.get("context", ""))
            namespace = access.namespace or namespace
            client = Client(access)
            try:
                await client.kind("v1", "Pod")
            except (OSError, aiohttp.ClientError, ApiError, NoKindError) as error:
                await client.close()
                reason = f"unable to load schema information from the API server: {error}"
                raise KubeconfigError(reason) from error
        except KubeconfigError as error:
            known = Cluster(None, namespace, secret_mutable)
            self._objects = self._releases = Unreachable(known, str(error), forget=forget)
        else:
            known = Cluster(client, namespace, secret_mutable)
            self._objects = Resources(known, client, self.cancelled, patch_force=force, upsert=upsert)
            self._releases = Releases(access.kubeconfig, self.cancelled, namespace)


def _flag(variables: dict[str, str], name: str) -> bool:
    """A provider flag; its environment variable counts only when the argument is absent."""
    upper = "".join("_" + char if char.isupper() else char.upper() for char in name)
    return variables.get(name, os.environ.get(f"PULUMI_K8S_{upper}")) == "true"


def _moved(old: Values, new: Values) -> bool:
    """Whether the active cluster (address, authority) is another one. Raises ProviderError."""
    try:
        found = entry(parse(new.get("kubeconfig") or "", new.get("context") or ""), "cluster")
    except KubeconfigError as error:
        raise ProviderError(str(error)) from error
    try:
        return entry(parse(old.get("kubeconfig") or "", old.get("context") or ""), "cluster") != found
    except KubeconfigError:
        return True


serve = functools.partial(serve_provider, KubernetesProvider)
