"""Where things are: the repository, the cache, the state. Nothing else in the CLI names a folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

PROJECT = "multicluster-dapr"
ROOT = Path(__file__).resolve().parent.parent


def _base(variable: str, fallback: str) -> Path:
    return Path(os.environ.get(variable) or Path.home() / fallback) / PROJECT


@dataclass(frozen=True, kw_only=True)
class Paths:
    """Folders of this user on this machine.

    cache: tools, images, charts; may be deleted at any time, costs a rebuild.
    state: Pulumi's state and the passphrase of its secrets; belongs to running environments.
    """

    root: Path
    cache: Path
    state: Path

    @classmethod
    def here(cls) -> Paths:
        """The folders named by XDG_CACHE_HOME and XDG_STATE_HOME, or their usual defaults."""
        return cls(
            root=ROOT,
            cache=_base("XDG_CACHE_HOME", ".cache"),
            state=_base("XDG_STATE_HOME", ".local/state"),
        )

    def environment(self, name: str) -> Path:
        """What this machine keeps about one environment; gone after its destroy."""
        return self.state / "environments" / name

    @property
    def pulumi_home(self) -> Path:
        """PULUMI_HOME: plugins and credentials of the engine, apart from the user's own."""
        return self.cache / "pulumi"

    @property
    def quiet_home(self) -> Path:
        """A PULUMI_HOME with the plugins of the other, in which the engine keeps no log."""
        return self.cache / "pulumi-quiet"

    @property
    def supply_map(self) -> Path:
        """The resolved artifacts, read by the program."""
        return self.cache / "supply.json"
