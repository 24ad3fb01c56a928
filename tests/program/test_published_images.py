"""Images of the air-gapped supply reach clusters that exist through the registry."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from config.environments import read_environment

from components.image.published_images import publish_command, republished
from stacks.config import loading, supply
from stacks.program import shared_resources

ROOT = Path(__file__).parents[2]
DOCKER = """#!/bin/sh
echo "$@" >> "$RECORD"
[ "$1 $2" = "image ls" ] && cat "$IMAGES"
exit 0
"""


@pytest.fixture
def push(tmp_path: Path) -> Callable[[str], tuple[subprocess.CompletedProcess[str], list[str]]]:
    """Runs the command with a docker that holds these images; its result, and what docker was asked."""
    (tmp_path / "docker").write_text(DOCKER)
    (tmp_path / "docker").chmod(0o755)

    def push(images: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
        (tmp_path / "images").write_text(images)
        environment = {
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "RECORD": str(tmp_path / "record"),
            "IMAGES": str(tmp_path / "images"),
        }
        command = publish_command(pattern="ghcr.io/dapr/*:1.16.0", registry="registry.example.org/m")
        done = subprocess.run(
            ["/bin/sh", "-c", command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        return done, (tmp_path / "record").read_text().splitlines()[1:]

    return push


def test_every_image_of_the_pattern_is_pushed_under_its_own_name(push: Any) -> None:
    done, asked = push("ghcr.io/dapr/daprd:1.16.0\nghcr.io/dapr/sentry:1.16.0\n")
    assert done.returncode == 0, done.stderr
    assert asked == [
        "tag ghcr.io/dapr/daprd:1.16.0 registry.example.org/m/daprd:1.16.0",
        "push --quiet registry.example.org/m/daprd:1.16.0",
        "tag ghcr.io/dapr/sentry:1.16.0 registry.example.org/m/sentry:1.16.0",
        "push --quiet registry.example.org/m/sentry:1.16.0",
    ]


def test_an_image_that_is_not_there_is_named(push: Any) -> None:
    done, asked = push("")
    assert (done.returncode, asked) == (1, [])
    assert "holds no image ghcr.io/dapr/*:1.16.0" in done.stderr


def test_dapr_is_a_folder_of_images_and_the_others_are_one() -> None:
    assert republished("ghcr.io/dapr", "registry.example.org/m") == "registry.example.org/m"
    assert republished("docker.io/m/curl:1", "registry.example.org/m") == "registry.example.org/m/curl:1"


def test_only_what_clusters_that_exist_cannot_pull_is_published() -> None:
    images: dict[str, Any] = {
        name: {"ref": f"m/{name}:1"} for name in ("node", "redis", "python", "compiler", "curl")
    }
    images["dapr"] = {"ref": "ghcr.io/dapr", "tag": "1.16.0", "archive": "/dapr-1.tar"}
    charts = {"dapr": {"chart": "/charts/dapr", "version": "1.16.0"}}
    airgap = {"mode": "airgap", "images": images, "charts": charts}
    redis = {"mode": "statefulset", "host": "192.0.2.10", "port": 30379}
    existing = loading.parse({**read_environment("existing"), "redis": redis})
    dev = loading.parse(read_environment("dev"))
    ours = supply.from_map(existing, airgap, {"dapr": "1.16.0"})
    assert sorted(shared_resources.to_publish(existing, ours)) == ["curl", "dapr", "redis"]
    assert shared_resources.pattern_of("dapr", ours) == "ghcr.io/dapr/*:1.16.0"
    assert not shared_resources.to_publish(dev, ours), "k3d nodes import archives"
    assert not shared_resources.to_publish(existing, supply.resolve(existing, {})), "public ones are pulled"
