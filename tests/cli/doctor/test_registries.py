"""The language registries are asked by their own clients, and a client's complaint is passed on."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.doctor import registries


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the whole PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_a_proxy_that_answers_is_fine(programs: Path) -> None:
    program(programs, "go", '[ "$1 $2 $3" = "list -m golang.org/x/mod@v0.24.0" ] && [ -n "$GOMODCACHE" ]')
    assert registries.go_proxy() == ""


def test_a_clients_last_words_say_what_is_wrong(programs: Path) -> None:
    program(programs, "go", "echo 'go: downloading' >&2; echo 'proxy: 403 Forbidden' >&2; exit 1")
    assert registries.go_proxy() == "go: proxy: 403 Forbidden"


def test_a_client_that_is_not_there_is_named(programs: Path) -> None:
    assert registries.go_proxy() == "go is not installed"
    assert registries.debian() == "there is no apt-get on this machine"


def test_apt_without_repositories_says_so(programs: Path) -> None:
    program(programs, "apt-get", "exit 0")
    assert "apt has no repositories" in registries.debian()


def test_a_client_that_hangs_is_given_up_on(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registries, "ASK_SECONDS", 0.2)
    program(programs, "go", "exec /bin/sleep 30")
    assert registries.go_proxy().startswith("no answer within")
    program(programs, "apt-get", "exec /bin/sleep 30")
    assert registries.debian().startswith("apt did not name its repositories within")
