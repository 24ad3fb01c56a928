"""Redis as a StatefulSet in the control plane cluster, for environments without Docker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components.cluster.cluster import Cluster
from components.joinable_cluster import NODE_PORTS, UNAWAITED
from components.pod_security import CONTAINER_SECURITY, POD_SECURITY
from components.redis.redis import REDIS_PORT
from components.redis.users import AppUser, config_id, rendered

NAME = "multicluster-redis"
LABELS = {"app": NAME}
CONFIG_FOLDER = "/usr/local/etc/redis"
STORAGE = "1Gi"
CONFIG_ANNOTATION = "multicluster-dapr/redis-config"


@dataclass(frozen=True, kw_only=True)
class RedisStatefulSetArgs:
    """`host`:`port` is where every member reaches it; `namespace` exists already and keeps the data.

    `password` is the administrator's, `users` are those of the apps.
    """

    cluster: Cluster
    namespace: str
    image: pulumi.Input[str]
    host: str
    port: int
    password: pulumi.Input[str]
    users: Sequence[AppUser]


def stateful_set_spec(*, image: Any, config_id: Any) -> dict[str, Any]:
    """Spec of the StatefulSet. Its claim outlives it, and this stack: orders are the user's data.

    `config_id` restarts it when its file changes: Redis reads its users when it starts.
    """
    return {
        "replicas": 1,
        "serviceName": NAME,
        "selector": {"matchLabels": LABELS},
        "template": {
            "metadata": {"labels": LABELS, "annotations": {CONFIG_ANNOTATION: config_id}},
            "spec": {
                "automountServiceAccountToken": False,
                "securityContext": POD_SECURITY,
                "containers": [
                    {
                        "name": "redis",
                        "image": image,
                        "imagePullPolicy": "IfNotPresent",
                        "command": ["redis-server", f"{CONFIG_FOLDER}/redis.conf"],
                        "ports": [{"name": "redis", "containerPort": REDIS_PORT, "protocol": "TCP"}],
                        "readinessProbe": {"tcpSocket": {"port": "redis"}, "periodSeconds": 2},
                        "volumeMounts": [
                            {"name": "config", "mountPath": CONFIG_FOLDER, "readOnly": True},
                            {"name": "data", "mountPath": "/data"},
                        ],
                        "securityContext": CONTAINER_SECURITY,
                    }
                ],
                "volumes": [{"name": "config", "secret": {"secretName": NAME}}],
            },
        },
        "volumeClaimTemplates": [
            {
                "metadata": {"name": "data"},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": STORAGE}}},
            }
        ],
    }


def service_spec(*, port: int) -> dict[str, Any]:
    """Spec of the Service: a node port where `port` is one, else a load balancer."""
    entry = {"name": "redis", "port": port, "targetPort": "redis", "protocol": "TCP"}
    if port in NODE_PORTS:
        return {
            "type": "NodePort",
            "selector": LABELS,
            "ports": [{**entry, "port": REDIS_PORT, "nodePort": port}],
        }
    return {"type": "LoadBalancer", "selector": LABELS, "ports": [entry]}


class RedisStatefulSet(pulumi.ComponentResource):
    """Creates the Secret with redis.conf, the StatefulSet and the Service."""

    address: pulumi.Output[str]

    def __init__(
        self, name: str, args: RedisStatefulSetArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("multicluster-dapr:redis:RedisStatefulSet", name, None, opts)
        metadata = {"name": NAME, "namespace": args.namespace, "labels": LABELS}
        text = rendered(args.password, args.users)
        config = kubernetes.core.v1.Secret(
            f"{name}-config",
            metadata=metadata,
            string_data={"redis.conf": text},
            opts=args.cluster.child(self),
        )
        server = kubernetes.apps.v1.StatefulSet(
            f"{name}-server",
            metadata=metadata,
            spec=stateful_set_spec(image=args.image, config_id=pulumi.Output.unsecret(text.apply(config_id))),
            # Its pod mounts the Secret by name.
            opts=args.cluster.child(self, depends_on=[config], waits=True),
        )
        service = kubernetes.core.v1.Service(
            f"{name}-service",
            metadata={**metadata, "annotations": UNAWAITED},
            spec=service_spec(port=args.port),
            opts=args.cluster.child(self),
        )
        # Nobody should dial Redis before it is there.
        ready = pulumi.Output.all(server.id, service.id)
        self.address = ready.apply(lambda _: f"{args.host}:{args.port}")
        self.register_outputs({"address": self.address})
