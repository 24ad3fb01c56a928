"""The mesh of several clusters: a gateway in each, a hub on the control plane, members that have joined.

No `from __future__ import annotations` here: the SDK reads the annotations to make the package's schema.
"""

from dataclasses import dataclass, replace

import pulumi

from ..joinable_cluster import JoinableCluster
from .admin_policy import AdminPolicy, AdminPolicyArgs
from .admission import Admission, AdmissionArgs
from .cluster_membership import ClusterMembership, ClusterMembershipArgs
from .controller import Controller, ControllerArgs
from .crds import FOLDER, Crds, CrdsArgs, load_definitions
from .gateway import Gateway, GatewayArgs
from .guards import FOLDER as FOLDER_OF_GUARDS
from .guards import load_guards
from .hub import Hub, HubArgs
from .mesh_args import MeshArgs, MeshCluster
from .mesh_reading import (
    check,
    described,
    granted,
    granted_host,
    granted_in,
    image_of,
    joinable,
    mutual_tls_of,
    node_port_of,
    peers_node_port_of,
    published,
    tracing_of,
)
from .peers_key import PeersKey
from .placement import Pods
from .pod_monitor import ANNOTATIONS, PodMonitor, PodMonitorArgs


@dataclass(frozen=True, kw_only=True)
class MeshPart:
    """The part of a mesh in one cluster: custom resources wait for `crds`, policies for `controller` too.

    `namespace` is the system namespace. The controller takes back what it wrote for a policy that goes.
    """

    cluster: JoinableCluster
    crds: pulumi.Resource
    namespace: pulumi.Output[str]
    controller: pulumi.Resource
    pull_secret: pulumi.Output[str] | None


class Mesh(pulumi.ComponentResource):
    """Joins clusters: CRDs, gateway and controller in each, the hub on the control plane, every membership.

    Exports and policies wait for it: let them depend on the Mesh, or on its cluster keys.
    """

    cluster_keys: pulumi.Output[dict[str, str]]
    """The cluster key of each cluster by its name, region/zone/group/name, known once all have joined."""

    def __init__(self, name: str, args: MeshArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("multicluster-dapr:index:Mesh", name, None, opts)
        check(args)
        plane = args["control_plane"]
        self._tls = mutual_tls_of(args)
        self._peers_key: pulumi.Input[str] = (
            args["peers_key"]
            if "peers_key" in args
            else PeersKey(f"{name}-peers-key", pulumi.ResourceOptions(parent=self)).value
        )
        clusters = (plane, *args["members"])
        keys = {cluster["name"]: joinable(cluster).key for cluster in clusters}
        self._hosts = [granted_host(host, keys) for host in args.get("hosts", ())]
        self.parts = {
            cluster["name"]: self._part(args, cluster, front_door=cluster is plane) for cluster in clusters
        }
        hub = self._hub(args, self.parts[plane["name"]])
        self.memberships = [self._membership(args, member, hub) for member in args["members"]]
        joined = [membership.joined for membership in self.memberships]
        self.cluster_keys = pulumi.Output.all(*joined).apply(lambda _: keys)
        self.register_outputs({"clusterKeys": self.cluster_keys})

    def _part(self, args: MeshArgs, given: MeshCluster, *, front_door: bool) -> MeshPart:
        cluster, name = joinable(given), given["name"]
        replicas = int(given.get("replicas", args.get("replicas", 1)))
        autoscaler, metrics, pods = args.get("autoscaler"), args.get("metrics", {}), _pods(args)
        image, digest = image_of(args, given)
        crds = Crds(
            f"{name}-crds", CrdsArgs(cluster=cluster, definitions=load_definitions(FOLDER)), self._in(cluster)
        )
        # They watch the CRDs from their first moment.
        waits = self._in(cluster, crds)
        gateway = Gateway(
            f"{name}-gateway",
            GatewayArgs(
                cluster=cluster,
                image=image,
                digest=digest,
                replicas=replicas,
                access_log=args.get("access_log", True),
                foreign_imports=args.get("foreign_imports", False),
                traffic_policy=args.get("external_traffic_policy", "Cluster"),
                trusted_proxies=args.get("trusted_proxies", ()),
                limits=args.get("limits", {}),
                front_door=front_door,
                node_port=node_port_of(given),
                peers_key=self._peers_key,
                dapr_token=given.get("dapr_token"),
                pods=pods,
                published=published(args.get("service", {})),
                most_replicas=int(autoscaler["max_replicas"]) if autoscaler else None,
                cpu_percent=int(autoscaler.get("cpu_percent", 70)) if autoscaler else 70,
                cluster_domain=given.get("cluster_domain"),
                log_level=args.get("log_level"),
                docker_config=given.get("docker_config"),
                hosts=granted_in(cluster.key, self._hosts),
                mutual_tls=self._tls,
                peers_node_port=peers_node_port_of(given),
                tracing=tracing_of(args),
            ),
            waits,
        )
        if "admin_from" in given:
            admin = AdminPolicyArgs(
                cluster=cluster,
                namespace=gateway.namespace,
                ranges=given["admin_from"],
                readers=metrics.get("namespaces", ()),
            )
            AdminPolicy(f"{name}-admin", admin, self._in(cluster))
        if metrics.get("pod_monitor", False):
            labels = metrics.get("pod_monitor_labels", {})
            monitor = PodMonitorArgs(cluster=cluster, namespace=gateway.namespace, labels=labels)
            PodMonitor(f"{name}-monitor", monitor, self._in(cluster))
        controller = Controller(
            f"{name}-controller",
            ControllerArgs(
                cluster=cluster,
                namespace=gateway.namespace,
                image=image,
                digest=digest,
                replicas=replicas,
                front_door=front_door,
                foreign_imports=args.get("foreign_imports", False),
                admission=given.get("admission_policy", True),
                pods=replace(pods, pull_secret=gateway.pull_secret),
                cluster_domain=given.get("cluster_domain"),
                log_level=args.get("log_level"),
                hosts=granted_in(cluster.key, self._hosts),
                mutual_tls=self._tls,
            ),
            waits,
        )
        if given.get("admission_policy", True):
            for guard in load_guards(FOLDER_OF_GUARDS):
                policy = AdmissionArgs(cluster=cluster, name=guard.name, spec=guard.spec)
                opts = pulumi.ResourceOptions.merge(self._in(cluster), _GUARD)
                Admission(f"{name}-{guard.what}-guard", policy, opts)
        else:
            text = f"{name} takes no admission policy: a thief of its controller's token is less bound"
            pulumi.log.info(text, self)
        return MeshPart(
            cluster=cluster,
            crds=crds,
            namespace=gateway.namespace,
            controller=controller.deployment,
            pull_secret=gateway.pull_secret,
        )

    def _hub(self, args: MeshArgs, plane: MeshPart) -> pulumi.Resource:
        image, digest = image_of(args, args["control_plane"])
        keys = {name: part.cluster.key for name, part in self.parts.items()}
        hub_args = HubArgs(
            cluster=plane.cluster,
            namespace=plane.namespace,
            image=image,
            digest=digest,
            replicas=int(args.get("hub_replicas", 1)),
            paths=[granted(path, keys) for path in args.get("paths", ())],
            hosts=self._hosts,
            admission=args["control_plane"].get("admission_policy", True),
            pods=replace(_pods(args), pull_secret=plane.pull_secret),
            log_level=args.get("log_level"),
            mutual_tls=self._tls,
        )
        return Hub(f"{plane.cluster.name}-hub", hub_args, self._in(plane.cluster, plane.crds)).deployment

    def _membership(self, args: MeshArgs, given: MeshCluster, hub: pulumi.Resource) -> ClusterMembership:
        member, plane = self.parts[given["name"]], self.parts[args["control_plane"]["name"]]
        # The hub imports only into namespaces that are there: it learns of the member when they are.
        namespaces = [*args["control_plane"].get("namespaces", ()), *given.get("namespaces", ())]
        server = pulumi.Output.all(member.cluster.server, *namespaces).apply(_first)
        membership = ClusterMembershipArgs(
            member=replace(member.cluster, server=server),
            member_namespace=member.namespace,
            control_plane=plane.cluster,
            control_plane_namespace=plane.namespace,
            hub=hub,
            may_export=given.get("may_export"),
            admission=given.get("admission_policy", True),
            mutual_tls=self._tls.on,
        )
        opts = pulumi.ResourceOptions(parent=self, depends_on=[plane.crds], aliases=_ALIASES)
        return ClusterMembership(f"{given['name']}-membership", membership, opts)

    def _in(self, cluster: JoinableCluster, *depends_on: pulumi.Resource) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(
            parent=self, provider=cluster.provider, depends_on=list(depends_on), aliases=_ALIASES
        )


# Environments that are older than this component have its parts without a parent.
_ALIASES: list[pulumi.Input[str | pulumi.Alias]] = [pulumi.Alias(parent=pulumi.ROOT_STACK_RESOURCE)]
# The guard of imports was of another type.
_BEFORE = "multicluster-dapr:mesh:ImportGuard"
_GUARD = pulumi.ResourceOptions(
    aliases=[pulumi.Alias(type_=_BEFORE), pulumi.Alias(type_=_BEFORE, parent=pulumi.ROOT_STACK_RESOURCE)]
)


def _pods(args: MeshArgs) -> Pods:
    """What is said of pods, where their metrics are among it."""
    pods = described(args.get("pods", {}))
    scraped = ANNOTATIONS if args.get("metrics", {}).get("annotations", False) else {}
    return replace(pods, annotations={**scraped, **pods.annotations})


def _first(values: list[str]) -> str:
    return values[0]
