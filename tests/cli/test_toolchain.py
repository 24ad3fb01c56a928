"""Preparing the machine: which supply is chosen, which tools are the user's own."""

from __future__ import annotations

import http.server
import io
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from airgap.plugins import install as plugins
from airgap.report import Report
from cli import prepare, toolchain
from cli.errors import UserError
from cli.paths import Paths

NOBODY = "http://127.0.0.1:9/v2/"


@pytest.fixture
def progress() -> Report:
    return Report(Console(file=io.StringIO(), width=200))


class Registry(http.server.BaseHTTPRequestHandler):
    """Answers as an image registry does: an anonymous call is asked for a token."""

    status = 401

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def registry() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v2/"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_registry_that_asks_for_a_token_means_upstream(registry: str, progress: Report) -> None:
    assert prepare.choose_mode("auto", progress, registry) == "upstream"


def test_a_proxy_that_forbids_means_airgap(
    registry: str, monkeypatch: pytest.MonkeyPatch, progress: Report
) -> None:
    monkeypatch.setattr(Registry, "status", 403)
    assert prepare.choose_mode("auto", progress, registry) == "airgap"


def test_no_network_means_airgap(progress: Report) -> None:
    assert prepare.choose_mode("auto", progress, NOBODY) == "airgap"


def test_a_configured_air_gap_asks_nobody(progress: Report) -> None:
    assert prepare.choose_mode("airgap", progress, "not a url") == "airgap"


def test_upstream_without_a_public_registry_is_refused_with_what_to_do(progress: Report) -> None:
    with pytest.raises(UserError, match=r"does not answer.*--supply airgap.*`mirror`") as refused:
        prepare.choose_mode("upstream", progress, NOBODY)
    assert len(str(refused.value).splitlines()) == 1


def test_upstream_is_taken_where_the_registry_or_a_mirror_of_it_can_be_had(
    registry: str, progress: Report
) -> None:
    assert prepare.choose_mode("upstream", progress, registry) == "upstream"
    assert prepare.choose_mode("upstream", progress, NOBODY, mirrors=lambda: True) == "upstream"


@pytest.mark.parametrize(("printed", "has"), [("https://mirror.example.org/ ", True), ("\n", False)])
def test_mirrors_of_the_users_docker_daemon_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, printed: str, has: bool
) -> None:
    docker = tmp_path / "docker"
    docker.write_text(f"#!/bin/sh\necho '{printed}'\n")
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert prepare.daemon_has_mirrors() is has
    docker.unlink()
    assert not prepare.daemon_has_mirrors()


@pytest.mark.parametrize(
    ("printed", "used"),
    [("v3.220.1", True), ("v3.100.0", False), ("no version here", False)],
)
def test_a_tool_on_path_is_used_when_it_is_recent_enough(
    tmp_path: Path, progress: Report, printed: str, used: bool
) -> None:
    tool = tmp_path / "pulumi"
    tool.write_text(f"#!/bin/sh\necho '{printed}'\n")
    tool.chmod(0o755)
    assert ("pulumi" in prepare.tools_on_path(progress, str(tmp_path))) is used


def test_the_users_own_pulumi_keeps_its_home_and_the_plugins_in_it(tmp_path: Path) -> None:
    paths = Paths(root=tmp_path, cache=tmp_path / "cache", state=tmp_path / "state")
    assert "PULUMI_HOME" not in toolchain.compose(paths, "upstream", "", {}).exports
    assert toolchain.compose(paths, "upstream", "", {}).logging == {}
    assert toolchain.compose(paths, "airgap", "", {}).exports["PULUMI_HOME"] == str(paths.pulumi_home)


def test_in_a_closed_network_the_engine_keeps_no_log_but_where_it_is_told_to(tmp_path: Path) -> None:
    paths = Paths(root=tmp_path, cache=tmp_path / "cache", state=tmp_path / "state")
    plugins.install_quiet_home(paths.pulumi_home, paths.quiet_home)
    composed = toolchain.compose(paths, "airgap", "", {})
    assert composed.exports["PULUMI_HOME"] == str(paths.quiet_home)
    assert composed.logging == {"PULUMI_HOME": str(paths.pulumi_home)}


def test_the_users_path_is_without_the_pulumi_of_an_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = Paths(root=tmp_path, cache=tmp_path / "cache", state=tmp_path / "state")
    of_dev = paths.environment("dev") / "bin"
    monkeypatch.setenv("PATH", f"{of_dev}:/usr/bin")
    assert toolchain.compose(paths, "upstream", "", {}).exports["PATH"] == "/usr/bin"


def test_an_environment_needs_no_more_than_the_engine(tmp_path: Path, progress: Report) -> None:
    paths = Paths(root=tmp_path, cache=tmp_path / "cache", state=tmp_path / "state")
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "pulumi").write_text("#!/bin/sh\n")
    (theirs / "pulumi").chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(theirs))
        assert prepare.engine_alone(paths, progress).exports["PATH"] == str(theirs)
