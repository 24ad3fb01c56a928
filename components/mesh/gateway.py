"""The gateway of a cluster: north-south on the node's port, east-west for imported services."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from ..joinable_cluster import UNAWAITED, JoinableCluster
from ..pod_security import RESTRICTED
from . import mutual_tls, rbac
from .account import Account
from .mutual_tls import NO_TLS, MutualTls
from .placement import Pods, Published, autoscaler_spec, disruption_budget, placed
from .workload import ADMIN_PORT, SYSTEM_NAMESPACE, pod_template

NAME = "gateway"
LABELS = {"app": NAME}
HTTP_PORT = 8080
EAST_WEST_PORT = 15080
# Each stands for one port of one Service, whatever Host a caller sends. A listening socket costs a gateway
# some 2 KiB: so many are a small part of its memory, and what is beyond shares the east-west port.
SERVICE_PORTS = "20000-20255"
PEERS_KEY_SECRET = "gateway-peers-key"  # noqa: S105 - the name of the Secret
PEERS_KEY_FOLDER = "/etc/gateway/peers"
PEERS_KEY = "keys"
PULL_SECRET = "registry-login"  # noqa: S105 - the name of the Secret
DAPR_TOKEN_SECRET = "dapr-api-token"  # noqa: S105 - the name of the Secret
DAPR_TOKEN_KEY = "token"  # noqa: S105 - where Dapr's injector looks in it


@dataclass(frozen=True, kw_only=True)
class GatewayArgs:
    """`node_port` is None to publish `cluster.gateway_port` through a load balancer instead.

    `front_door` makes it serve exports of every cluster (on the control plane). `limits` differ from
    the image's own and have its names. `traffic_policy` is the Service's externalTrafficPolicy.
    `foreign_imports` count as the hub's do. `peers_key` is one for the gateways of all clusters. `dapr_token`
    is the API token of the Dapr sidecars it asks, if any. `most_replicas` has an autoscaler change their
    number by `cpu_percent`. `docker_config` is the login with which pods of the namespace pull images. Each
    of `hosts` is granted to its namespaces in this cluster. With `mutual_tls` the gateways of other clusters
    come to `cluster.peers_port`, which `peers_node_port` publishes, or None as for `node_port`. `tracing` is
    the URL of who gets spans, and the part of traces that is recorded.
    """

    cluster: JoinableCluster
    image: pulumi.Input[str]
    digest: pulumi.Input[str]
    replicas: int
    access_log: bool
    trusted_proxies: Sequence[str]
    limits: Mapping[str, float]
    front_door: bool
    node_port: int | None
    peers_key: pulumi.Input[str]
    foreign_imports: bool = False
    traffic_policy: str = "Cluster"
    dapr_token: pulumi.Input[str] | None = None
    pods: Pods = field(default_factory=Pods)
    published: Published = field(default_factory=Published)
    most_replicas: int | None = None
    cpu_percent: int = 70
    cluster_domain: str | None = None
    log_level: str | None = None
    docker_config: pulumi.Input[str] | None = None
    hosts: Sequence[Mapping[str, Any]] = ()
    mutual_tls: MutualTls = NO_TLS
    peers_node_port: int | None = None
    tracing: tuple[str, float] | None = None


def gateway_arguments(
    *,
    cluster_key: str,
    front_door: bool,
    access_log: bool,
    trusted_proxies: Sequence[str] = (),
    limits: Mapping[str, float] | None = None,
    foreign_imports: bool = False,
    cluster_domain: str | None = None,
    log_level: str | None = None,
    hosts: Sequence[Mapping[str, Any]] = (),
    tls: MutualTls = NO_TLS,
    tracing: tuple[str, float] | None = None,
) -> list[str]:
    """Arguments of the image."""
    return [
        "run",
        f"--cluster-key={cluster_key}",
        f"--listen=[::]:{HTTP_PORT}",
        f"--east-west=[::]:{EAST_WEST_PORT}",
        f"--service-ports={SERVICE_PORTS}",
        f"--admin=[::]:{ADMIN_PORT}",
        f"--peers-key-file={PEERS_KEY_FOLDER}/{PEERS_KEY}",
        "--access-log" if access_log else "--no-access-log",
        *(["--front-door"] if front_door else []),
        *(["--foreign-imports"] if foreign_imports else []),
        *tls.gateway_arguments(),
        *([f"--trusted-proxies={','.join(trusted_proxies)}"] if trusted_proxies else []),
        *(f"--limit={name}={value:.15g}" for name, value in sorted((limits or {}).items())),
        *tracing_arguments(tracing),
        *placement_arguments(cluster_domain, log_level, hosts),
    ]


def tracing_arguments(tracing: tuple[str, float] | None) -> list[str]:
    """Arguments by which requests are traced; nothing when none are."""
    if tracing is None:
        return []
    endpoint, sampling = tracing
    return [f"--tracing-endpoint={endpoint}", f"--tracing-sampling={sampling:.15g}"]


def placement_arguments(
    cluster_domain: str | None, log_level: str | None, hosts: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Arguments about the cluster that gateway and controller share."""
    return [
        *hosts_argument(hosts),
        *([f"--cluster-domain={cluster_domain}"] if cluster_domain else []),
        *([f"--log-level={log_level}"] if log_level else []),
    ]


def hosts_argument(hosts: Sequence[Mapping[str, Any]]) -> list[str]:
    """The granted hosts, for hub, gateway and controller alike; nothing when there are none."""
    return [f"--hosts={json.dumps(list(hosts))}"] if hosts else []


def deployment_spec(*, replicas: int | None, template: dict[str, Any]) -> dict[str, Any]:
    """Spec of the Deployment. With the default strategy one pod is never stopped before another is ready."""
    number = {} if replicas is None else {"replicas": replicas}
    return {**number, "selector": {"matchLabels": LABELS}, "template": template}


def service_spec(
    *,
    node_port: int | None,
    public_port: int,
    traffic_policy: str = "Cluster",
    peers: tuple[int | None, int] | None = None,
) -> dict[str, Any]:
    """Spec of the Service that publishes the north-south listener, and that for other clusters' gateways.

    `peers`: node port and public port of that one, if it is published. `traffic_policy` is the Service's
    externalTrafficPolicy: with Cluster a client's address is some node's, with Local it is the client's, and
    only nodes with a gateway answer.
    """
    ports = [_service_port("http", HTTP_PORT, (node_port, public_port), inside=80)]
    if peers is not None:
        ports.append(_service_port("peers", mutual_tls.PORT, peers, inside=443))
    policy = {"externalTrafficPolicy": traffic_policy} if traffic_policy != "Cluster" else {}
    kind = "LoadBalancer" if node_port is None else "NodePort"
    return {"type": kind, "selector": LABELS, "ports": ports, **policy}


def _service_port(
    name: str, target: int, published: tuple[int | None, int], *, inside: int
) -> dict[str, Any]:
    """A port of the Service: published at the nodes, by the first of `published`, or by a load balancer."""
    node_port, public_port = published
    port: dict[str, Any] = {"name": name, "port": inside, "targetPort": target, "protocol": "TCP"}
    return {**port, "port": public_port} if node_port is None else {**port, "nodePort": node_port}


class Gateway(pulumi.ComponentResource):
    """Creates the system namespace, a ServiceAccount with its rules, the Secret with the peers' key, the
    Deployment and the Service.

    With a Dapr token also the Secret that holds it.
    """

    namespace: pulumi.Output[str]
    pull_secret: pulumi.Output[str] | None = None

    def __init__(self, name: str, args: GatewayArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("multicluster-dapr:mesh:Gateway", name, None, opts)
        cluster = args.cluster
        namespace = kubernetes.core.v1.Namespace(
            f"{name}-namespace",
            metadata={"name": SYSTEM_NAMESPACE, "labels": RESTRICTED},
            opts=cluster.child(self),
        )
        self.namespace = namespace.metadata["name"]
        metadata = {"name": NAME, "namespace": self.namespace, "labels": LABELS}
        account = kubernetes.core.v1.ServiceAccount(
            f"{name}-account", metadata=metadata, opts=cluster.child(self)
        )
        me = Account(parent=self, cluster=cluster, name=account.metadata["name"], namespace=self.namespace)
        tls = args.mutual_tls
        rules = (*rbac.GATEWAY, *(rbac.GATEWAY_PEERS if tls.on else ()))
        binding = me.may(name, "multicluster-gateway", rules)
        peers_key = kubernetes.core.v1.Secret(
            f"{name}-peers-key",
            metadata={"name": PEERS_KEY_SECRET, "namespace": self.namespace},
            string_data={PEERS_KEY: pulumi.Output.secret(args.peers_key)},
            opts=cluster.child(self),
        )
        secrets = {}
        if args.dapr_token is not None:
            token = kubernetes.core.v1.Secret(
                f"{name}-dapr-token",
                metadata={"name": DAPR_TOKEN_SECRET, "namespace": self.namespace},
                string_data={DAPR_TOKEN_KEY: pulumi.Output.secret(args.dapr_token)},
                opts=cluster.child(self),
            )
            secrets["DAPR_API_TOKEN"] = token.metadata["name"], DAPR_TOKEN_KEY
        if args.docker_config is not None:
            login = kubernetes.core.v1.Secret(
                f"{name}-pull-secret",
                metadata={"name": PULL_SECRET, "namespace": self.namespace},
                type="kubernetes.io/dockerconfigjson",
                string_data={".dockerconfigjson": pulumi.Output.secret(args.docker_config)},
                opts=cluster.child(self),
            )
            self.pull_secret = login.metadata["name"]
        template = pod_template(
            labels=LABELS,
            image=args.image,
            digest=args.digest,
            args=gateway_arguments(
                cluster_key=cluster.key,
                front_door=args.front_door,
                access_log=args.access_log,
                trusted_proxies=args.trusted_proxies,
                limits=args.limits,
                foreign_imports=args.foreign_imports,
                cluster_domain=args.cluster_domain,
                log_level=args.log_level,
                hosts=args.hosts,
                tls=tls,
                tracing=args.tracing,
            ),
            ports={
                "http": HTTP_PORT,
                "east-west": EAST_WEST_PORT,
                **({"peers": mutual_tls.PORT} if tls.on else {}),
            },
            cache=True,
            secrets=secrets,
            files={
                "peers-key": (PEERS_KEY_FOLDER, peers_key.metadata["name"]),
                # The controller makes it, once. Pods wait for it: into one that runs a kubelet would bring it
                # a minute or two later.
                **({"certificate": (mutual_tls.FOLDER, mutual_tls.CERTIFICATE_SECRET)} if tls.on else {}),
            },
        )
        kubernetes.apps.v1.Deployment(
            f"{name}-deployment",
            metadata=metadata,
            spec=deployment_spec(
                # What an autoscaler has chosen is not taken back.
                replicas=args.replicas if args.most_replicas is None else None,
                template=placed(
                    template, replace(args.pods, pull_secret=self.pull_secret), replicas=args.replicas
                ),
            ),
            # A gateway without its rules never becomes ready.
            opts=cluster.child(self, depends_on=[binding], waits=True),
        )
        kubernetes.core.v1.Service(
            f"{name}-service",
            metadata={**metadata, "annotations": {**args.published.annotations, **UNAWAITED}},
            spec=args.published.spec(
                service_spec(
                    node_port=args.node_port,
                    public_port=cluster.gateway_port,
                    traffic_policy=args.traffic_policy,
                    peers=(
                        (args.peers_node_port, cluster.peers_port)
                        if tls.on and cluster.peers_port is not None
                        else None
                    ),
                )
            ),
            opts=cluster.child(self),
        )
        disruption_budget(name, cluster, self, metadata, replicas=args.replicas)
        if args.most_replicas is not None:
            kubernetes.autoscaling.v2.HorizontalPodAutoscaler(
                f"{name}-autoscaler",
                metadata=metadata,
                spec=autoscaler_spec(
                    deployment=NAME,
                    least=args.replicas,
                    most=args.most_replicas,
                    cpu_percent=args.cpu_percent,
                ),
                opts=cluster.child(self),
            )
        self.register_outputs({"namespace": self.namespace})
