"""A Dapr state store component in one namespace, backed by the shared Redis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as kubernetes

from components.cluster.cluster import Cluster

SECRET_KEY = "redis-password"  # noqa: S105 - the name of a key, not a password
STORE_ANNOTATION = "multicluster-dapr/state-store"


@dataclass(frozen=True, kw_only=True)
class StateStoreArgs:
    """`name` is the component's, `secret` that of the Secret with the password.

    `address` is host:port of Redis as pods reach it, `database` the number of the database in it. `app_id` is
    the one app that may use it. `username` None means Redis' user `default`. `password_id` changes with the
    password and tells nothing of it. `actors` says that actors and workflows are kept in it, too.
    """

    cluster: Cluster
    name: str
    secret: str
    namespace: pulumi.Input[str]
    address: pulumi.Input[str]
    app_id: str
    username: str | None
    password: pulumi.Input[str]
    password_id: pulumi.Input[str]
    database: int
    actors: bool


def state_store_spec(
    address: pulumi.Input[str], *, secret: str, username: str | None, database: int, actors: bool
) -> dict[str, object]:
    """Spec of the Dapr component; the password is read from the Secret, never written here.

    Keys begin with the app-id, so that an app finds in one cluster what it wrote in another.
    """
    metadata: list[dict[str, object]] = [
        {"name": "redisHost", "value": address},
        {"name": "redisPassword", "secretKeyRef": {"name": secret, "key": SECRET_KEY}},
        {"name": "keyPrefix", "value": "appid"},
    ]
    if username is not None:
        metadata.append({"name": "redisUsername", "value": username})
    if database:  # Redis' own default is 0
        metadata.append({"name": "redisDB", "value": str(database)})
    if actors:
        metadata.append({"name": "actorStateStore", "value": "true"})
    return {"type": "state.redis", "version": "v1", "metadata": metadata}


def _dotted(parts: Sequence[pulumi.Input[str]]) -> pulumi.Output[str]:
    return pulumi.Output.all(*parts).apply(".".join)


class DaprComponent(pulumi.CustomResource):
    """A Dapr Component of one app. The SDK's CustomResource cannot set what stands beside `spec`."""

    def __init__(
        self,
        name: str,
        *,
        metadata: dict[str, pulumi.Input[str]],
        spec: dict[str, object],
        app_id: str,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        props = {
            "apiVersion": "dapr.io/v1alpha1",
            "kind": "Component",
            "metadata": metadata,
            "spec": spec,
            "auth": {"secretStore": "kubernetes"},
            "scopes": [app_id],
        }
        super().__init__("kubernetes:dapr.io/v1alpha1:Component", name, props, opts)


class StateStore(pulumi.ComponentResource):
    """Creates the Secret with the password and the Dapr component that names it.

    `restarts_sidecars` are annotations for pods with a sidecar: no sidecar before 1.18, nor one with actors
    before 1.18.3, takes in a component that changed.
    """

    restarts_sidecars: Mapping[str, pulumi.Input[str]]

    def __init__(self, name: str, args: StateStoreArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("multicluster-dapr:dapr:StateStore", name, None, opts)
        secret = kubernetes.core.v1.Secret(
            f"{name}-secret",
            metadata={"name": args.secret, "namespace": args.namespace},
            string_data={SECRET_KEY: pulumi.Output.secret(args.password)},
            opts=args.cluster.child(self),
        )
        DaprComponent(
            f"{name}-component",
            metadata={"name": args.name, "namespace": secret.metadata["namespace"]},
            spec=state_store_spec(
                args.address,
                secret=args.secret,
                username=args.username,
                database=args.database,
                actors=args.actors,
            ),
            app_id=args.app_id,
            opts=args.cluster.child(self),
        )
        user = [args.username, args.password_id] if args.username else []
        chosen = [*user, *[f"database-{args.database}"] * bool(args.database), *["actors"] * args.actors]
        self.restarts_sidecars = {STORE_ANNOTATION: _dotted(chosen)} if chosen else {}
        self.register_outputs({})
