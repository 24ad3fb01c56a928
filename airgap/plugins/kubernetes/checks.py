"""What can be said of an object without touching it: is it covered, how is it named, what has changed."""

from dataclasses import dataclass

from airgap.plugins.base.diff import Diff
from airgap.plugins.base.provider import Failure, Part, ProviderError, Request, Values
from airgap.plugins.base.values import drop_nulls, plain
from airgap.plugins.kubernetes.client import ApiError, Client, NoKindError
from airgap.plugins.kubernetes.kinds import namespaced_by_default, require_covered
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

# Annotations that change what the official plugin does and that no part of this stand-in honours.
_REFUSED_ANNOTATIONS = (
    "pulumi.com/patchFieldManager",
    "pulumi.com/replaceUnready",
    "pulumi.com/timeoutSeconds",
)


@dataclass(frozen=True)
class Cluster:
    """What is known of the provider's cluster; no client means that it does not answer."""

    client: Client | None = None
    namespace: str = "default"  # of objects that name none
    secret_mutable: bool = False

    async def is_namespaced(self, api_version: str, kind: str) -> bool:
        """Whether a kind lives in namespaces; what nobody knows (yet) is assumed to."""
        if self.client is not None:
            try:
                return (await self.client.kind(api_version, kind)).namespaced
            except (NoKindError, ApiError, OSError):
                pass
        return namespaced_by_default(kind)


@dataclass(frozen=True)
class CheckedObjects(Part):
    """Checks and compares objects, whether their cluster answers or not."""

    cluster: Cluster

    async def check(self, request: Request) -> tuple[Values, list[Failure]]:
        """Name, namespace, canonical form; refuse what is not covered."""
        said = drop_nulls(dashed(request.inputs))
        values = canonical_inputs(plain(said))
        api_version, kind, patch = group_version_kind(request.type, str(values.get("kind", "")))
        require_covered(request.type, api_version, kind)
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
        if homeless and await self.cluster.is_namespaced(api_version, kind):
            values["metadata"] = {**metadata(values), "namespace": self.cluster.namespace}
        return mark_secrets(said, values), failures

    async def diff(self, request: Request) -> Diff:
        """See `diff_objects`."""
        if request.ignore_changes:
            raise ProviderError(
                "the closed network's kubernetes plugin does not cover ignoreChanges "
                f"({', '.join(request.ignore_changes)}); leave these fields out of the program instead"
            )
        api_version, kind, _ = group_version_kind(request.type, str(plain(request.inputs.get("kind", ""))))
        namespaced = await self.cluster.is_namespaced(api_version, kind)
        return diff_objects(request, namespaced=namespaced, secret_mutable=self.cluster.secret_mutable)
