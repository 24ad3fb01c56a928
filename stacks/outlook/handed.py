"""What the program asked the gateway, handed on in a file: `./stack preview` need not ask the same again."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VARIABLE = "MULTICLUSTER_DAPR_TRAFFIC"
"""Names the file that the program writes; without it there is none."""


@dataclass(frozen=True, kw_only=True)
class Handed:
    """What the program would make (`said`, of `stacks.program.planned`), and the gateways of it (`told`)."""

    said: Mapping[str, Any]
    told: Mapping[str, Any]


def hand_on(handed: Handed) -> None:
    """Write it for who has started the engine, if that wants it."""
    if file := os.environ.get(VARIABLE):
        Path(file).write_text(json.dumps({"said": handed.said, "told": handed.told}))


def taken(file: Path) -> Handed | None:
    """What was handed on; None where the program found it too much to ask, or could not."""
    return Handed(**json.loads(file.read_text())) if file.exists() else None
