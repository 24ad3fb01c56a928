"""Apps that the program deploys: what runs, how it is reached, and how it differs from cluster to cluster."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator
from pydantic.alias_generators import to_camel

from stacks.config import documents
from stacks.config.packaged import ChartSettings
from stacks.config.pods import (
    ALTERNATIVES,
    PACKAGED,
    AnnotationName,
    ObjectName,
    PodSettings,
    PortSettings,
    Quantity,
)
from stacks.config.values import AppId, ClusterName, DnsLabel, Flag, Port, Section, ServiceName

PRESETS: Mapping[str, Mapping[str, Any]] = documents.load(
    Path(__file__).with_name("presets.yaml").read_text()
)
"""Entries of `apps` to begin with, by the name that `app` has."""


class SidecarLimits(Section):
    """What Dapr's sidecar asks for and may use."""

    cpu_request: Quantity | None = Field(default=None, description="CPU it asks for.")
    cpu_limit: Quantity | None = Field(default=None, description="CPU it may use.")
    memory_request: Quantity | None = Field(default=None, description="Memory it asks for.")
    memory_limit: Quantity | None = Field(default=None, description="Memory it may use.")


class AppStateSettings(Section):
    """A Dapr state store of the app's own in the environment's Redis, by a user that sees its keys alone."""

    name: ObjectName = Field(default="statestore", description="Name of the Dapr component.")
    secret: ObjectName | None = Field(
        default=None, description="Name of the Secret with its password; default the component's."
    )

    @property
    def secret_name(self) -> str:
        """Name of the Secret."""
        return self.secret or self.name


class DaprAppSettings(Section):
    """The Dapr sidecar beside an app."""

    app_id: AppId | None = Field(default=None, description="Its app-id; default the app's name.")
    app_port: Port | None = Field(
        default=None, description="Port the sidecar calls the app at; none for an app that only calls."
    )
    protocol: Literal["http", "https", "grpc", "grpcs", "h2c"] = Field(
        default="http", description="What the app speaks there."
    )
    config: ObjectName | None = Field(default=None, description="Dapr Configuration in the namespace.")
    log_level: Literal["debug", "info", "warn", "error"] = Field(
        default="info", description="How much the sidecar logs."
    )
    api_logging: Flag = Field(default=False, description="It logs each call of its API.")
    sidecar: SidecarLimits = Field(default=SidecarLimits(), description="Its own CPU and memory.")
    state_store: AppStateSettings | None = Field(
        default=None, description="A state store of its own in the environment's Redis; default none."
    )


class AppSettings(PodSettings):
    """An app: a Deployment, and a Service if it has ports; or a chart; or manifests."""

    app: Literal["nodeapp", "curl"] | None = Field(
        default=None,
        description="What it begins with (stacks/config/presets.yaml): nodeapp answers, curl asks; all else "
        "here goes over it.",
    )
    name: ServiceName | None = Field(
        default=None, description="Name of its Deployment and Service; without `app` required."
    )
    clusters: Annotated[tuple[ClusterName, ...], Field(min_length=1)] = Field(
        description="Members it runs on."
    )
    namespace: DnsLabel = Field(description="Namespace it runs in.")
    ports: Annotated[tuple[PortSettings, ...], Field(max_length=64)] = Field(
        default=(), description="Ports of its Service; without any there is none."
    )
    selector: Annotated[dict[AnnotationName, str], Field(min_length=1)] | None = Field(
        default=None,
        description="Labels by which Deployment and Service find its pods; default `app` with its name. "
        "A change replaces the Deployment.",
    )
    container: DnsLabel | None = Field(
        default=None, description="Name of the container in its pods; default the app's."
    )
    dapr: DaprAppSettings | None = Field(default=None, description="Dapr's sidecar beside it; default none.")
    overrides: dict[ClusterName, PodSettings] = Field(
        default={}, description="What differs in a cluster, by its name; `env` and the like are added to."
    )

    @model_validator(mode="before")
    @classmethod
    def _begun(cls, given: Any) -> Any:
        """Put what is given over what it begins with."""
        name = given.get("app") if isinstance(given, dict) else None
        preset = PRESETS.get(name) if isinstance(name, str) else None
        return given if preset is None else _over(preset, given)

    @property
    def service(self) -> str:
        """Name of its Service."""
        return str(self.name)

    @property
    def is_packaged(self) -> bool:
        """Whether it brings its own objects, as a chart or as manifests."""
        return any(getattr(self, field) is not None for field in PACKAGED)

    @property
    def labels_of_pods(self) -> Mapping[str, str]:
        """The labels by which its pods are found."""
        return self.selector or {"app": self.service}

    @property
    def service_ports(self) -> tuple[int, ...]:
        """Ports of its Service."""
        return tuple(one.port for one in self.ports)

    @property
    def sidecar_id(self) -> str | None:
        """The app-id of the sidecar beside it; None without one."""
        return (self.dapr.app_id or self.service) if self.dapr is not None else None

    @property
    def app_id(self) -> str | None:
        """Its Dapr app-id if it can be called by one: behind the Service of one that only calls is nobody."""
        return self.sidecar_id if self.dapr is not None and self.dapr.app_port is not None else None

    @property
    def has_sidecar(self) -> bool:
        """Whether Dapr is beside it, by which it calls others."""
        return self.dapr is not None

    @property
    def state_store(self) -> AppStateSettings | None:
        """Its state store in the environment's Redis."""
        return self.dapr.state_store if self.dapr is not None else None

    def on(self, cluster: str) -> PodSettings:
        """What runs on a cluster: what is said of all, and what differs there."""
        other = self.overrides.get(cluster)
        if other is None:
            return self
        update: dict[str, Any] = {}
        for fields in ALTERNATIVES:
            if not other.model_fields_set.isdisjoint(fields):
                update |= dict.fromkeys(fields)
        update |= {key: _joined(getattr(self, key), getattr(other, key)) for key in other.model_fields_set}
        return self.model_copy(update=update)


def _over(preset: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    replaced = {
        key
        for fields in ALTERNATIVES
        if not given.keys().isdisjoint(keys := [to_camel(field) for field in fields])
        for key in keys
    }
    begun = {key: value for key, value in preset.items() if key not in replaced}
    return begun | {key: _joined(begun.get(key), value) for key, value in given.items()}


def _joined(mine: Any, theirs: Any) -> Any:
    if isinstance(mine, ChartSettings) and isinstance(theirs, ChartSettings):
        return mine.with_changes(theirs)
    return {**mine, **theirs} if isinstance(mine, dict) and isinstance(theirs, dict) else theirs
