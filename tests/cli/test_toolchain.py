"""Preparing the machine: which supply is chosen, which tools are the user's own."""

from __future__ import annotations

import http.server
import io
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from airgap.report import Report
from cli import toolchain
from cli.paths import Paths


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
    assert toolchain.choose_mode("auto", progress, registry) == "upstream"


def test_a_proxy_that_forbids_means_airgap(
    registry: str, monkeypatch: pytest.MonkeyPatch, progress: Report
) -> None:
    monkeypatch.setattr(Registry, "status", 403)
    assert toolchain.choose_mode("auto", progress, registry) == "airgap"


def test_no_network_means_airgap(progress: Report) -> None:
    assert toolchain.choose_mode("auto", progress, "http://127.0.0.1:9/v2/") == "airgap"


def test_a_configured_supply_asks_nobody(progress: Report) -> None:
    assert toolchain.choose_mode("upstream", progress, "not a url") == "upstream"


@pytest.mark.parametrize(
    ("printed", "used"),
    [("v3.220.1", True), ("v3.100.0", False), ("no version here", False)],
)
def test_a_tool_on_path_is_used_when_it_is_recent_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, progress: Report, printed: str, used: bool
) -> None:
    tool = tmp_path / "pulumi"
    tool.write_text(f"#!/bin/sh\necho '{printed}'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ("pulumi" in toolchain.tools_on_path(progress)) is used


def test_the_users_own_pulumi_keeps_its_home_and_the_plugins_in_it(tmp_path: Path) -> None:
    paths = Paths(root=tmp_path, cache=tmp_path / "cache", state=tmp_path / "state")
    assert "PULUMI_HOME" not in toolchain.compose(paths, "upstream", "", {}).exports
    assert toolchain.compose(paths, "airgap", "", {}).exports["PULUMI_HOME"] == str(paths.pulumi_home)
