"""What a container allows, as cgroup v1 and v2 say it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.core.budget import DEFAULT_LIMIT_BYTES, share_out
from gateway.memory import container_limit, own_budget, resident_bytes

MIB = 1 << 20
PATHLESS = "0::/\n"
V1 = "5:cpu,cpuacct:/pod/one\n4:memory:/pod/one\n"


@pytest.mark.parametrize(
    ("groups", "files", "limit"),
    [
        (PATHLESS, {"memory.max": f"{128 * MIB}\n"}, 128 * MIB),
        (PATHLESS, {"memory.max": "max\n"}, None),
        (PATHLESS, {}, None),
        ("0::/pod/one\n", {"memory.max": "max", "pod/memory.max": "50", "pod/one/memory.max": "90"}, 50),
        (V1, {"memory/pod/one/memory.limit_in_bytes": "7000"}, 7000),
        (V1, {"memory/memory.limit_in_bytes": "6000"}, 6000),
        (V1, {"memory/memory.limit_in_bytes": "9223372036854771712"}, None),
        ("3:cpu:/\n", {"cpu/cpu.shares": "1"}, None),
        (None, {}, None),
    ],
    ids=[
        "v2", "v2 without", "v2 not mounted", "v2 of a group above", "v1", "v1 in a container", "v1 without",
        "no memory", "no groups",
    ],
)  # fmt: skip
def test_the_smallest_limit_counts(
    tmp_path: Path, groups: str | None, files: dict[str, str], limit: int | None
) -> None:
    if groups is not None:
        (tmp_path / "proc/self").mkdir(parents=True)
        (tmp_path / "proc/self/cgroup").write_text(groups)
    for name, text in files.items():
        file = tmp_path / "sys/fs/cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    assert container_limit(tmp_path) == limit


def test_what_is_said_goes_before_the_container(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 10 * MIB < resident_bytes() < 100_000 * MIB
    monkeypatch.setattr("gateway.memory.resident_bytes", lambda: MIB)
    monkeypatch.setattr("gateway.memory.container_limit", lambda: 512 * MIB)
    assert own_budget(256 * MIB) == share_out(256 * MIB, MIB)
    assert own_budget() == share_out(512 * MIB, MIB)
    monkeypatch.setattr("gateway.memory.container_limit", lambda: None)
    assert own_budget() == share_out(DEFAULT_LIMIT_BYTES, MIB)
