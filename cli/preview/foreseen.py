"""Who would serve whom by the settings, before anything runs.

The program and the gateway meet in files here, too: one says what objects there would be, the other what it
would make of them. Each runs as a process of its own.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli import process, settings
from cli.errors import UserError
from cli.paths import Paths
from stacks.config import documents
from stacks.config.model import Settings
from stacks.outlook import outlook, what_if
from stacks.outlook.assumed import Assumed, Objects, with_pods
from stacks.outlook.outlook import Outlook

SECONDS = 300.0
"""Patience for the program's objects."""


@dataclass(frozen=True, kw_only=True)
class Planned:
    """What the program would make: `objects` by cluster, `assumed` the same with pods.

    `told`: the `hosts` and `paths` that the hub is told.
    """

    objects: Objects
    assumed: Assumed
    told: Mapping[str, Any]


def planned(paths: Paths, environment: str, chosen: Settings) -> Planned:
    """What the program would make of an environment's settings."""
    with tempfile.TemporaryDirectory(prefix="multicluster-dapr-") as folder:  # mode 0700
        file = Path(folder) / "stack.yaml"
        file.write_text(documents.dump(settings.merged(paths, environment)))
        argv = [sys.executable, "-m", "stacks.program.planned", str(file)]
        env = {**os.environ, "PYTHONPATH": str(paths.root)}
        said = json.loads(process.output(argv, env=env, timeout=SECONDS))
    return plan_of(said, chosen)


def plan_of(said: Mapping[str, Any], chosen: Settings) -> Planned:
    """The same from what the program said."""
    return Planned(objects=said["objects"], assumed=with_pods(said["objects"], chosen), told=said)


def ask(
    chosen: Settings, listed: Objects, said: Planned, without: Sequence[str] = (), *, lose_each: bool = True
) -> Outlook:
    """What the gateways would make of these objects. Raises UserError."""
    try:
        return outlook.read(
            what_if.ask(chosen, listed, said.told, without=without, lose_each=lose_each), chosen
        )
    except what_if.WhatIfError as error:
        raise UserError(str(error)) from error
