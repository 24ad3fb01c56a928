"""Capabilities the machine lacks are taken out of what runc is asked for, and out of nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from airgap.capabilities import bounding_set, install_wrapper, missing_capabilities
from airgap.runc_wrapper import allowed, specification, strip

WITHOUT_SYS_RESOURCE = 0x1FFFEFFFFFF


def test_the_bounding_set_is_read_from_proc() -> None:
    assert bounding_set("Name:\tx\nCapBnd:\t000001fffeffffff\nCapAmb:\t0\n") == WITHOUT_SYS_RESOURCE


@pytest.mark.parametrize(
    ("mask", "missing"), [("000001ffffffffff", ()), ("000001fffeffffff", ("CAP_SYS_RESOURCE",))]
)
def test_a_machine_misses_the_capabilities_whose_bits_are_missing(mask: str, missing: tuple[str]) -> None:
    assert missing_capabilities(f"CapBnd:\t{mask}\n", last_cap=40) == missing


def test_a_kernel_with_fewer_capabilities_lacks_none() -> None:
    assert not missing_capabilities("CapBnd:\t0000003fffffffff\n", last_cap=37)


def test_only_missing_capabilities_are_stripped() -> None:
    names = allowed(WITHOUT_SYS_RESOURCE)
    process = {
        "capabilities": {
            "bounding": ["CAP_CHOWN", "CAP_SYS_RESOURCE"],
            "effective": ["CAP_BPF"],
            "ambient": None,
        },
        "args": ["sh"],
    }
    assert strip(process, names)
    assert process == {
        "capabilities": {"bounding": ["CAP_CHOWN"], "effective": ["CAP_BPF"], "ambient": None},
        "args": ["sh"],
    }
    assert not strip(process, names), "a second pass has nothing to do, so the file is left alone"


def test_a_process_without_capabilities_is_left_alone() -> None:
    assert not strip({"args": ["sh"]}, set())


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["--root", "/r", "create", "--bundle", "/b", "id"], ("/b/config.json", True)),
        (["run", "-b", "/b", "id"], ("/b/config.json", True)),
        (["create", "--bundle=/b", "id"], ("/b/config.json", True)),
        (["create", "id"], ("./config.json", True)),
        (["--log", "/l", "exec", "--process", "/p.json", "--detach", "id"], ("/p.json", False)),
        (["exec", "id", "sh"], None),
        (["delete", "--force", "id"], None),
        ([], None),
    ],
)
def test_the_file_with_the_process_object_is_found(
    argv: list[str], expected: tuple[str, bool] | None
) -> None:
    assert specification(argv) == expected


def test_the_wrapper_runs_alone_and_hands_over_to_runc(tmp_path: Path) -> None:
    wrapper = install_wrapper(tmp_path / "daemon")
    runc = tmp_path / "bin" / "runc"
    runc.parent.mkdir()
    runc.write_text('#!/bin/sh\necho "$@"\n')
    runc.chmod(0o755)
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "config.json").write_text('{"process": {"capabilities": {"bounding": ["CAP_NO_SUCH"]}}}')
    argv = [sys.executable, "-ISE", str(wrapper), "create", "--bundle", str(bundle), "id"]
    done = subprocess.run(argv, env={"PATH": str(runc.parent)}, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["create", "--bundle", str(bundle), "id"]
    assert (bundle / "config.json").read_text() == '{"process": {"capabilities": {"bounding": []}}}'
