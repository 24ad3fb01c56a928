"""Shared by the tests of the air-gapped supply."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class RecordedStep:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.updates: list[str] = []

    def update(self, text: str) -> None:
        self.updates.append(text)


class RecordingReport:
    """A report that remembers its steps and notes."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.notes: list[str] = []
        self.updates: list[str] = []

    @contextmanager
    def step(self, title: str) -> Iterator[RecordedStep]:
        self.steps.append(title)
        step = RecordedStep()
        step.updates = self.updates
        yield step

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def report() -> RecordingReport:
    return RecordingReport()


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Puts shell scripts on PATH under the names of commands, before the system's own."""
    folder = tmp_path / "path"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def put(name: str, script: str) -> Path:
        path = folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    return put
