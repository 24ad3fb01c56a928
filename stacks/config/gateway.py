"""Settings of the mesh's own pods: gateways, controllers and the hub."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from stacks.config.telemetry import MetricsSettings, TracingSettings
from stacks.config.values import AddressRange, Flag, LimitName, Number, Section


class PodsSettings(Section):
    """Pods of gateways, controllers and hub, in the words of Kubernetes' PodSpec."""

    node_selector: dict[str, str] = Field(default={}, description="Labels of the nodes they run on.")
    tolerations: tuple[dict[str, Any], ...] = Field(default=(), description="Taints they put up with.")
    affinity: dict[str, Any] = Field(default={}, description="To nodes and other pods.")
    topology_spread_constraints: tuple[dict[str, Any], ...] | None = Field(
        default=None, description="How they are spread; default over nodes, where there are several."
    )
    resources: dict[str, Any] = Field(
        default={}, description="Requests and limits; default 50m and 64Mi, at most 256Mi."
    )
    priority_class_name: str = Field(default="", description="PriorityClass.")
    labels: dict[str, str] = Field(default={}, description="Labels of the pods, besides ours.")
    annotations: dict[str, str] = Field(default={}, description="Annotations of the pods, besides ours.")


class GatewayServiceSettings(Section):
    """The Service that publishes a gateway, in the words of Kubernetes' ServiceSpec."""

    annotations: dict[str, str] = Field(default={}, description="Annotations, as load balancers read them.")
    load_balancer_class: str = Field(default="", description="Which load balancer takes it.")
    load_balancer_address: str = Field(default="", description="Address that is asked for.")
    ip_family_policy: Literal["SingleStack", "PreferDualStack", "RequireDualStack"] | None = Field(
        default=None, description="One or both families of addresses; default the cluster's."
    )
    ip_families: tuple[Literal["IPv4", "IPv6"], ...] = Field(
        default=(), description="Which, the first one first."
    )


class AutoscalerSettings(Section):
    """A HorizontalPodAutoscaler of each gateway; `gateway.replicas` is the least it goes down to."""

    max_replicas: Annotated[Number, Field(ge=2, le=100)] = Field(description="Most pods per cluster.")
    cpu_percent: Annotated[Number, Field(ge=1, le=1000)] = Field(
        default=70, description="Of the CPU that the pods request."
    )


def _off(value: object) -> object:
    """YAML 1.1 reads off as false."""
    return "off" if value is False else value


MutualTls = Annotated[Literal["off", "accept", "permissive", "strict"], BeforeValidator(_off)]


class GatewaySettings(Section):
    """The gateway of every cluster."""

    replicas: Annotated[Number, Field(ge=1, le=10)] | None = Field(
        default=None, description="Pods per cluster; default 1, in clusters that exist 2."
    )
    access_log: Flag = Field(default=True, description="One JSON line per request.")
    trusted_proxies: tuple[AddressRange, ...] = Field(
        default=(), description="Networks of proxies in front whose X-Forwarded-* fields are believed."
    )
    first_byte_seconds: Annotated[Number, Field(ge=1, le=86_400)] = Field(
        default=60,
        description="A service that has not begun to answer by then is a 504; long polls want more.",
    )
    stall_seconds: Annotated[Number, Field(ge=1, le=86_400)] = Field(
        default=60, description="Quiet time after which an answer or an upgraded connection is cut off."
    )
    external_traffic_policy: Literal["Cluster", "Local"] = Field(
        default="Cluster",
        description="Of the Service that publishes it. Local keeps the address of clients; nodes without a "
        "gateway refuse.",
    )
    admin_from: tuple[AddressRange, ...] | None = Field(
        default=None,
        description="Address ranges, those of nodes say, that reach the admin pages; a NetworkPolicy keeps "
        "other namespaces out. Default: none but the pod's node; in clusters that exist no NetworkPolicy.",
    )
    foreign_imports: Flag = Field(
        default=False, description="ServiceImports count that the hub did not make, whoever can write them."
    )
    hub_replicas: Annotated[Number, Field(ge=1, le=5)] | None = Field(
        default=None,
        description="Pods of the hub, of which one writes, by election; default 1, in a cluster that exists "
        "2.",
    )
    limits: dict[LimitName, Annotated[float, Field(ge=0)]] = Field(
        default={}, description="Other bounds of the gateway, by the names of `gateway run --limit`."
    )
    mutual_tls: MutualTls | None = Field(
        default=None,
        description="How gateways of different clusters talk. `off`: over plain HTTP. `permissive`: over "
        "TLS, each proving its cluster by a certificate, with those that listen for it; a cluster that all "
        "others ask so takes plain HTTP of gateways no more. `strict`: over TLS alone from the beginning. "
        "`accept`: the step from `permissive` back to `off`. Default `permissive` where every member has a "
        "`peersPort`, else `off`.",
    )
    # At half of its time another one is made, which a kubelet takes minutes to bring.
    certificate_hours: Annotated[float, Field(ge=0.5, le=8760)] = Field(
        default=24,
        description="How long a certificate of gateways counts; at half of it another one is made.",
    )
    root_days: Annotated[float, Field(gt=0, le=36_500)] = Field(
        default=3650,
        description="How long the root of a cluster that issues them counts; at half of it the next follows.",
    )
    log_level: Literal["debug", "info", "warning", "error"] | None = Field(
        default=None, description="Least important messages in the logs of gateways, controllers and hub."
    )
    metrics: MetricsSettings = Field(
        default=MetricsSettings(), description="How a Prometheus finds and reaches their metrics."
    )
    tracing: TracingSettings | None = Field(
        default=None, description="Spans of requests, and who gets them; default none are made."
    )
    pods: PodsSettings = Field(default=PodsSettings(), description="Where and how their pods run.")
    service: GatewayServiceSettings = Field(
        default=GatewayServiceSettings(), description="How the gateways are published."
    )
    autoscaler: AutoscalerSettings | None = Field(
        default=None, description="Changes the number of gateways by their load; default none."
    )

    def replicas_in(self, source: str) -> int:
        """Pods of the gateway in a cluster: two where nodes are drained without this program knowing."""
        return self.replicas or (2 if source == "existing" else 1)

    def admin_from_in(self, source: str) -> tuple[str, ...] | None:
        """The same for a cluster. None: no NetworkPolicy.

        Where a cluster exists the API server may be on another node, and `doctor` reads the pages through it.
        """
        return self.admin_from if self.admin_from is not None or source == "existing" else ()

    def hub_replicas_in(self, source: str) -> int:
        """Pods of the hub in its cluster."""
        return self.hub_replicas or (2 if source == "existing" else 1)
