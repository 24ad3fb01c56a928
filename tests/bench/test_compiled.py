"""The compiled gateway in the cache: made once, and not at the expense of a run beside this one."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bench import compiled

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    """What would have been compiled; there is a compiler that does nothing."""
    seen: list[Sequence[str]] = []

    def complete(argv: Sequence[str], **_: Any) -> str:
        seen.append(argv)
        return ""

    monkeypatch.setattr(compiled, "complete", complete)
    monkeypatch.setattr(compiled.shutil, "which", lambda _: "/usr/bin/gcc")
    return seen


def test_it_is_compiled_once(tmp_path: Path, compilations: list[Sequence[str]]) -> None:
    first = compiled.compiled_gateway(ROOT, tmp_path)
    assert (first / "gateway" / "__init__.py").exists()
    assert compiled.compiled_gateway(ROOT, tmp_path) == first
    assert len(compilations) == 1


@pytest.mark.usefixtures("compilations")
def test_what_another_run_makes_or_uses_stays_and_what_is_old_goes(tmp_path: Path) -> None:
    others = [tmp_path / "gateway" / name for name in (".building-other", "0123456789ab")]
    old = tmp_path / "gateway" / "ba9876543210"
    for folder in (*others, old):
        folder.mkdir(parents=True)
    yesterday = time.time() - compiled.KEPT_SECONDS - 1
    os.utime(old, (yesterday, yesterday))
    compiled.compiled_gateway(ROOT, tmp_path)
    assert all(folder.is_dir() for folder in others)
    assert not old.exists()
