"""The Pulumi components, one per file, in packages named as the middle of their type tokens.

Installed, this package is `multicluster_dapr`, and holds what a program of one's own makes a mesh with: the
names below. Their tokens are those of the Pulumi package, `multicluster-dapr:index:...`.
"""

from .mesh.global_traffic_policy import (
    GlobalTrafficPolicy,
    GlobalTrafficPolicyArgs,
    GlobalTrafficPolicyTarget,
)
from .mesh.mesh import Mesh
from .mesh.mesh_args import (
    MeshArgs,
    MeshAutoscaler,
    MeshCluster,
    MeshHost,
    MeshMutualTls,
    MeshPath,
    MeshPods,
    MeshService,
)
from .mesh.request_match import HeaderMatch, RequestMatch
from .mesh.service_export import (
    ServiceExport,
    ServiceExportArgs,
    ServiceExportBackendRef,
    ServiceExportRewrite,
    ServiceExportRule,
    ServiceExportTimeouts,
)

__all__ = [
    "GlobalTrafficPolicy",
    "GlobalTrafficPolicyArgs",
    "GlobalTrafficPolicyTarget",
    "HeaderMatch",
    "Mesh",
    "MeshArgs",
    "MeshAutoscaler",
    "MeshCluster",
    "MeshHost",
    "MeshMutualTls",
    "MeshPath",
    "MeshPods",
    "MeshService",
    "RequestMatch",
    "ServiceExport",
    "ServiceExportArgs",
    "ServiceExportBackendRef",
    "ServiceExportRewrite",
    "ServiceExportRule",
    "ServiceExportTimeouts",
]
