"""What runs in the pods of an app: image, command, variables, probes, volumes, and what they may do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, SecretStr, model_validator

from stacks.config.packaged import ChartSettings, ManifestsSettings
from stacks.config.values import DnsLabel, Flag, Number, Port, Section

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


ALTERNATIVES = (
    ("image", "build", "supplied", "chart", "manifests"), ("service_account_name", "service_account")
)  # fmt: skip
"""Fields of which one takes the place of the others: what an app is, and by whom its pods act."""
PACKAGED = ("chart", "manifests")
"""Those that bring their own pods."""


class KeyRef(Section):
    """A key of a Secret or ConfigMap in the app's namespace."""

    name: ObjectName = Field(description="Name of the Secret or ConfigMap.")
    key: str = Field(min_length=1, description="Key in it.")


def _text_or_object(schema: dict[str, Any]) -> None:
    schema.update(anyOf=[{"type": "string"}, {"type": schema.pop("type")}])


class Value(Section):
    """A text, or an object with one of these keys."""

    model_config = ConfigDict(json_schema_extra=_text_or_object)

    value: str | None = Field(default=None, description="The text itself.")
    secret: SecretStr | None = Field(
        default=None,
        description="A text that `pulumi config set --secret --path` encrypts; it is kept in a Secret.",
    )
    secret_key_ref: KeyRef | None = Field(default=None, description="A key of a Secret that is there.")
    cluster: Literal["name", "key", "dapr"] | None = Field(
        default=None,
        description="Name or key of the cluster it is for, or who brings its Dapr (`dapr.mode`).",
    )

    @property
    def sources(self) -> Mapping[str, object]:
        """Where it may come from, by key."""
        return {str(field.alias): getattr(self, name) for name, field in type(self).model_fields.items()}

    @model_validator(mode="before")
    @classmethod
    def _text(cls, given: Any) -> Any:
        return {"value": given} if isinstance(given, str) else given


class EnvValue(Value):
    """The value of an environment variable: a text, or an object with one of these keys."""

    config_map_key_ref: KeyRef | None = Field(default=None, description="A key of a ConfigMap that is there.")
    field: str | None = Field(default=None, description="A field of the pod, such as status.podIP.")


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


class ServiceAccountSettings(Section):
    """The ServiceAccount that is made for an app, by its name."""

    annotations: dict[AnnotationName, str] = Field(
        default={}, description="Its annotations, as clouds read them that give pods an identity."
    )


class PodSettings(Section):
    """What runs. Of this anything may differ from cluster to cluster."""

    image: str | None = Field(default=None, min_length=1, description="Image that the nodes pull.")
    build: str | None = Field(
        default=None, min_length=1, description="Or folder with a Dockerfile, built here and brought to them."
    )
    supplied: Literal["curl"] | None = Field(
        default=None, description="Or an image of the supply, by its name in stacks/config/versions.yaml."
    )
    chart: ChartSettings | None = Field(default=None, description="Or a Helm chart, in place of all below.")
    manifests: ManifestsSettings | None = Field(
        default=None, description="Or files with objects, in place of all below."
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
    service_account: ServiceAccountSettings | None = Field(
        default=None, description="Or one that is made, with the app's name."
    )
    termination_grace_period_seconds: Annotated[Number, Field(ge=0, le=3600)] | None = Field(
        default=None, description="Time to stop after a SIGTERM; Kubernetes has 30."
    )
    image_pull_secrets: tuple[ObjectName, ...] = Field(
        default=(), description="Secrets with the credentials of the image's registry."
    )
    annotations: dict[AnnotationName, str] = Field(default={}, description="Annotations of its pods.")
    labels: dict[AnnotationName, str] = Field(
        default={}, description="Labels of its pods, beside `selector`."
    )
    security: SecuritySettings = Field(default=SecuritySettings(), description="What its pods may do.")
