"""Dapr's resources on a member: those of the settings, and the state stores of apps."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pulumi

from components.dapr import state_store
from components.dapr.dapr_resource import DaprResource, DaprResourceArgs
from stacks.config.apps import AppSettings
from stacks.config.dapr import DaprResourceSettings, Scoped
from stacks.program import dapr_specs, state
from stacks.program.prepared_cluster import PreparedCluster
from stacks.program.shared_resources import SharedResources

RESOURCES_ANNOTATION = "multicluster-dapr/dapr-resources"


@dataclass(frozen=True, kw_only=True)
class Made:
    """A resource that was made, with what says who reads it, and what a sidecar takes in at its start."""

    of: DaprResourceSettings
    resource: DaprResource
    at_start: Sequence[pulumi.Output[str]] = ()


@dataclass(frozen=True, kw_only=True)
class Read:
    """What one app reads: resources to wait for, and annotations by which its pods restart."""

    resources: Sequence[pulumi.Resource] = ()
    restarts: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)


def create(shared: SharedResources, member: PreparedCluster, dapr: Sequence[pulumi.Resource]) -> list[Made]:
    """Create the resources of the settings that a member has."""
    return [
        _made(shared, member, resource, dapr)
        for _, resource in shared.settings.dapr.resources
        if member.config.name in shared.settings.members_with(resource)
    ]


def read_by(app: AppSettings, made: Sequence[Made]) -> Read:
    """What an app reads of it: what is in its namespace and for its app-id; the Configuration it names."""
    mine = [one for one in made if dapr_specs.reads(app, one.of)]
    parts = [part for one in mine for part in one.at_start]
    digest = pulumi.Output.all(*parts).apply(_digest)
    return Read(
        resources=[one.resource for one in mine],
        restarts={RESOURCES_ANNOTATION: digest} if parts else {},
    )


def store(
    shared: SharedResources,
    member: PreparedCluster,
    app: AppSettings,
    address: pulumi.Output[str] | None,
    dapr: Sequence[pulumi.Resource],
) -> Read:
    """Create the state store of an app that has one, where there are both Dapr and Redis."""
    cluster, wanted, app_id = member.cluster, app.state_store, app.sidecar_id
    if wanted is None or app_id is None or member.config.dapr == "none":
        return Read()
    if address is None or shared.password is None:
        return Read()
    user = shared.state_users.get((app_id, cluster.name))
    username = user.name if user is not None else None
    database = state.database(shared.settings, member.config)
    actors = shared.settings.dapr.state_store.actors
    args = DaprResourceArgs(
        cluster=cluster,
        kind="Component",
        name=wanted.name,
        namespace=member.namespace(app.namespace),
        spec=state_store.state_store_spec(
            address, secret=wanted.secret_name, username=username, database=database, actors=actors
        ),
        scopes=[app_id],
        secret=wanted.secret_name,
        secrets={state_store.SECRET_KEY: user.password if user is not None else shared.password},
    )
    made = DaprResource(f"{cluster.name}-{app.namespace}-{wanted.name}", args, _waits(member, dapr))
    restarts = state_store.restarts(
        username=username,
        password_id=user.password_id if user is not None else "",
        database=database,
        actors=actors,
    )
    return Read(resources=[made], restarts=restarts)


def _made(
    shared: SharedResources,
    member: PreparedCluster,
    resource: DaprResourceSettings,
    dapr: Sequence[pulumi.Resource],
) -> Made:
    args = DaprResourceArgs(
        cluster=member.cluster,
        kind=resource.kind,
        name=resource.name,
        namespace=member.namespace(resource.namespace),
        spec=dapr_specs.spec(resource, member.config),
        scopes=resource.scopes if isinstance(resource, Scoped) else (),
        secret=dapr_specs.secret_name(resource),
        secrets=dapr_specs.secrets(resource),
    )
    name = f"{member.config.name}-{resource.namespace}-{resource.name}"
    made = DaprResource(name, args, _waits(member, dapr))
    return Made(of=resource, resource=made, at_start=list(_at_start(shared, member, resource, made)))


def _at_start(
    shared: SharedResources, member: PreparedCluster, resource: DaprResourceSettings, made: DaprResource
) -> Iterator[pulumi.Output[str]]:
    """What a sidecar takes in at its start alone: a Secret, and what it does not reload."""
    if not dapr_specs.is_reloaded(resource, _version(shared, member)):
        yield made.digest
    if made.secret_version is not None:
        yield made.secret_version


def _version(shared: SharedResources, member: PreparedCluster) -> str:
    """The version of Dapr on a member, as far as it is known."""
    if member.config.dapr == "install":
        return shared.supply.dapr_version
    present = shared.present.found.get(member.config.name)
    return present.dapr.version if present is not None and present.dapr is not None else ""


def _waits(member: PreparedCluster, dapr: Sequence[pulumi.Resource]) -> pulumi.ResourceOptions:
    # Their CRDs come with Dapr.
    return pulumi.ResourceOptions(provider=member.cluster.provider, depends_on=list(dapr))


def _digest(parts: Sequence[str]) -> str:
    return hashlib.sha256(".".join(parts).encode()).hexdigest()[:12]
