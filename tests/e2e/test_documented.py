"""The commands that the documents show for a running environment, run as they stand there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from docs.documents import Block, command_blocks
from e2e.commands import ENVIRONMENT, ROOT, state_folder

pytestmark = pytest.mark.e2e


@pytest.fixture(autouse=True)
def settings_as_they_were(platform: dict[str, str]) -> Iterator[None]:
    """Plain `pulumi` leaves the environment's file alone; what it set in the copy is taken back."""
    source = ROOT / f"Pulumi.{ENVIRONMENT}.yaml"
    copy = [state_folder() / name for name in (source.name, "configuration.yaml")]
    before = {path: path.read_bytes() for path in (source, *copy)}
    yield
    left = source.read_bytes()
    for path, content in before.items():
        path.write_bytes(content)
    assert left == before[source], f"{source.name} was changed"


@pytest.mark.parametrize("block", command_blocks("platform"), ids=str)
def test_a_documented_block_runs(block: Block, platform: dict[str, str], tmp_path: Path) -> None:
    env = {
        "XDG_CACHE_HOME": str(Path.home() / ".cache"),
        "XDG_STATE_HOME": str(Path.home() / ".local" / "state"),
        **platform,
        "HOME": str(tmp_path),  # k3d writes kubeconfigs there
        "REDIS_PASSWORD": "a-password-of-this-test",
    }
    done = subprocess.run(
        ["bash", "-c", f"set -euo pipefail\n{block.text}"],
        cwd=ROOT, env=env, stdout=sys.stderr, stderr=sys.stderr, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{block}: its commands are above"
