"""Where every image and chart comes from: the supply map ./stack wrote, or public references.

Nothing else in the program knows. Versions are in stacks/versions.yaml.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from stacks.model import Settings
from stacks.problem import Problem, SettingsError

ENVIRONMENT_VARIABLE = "MULTICLUSTER_DAPR_SUPPLY"
VERSIONS_FILE = Path(__file__).with_name("versions.yaml")


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image by reference; `archive` is a docker-archive file to hand to nodes that cannot pull."""

    ref: str
    archive: str | None = None


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
    curl: Image
    dapr: Image
    dapr_version: str
    dapr_chart: Chart
    versions: Mapping[str, str]


def resolve(settings: Settings, environ: Mapping[str, str] = os.environ) -> Supply:
    """The supply of this run. Raises SettingsError when it cannot provide what the settings ask for."""
    versions = yaml.safe_load(VERSIONS_FILE.read_text())
    path = environ.get(ENVIRONMENT_VARIABLE)
    mode = settings.supply
    if mode == "upstream" or (mode == "auto" and not path):
        return from_upstream(versions, mirror=settings.mirror, dapr_version=settings.dapr.version)
    if not path:
        raise SettingsError(
            [
                Problem(
                    "supply",
                    mode,
                    f"{ENVIRONMENT_VARIABLE} names no supply map",
                    'Run `./stack up`, or `eval "$(./stack env)"` before pulumi.',
                )
            ]
        )
    return from_map(json.loads(Path(path).read_text()), versions, dapr_version=settings.dapr.version)


def from_upstream(versions: Mapping[str, Any], *, mirror: str, dapr_version: str | None) -> Supply:
    """Public references, each with the mirror's prefix when there is one."""
    images = {name: Image(ref=mirrored(ref, mirror)) for name, ref in versions["images"].items()}
    chart = versions["charts"]["dapr"]
    version = dapr_version or versions["dapr"]
    return Supply(
        mode="mirror" if mirror else "upstream",
        node=images["node"],
        redis=images["redis"],
        python=images["python"],
        curl=images["curl"],
        dapr=images["dapr"],
        dapr_version=version,
        dapr_chart=Chart(chart=chart["name"], version=version, repository=chart["repository"]),
        versions=_versions(images["node"].ref, version, images["redis"].ref),
    )


def from_map(content: Mapping[str, Any], versions: Mapping[str, Any], *, dapr_version: str | None) -> Supply:
    """The artifacts ./stack has made. They come in the one version of stacks/versions.yaml."""
    images: Mapping[str, Any] = content["images"]
    has = images["dapr"].get("tag") or versions["dapr"]
    if dapr_version not in (None, has):
        raise SettingsError(
            [
                Problem(
                    "dapr.version",
                    dapr_version,
                    f"the {content['mode']} supply has Dapr {has} only",
                    "Remove the key, or use an upstream supply.",
                )
            ]
        )
    found = {
        name: Image(ref=images[name]["ref"], archive=images[name].get("archive"))
        for name in ("node", "redis", "python", "curl", "dapr")
    }
    chart = content["charts"]["dapr"]
    return Supply(
        mode=content["mode"],
        **found,
        dapr_version=has,
        dapr_chart=Chart(chart=chart["chart"], version=chart["version"], repository=chart.get("repository")),
        versions=_versions(found["node"].ref, has, found["redis"].ref),
    )


def mirrored(ref: str, mirror: str) -> str:
    """`ref` pulled through a mirror: its prefix takes the place of nothing, the whole path is kept."""
    return f"{mirror.rstrip('/')}/{ref}" if mirror else ref


def _versions(node: str, dapr: str, redis: str) -> dict[str, str]:
    return {"node": node.rsplit(":", 1)[-1], "dapr": dapr, "redis": redis.rsplit(":", 1)[-1]}
