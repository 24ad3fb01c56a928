"""Which kinds are covered, and which changes of one make a new object."""

import re
from collections.abc import Iterable

from airgap.plugins.base.provider import refusal
from airgap.plugins.base.values import Path

_POD_FIELDS = """
    affinity automountServiceAccountToken containers dnsConfig dnsPolicy enableServiceLinks hostAliases
    hostIPC hostNetwork hostPID hostname imagePullSecrets initContainers nodeName nodeSelector overhead
    preemptionPolicy priority priorityClassName readinessGates restartPolicy runtimeClassName schedulerName
    securityContext serviceAccount serviceAccountName shareProcessNamespace subdomain
    terminationGracePeriodSeconds volumes
"""
_STATEFUL_SET_FIELDS = "podManagementPolicy revisionHistoryLimit selector serviceName volumeClaimTemplates"


def _spec(names: str) -> tuple[Path, ...]:
    return tuple(("spec", name) for name in names.split())


# Every kind the components declare, what a plain Deployment's neighbours are, and their paths of no return.
KINDS: dict[tuple[str, str], tuple[Path, ...]] = {
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition"): (),
    ("apps/v1", "DaemonSet"): _spec("selector"),
    ("apps/v1", "Deployment"): _spec("selector"),
    ("apps/v1", "StatefulSet"): _spec(_STATEFUL_SET_FIELDS),
    ("batch/v1", "Job"): _spec("completions parallelism selector template"),
    ("rbac.authorization.k8s.io/v1", "ClusterRole"): (),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"): (("roleRef",),),
    ("rbac.authorization.k8s.io/v1", "Role"): (),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"): (("roleRef",),),
    ("v1", "ConfigMap"): (("binaryData",), ("data",)),
    ("v1", "Namespace"): (),
    ("v1", "Pod"): _spec(_POD_FIELDS),
    ("v1", "Secret"): (("data",), ("stringData",), ("type",)),
    ("v1", "Service"): _spec("clusterIP"),
    ("v1", "ServiceAccount"): (),
}
# For clusters that cannot be asked; what is not here is taken to live in a namespace.
_CLUSTER_SCOPED = ("ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "Namespace")
# Kubernetes' own groups have no dot, or k8s.io right after their one word; all others are custom resources.
_BUILT_IN_GROUP = re.compile(r"[a-z]*|[a-z]+\.k8s\.io|(flowcontrol|internal)\.apiserver\.k8s\.io")


def require_covered(token: str, api_version: str, kind: str) -> None:
    """Raise ProviderError for a kind of Kubernetes' own that is not served; custom resources all are."""
    group = api_version.rpartition("/")[0]
    if (api_version, kind) not in KINDS and _BUILT_IN_GROUP.fullmatch(group):
        raise refusal("kubernetes", token, [*(name for _, name in KINDS), "CustomResource"])


def namespaced_by_default(kind: str) -> bool:
    """Whether a kind lives in namespaces, as far as one can tell without asking its cluster."""
    return kind not in _CLUSTER_SCOPED


def replacements(
    paths: Iterable[Path], api_version: str, kind: str, *, patch: bool, secret_mutable: bool
) -> set[Path]:
    """The changed paths that make a new object: at, below or (a whole part that goes) above a rule's."""
    rules: tuple[Path, ...] = (("metadata", "name"), ("metadata", "namespace"))
    if (api_version, kind) == ("v1", "Secret") and secret_mutable:
        rules += (("type",),)
    elif not patch:
        rules += KINDS.get((api_version, kind), ())
    return {
        path
        for path in paths
        if any(path[: len(rule)] == rule or rule[: len(path)] == path for rule in rules)
    }
