"""Where kubeconfigs come from: the stack's secret outputs, else the tools that made the clusters."""

from __future__ import annotations

from pathlib import Path

from cli import process
from cli.engine import Engine
from cli.errors import UserError
from cli.observe.api import ClientConfig
from stacks.config.model import ClusterSettings, Settings


def client_configs(engine: Engine, settings: Settings) -> tuple[dict[str, ClientConfig], dict[str, str]]:
    """Client config by cluster name, and for the others why there is none.

    An `up` that failed half-way has written no outputs: then k3d is asked, or the user's kubeconfig read.
    """
    known: dict[str, str] = engine.secret_outputs().get("kubeconfigs") or {}
    found: dict[str, ClientConfig] = {}
    missing: dict[str, str] = {}
    for cluster in settings.clusters:
        try:
            text = known.get(cluster.name) or _kubeconfig(engine, cluster)
        except (UserError, OSError) as error:
            missing[cluster.name] = f"no kubeconfig: {' '.join(str(error).split())}"
        else:
            found[cluster.name] = ClientConfig(text, cluster.context)
    return found, missing


def _kubeconfig(engine: Engine, cluster: ClusterSettings) -> str:
    if cluster.source == "existing":
        return Path(str(cluster.kubeconfig)).expanduser().read_text()
    return process.output(["k3d", "kubeconfig", "get", cluster.name], env=engine.toolchain.env, timeout=20)
