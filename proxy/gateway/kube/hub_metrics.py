"""What can be asked of the hub over time."""

from __future__ import annotations

from contextlib import suppress

from prometheus_client import CollectorRegistry, Counter, Gauge


class HubMetrics:
    """Metrics of the hub, on a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.managed = Gauge(
            "hub_cluster_managed", "1 while the cluster can be managed", ["cluster"], registry=self.registry
        )
        self.token_expires = Gauge(
            "hub_token_expires_timestamp_seconds",
            "When the hub's token in the cluster ends, in seconds since 1970",
            ["cluster"],
            registry=self.registry,
        )
        self.plans = Counter("hub_plans", "Plans made", registry=self.registry)
        self.plan_seconds = Gauge("hub_plan_seconds", "Time the last plan took", registry=self.registry)

    def forget(self, cluster: str) -> None:
        """Tell no more of a cluster that has left."""
        for gauge in (self.managed, self.token_expires):
            with suppress(KeyError):  # never told of, when it has left at once
                gauge.remove(cluster)
