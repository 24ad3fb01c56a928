"""The source of every image and chart: the supply map that ./stack wrote, or public references.

Nothing else in the program knows it. Versions are in versions.yaml beside this file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stacks.config import documents
from stacks.config.model import Settings
from stacks.config.problem import Problem, SettingsError

ENVIRONMENT_VARIABLE = "MULTICLUSTER_DAPR_SUPPLY"
VERSIONS_FILE = Path(__file__).with_name("versions.yaml")


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image by reference, or several as the folder of their references.

    `archive` is a docker-archive file that k3d nodes import. One `in_daemon` no node can pull: the local
    daemon holds it and no registry does.
    """

    ref: str
    archive: str | None = None
    in_daemon: bool = False


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A Helm chart: a folder, or a name in a repository."""

    chart: str
    version: str
    repository: str | None = None


@dataclass(frozen=True, kw_only=True)
class Supply:
    """Every artifact the program uses, resolved."""

    mode: str
    node: Image
    redis: Image
    python: Image
    compiler: Image
    curl: Image
    dapr: Image
    dapr_version: str
    dapr_chart: Chart
    mesh_charts: Mapping[str, Chart]
    versions: Mapping[str, str]

    @property
    def origins(self) -> dict[str, str]:
        """Where each artifact comes from: an image's reference, a chart's repository or folder."""
        images = {"node": self.node, "redis": self.redis, "python": self.python, "curl": self.curl}
        charts = {"dapr-chart": self.dapr_chart, **self.mesh_charts}
        return {
            **{name: image.ref for name, image in images.items()},
            "dapr": f"{self.dapr.ref}/*:{self.dapr_version}",
            **{name: f"{chart.repository or chart.chart} {chart.version}" for name, chart in charts.items()},
        }


def resolve(settings: Settings, environ: Mapping[str, str] = os.environ) -> Supply:
    """The supply of this run. Raises SettingsError when it cannot provide what the settings ask for."""
    versions = documents.load(VERSIONS_FILE.read_text())
    path = environ.get(ENVIRONMENT_VARIABLE)
    if settings.supply == "upstream" or (settings.supply == "auto" and not path):
        return from_upstream(settings, versions)
    if not path:
        hint = 'Run `./stack up`, or `eval "$(./stack env)"` before pulumi.'
        reason = f"{ENVIRONMENT_VARIABLE} names no supply map"
        raise SettingsError([Problem("supply", settings.supply, reason, hint)])
    return from_map(settings, json.loads(Path(path).read_text()), versions)


def from_upstream(settings: Settings, versions: Mapping[str, Any]) -> Supply:
    """Public references of the chosen set of versions, each with the mirror's prefix when there is one."""
    chosen = versions.get(settings.versions, {})
    refs = {**versions["images"], **chosen.get("images", {})}
    images = {name: Image(ref=mirrored(ref, settings.mirror)) for name, ref in refs.items()}
    dapr = settings.dapr.version or chosen.get("dapr") or versions["dapr"]
    charts = {
        name: Chart(chart=entry["name"], version=entry["version"], repository=entry["repository"])
        for name, entry in versions["charts"].items()
    }
    return Supply(
        mode="mirror" if settings.mirror else "upstream",
        node=images["node"],
        redis=images["redis"],
        python=images["python"],
        compiler=images["compiler"],
        curl=images["curl"],
        dapr=images["dapr"],
        dapr_version=dapr,
        # Dapr's chart and images are released together, under one number.
        dapr_chart=replace(charts.pop("dapr"), version=dapr),
        mesh_charts=charts,
        versions=_versions(images["node"].ref, dapr, images["redis"].ref),
    )


def from_map(settings: Settings, content: Mapping[str, Any], versions: Mapping[str, Any]) -> Supply:
    """The artifacts that ./stack has built, each in the one version of versions.yaml."""
    images: Mapping[str, Any] = content["images"]
    has, wanted = images["dapr"].get("tag") or versions["dapr"], settings.dapr.version
    problems = [
        Problem(path, value, f"the {content['mode']} supply has {only}", "Use an upstream supply for it.")
        for path, value, wrong, only in (
            ("dapr.version", wanted, wanted not in (None, has), f"Dapr {has} only"),
            ("versions", settings.versions, settings.versions != "current", "the current versions only"),
            ("mesh", settings.mesh, settings.mesh != "bundled", "no charts of FSM and osm-edge"),
        )
        if wrong
    ]
    if problems:
        raise SettingsError(problems)
    found = {
        name: Image(ref=images[name]["ref"], archive=images[name].get("archive"), in_daemon=True)
        for name in ("node", "redis", "python", "compiler", "curl", "dapr")
    }
    chart = content["charts"]["dapr"]
    return Supply(
        mode=content["mode"],
        **found,
        dapr_version=has,
        dapr_chart=Chart(chart=chart["chart"], version=chart["version"], repository=chart.get("repository")),
        mesh_charts={},
        versions=_versions(found["node"].ref, has, found["redis"].ref),
    )


def mirrored(ref: str, mirror: str) -> str:
    """`ref` pulled through a mirror, whose prefix comes before the whole path."""
    return f"{mirror.rstrip('/')}/{ref}" if mirror else ref


def _versions(node: str, dapr: str, redis: str) -> dict[str, str]:
    return {"node": node.rsplit(":", 1)[-1], "dapr": dapr, "redis": redis.rsplit(":", 1)[-1]}
