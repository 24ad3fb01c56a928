"""The folders and files of charts and manifests: whether they are there, and what changes with them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from stacks.config.model import Settings
from stacks.config.problem import Problem, SettingsError

ROOT = Path(__file__).resolve().parents[2]
"""The folder of the environments' files."""
KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")


def check(settings: Settings, root: Path = ROOT) -> None:
    """Raise SettingsError for those that are not there."""
    found = {str(problem): problem for problem in _missing(settings, root)}
    if found:
        raise SettingsError(found.values())


def content_id(path: str, root: Path = ROOT) -> str:
    """Digits that change with any file of a folder."""
    digest = hashlib.sha256()
    folder = root / path
    for file in sorted(one for one in folder.rglob("*") if one.is_file()):
        digest.update(f"{file.relative_to(folder)}\0".encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:12]


def _missing(settings: Settings, root: Path) -> Iterator[Problem]:
    of = f"It is a path in {root.name}"
    for index, app in enumerate(settings.apps):
        for cluster in app.clusters:
            pod, where = app.on(cluster), f"apps[{index}]"
            folder = pod.chart.path if pod.chart is not None else None
            if folder is not None and not (root / folder / "Chart.yaml").is_file():
                hint = f"{of}, of the folder that has Chart.yaml."
                yield Problem(f"{where}.chart.path", folder, "there is no chart", hint)
            folder = pod.manifests.kustomize if pod.manifests is not None else None
            if folder is not None and not any((root / folder / name).is_file() for name in KUSTOMIZATIONS):
                hint = f"{of}, of the folder that has kustomization.yaml."
                yield Problem(f"{where}.manifests.kustomize", folder, "there is no kustomization", hint)
            for number, pattern in enumerate(pod.manifests.files if pod.manifests is not None else ()):
                if not any(one.is_file() for one in root.glob(pattern)):
                    yield Problem(
                        f"{where}.manifests.files[{number}]", pattern, "there is no such file", f"{of}."
                    )
