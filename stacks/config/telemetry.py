"""Settings of what is measured: how a Prometheus finds and reaches the metrics of the mesh's own pods."""

from __future__ import annotations

from pydantic import Field

from stacks.config.values import DnsLabel, Flag, Section


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
