"""Object cache: the last good objects on disk, for a gateway that restarts while the API server is away."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from gateway.core.objects import Object

log = logging.getLogger(__name__)

FORMAT = 1


class ObjectCache:
    """One JSON file in a folder, replaced as a whole: a reader never sees half of it."""

    def __init__(self, folder: Path, cluster_key: str) -> None:
        self._path = folder / "objects.json"
        self._cluster_key = cluster_key

    def save(self, objects: Sequence[Object]) -> None:
        """OSError when the folder cannot be written."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_suffix(".new")
        with fresh.open("w") as file:
            json.dump({"format": FORMAT, "clusterKey": self._cluster_key, "objects": objects}, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)

    def load(self) -> list[Object] | None:
        """What was saved for this cluster, None when there is nothing usable (logged, not raised)."""
        try:
            saved = json.loads(self._path.read_text())
            if saved["format"] != FORMAT or saved["clusterKey"] != self._cluster_key:
                log.warning("%s was written for another cluster or version: not used", self._path)
                return None
            return list(saved["objects"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("%s cannot be used: %s", self._path, error)
            return None
