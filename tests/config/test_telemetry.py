"""Metrics and traces in the settings."""

from __future__ import annotations

import pytest
from config.conftest import Config
from config.test_mistakes import changed, problems

from stacks.config import loading

FLOMESH = {"mesh": "flomesh", "versions": "article"}
ALL = {"annotations": True, "podMonitor": True, "podMonitorLabels": {"release": "x"}, "namespaces": ["m"]}


def test_nothing_is_traced_by_default(dev: Config) -> None:
    assert loading.parse(dev).gateway.tracing is None
    said = loading.parse(changed(dev, {"gateway": {"tracing": {"endpoint": "https://otel/x"}}})).gateway
    assert said.tracing is not None
    assert (said.tracing.endpoint, said.tracing.sampling) == ("https://otel/x", 0.01)


def test_nothing_is_said_of_metrics_by_default(dev: Config) -> None:
    assert loading.parse(dev).gateway.metrics.model_dump(exclude_defaults=True) == {}
    said = loading.parse(changed(dev, {"gateway": {"metrics": ALL}})).gateway.metrics
    assert said.model_dump(by_alias=True) == {**ALL, "namespaces": ("m",)}


@pytest.mark.parametrize(
    ("changes", "mistake"),
    [
        (
            {"gateway": {"metrics": {"podMonitorLabels": {"release": "x"}}}},
            (
                "gateway.metrics.podMonitorLabels = {'release': 'x'}: is for a PodMonitor, and "
                "gateway.metrics.podMonitor is not set. Set that to true, or remove this."
            ),
        ),
        (
            {**FLOMESH, "gateway": {"metrics": {"annotations": True}}},
            "gateway.metrics.annotations = True: has no meaning for FSM's gateways. Remove it",
        ),
        (
            {**FLOMESH, "gateway": {"tracing": {"endpoint": "http://otel:4318"}}},
            "gateway.tracing = 'http://otel:4318': has no meaning for FSM's gateways. Remove it",
        ),
        ({"gateway": {"tracing": {"sampling": 0.5}}}, "gateway.tracing.endpoint: "),
        (
            {"gateway": {"tracing": {"endpoint": "otel:4317"}}},
            "gateway.tracing.endpoint = 'otel:4317': ",
        ),
        (
            {"gateway": {"tracing": {"endpoint": "http://otel:4318", "sampling": 50}}},
            "gateway.tracing.sampling = 50",
        ),
        (
            {"gateway": {"metrics": {"namespaces": ["Monitoring"]}}},
            "gateway.metrics.namespaces[0] = 'Monitoring': ",
        ),
    ],
)
def test_what_cannot_be_is_named(dev: Config, changes: Config, mistake: str) -> None:
    found = problems(changed(dev, changes))
    assert any(problem.startswith(mistake) for problem in found), found
