"""What several workers say on their admin pages, as if one process said it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

LEAST = {"gateway_config_generation", "gateway_ready"}
"""Gauges that hold for all workers only as far as they hold for the last of them."""

MOST = {"gateway_endpoints_ejected"}
"""Gauges of what is seen by each worker, not shared out among them. All others are summed."""


@dataclass
class Family:
    """The series of one metric by name and labels, in the order in which they were told."""

    kind: str
    series: dict[str, int | float] = field(default_factory=dict)


Families = Mapping[str, Family]


def read_metrics(text: str) -> Families:
    """A worker's page, in the form that `Metrics.render` gives it: each metric begins with its type."""
    families: dict[str, Family] = {}
    family = Family("untyped")
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            name, _, kind = line[7:].partition(" ")
            family = families[name] = Family(kind)
        else:
            name, _, value = line.rpartition(" ")
            family.series[name] = float(value) if "." in value else int(value)
    return families


def merge_metrics(pages: Iterable[Families]) -> Families:
    """Counters and histograms summed, gauges by their meaning."""
    merged: dict[str, Family] = {}
    for families in pages:
        for name, family in families.items():
            series = merged.setdefault(name, Family(family.kind)).series
            for key, value in family.series.items():
                if key not in series:
                    series[key] = value
                elif name in LEAST:
                    series[key] = min(series[key], value)
                elif name in MOST:
                    series[key] = max(series[key], value)
                else:
                    series[key] += value
    return merged


def counted(families: Families) -> Families:
    """What stays true when the worker is gone: counters must never fall."""
    return {name: family for name, family in families.items() if family.kind != "gauge"}


def write_metrics(families: Families) -> str:
    lines = []
    for name, family in families.items():
        lines.append(f"# TYPE {name} {family.kind}")
        lines += [
            f"{key} {value:.6f}" if isinstance(value, float) else f"{key} {value}"
            for key, value in family.series.items()
        ]
    return "\n".join(lines) + "\n"


def merge_configs(configs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Routes of the first: all read the same objects. Left out is what any of them leaves out."""
    return {
        **configs[0],
        "generation": min(config["generation"] for config in configs),
        "ejected": sorted({endpoint for config in configs for endpoint in config["ejected"]}),
    }
