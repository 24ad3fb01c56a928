"""Debian's own Prometheus reads the alert rules, tells of what is wrong by them, and of nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness.prometheus import promtool
from proxy.test_dashboards import FOLDER, rules

pytestmark = pytest.mark.e2e

RULES = FOLDER / "alerts.yaml"
WELL: Mapping[str, str] = {
    'gateway_requests_total{service="shop/web",code="200"}': "0+100x200",
    'gateway_requests_total{service="shop/web",code="503"}': "0+4x200",
    'gateway_own_answers_total{reason="no-route"}': "0+5x200",
    'gateway_failovers_total{service="shop/web"}': "0+40x200",
    'gateway_retries_total{service="shop/web"}': "0+9x200",
    'gateway_endpoints_ejected{service="shop/web",cluster="east"}': "0x200",
    'gateway_ready{instance="east"}': "1x200",
    'gateway_memory_short{instance="east"}': "0x200",
    'gateway_memory_cut_total{instance="east"}': "3x200",
    'gateway_upstream_queue{instance="east"}': "0x200",
    'gateway_objects_left_out{instance="east"}': "0x200",
    'gateway_log_lines_dropped_total{instance="east"}': "7x200",
    'gateway_spans_dropped_total{instance="east"}': "0x200",
    'gateway_certificate_expiry_seconds{instance="east"}': "86400x200",
    'gateway_root_expiry_seconds{cluster="east",root="ab"}': "31536000x200",
    'gateway_tls_handshakes_total{instance="east",side="dialled",result="ok"}': "0+50x200",
    'gateway_tls_handshakes_total{instance="east",side="accepted",result="stranger"}': "0+5x200",
    'hub_cluster_managed{cluster="east"}': "1x200",
    'hub_token_expires_timestamp_seconds{cluster="east"}': "86400x200",
}
"""Every minute for three hours. A third of the requests fails over all the time, which is nothing new."""


@dataclass(frozen=True, kw_only=True)
class Wrong:
    """Series of something that is wrong from the start, and what is told of it `at` a time, not before."""

    alert: str
    series: Mapping[str, str]
    labels: Mapping[str, str] = field(default_factory=lambda: {"instance": "east"})
    at: str = "12m"
    before: str = "4m"
    value: str = ""


OF_WEB = {"service": "shop/web"}
WRONG = [
    Wrong(
        alert="MulticlusterErrors",
        series={
            'gateway_requests_total{service="shop/web",code="200"}': "0+90x200",
            'gateway_requests_total{service="shop/web",code="503"}': "0+10x200",
        },
        labels=OF_WEB,
        value="10%",
    ),
    Wrong(
        alert="MulticlusterNobodyServes",
        series={'gateway_own_answers_total{reason="no-endpoints"}': "0+1x200"},
        labels={"reason": "no-endpoints"},
    ),
    Wrong(
        alert="MulticlusterFailsOver",
        series={
            'gateway_requests_total{service="shop/web",code="503"}': "0x200",
            'gateway_failovers_total{service="shop/web"}': "0x100 50+50x100",
        },
        labels=OF_WEB,
        at="120m",
        before="100m",
        value="50%",
    ),
    Wrong(
        alert="MulticlusterEjected",
        series={'gateway_endpoints_ejected{service="shop/web",cluster="west"}': "1x200"},
        labels=OF_WEB | {"cluster": "west"},
    ),
    Wrong(
        alert="MulticlusterRetries",
        series={'gateway_retries_total{service="shop/web"}': "0+26x200"},
        labels=OF_WEB,
        value="25%",
    ),
    Wrong(alert="MulticlusterGatewayNotReady", series={'gateway_ready{instance="east"}': "0x200"}),
    Wrong(alert="MulticlusterGatewayMemory", series={'gateway_memory_short{instance="east"}': "1x200"}),
    Wrong(alert="MulticlusterGatewayMemory", series={'gateway_memory_cut_total{instance="east"}': "0+1x200"}),
    Wrong(alert="MulticlusterGatewayQueue", series={'gateway_upstream_queue{instance="east"}': "2x200"}),
    Wrong(
        alert="MulticlusterObjectsLeftOut",
        series={'gateway_objects_left_out{instance="east"}': "3x200"},
        value="3",
    ),
    Wrong(
        alert="MulticlusterTelemetryDropped",
        series={'gateway_spans_dropped_total{instance="east"}': "0+1x200"},
        before="0m",
    ),
    Wrong(
        alert="MulticlusterCertificateEnds",
        series={'gateway_certificate_expiry_seconds{instance="east"}': "4200x200"},
        at="16m",
        before="14m",
    ),
    Wrong(
        alert="MulticlusterRootEnds",
        series={'gateway_root_expiry_seconds{cluster="west",root="cd"}': "1209000x200"},
        labels={"cluster": "west", "root": "cd"},
        at="61m",
        before="59m",
    ),
    Wrong(
        alert="MulticlusterHandshakesFail",
        series={'gateway_tls_handshakes_total{instance="east",side="dialled",result="untrusted"}': "0+1x200"},
        labels={"instance": "east", "result": "untrusted"},
    ),
    Wrong(
        alert="MulticlusterMemberUnmanaged",
        series={'hub_cluster_managed{cluster="west"}': "0x200"},
        labels={"cluster": "west"},
    ),
    Wrong(
        alert="MulticlusterHubTokenEnds",
        series={'hub_token_expires_timestamp_seconds{cluster="west"}': "1200x200"},
        labels={"cluster": "west"},
        at="16m",
        before="14m",
    ),
]


def told(wrong: Wrong) -> dict[str, Any]:
    """The alert as Prometheus hands it on: labels, and its words with what they are of."""
    rule = next(rule for rule in rules() if rule["alert"] == wrong.alert)

    def filled(text: str) -> str:
        text = re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda found: wrong.labels[found[1]], text)
        return re.sub(r"\{\{ \$value[^}]*\}\}", wrong.value, text)

    return {
        "exp_labels": {**rule["labels"], **wrong.labels},
        "exp_annotations": {name: filled(text) for name, text in rule["annotations"].items()},
    }


def case(series: Mapping[str, str], expected: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": expected,
    }


def test_prometheus_takes_the_rules(tmp_path: Path) -> None:
    code, said = promtool(tmp_path, "check", "rules", str(RULES))
    assert code == 0, said
    assert f"SUCCESS: {len(list(rules()))} rules found" in said


def test_each_rule_tells_of_what_it_is_for_in_time_and_of_nothing_else(tmp_path: Path) -> None:
    names = [rule["alert"] for rule in rules()]
    assert {wrong.alert for wrong in WRONG} == set(names)
    silent = [
        {"eval_time": at, "alertname": name, "exp_alerts": []} for name in names for at in ("100m", "180m")
    ]
    tests = [case(WELL, silent)]
    for wrong in WRONG:
        expected = [
            {"eval_time": wrong.before, "alertname": wrong.alert, "exp_alerts": []},
            {"eval_time": wrong.at, "alertname": wrong.alert, "exp_alerts": [told(wrong)]},
        ]
        tests.append(case({**WELL, **wrong.series}, expected))
    file = tmp_path / "tests.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}))
    code, said = promtool(tmp_path, "test", "rules", str(file))
    assert code == 0, said
