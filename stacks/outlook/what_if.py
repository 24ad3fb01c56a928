"""Who would serve whom by the gateway's own code, in a process of its own: it is handed files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stacks.config.model import Settings
from stacks.outlook.assumed import Objects

SECONDS = 300.0
"""Patience: 64 clusters take a while."""
PROXY = Path(__file__).resolve().parents[2] / "proxy"


class WhatIfError(Exception):
    """The gateway said nothing of these objects, and why."""


def ask(
    settings: Settings,
    objects: Objects,
    said: Mapping[str, Any],
    *,
    without: Sequence[str] = (),
    lose_each: bool = True,
) -> Mapping[str, Any]:
    """What the gateways would make of these objects, as `stacks.outlook.outlook` reads it.

    `said`: `hosts` and `paths` that the hub is told. `without`: keys of clusters that are lost already;
    `lose_each`: also what becomes of it with each other one lost. Raises WhatIfError.
    """
    with tempfile.TemporaryDirectory(prefix="multicluster-dapr-") as folder:  # mode 0700
        argv = [sys.executable, "-m", "gateway", "what-if", f"--front-door={settings.control_plane.key}"]
        argv += [f"--hosts={json.dumps(said['hosts'])}", f"--paths={json.dumps(said['paths'])}"]
        argv += [f"--without={key}" for key in without] + ([] if lose_each else ["--no-lose-each"])
        for cluster in settings.clusters:
            file = Path(folder) / f"{cluster.name}.json"
            file.write_text(json.dumps({"kind": "List", "items": objects[cluster.name]}))
            argv.append(f"--objects={cluster.key}={file}")
        told: Mapping[str, Any] = json.loads(_output(argv))
        return told


def _output(argv: Sequence[str]) -> str:
    found = os.pathsep.join(filter(None, [str(PROXY), os.environ.get("PYTHONPATH")]))
    env = {**os.environ, "PYTHONPATH": found}
    try:
        done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise WhatIfError(f"gateway what-if did not finish within {SECONDS:.0f} s") from error
    if done.returncode:
        raise WhatIfError(f"gateway what-if ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout
