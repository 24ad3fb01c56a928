"""Versions of what is built here, read from the project's one file with versions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

VERSIONS_FILE = Path(__file__).resolve().parent.parent / "stacks" / "config" / "versions.yaml"


@dataclass(frozen=True, kw_only=True)
class Versions:
    """Versions without a leading `v`."""

    pulumi: str
    k3d: str
    helm: str
    kubernetes: str
    dapr: str
    coredns: str
    traefik: str
    pulumi_yaml: str
    kubernetes_provider: str


def load_versions(path: Path = VERSIONS_FILE) -> Versions:
    data: dict[str, Any] = yaml.safe_load(path.read_text())
    tools = data["tools"]
    return Versions(
        pulumi=str(tools["pulumi"]),
        k3d=str(tools["k3d"]),
        helm=str(tools["helm"]),
        kubernetes=str(tools["kubernetes"]),
        dapr=str(data["dapr"]),
        coredns=str(data["coredns"]),
        traefik=str(tools["traefik"]),
        pulumi_yaml=str(tools["pulumi-yaml"]),
        kubernetes_provider=str(data["plugins"]["kubernetes"]),
    )
