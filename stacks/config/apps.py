"""Apps that the program deploys: what runs, how it is reached, and how it differs from cluster to cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, SecretStr, model_validator

from stacks.config.values import (
    AppId,
    ClusterName,
    DnsLabel,
    Flag,
    Number,
    Port,
    Section,
    ServiceName,
)

DEMO_PORTS: Mapping[str, tuple[int, ...]] = {"nodeapp": (3000,), "curl": (80,)}
"""Ports of the demo apps' Services."""

ObjectName = Annotated[
    str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253, description="Name of an object.")
]
Quantity = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$")]
EnvName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*$", max_length=253)]
AnnotationName = Annotated[
    str, Field(pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$")
]
FilePath = Annotated[str, Field(pattern=r"^/[^:]*$")]
Seconds = Annotated[Number, Field(ge=1, le=3600)]
UserId = Annotated[Number, Field(ge=0, le=2_147_483_647)]


class KeyRef(Section):
    """A key of a Secret or ConfigMap in the app's namespace."""

    name: ObjectName = Field(description="Name of the Secret or ConfigMap.")
    key: str = Field(min_length=1, description="Key in it.")


class EnvValue(Section):
    """The value of an environment variable: a text, or an object with one of these keys."""

    model_config = ConfigDict(
        json_schema_extra=lambda schema: schema.update(
            anyOf=[{"type": "string"}, {"type": schema.pop("type")}]
        )
    )

    value: str | None = Field(default=None, description="The text itself.")
    secret: SecretStr | None = Field(
        default=None,
        description="A text that `pulumi config set --secret --path` encrypts; pods get it from a Secret.",
    )
    secret_key_ref: KeyRef | None = Field(default=None, description="A key of a Secret that is there.")
    config_map_key_ref: KeyRef | None = Field(default=None, description="A key of a ConfigMap that is there.")
    field: str | None = Field(default=None, description="A field of the pod, such as status.podIP.")
    cluster: Literal["name", "key"] | None = Field(
        default=None, description="Name or key of the cluster it runs in."
    )

    @property
    def sources(self) -> Mapping[str, object]:
        """Where it may come from, by key."""
        return {
            "value": self.value, "secret": self.secret, "secretKeyRef": self.secret_key_ref,
            "configMapKeyRef": self.config_map_key_ref, "field": self.field, "cluster": self.cluster,
        }  # fmt: skip

    @model_validator(mode="before")
    @classmethod
    def _text(cls, given: Any) -> Any:
        return {"value": given} if isinstance(given, str) else given


class PortSettings(Section):
    """A port of the app's Service."""

    port: Port = Field(description="Port of the Service.")
    name: DnsLabel | None = Field(default=None, description="Its name, needed where there are several.")
    target_port: Port | None = Field(default=None, description="Port of the container; default the same.")
    app_protocol: str | None = Field(
        default=None, description="What is spoken there, such as http; gateways carry HTTP alone."
    )


class ProbeSettings(Section):
    """How Kubernetes asks a container: by HTTP at a path, by a command, else whether the port is open."""

    path: Annotated[str, Field(pattern=r"^/")] | None = Field(default=None, description="Path to GET.")
    command: tuple[str, ...] = Field(default=(), description="Command in the container that ends with 0.")
    port: Port | None = Field(default=None, description="Port of the container; default that of the first.")
    initial_delay_seconds: Seconds | None = Field(default=None, description="Time before the first one.")
    period_seconds: Seconds | None = Field(default=None, description="Time between two; Kubernetes has 10.")
    timeout_seconds: Seconds | None = Field(default=None, description="Time for an answer; Kubernetes has 1.")
    failure_threshold: Seconds | None = Field(
        default=None, description="Failures in a row that count; Kubernetes has 3."
    )


class ProbesSettings(Section):
    """Kubernetes' probes of the container."""

    readiness: ProbeSettings | None = Field(default=None, description="While it fails, nothing is sent.")
    liveness: ProbeSettings | None = Field(default=None, description="When it fails, the container restarts.")
    startup: ProbeSettings | None = Field(default=None, description="Until it succeeds, the others wait.")

    @property
    def by_kind(self) -> Mapping[str, ProbeSettings]:
        """Those that are given, by Kubernetes' words for them."""
        kinds = {"readiness": self.readiness, "liveness": self.liveness, "startup": self.startup}
        return {kind: probe for kind, probe in kinds.items() if probe is not None}


class Amounts(Section):
    """Amounts of CPU and memory, as Kubernetes writes them."""

    cpu: Quantity | None = Field(default=None, description="Such as 500m.")
    memory: Quantity | None = Field(default=None, description="Such as 256Mi.")


class ResourceSettings(Section):
    """What the container asks for and may use."""

    requests: Amounts = Field(default=Amounts(), description="What it asks for.")
    limits: Amounts = Field(default=Amounts(), description="What it may use.")


class VolumeSettings(Section):
    """A folder in the container: empty at first, or one that is there."""

    mount_path: FilePath = Field(description="Where the container sees it.")
    read_only: Flag = Field(default=False, description="It cannot be written to.")
    empty_dir: Flag = Field(default=False, description="Empty, and gone with the pod.")
    secret: ObjectName | None = Field(default=None, description="A Secret, a file for each key.")
    config_map: ObjectName | None = Field(default=None, description="A ConfigMap, a file for each key.")
    claim: ObjectName | None = Field(default=None, description="A PersistentVolumeClaim.")

    @property
    def sources(self) -> Mapping[str, object]:
        """What may be in it, by key."""
        empty = self.empty_dir or None
        return {"emptyDir": empty, "secret": self.secret, "configMap": self.config_map, "claim": self.claim}


class SidecarLimits(Section):
    """What Dapr's sidecar asks for and may use."""

    cpu_request: Quantity | None = Field(default=None, description="CPU it asks for.")
    cpu_limit: Quantity | None = Field(default=None, description="CPU it may use.")
    memory_request: Quantity | None = Field(default=None, description="Memory it asks for.")
    memory_limit: Quantity | None = Field(default=None, description="Memory it may use.")


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


class SecuritySettings(Section):
    """What the pod may do. The defaults meet Kubernetes' `restricted` standard."""

    run_as_user: UserId = Field(default=65532, description="User it runs as, whatever its image says.")
    run_as_group: UserId = Field(default=65532, description="Its group.")
    fs_group: UserId = Field(default=65532, description="Group of its volumes.")
    run_as_non_root: Flag = Field(default=True, description="Kubernetes refuses to run it as root.")
    read_only_root_filesystem: Flag = Field(
        default=True, description="It writes to its volumes alone; false for images that write elsewhere."
    )
    token: Flag = Field(
        default=False, description="It gets the token of its ServiceAccount, to call Kubernetes' API."
    )


class PodSettings(Section):
    """What runs. Of this anything may differ from cluster to cluster."""

    image: str | None = Field(default=None, min_length=1, description="Image that the nodes pull.")
    build: str | None = Field(
        default=None, min_length=1, description="Or folder with a Dockerfile, built here and brought to them."
    )
    replicas: Annotated[Number, Field(ge=0, le=1000)] = Field(default=1, description="Pods in each cluster.")
    command: tuple[str, ...] = Field(default=(), description="In place of the image's entry point.")
    args: tuple[str, ...] = Field(default=(), description="Its arguments.")
    env: dict[EnvName, EnvValue] = Field(default={}, description="Environment variables, by name.")
    probes: ProbesSettings = Field(default=ProbesSettings(), description="Kubernetes' probes.")
    resources: ResourceSettings = Field(default=ResourceSettings(), description="CPU and memory.")
    volumes: Annotated[tuple[VolumeSettings, ...], Field(max_length=64)] = Field(
        default=(), description="Folders in the container."
    )
    service_account_name: ObjectName | None = Field(
        default=None, description="ServiceAccount of its pods, which is there."
    )
    image_pull_secrets: tuple[ObjectName, ...] = Field(
        default=(), description="Secrets with the credentials of the image's registry."
    )
    annotations: dict[AnnotationName, str] = Field(default={}, description="Annotations of its pods.")
    labels: dict[AnnotationName, str] = Field(default={}, description="Labels of its pods, beside `app`.")
    security: SecuritySettings = Field(default=SecuritySettings(), description="What its pods may do.")


class AppSettings(PodSettings):
    """An app: a Deployment, and a Service if it has ports."""

    app: Literal["nodeapp", "curl"] | None = Field(
        default=None, description="A demo app, in place of `name` and the rest: nodeapp answers, curl asks."
    )
    name: ServiceName | None = Field(default=None, description="Name of its Deployment and Service.")
    clusters: Annotated[tuple[ClusterName, ...], Field(min_length=1)] = Field(
        description="Members it runs on."
    )
    namespace: DnsLabel = Field(description="Namespace it runs in.")
    ports: Annotated[tuple[PortSettings, ...], Field(max_length=64)] = Field(
        default=(), description="Ports of its Service; without any there is none."
    )
    dapr: DaprAppSettings | None = Field(default=None, description="Dapr's sidecar beside it; default none.")
    overrides: dict[ClusterName, PodSettings] = Field(
        default={}, description="What differs in a cluster, by its name; `env` and the like are added to."
    )

    @property
    def service(self) -> str:
        """Name of its Service."""
        return str(self.name or self.app)

    @property
    def service_ports(self) -> tuple[int, ...]:
        """Ports of its Service."""
        return DEMO_PORTS[self.app] if self.app is not None else tuple(one.port for one in self.ports)

    @property
    def app_id(self) -> str | None:
        """Its Dapr app-id if it can be called by one. Behind the Service of curl nothing listens."""
        if self.app is not None:
            return self.app if self.app == "nodeapp" else None
        if self.dapr is None or self.dapr.app_port is None:
            return None
        return self.dapr.app_id or self.service

    @property
    def has_sidecar(self) -> bool:
        """Whether Dapr is beside it, by which it calls others."""
        return self.app is not None or self.dapr is not None

    def on(self, cluster: str) -> PodSettings:
        """What runs on a cluster: what is said of all, and what differs there."""
        other = self.overrides.get(cluster)
        if other is None:
            return self
        update = {key: _joined(getattr(self, key), getattr(other, key)) for key in other.model_fields_set}
        if other.image or other.build:  # one takes the place of the other
            update |= {"image": other.image, "build": other.build}
        return self.model_copy(update=update)


def _joined(mine: Any, theirs: Any) -> Any:
    return {**mine, **theirs} if isinstance(theirs, dict) else theirs
