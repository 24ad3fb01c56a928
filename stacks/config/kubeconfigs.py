"""The kubeconfigs of clusters that exist, each cut down to the one context that is used.

Read before anything is created, so that a wrong path or context is reported with the other mistakes.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from stacks.config.model import ClusterSettings, Settings
from stacks.config.problem import Findings, Problem, SettingsError

# Keys that name a file, and those that hold its content in base64.
FILES = {
    "certificate-authority": "certificate-authority-data",
    "client-certificate": "client-certificate-data",
    "client-key": "client-key-data",
}


@dataclass(frozen=True, kw_only=True)
class Kubeconfig:
    """A kubeconfig with one context. `text` is a secret; `server` is the API server's URL in it."""

    text: str = field(repr=False)
    server: str


def read(settings: Settings) -> dict[str, Kubeconfig]:
    """The kubeconfig of each existing cluster, by name. Raises SettingsError with all that cannot be read."""
    found: dict[str, Kubeconfig] = {}
    findings = Findings()
    for index, cluster in enumerate(settings.clusters):
        if cluster.source == "existing":
            with findings.gather():
                found[cluster.name] = _kubeconfig(index, cluster)
    findings.refuse()
    return found


def only(document: Mapping[str, Any], context: str) -> dict[str, Any]:
    """A kubeconfig with this context and what it names, and nothing of other clusters.

    Raises LookupError saying what is missing.
    """
    chosen = _entry(document, "contexts", context)
    about = chosen["context"]
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [_entry(document, "clusters", about["cluster"])],
        "users": [_entry(document, "users", about["user"])],
        "contexts": [chosen],
        "current-context": context,
    }


def _kubeconfig(index: int, cluster: ClusterSettings) -> Kubeconfig:
    path, context = Path(str(cluster.kubeconfig)).expanduser(), str(cluster.context)
    document = _document(f"clusters[{index}].kubeconfig", path)
    try:
        chosen = only(document, context)
        _inline(chosen, path.parent)
        server = str(chosen["clusters"][0]["cluster"]["server"])
    except (LookupError, OSError) as error:
        reason = f"cannot be taken from {path}: {error if isinstance(error, OSError) else error.args[0]}"
        hint = "See `kubectl config view` of that file."
        raise SettingsError([Problem(f"clusters[{index}].context", context, reason, hint)]) from error
    return Kubeconfig(text=yaml.safe_dump(chosen, sort_keys=False), server=server)


def _document(where: str, path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text())
        reason = None if isinstance(document, dict) else "is not a kubeconfig"
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
    except yaml.YAMLError:
        reason = "is not YAML"  # the error itself would quote the file, and with it a credential
    if reason:
        raise SettingsError([Problem(where, str(path), reason, "Write the path of a kubeconfig file.")])
    found: dict[str, Any] = document
    return found


def _entry(document: Mapping[str, Any], section: str, name: str) -> dict[str, Any]:
    entries = {entry["name"]: entry for entry in document.get(section) or []}
    if name not in entries:
        raise LookupError(
            f"it has no {section.removesuffix('s')} {name}; it has: {', '.join(entries) or 'none'}"
        )
    entry: dict[str, Any] = entries[name]
    return entry


def _inline(document: dict[str, Any], folder: Path) -> None:
    """Replace names of files by their content: the provider and the next run use no folder of the user's."""
    for part in (document["clusters"][0]["cluster"], document["users"][0]["user"]):
        for named, inline in FILES.items():
            if named in part:
                part[inline] = base64.b64encode((folder / part.pop(named)).read_bytes()).decode()
