"""What a machine lacks is told at once, before the first minute is spent."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from airgap import daemon, debian, machine
from airgap.programs import Program
from airgap.report import SupplyError

PROGRAM = Program(name="one", version="1.2.3", module="platform", package="example.org/one")
SILENT = "/nonexistent/docker.sock"
OTHER = "/nonexistent/other.sock"


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No Go, no Docker, no way to install it, and a nearly full disk."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setattr(daemon, "SOCKET", Path(SILENT))
    monkeypatch.setattr(daemon, "SYSTEM_SOCKET", Path(SILENT))
    monkeypatch.setattr(debian, "can_install", lambda: False)
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: SimpleNamespace(free=2**30))
    return tmp_path / "cache" / "not-there-yet"


def test_everything_that_is_missing_is_in_one_message(bare: Path) -> None:
    with pytest.raises(
        SupplyError, match=r"(?s)Install Go.*Install and start Docker.*1\.0 GiB free.*XDG_CACHE_HOME"
    ):
        machine.require(bare, [PROGRAM])


def test_a_machine_that_has_all_programs_needs_neither_go_nor_room(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(debian, "can_install", lambda: True)
    machine.require(bare, [])


def test_one_thing_missing_is_said_without_a_list(bare: Path) -> None:
    with pytest.raises(SupplyError, match=r"^No Docker daemon answers"):
        machine.require(bare, [])


def test_a_docker_host_that_is_silent_is_named(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{OTHER}")
    with pytest.raises(SupplyError, match=rf"DOCKER_HOST=unix://{OTHER}.*unset DOCKER_HOST"):
        machine.require(bare, [])
