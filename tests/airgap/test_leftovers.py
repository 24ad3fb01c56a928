"""What a killed run left half-made goes, and nothing else."""

from __future__ import annotations

from pathlib import Path

from airgap.leftovers import PREFIX, clear, mounts_below


def test_only_unfinished_work_is_cleared(tmp_path: Path) -> None:
    (tmp_path / "tools" / f"{PREFIX}x" / "deep").mkdir(parents=True)
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / f"{PREFIX}y").write_text("half")
    (tmp_path / f"{PREFIX}z").mkdir()
    (tmp_path / "images" / "dapr-1.tar").write_text("whole")
    clear(tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["dapr-1.tar", "images", "tools"]


def test_a_cache_that_does_not_exist_yet_has_no_leftovers(tmp_path: Path) -> None:
    clear(tmp_path / "none")


def test_mounts_are_undone_innermost_first() -> None:
    mounts = (
        "proc /c/.unfinished-1/root/proc proc rw 0 0\nx /c/.unfinished-1/root ext4 rw 0 0\ny /c ext4 rw 0 0\n"
    )
    assert mounts_below(Path("/c/.unfinished-1"), mounts) == [
        "/c/.unfinished-1/root/proc",
        "/c/.unfinished-1/root",
    ]
