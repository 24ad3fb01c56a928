"""Whom ./stack bench compares with."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from cli.bench import find_peers
from cli.paths import Paths
from cli.progress import Progress


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(root=tmp_path, cache=tmp_path / "cache", state=tmp_path / "state")


@pytest.fixture
def progress() -> Progress:
    return Progress(Console(file=io.StringIO()))


@pytest.fixture(autouse=True)
def without_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


def test_a_peer_that_cannot_be_built_is_left_out_with_the_reason(paths: Paths, progress: Progress) -> None:
    found, absent = find_peers(["memory"], paths, progress)
    assert "traefik" not in found
    assert absent["traefik"].startswith("Go is needed to build traefik")


def test_sections_without_peers_build_none(paths: Paths, progress: Progress) -> None:
    found, absent = find_peers(["policy"], paths, progress)
    assert "traefik" not in found
    assert absent["traefik"] == "it is not installed here"
    assert not paths.cache.exists()
