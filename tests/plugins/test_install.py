"""Plugins are installed once, in the right place, and start quickly."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from airgap.plugins.command.plugin import CommandProvider
from airgap.plugins.docker.plugin import DockerProvider
from airgap.plugins.install import (
    install_language_host,
    install_providers,
    install_quiet_home,
    launcher,
    plugin_versions,
    write_launcher,
)
from airgap.programs import KUBERNETES_PROVIDER

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def built(tmp_path: Path) -> dict[str, Path]:
    """A program in place of the official provider, which prints how it was called."""
    program = tmp_path / "it's built"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$0" "$@"\n')
    program.chmod(0o755)
    return {KUBERNETES_PROVIDER: program}


def test_plugins_lie_where_the_engine_looks(tmp_path: Path, built: dict[str, Path]) -> None:
    home, tools = tmp_path / "home", tmp_path / "tools"
    older = home / "plugins" / "resource-kubernetes-v4.34.2" / KUBERNETES_PROVIDER
    write_launcher(older, "#!/bin/sh\n")
    install_providers(home, Path(sys.executable), REPOSITORY, built)
    program = str(built[KUBERNETES_PROVIDER])
    assert launched(older, "127.0.0.1:5") == [program, "127.0.0.1:5"], "a state made with it can be destroyed"
    install_language_host(tools, Path(sys.executable), REPOSITORY)
    for name, version in plugin_versions(REPOSITORY).items():
        path = home / "plugins" / f"resource-{name}-v{version}" / f"pulumi-resource-{name}"
        assert os.access(path, os.X_OK)
    language = tools / "pulumi-language-python"
    before = language.stat().st_mtime_ns
    install_language_host(tools, Path(sys.executable), REPOSITORY)
    assert language.stat().st_mtime_ns == before, "a right launcher is not written again"
    assert sorted(path.name for path in tools.iterdir()) == ["pulumi-language-python"], (
        "no temporary file stays"
    )


def test_a_quiet_home_has_the_same_plugins_and_a_file_in_the_place_of_logs(
    tmp_path: Path, built: dict[str, Path]
) -> None:
    home, quiet = tmp_path / "cache" / "pulumi", tmp_path / "cache" / "quiet"
    for _ in range(2):
        install_quiet_home(home, quiet)
    install_providers(home, Path(sys.executable), REPOSITORY, built)
    moved = (tmp_path / "cache").rename(tmp_path / "moved")
    assert {one.name for one in (moved / "quiet" / "plugins").iterdir()} == {
        f"resource-{name}-v{version}" for name, version in plugin_versions(REPOSITORY).items()
    }
    assert (moved / "quiet" / "logs").is_file()


def test_a_program_where_a_launcher_belongs_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "launcher"
    path.write_bytes(b"\x7fELF\xff")
    write_launcher(path, "#!/bin/sh\n")
    assert path.read_text() == "#!/bin/sh\n"


def test_versions_are_those_the_plugins_tell_the_engine() -> None:
    told = {one.name: one.version for one in (CommandProvider, DockerProvider)}
    lock = (REPOSITORY / "requirements.lock").read_text()
    versions = plugin_versions(REPOSITORY)
    assert {name: versions[name] for name in told} == told
    assert f"pulumi-kubernetes=={versions['kubernetes']} " in lock, "the SDK is that of the provider"


def launched(path: Path, *arguments: str, **variables: str) -> list[str]:
    """What a launcher runs instead of Python, when that is a program that prints its arguments."""
    # The shell that runs the tests may be one that `./stack env` prepared.
    others = {name: value for name, value in os.environ.items() if not name.startswith("MULTICLUSTER_DAPR_")}
    done = subprocess.run(
        ["sh", str(path), *arguments], env={**others, **variables}, text=True, check=True, capture_output=True
    )
    return done.stdout.splitlines()


def test_a_launcher_serves_the_clone_that_runs_the_engine_else_the_one_that_wrote_it(tmp_path: Path) -> None:
    odd = tmp_path / "it's a python"
    odd.write_text('#!/bin/sh\nprintf "%s\\n" "$0" "$@"\n')
    odd.chmod(0o755)
    other = tmp_path / "other"
    other.symlink_to(odd)
    path = tmp_path / "launcher"
    path.write_text(launcher("command", odd, Path("/its own's clone")))
    assert launched(path, "127.0.0.1:5")[0] == str(odd)
    assert launched(path, "127.0.0.1:5")[-2:] == ["/its own's clone", "127.0.0.1:5"]
    mine = {"MULTICLUSTER_DAPR_ROOT": "/this clone", "MULTICLUSTER_DAPR_PYTHON": str(other)}
    assert launched(path, "127.0.0.1:5", **mine)[0] == str(other)
    assert launched(path, "127.0.0.1:5", **mine)[-2:] == ["/this clone", "127.0.0.1:5"]


@pytest.mark.parametrize("name", ["command", "docker"])
def test_a_plugin_starts_announces_its_port_and_stays_small(
    name: str, tmp_path: Path, built: dict[str, Path]
) -> None:
    install_providers(tmp_path / "home", Path(sys.executable), REPOSITORY, built)
    path = next((tmp_path / "home").rglob(f"pulumi-resource-{name}"))
    began = time.monotonic()
    with subprocess.Popen(
        [str(path), "--logtostderr", "-v=9", "127.0.0.1:1"], stdout=subprocess.PIPE, text=True
    ) as process:
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
