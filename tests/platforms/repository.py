"""A repository with this program and environments of a test's own, none of which has ever been up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from config.environments import changed, read_environment

from cli import preflight
from cli.paths import PROJECT, Paths
from stacks.config.model import Settings

ROOT = Path(__file__).resolve().parents[2]


def repository(folder: Path) -> Paths:
    """Its paths; without an environment yet."""
    root = folder / "root"
    root.mkdir()
    for name in ("stacks", "components", "proxy", "apps"):
        (root / name).symlink_to(ROOT / name)
    return Paths(root=root, cache=folder / "cache", state=folder / "state")


def written(paths: Paths, environment: str, **changes: Any) -> Settings:
    """The settings of an environment that is written as ours of that name, with changes."""
    config = changed(read_environment(environment), changes)
    document = {"config": {f"{PROJECT}:{key}": value for key, value in config.items()}}
    (paths.root / f"Pulumi.{environment}.yaml").write_text(yaml.safe_dump(document))
    return preflight.checked_settings(paths, environment)
