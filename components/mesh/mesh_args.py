"""What a Mesh is made from.

The SDK reads it too, and makes the package's schema of these classes and the texts under their fields: no
`from __future__ import annotations` here. Lists and mappings are plain, for it must be known at once how many
resources there are; what only passes through is an Input.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict

import pulumi
import pulumi_kubernetes as kubernetes


class MeshCluster(TypedDict):
    """A cluster of a mesh, and how the others reach it."""

    name: str
    """Name, unique in the program: the last part of the cluster key, and what resources are named after."""
    provider: kubernetes.Provider
    """The provider that reaches the cluster; everything the mesh has there goes through it."""
    gateway_host: pulumi.Input[str]
    """DNS name or IPv4 address at which the other clusters reach the gateway of this one."""
    gateway_port: int
    """TCP port beside it. From 30000 to 32767 it is a node port, any other is a load balancer's."""
    server: NotRequired[pulumi.Input[str]]
    """API server as the hub reaches it, such as https://192.0.2.20:6443: each member needs one. Default:
    none, which does for the control plane."""
    server_name: NotRequired[str]
    """What the certificate there is for, when that is not the host of the URL. Default: it is."""
    region: NotRequired[str]
    """First part of the cluster key. Default: default."""
    zone: NotRequired[str]
    """Second part of the cluster key. Default: default."""
    group: NotRequired[str]
    """Third part of the cluster key. Default: default."""
    may_export: NotRequired[Sequence[pulumi.Input[str]]]
    """Namespaces of a member whose Services others may import. Default: any that they have, too."""
    namespaces: NotRequired[Sequence[pulumi.Input[str]]]
    """Namespaces of this cluster that the program makes: members join once they are there, and leave before
    they go. Others are used as well, for the hub imports into every namespace it finds. Default: none."""
    node_port: NotRequired[int]
    """Node port of the gateway where that is not the port others dial. Default: as that port says."""
    peers_port: NotRequired[int]
    """TCP port at `gateway_host` at which the gateways of other clusters reach this one with mutual TLS; a
    node port if `gateway_port` is one. Default: none, they ask it over plain HTTP."""
    peers_node_port: NotRequired[int]
    """Node port of that where it is not the port others dial. Default: as that port says."""
    image: NotRequired[pulumi.Input[str]]
    """The gateway's image as the nodes of this cluster pull it. Default: the mesh's."""
    image_digest: NotRequired[pulumi.Input[str]]
    """Digest of that image. Default: the mesh's."""
    replicas: NotRequired[int]
    """Pods of the gateway and of the controller in this cluster. Default: the mesh's."""
    docker_config: NotRequired[pulumi.Input[str]]
    """Login for the registry, the text of a .dockerconfigjson, a secret. Default: none."""
    cluster_domain: NotRequired[str]
    """Domain of the cluster's Services. Default: cluster.local."""
    admission_policy: NotRequired[bool]
    """Its API server refuses hub and controller what they have no business writing; false for Kubernetes
    before 1.30. Default: true."""
    admin_from: NotRequired[Sequence[str]]
    """Address ranges that reach the admin pages of the mesh's pods, those of nodes say; a NetworkPolicy keeps
    other namespaces out. Default: no NetworkPolicy, any pod does."""
    dapr_token: NotRequired[pulumi.Input[str]]
    """API token of the Dapr sidecars that the gateways ask, a secret. Default: they ask none."""
    ends_with_provider: NotRequired[bool]
    """The cluster is deleted together with its provider: nothing in it is deleted one by one before. Default:
    false, for clusters that outlive the program."""


class MeshPath(TypedDict):
    """A path of the front door that is delegated: nobody else gets one at or inside it."""

    prefix: str
    """The path, such as /shop; / is the root alone."""
    namespaces: Sequence[str]
    """Namespaces whose exports may have it."""
    clusters: NotRequired[Sequence[str]]
    """Names of the clusters they may have it from. Default: any."""


class MeshHost(TypedDict):
    """A host that exports may have. Nobody has one that is not granted."""

    host: str
    """The name, such as shop.example.com, or *.example.com: all below it but what is granted itself."""
    namespaces: Sequence[str]
    """Namespaces whose exports may have it."""
    clusters: NotRequired[Sequence[str]]
    """Names of the clusters they may have it in. Default: any."""


class MeshPods(TypedDict):
    """Where and how pods of gateways, controllers and hub run, in the words of Kubernetes' PodSpec."""

    node_selector: NotRequired[Mapping[str, str]]
    """Labels of the nodes they run on. Default: any node."""
    tolerations: NotRequired[Sequence[Mapping[str, Any]]]
    """Taints they put up with. Default: none."""
    affinity: NotRequired[Mapping[str, Any]]
    """Affinity to nodes and other pods. Default: none."""
    topology_spread_constraints: NotRequired[Sequence[Mapping[str, Any]]]
    """How they are spread. Default: over nodes, where there are several pods."""
    resources: NotRequired[Mapping[str, Any]]
    """Requests and limits. Default: 50m CPU and 64Mi are requested, 256Mi is the limit."""
    priority_class_name: NotRequired[str]
    """PriorityClass. Default: the cluster's."""
    labels: NotRequired[Mapping[str, str]]
    """Labels, besides those they have. Default: none."""
    annotations: NotRequired[Mapping[str, str]]
    """Annotations, besides those they have. Default: none."""


class MeshService(TypedDict):
    """The Service that publishes a gateway, in the words of Kubernetes' ServiceSpec."""

    annotations: NotRequired[Mapping[str, str]]
    """Annotations, as load balancers read them. Default: none."""
    load_balancer_class: NotRequired[str]
    """Which load balancer takes it. Default: the cluster's."""
    load_balancer_address: NotRequired[str]
    """Address that is asked for. Default: any."""
    ip_family_policy: NotRequired[str]
    """SingleStack, PreferDualStack or RequireDualStack. Default: the cluster's."""
    ip_families: NotRequired[Sequence[str]]
    """IPv4 and IPv6, the first one first. Default: the cluster's."""


class MeshAutoscaler(TypedDict):
    """A HorizontalPodAutoscaler of each gateway; the replicas are the least it goes down to."""

    max_replicas: int
    """Most pods per cluster."""
    cpu_percent: NotRequired[int]
    """Percent of the CPU they request that pods are to use. Default: 70."""


class MeshMetrics(TypedDict):
    """How a Prometheus finds the metrics of gateways, controllers and hub, and reaches them."""

    annotations: NotRequired[bool]
    """Pods say by the annotations prometheus.io/scrape, port and path where they are. Default: false."""
    pod_monitor: NotRequired[bool]
    """A PodMonitor is made in each cluster, where the Prometheus Operator has to be. Default: false."""
    pod_monitor_labels: NotRequired[Mapping[str, str]]
    """Labels of it, by which a Prometheus chooses. Default: none."""
    namespaces: NotRequired[Sequence[str]]
    """Namespaces that reach the admin pages in spite of a NetworkPolicy by `admin_from`. Default: those that
    are labelled multicluster.flomesh.io/metrics=true."""


class MeshTracing(TypedDict):
    """Spans of requests through gateways, by OpenTelemetry's protocol over HTTP."""

    endpoint: str
    """URL of who gets them, as gateways of each cluster reach it; /v1/traces is added."""
    sampling: NotRequired[float]
    """Part of the traces that begin at a gateway which is recorded, from 0 to 1; a caller's own are when he
    says so. Default: 0.01."""


class MeshMutualTls(TypedDict):
    """How gateways of different clusters talk, and how long what they prove themselves by counts."""

    mode: NotRequired[str]
    """off: over plain HTTP. accept: so again, once no cluster says any more that it listens for TLS.
    permissive: over TLS with those that listen for it, else over plain HTTP, which a cluster takes no more
    when all others ask it over TLS. strict: over TLS alone from the beginning.
    Default: permissive where every member has a `peers_port`, else off."""
    certificate_hours: NotRequired[float]
    """How long a certificate of gateways counts; at half of it another one is made. Default: 24."""
    root_days: NotRequired[float]
    """How long the root of a cluster counts that issues them; at half of it another one follows. Default:
    3650."""


class MeshArgs(TypedDict):
    """The clusters of a mesh, and what their gateways are like."""

    image: pulumi.Input[str]
    """The gateway's image, by a reference that all nodes can pull; hub and controllers run it as well."""
    image_digest: NotRequired[pulumi.Input[str]]
    """Digest of the image, to be seen at the pods, which restart when it changes. Default: none."""
    control_plane: MeshCluster
    """The cluster that runs the hub. Its gateway is the front door, which reaches every exporter."""
    members: Sequence[MeshCluster]
    """The clusters that join it, and export and import Services."""
    replicas: NotRequired[int]
    """Pods of each gateway and of each controller; of controllers one acts. Default: 1."""
    hub_replicas: NotRequired[int]
    """Pods of the hub, of which one acts. Default: 1."""
    access_log: NotRequired[bool]
    """Gateways write one JSON line for each request. Default: true."""
    foreign_imports: NotRequired[bool]
    """ServiceImports that somebody else than the hub wrote count as its own do. Default: false."""
    external_traffic_policy: NotRequired[str]
    """Of the Service that publishes the gateway: Cluster, or Local, which keeps the address of clients; nodes
    without a gateway refuse then. Default: Cluster."""
    trusted_proxies: NotRequired[Sequence[str]]
    """Address ranges of proxies in front whose X-Forwarded-* fields are believed. Default: none."""
    limits: NotRequired[Mapping[str, float]]
    """Bounds of the gateways by name, such as first_byte_seconds, in the unit the name ends with. Default:
    the gateway's own."""
    peers_key: NotRequired[pulumi.Input[str]]
    """Key by which the gateways know each other, a secret. Default: one is drawn, and kept in the state."""
    mutual_tls: NotRequired[MeshMutualTls]
    """Whether gateways prove to each other by certificates whose they are. Default: where every member has a
    `peers_port`."""
    metrics: NotRequired[MeshMetrics]
    """How a Prometheus finds and reaches metrics. Default: by nothing but the pods' port admin."""
    tracing: NotRequired[MeshTracing]
    """Spans of requests, and who gets them. Default: none are made."""
    log_level: NotRequired[str]
    """Least important messages in the logs: debug, info, warning or error. Default: info."""
    pods: NotRequired[MeshPods]
    """Where and how pods run. Default: as each argument says."""
    service: NotRequired[MeshService]
    """How gateways are published. Default: as each argument says."""
    autoscaler: NotRequired[MeshAutoscaler]
    """Changes the number of gateways by their load. Default: none."""
    paths: NotRequired[Sequence[MeshPath]]
    """Paths of the front door that are delegated. Default: any namespace may have any path but /."""
    hosts: NotRequired[Sequence[MeshHost]]
    """Hosts that exports may have, those of ServiceExports of the program as well. Default: none."""
