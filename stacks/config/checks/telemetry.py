"""Rules about metrics and traces: what has a meaning for which mesh, and together."""

from __future__ import annotations

from collections.abc import Iterator

from stacks.config.checks.mutual_tls import BUNDLED, NOT_FOR_FSM
from stacks.config.model import Settings
from stacks.config.problem import Problem


def telemetry_makes_sense(settings: Settings) -> Iterator[Problem]:
    """What is set is of gateways of ours, and does something."""
    metrics = settings.gateway.metrics
    if settings.mesh == "flomesh":
        for key, value in metrics.model_dump(by_alias=True, exclude_defaults=True).items():
            yield Problem(f"gateway.metrics.{key}", value, NOT_FOR_FSM, BUNDLED)
        if settings.gateway.tracing is not None:
            yield Problem("gateway.tracing", settings.gateway.tracing.endpoint, NOT_FOR_FSM, BUNDLED)
    elif metrics.pod_monitor_labels and not metrics.pod_monitor:
        reason = "is for a PodMonitor, and gateway.metrics.podMonitor is not set"
        hint = "Set that to true, or remove this."
        yield Problem("gateway.metrics.podMonitorLabels", dict(metrics.pod_monitor_labels), reason, hint)
