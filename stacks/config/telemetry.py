"""Settings of what is measured of the mesh's own pods: metrics and traces."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from stacks.config.values import DnsLabel, Flag, ReceiverUrl, Section


class MetricsSettings(Section):
    """How a Prometheus finds the metrics of gateways, controllers and hub, and reaches them."""

    annotations: Flag = Field(
        default=False, description="Pods say by the usual annotations (prometheus.io/scrape) where they are."
    )
    pod_monitor: Flag = Field(
        default=False,
        description="A PodMonitor in each cluster; the Prometheus Operator has to be there, which reads it.",
    )
    pod_monitor_labels: dict[str, str] = Field(
        default={}, description="Labels of it, by which a Prometheus chooses, such as release."
    )
    namespaces: tuple[DnsLabel, ...] = Field(
        default=(),
        description="Namespaces that a NetworkPolicy of ours admits to the admin pages, a Prometheus's; "
        "one with the label multicluster.flomesh.io/metrics=true is admitted anyway.",
    )


class TracingSettings(Section):
    """Spans of requests through gateways, by OpenTelemetry's protocol over HTTP."""

    endpoint: ReceiverUrl = Field(
        description="Who gets them, as gateways of each cluster reach it, such as "
        "http://otel-collector.monitoring:4318; /v1/traces is added."
    )
    sampling: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.01,
        description="Part of the traces that begin at a gateway which is recorded; a caller's own are when "
        "he says so.",
    )
