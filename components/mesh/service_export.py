"""A ServiceExport: a Service that other clusters may import.

No `from __future__ import annotations` here: the SDK reads the annotations to make the package's schema.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict

import pulumi

from .app_ids import APP_ID, INVOKE
from .request_match import RequestMatch
from .traffic_object import create, traffic_object

PUBLISHED = "multicluster.flomesh.io/published"
"""Annotation of a ServiceExport: `false` keeps it between clusters."""
HOST = "multicluster.flomesh.io/host"
"""Annotation of a ServiceExport: the host under which alone it is published."""
TIMEOUTS = "multicluster.flomesh.io/timeouts"
"""Annotation of a ServiceExport: how long its callers wait at most, as JSON."""
BACKEND_REFS = "multicluster.flomesh.io/backend-refs"
"""Annotation of a ServiceExport: the Services that share its requests, as JSON."""


class ServiceExportRule(TypedDict):
    """A path on the exporter's gateway, and the port of the Service behind it."""

    port_number: pulumi.Input[int]
    """Port of the Service."""
    path: pulumi.Input[str]
    """Path on the gateway, such as /checkout."""
    path_type: NotRequired[pulumi.Input[str]]
    """How paths are compared: Exact, or Prefix, which takes in all below. Default: Prefix."""


class ServiceExportRewrite(TypedDict):
    """What is done to the path of a request before the Service sees it, at every match."""

    pattern: pulumi.Input[str]
    """Regular expression (RE2), such as ^/checkout/?."""
    replacement: pulumi.Input[str]
    """What takes the place of a match; $1 is the first group."""


class ServiceExportTimeouts(TypedDict):
    """How long callers wait at most, as durations of Gateway API such as 1m30s; 0s is as long as can be."""

    request: NotRequired[pulumi.Input[str]]
    """From the arrival of a request to the end of its answer. Default: a minute to its beginning, an hour to
    its end."""
    backend_request: NotRequired[pulumi.Input[str]]
    """For each of the endpoints that it is tried at. Default: none of its own."""


class ServiceExportBackendRef(TypedDict):
    """A Service that shares the requests of an export, such as a canary's."""

    name: pulumi.Input[str]
    """Name of a Service of the same namespace, with the ports of the rules."""
    weight: NotRequired[pulumi.Input[int]]
    """Its part among the others, 0 to 1000000; 0 for requests that match alone. Default: 1."""
    match: NotRequired[RequestMatch]
    """Requests that go to it first, whatever its weight. Default: none."""


class ServiceExportArgs(TypedDict):
    """The Service that is exported, and how."""

    service: pulumi.Input[str]
    """Name of the Service, whoever deploys it and when."""
    namespace: pulumi.Input[str]
    """Namespace of the Service, which has to be there."""
    rules: Sequence[ServiceExportRule]
    """Published paths, one or more. The first Prefix of a port is the one other clusters import."""
    published: NotRequired[bool]
    """Served at the paths; false keeps it between clusters, by the Service's name. Default: true."""
    host: NotRequired[pulumi.Input[str]]
    """Host under which alone they are published, such as shop.example.com; the mesh's `hosts` grant it.
    Default: any host."""
    path_rewrite: NotRequired[ServiceExportRewrite]
    """Rewrite of the path. Default: none, the Service sees the published path."""
    backend_refs: NotRequired[Sequence[ServiceExportBackendRef]]
    """Services that share its requests by weight, at most sixteen. Default: the Service alone."""
    timeouts: NotRequired[ServiceExportTimeouts]
    """How long callers wait at most. Default: as long as the gateways do."""
    service_account_name: NotRequired[pulumi.Input[str]]
    """ServiceAccount of the callers it is for; * is any. Default: *."""
    session_sticky: NotRequired[pulumi.Input[bool]]
    """A caller stays at one pod. Default: false."""
    load_balancer: NotRequired[pulumi.Input[str]]
    """Choice among the pods: RoundRobinLoadBalancer, HashingLoadBalancer or LeastWorkLoadBalancer. Default:
    RoundRobinLoadBalancer."""
    target_clusters: NotRequired[Sequence[pulumi.Input[str]]]
    """Keys of the clusters that may import it. Default: all."""
    app_id: NotRequired[pulumi.Input[str]]
    """Dapr app-id by which Dapr apps of other clusters call it. Default: they cannot."""
    by_sidecar: NotRequired[bool]
    """Requests of other clusters reach the app of that app-id through a Dapr sidecar. Default: false."""


_SAME = {
    "service_account_name": "serviceAccountName",
    "session_sticky": "sessionSticky",
    "load_balancer": "loadBalancer",
    "target_clusters": "targetClusters",
}


def export_spec(args: ServiceExportArgs) -> dict[str, Any]:
    """Spec of the ServiceExport: what is not given is left to the CRD's defaults."""
    given: Mapping[str, object] = args
    rewrite = args.get("path_rewrite")
    return {
        **({"pathRewrite": {"from": rewrite["pattern"], "to": rewrite["replacement"]}} if rewrite else {}),
        "rules": [
            {
                "portNumber": rule["port_number"],
                "path": rule["path"],
                "pathType": rule.get("path_type", "Prefix"),
            }
            for rule in args["rules"]
        ],
        **{name: given[key] for key, name in _SAME.items() if key in given},
    }


def _named(given: Mapping[str, object], names: Mapping[str, str]) -> dict[str, object]:
    """What is given, by the names of Gateway API."""
    return {names.get(key, key): value for key, value in given.items()}


def annotations(args: ServiceExportArgs) -> dict[str, pulumi.Input[str]]:
    """What the gateways read besides the spec."""
    said: dict[str, pulumi.Input[str]] = {}
    if not args.get("published", True):
        said[PUBLISHED] = "false"
    if "host" in args:
        said[HOST] = args["host"]
    if refs := args.get("backend_refs"):
        said[BACKEND_REFS] = pulumi.Output.json_dumps([dict(ref) for ref in refs])
    if timeouts := args.get("timeouts"):
        said[TIMEOUTS] = pulumi.Output.json_dumps(_named(timeouts, {"backend_request": "backendRequest"}))
    if "app_id" in args:
        said |= {APP_ID: args["app_id"], **(INVOKE if args.get("by_sidecar", False) else {})}
    return said


def export_object(args: ServiceExportArgs) -> dict[str, Any]:
    """The ServiceExport, with what is not known yet as an output."""
    return traffic_object(
        "ServiceExport", args["service"], args["namespace"], annotations(args), export_spec(args)
    )


class ServiceExport(pulumi.ComponentResource):
    """Creates the ServiceExport, named as its Service, in the cluster of its Kubernetes provider.

    It wants the CRDs: let it depend on the Mesh.
    """

    def __init__(
        self, name: str, args: ServiceExportArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        before = pulumi.ResourceOptions(aliases=[pulumi.Alias(type_="multicluster-dapr:mesh:ServiceExport")])
        opts = pulumi.ResourceOptions.merge(opts, before)
        super().__init__("multicluster-dapr:index:ServiceExport", name, None, opts)
        create(name, export_object(args), self, opts)
        self.register_outputs({})
