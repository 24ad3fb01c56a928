"""A Dapr state store component in one namespace, backed by the shared Redis."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as kubernetes

from components.cluster.cluster import Cluster

SECRET = "redis"  # noqa: S105 - the name of the Secret, as in the article
SECRET_KEY = "redis-password"  # noqa: S105
COMPONENT = "statestore"


@dataclass(frozen=True, kw_only=True)
class StateStoreArgs:
    """`address` is host:port of Redis as pods reach it."""

    cluster: Cluster
    namespace: pulumi.Input[str]
    address: pulumi.Input[str]
    password: pulumi.Input[str]


def state_store_spec(address: pulumi.Input[str]) -> dict[str, object]:
    """Spec of the Dapr component; the password is read from the Secret, never written here."""
    return {
        "type": "state.redis",
        "version": "v1",
        "metadata": [
            {"name": "redisHost", "value": address},
            {"name": "redisPassword", "secretKeyRef": {"name": SECRET, "key": SECRET_KEY}},
        ],
    }


class DaprComponent(pulumi.CustomResource):
    """A Dapr Component. The SDK's CustomResource cannot set `auth`, which stands beside `spec`."""

    def __init__(
        self,
        name: str,
        *,
        metadata: dict[str, pulumi.Input[str]],
        spec: dict[str, object],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        props = {
            "apiVersion": "dapr.io/v1alpha1",
            "kind": "Component",
            "metadata": metadata,
            "spec": spec,
            "auth": {"secretStore": "kubernetes"},
        }
        super().__init__("kubernetes:dapr.io/v1alpha1:Component", name, props, opts)


class StateStore(pulumi.ComponentResource):
    """Creates the Secret with the password and the Dapr component that names it."""

    def __init__(self, name: str, args: StateStoreArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("multicluster-dapr:dapr:StateStore", name, None, opts)
        secret = kubernetes.core.v1.Secret(
            f"{name}-secret",
            metadata={"name": SECRET, "namespace": args.namespace},
            string_data={SECRET_KEY: pulumi.Output.secret(args.password)},
            opts=args.cluster.child(self),
        )
        DaprComponent(
            f"{name}-component",
            metadata={"name": COMPONENT, "namespace": secret.metadata["namespace"]},
            spec=state_store_spec(args.address),
            opts=args.cluster.child(self),
        )
        self.register_outputs({})
