"""Launchers: written once, in the right place, quick to start."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from airgap.plugins.install import VERSIONS, install, launcher, plugin_versions
from airgap.plugins.start import engine_address

REPOSITORY = Path(__file__).resolve().parents[2]


def test_launchers_lie_where_the_engine_looks(tmp_path: Path) -> None:
    home, tools = tmp_path / "home", tmp_path / "tools"
    install(home, tools, Path(sys.executable), REPOSITORY)
    for name, version in plugin_versions(REPOSITORY).items():
        path = home / "plugins" / f"resource-{name}-v{version}" / f"pulumi-resource-{name}"
        assert os.access(path, os.X_OK)
    language = tools / "pulumi-language-python"
    before = language.stat().st_mtime_ns
    install(home, tools, Path(sys.executable), REPOSITORY)
    assert language.stat().st_mtime_ns == before, "a right launcher is not written again"
    assert sorted(path.name for path in tools.iterdir()) == ["pulumi-language-python"], (
        "no temporary file stays"
    )


def test_versions_come_from_the_one_file(tmp_path: Path) -> None:
    assert plugin_versions(tmp_path) == VERSIONS
    (tmp_path / "stacks").mkdir()
    (tmp_path / "stacks" / "versions.yaml").write_text("plugins: {docker: 9.9.9}\n")
    assert plugin_versions(tmp_path) == {**VERSIONS, "docker": "9.9.9"}


def test_odd_paths_are_quoted() -> None:
    text = launcher("command", Path("/a b/python"), Path("/it's here"))
    assert "'/a b/python'" in text
    compiled = subprocess.run(["sh", "-n"], input=text, text=True, check=False, capture_output=True)
    assert compiled.returncode == 0, compiled.stderr


@pytest.mark.parametrize(
    ("argv", "address"),
    [
        (["127.0.0.1:5"], "127.0.0.1:5"),
        (["--logtostderr", "-v=9", "--tracing", "http://x", "127.0.0.1:5"], "127.0.0.1:5"),
        ([], ""),
    ],
)
def test_the_engines_address_is_found_among_flags(argv: list[str], address: str) -> None:
    assert engine_address(argv) == address


@pytest.mark.parametrize("name", ["command", "docker", "kubernetes"])
def test_a_plugin_starts_announces_its_port_and_stays_small(name: str, tmp_path: Path) -> None:
    install(tmp_path / "home", tmp_path / "tools", Path(sys.executable), REPOSITORY)
    path = next((tmp_path / "home").rglob(f"pulumi-resource-{name}"))
    began = time.monotonic()
    with subprocess.Popen([str(path), "127.0.0.1:1"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        seconds = time.monotonic() - began
        status = Path(f"/proc/{process.pid}/status").read_text()
        mebibytes = int(status.split("VmRSS:")[1].split()[0]) / 1024
        process.terminate()
        assert process.wait(10) == 0
    assert port > 0
    assert mebibytes < 80, f"{name} takes {mebibytes:.0f} MiB"
    print(f"{name}: {seconds:.2f} s, {mebibytes:.0f} MiB")
