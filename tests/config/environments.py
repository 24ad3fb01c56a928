"""Configurations of environments, changed by path, and what is said about them."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from stacks.config import loading
from stacks.config.problem import SettingsError

ROOT = Path(__file__).parents[2]
GONE = object()
"""Set instead of a value, removes the key."""

Config = dict[str, Any]


def read_environment(environment: str) -> Config:
    """The keys of Pulumi.<environment>.yaml without their prefix."""
    document = yaml.safe_load((ROOT / f"Pulumi.{environment}.yaml").read_text())
    prefix = "multicluster-dapr:"
    return {k.removeprefix(prefix): v for k, v in document["config"].items() if k.startswith(prefix)}


def changed(config: Config, changes: Mapping[str, Any]) -> Config:
    """A copy with values set at paths as messages write them, such as `clusters[1].apiPort`.

    One past the end of a list appends.
    """
    config = copy.deepcopy(config)
    for path, value in changes.items():
        *parents, last = (int(part) if part.isdigit() else part for part in re.findall(r"\w+", path))
        inner: Any = config
        for part in parents:
            inner = inner[part]
        if value is GONE:
            del inner[last]
        elif isinstance(inner, list) and last == len(inner):
            inner.append(value)
        else:
            inner[last] = value
    return config


def problems(config: Config) -> list[str]:
    """Every problem that parsing finds, as a person reads it."""
    try:
        loading.parse(config)
    except SettingsError as error:
        return [str(problem) for problem in error.problems]
    return []
