"""Dapr on the members: its control plane, the state stores of apps, and its resources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from stacks.config.pods import ObjectName, Value
from stacks.config.values import AppId, ClusterName, DnsLabel, Flag, Section, Version

# No dot: a path of `pulumi config set` would end there.
MetadataName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][-A-Za-z0-9_]*$", max_length=253)]


class StateStoreSettings(Section):
    """The Dapr state store of the demo apps, which all members share unless each has a Redis database."""

    actors: Flag = Field(
        default=False, description="Keep actors and workflows in it, too; members must not share them."
    )
    per_cluster: Flag = Field(
        default=False,
        description="A Redis database of its own for each member, by its place among them: 1 is the first's; "
        "0 where Redis is external.",
    )


class OfDapr(Section):
    """A resource of Dapr in a namespace of some members."""

    name: ObjectName = Field(description="Its name.")
    namespace: DnsLabel = Field(description="Its namespace, whose sidecars read it.")
    clusters: tuple[ClusterName, ...] = Field(
        default=(), description="Members that have it; default all with Dapr."
    )


class Scoped(OfDapr):
    """One that sidecars read by their app-id."""

    scopes: tuple[AppId, ...] = Field(
        default=(), description="App-ids of the sidecars that read it; empty is all in the namespace."
    )


class MetadataValue(Value):
    """A value of a component's metadata: a text, or an object with one of these keys."""


class ComponentSettings(Scoped):
    """A Dapr Component of any type."""

    kind: ClassVar = "Component"
    type: Annotated[str, Field(pattern=r"^[a-z0-9-]+\.[A-Za-z0-9.-]+$", max_length=253)] = Field(
        description="Such as pubsub.kafka, as Dapr's list of components has it."
    )
    version: Annotated[str, Field(pattern=r"^v[0-9]+$")] = Field(
        default="v1", description="Version of the type."
    )
    metadata: dict[MetadataName, MetadataValue] = Field(default={}, description="What the type asks for.")
    ignore_errors: Flag = Field(default=False, description="Sidecars start without it when it fails.")
    init_timeout: Annotated[str, Field(pattern=r"^[0-9]+(ms|s|m)$")] | None = Field(
        default=None, description="Such as 20s; Dapr has 5s."
    )


class ConfigurationSettings(OfDapr):
    """A Dapr Configuration."""

    kind: ClassVar = "Configuration"
    spec: dict[str, Any] = Field(description="In the words of Dapr's Configuration.")


class ResiliencySettings(Scoped):
    """A Dapr Resiliency."""

    kind: ClassVar = "Resiliency"
    spec: dict[str, Any] = Field(description="In the words of Dapr's Resiliency: policies and targets.")


class RouteSettings(Section):
    """Some of a topic's messages."""

    match: Annotated[str, Field(min_length=1)] = Field(
        description='Common Expression Language over the event, such as event.type == "order".'
    )
    path: Annotated[str, Field(pattern=r"^/")] = Field(description="Path they are posted to.")


class SubscriptionSettings(Scoped):
    """A Dapr Subscription."""

    kind: ClassVar = "Subscription"
    pubsubname: ObjectName = Field(description="Name of the pub/sub component.")
    topic: Annotated[str, Field(min_length=1)] = Field(description="Topic there.")
    route: Annotated[str, Field(pattern=r"^/")] = Field(description="Path that its messages are posted to.")
    rules: tuple[RouteSettings, ...] = Field(
        default=(), description="Messages that go to another path; the first that matches counts."
    )
    dead_letter_topic: str | None = Field(
        default=None, min_length=1, description="Topic for messages that nobody could take."
    )
    metadata: dict[MetadataName, str] = Field(default={}, description="What the broker asks for.")


DaprResourceSettings = ComponentSettings | ConfigurationSettings | ResiliencySettings | SubscriptionSettings


class DaprSettings(Section):
    """The Dapr control plane of each member."""

    mode: Literal["install", "existing", "none"] | None = Field(
        default=None,
        description="Installed here, there already and used as it is, or none. Default install; without "
        "apps, none in clusters that exist.",
    )
    namespace: DnsLabel = Field(default="dapr-system", description="Namespace it runs in.")
    version: Version | None = Field(
        default=None, description="Chart and runtime version; default that of the supply."
    )
    high_availability: Flag = Field(
        default=False, description="install: three replicas of each part, as the chart's `global.ha` has it."
    )
    values: dict[str, Any] = Field(
        default={}, description="install: values of Dapr's chart, which win over the program's."
    )
    mtls: Flag | None = Field(
        default=None,
        description="install: mTLS between Dapr sidecars, one root for all members. Default on, with the "
        "article's versions off. existing: `true` is refused where it is off.",
    )
    state_store: StateStoreSettings = Field(
        default=StateStoreSettings(),
        description="The state stores that apps have in the environment's Redis.",
    )
    invoke: Literal["app", "sidecar"] = Field(
        default="app",
        description="How requests of other clusters reach Dapr apps: at their port, or through a Dapr "
        "sidecar (bundled mesh).",
    )
    components: tuple[ComponentSettings, ...] = Field(
        default=(), description="State stores, pub/sub brokers, bindings and the like, of any type."
    )
    configurations: tuple[ConfigurationSettings, ...] = Field(
        default=(),
        description="Tracing, access control and the like, for apps whose `dapr.config` names one.",
    )
    resiliencies: tuple[ResiliencySettings, ...] = Field(
        default=(), description="Timeouts, retries and circuit breakers of sidecars."
    )
    subscriptions: tuple[SubscriptionSettings, ...] = Field(
        default=(), description="Topics that sidecars bring to their apps."
    )

    @property
    def resources(self) -> Iterator[tuple[str, DaprResourceSettings]]:
        """All of its resources, each with its path."""
        lists: Mapping[str, Sequence[DaprResourceSettings]] = {
            "components": self.components, "configurations": self.configurations,
            "resiliencies": self.resiliencies, "subscriptions": self.subscriptions,
        }  # fmt: skip
        for key, listed in lists.items():
            for index, one in enumerate(listed):
                yield f"dapr.{key}[{index}]", one
