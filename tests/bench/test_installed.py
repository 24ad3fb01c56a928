"""Whom ./stack bench compares with."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from airgap.report import Report
from bench.installed import find_peers


@pytest.fixture
def report() -> Report:
    return Report(Console(file=io.StringIO()))


@pytest.fixture(autouse=True)
def without_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


def test_a_peer_that_cannot_be_built_is_left_out_with_the_reason(tmp_path: Path, report: Report) -> None:
    found, absent = find_peers(["memory"], tmp_path / "cache", report)
    assert "traefik" not in found
    assert absent["traefik"].startswith("Go is needed to build traefik")


def test_a_sidecar_that_cannot_be_built_is_absent_with_the_reason(tmp_path: Path, report: Report) -> None:
    found, absent = find_peers(["hops"], tmp_path / "cache", report)
    assert "daprd" not in found
    assert absent["daprd"].startswith("Go is needed to build daprd")
    assert absent["traefik"] == "it is not installed here", "nobody asked for it"


def test_sections_without_peers_build_none(tmp_path: Path, report: Report) -> None:
    found, absent = find_peers(["policy"], tmp_path / "cache", report)
    assert "traefik" not in found
    assert absent["traefik"] == "it is not installed here"
    assert not (tmp_path / "cache").exists()
