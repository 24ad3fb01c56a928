"""How doctor shows what it found."""

from __future__ import annotations

import io

from rich.console import Console

from cli.doctor.check import Check, as_json
from cli.doctor.command import lines

GOOD = Check(group="machine", name="disk", verdict="ok", seen="58 GiB free")
BROKEN = Check(
    group="path", name="cluster-2 → a/b", verdict="fail", seen="scaled to zero", way_out="kubectl scale",
    broken="gateway",
)  # fmt: skip


def test_a_broken_path_is_one_line_with_its_hop_and_one_with_what_to_do() -> None:
    printed = list(lines([GOOD, BROKEN]))
    assert printed[-3].endswith("cluster-2 → a/b: broken at gateway: scaled to zero")
    assert printed[-2].strip() == "→ kubectl scale"
    assert "1 of 2 checks fail" in printed[-1]


def test_a_healthy_machine_ends_with_one_good_line() -> None:
    assert list(lines([GOOD]))[-1] == "All 1 checks pass."


def test_brackets_in_what_was_seen_are_shown_and_no_markup() -> None:
    check = Check(group="machine", name="settings", verdict="ok", seen="see [red] in clusters")
    console = Console(file=io.StringIO(), width=200)
    for line in lines([check]):
        console.print(line)
    assert isinstance(console.file, io.StringIO)
    assert "see [red] in clusters" in console.file.getvalue()


def test_json_says_whether_all_is_well_and_leaves_out_what_is_empty() -> None:
    found = as_json([GOOD, BROKEN])
    assert found["healthy"] is False
    assert found["checks"][0] == {"group": "machine", "name": "disk", "verdict": "ok", "seen": "58 GiB free"}
    assert (found["checks"][1]["broken"], found["checks"][1]["wayOut"]) == ("gateway", "kubectl scale")
