"""The kubernetes provider: its configuration, and which part serves which resource."""

import functools
import os

from airgap.plugins.base.diff import Diff
from airgap.plugins.base.provider import Failure, Part, Provider, Request, Values
from airgap.plugins.base.server import serve as serve_provider
from airgap.plugins.kubernetes.access import KubeconfigError, load
from airgap.plugins.kubernetes.checks import Cluster
from airgap.plugins.kubernetes.client import ApiError, Client, NoKindError
from airgap.plugins.kubernetes.release import RELEASE, Releases
from airgap.plugins.kubernetes.resources import Resources
from airgap.plugins.kubernetes.unreachable import Unreachable

_FLAGS = ("deleteUnreachable", "enablePatchForce", "enableSecretMutable", "upsertExistingObjects")


class KubernetesProvider(Provider):
    """One process of it serves one provider resource, so it knows exactly one cluster."""

    name = "kubernetes"
    version = "4.34.2"
    arguments = (*_FLAGS, "clusterIdentifier", "context", "kubeconfig", "pluginDownloadURL", "version")

    def __init__(self) -> None:
        super().__init__()
        self._objects: Part = Unreachable(Cluster(), "the provider is not configured")
        self._releases: Part = self._objects

    def part(self, token: str) -> Part:
        """Every token but one is a kind of object."""
        return self._releases if token == RELEASE else self._objects

    async def check_config(self, inputs: Values) -> tuple[Values, list[Failure]]:
        """Ask for what tells clusters apart, besides."""
        inputs, failures = await super().check_config(inputs)
        if not inputs.get("clusterIdentifier"):
            reason = "the closed network's kubernetes plugin tells clusters apart by it; give it"
            failures.append(Failure("clusterIdentifier", reason))
        return inputs, failures

    async def diff_config(self, request: Request) -> Diff:
        """A provider is replaced only when it points to another cluster."""
        diff = await super().diff_config(request)
        diff.replaces = {path for path in diff.changes if path == ("clusterIdentifier",)}
        return diff

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
            except (OSError, ApiError, NoKindError) as error:
                await client.close()
                reason = f"unable to load schema information from the API server: {error}"
                raise KubeconfigError(reason) from error
        except KubeconfigError as error:
            known = Cluster(None, namespace, secret_mutable)
            self._objects = self._releases = Unreachable(known, str(error), forget=forget)
        else:
            known = Cluster(client, namespace, secret_mutable)
            self._objects = Resources(known, client, self.cancelled, force, upsert)
            self._releases = Releases(access.kubeconfig, self.cancelled, namespace)


def _flag(variables: dict[str, str], name: str) -> bool:
    """A provider flag; its environment variable counts only when the argument is absent."""
    upper = "".join("_" + char if char.isupper() else char.upper() for char in name)
    return variables.get(name, os.environ.get(f"PULUMI_K8S_{upper}")) == "true"


serve = functools.partial(serve_provider, KubernetesProvider)
