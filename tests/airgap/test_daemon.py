"""Our own Docker daemon shares nothing with the system's, and is never mistaken for another process."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest

from airgap import daemon, debian
from airgap.report import SupplyError


@pytest.fixture(autouse=True)
def _own_run_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, file in (
        ("SOCKET", "docker.sock"),
        ("PIDFILE", "docker.pid"),
        ("SYSTEM_SOCKET", "system.sock"),
    ):
        monkeypatch.setattr(daemon, name, tmp_path / file)
    monkeypatch.delenv("DOCKER_HOST", raising=False)


def test_every_path_of_the_daemon_is_our_own(tmp_path: Path) -> None:
    argv = daemon.daemon_argv("/usr/sbin/dockerd", tmp_path / "cache", wrapper=None)
    assert f"--data-root={tmp_path}/cache/docker" in argv
    assert f"--host=unix://{tmp_path}/docker.sock" in argv
    assert not any("/etc/docker" in word or "/var/run/docker" in word for word in argv)
    assert not any("runtime" in word for word in argv), "an able machine needs no wrapper"


def test_the_wrapper_becomes_the_default_runtime_where_capabilities_lack(tmp_path: Path) -> None:
    argv = daemon.daemon_argv("/usr/sbin/dockerd", tmp_path, wrapper=tmp_path / "runc-within-bounds")
    assert argv[-2:] == [f"--add-runtime=bounded={tmp_path}/runc-within-bounds", "--default-runtime=bounded"]


@pytest.mark.parametrize("content", ["", "not a number", "999999999", str(os.getpid())])
def test_a_stale_or_reused_pidfile_is_not_our_daemon(content: str) -> None:
    daemon.PIDFILE.write_text(content)
    assert daemon._own_pid() is None


def test_a_socket_nobody_listens_on_is_no_daemon() -> None:
    daemon.SOCKET.touch()
    assert daemon.running_daemon() is None


def test_a_chosen_daemon_that_is_silent_is_an_error_with_a_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nowhere.sock")
    with pytest.raises(SupplyError, match=r"nowhere\.sock is set, but.*unset DOCKER_HOST"):
        daemon.running_daemon()


def test_without_root_the_message_says_what_to_install(
    tmp_path: Path, report: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(debian, "can_install", lambda: False)
    with pytest.raises(SupplyError, match="Install and start Docker"):
        daemon.ensure_daemon(tmp_path, report)  # type: ignore[arg-type]


def test_packages_start_no_services_and_the_policy_goes_afterwards(tmp_path: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    with debian._services_stay_down(policy):
        assert "exit 101" in policy.read_text()
    assert not policy.exists()


def test_an_administrators_policy_stays_as_it_is(tmp_path: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 0\n")
    with debian._services_stay_down(policy):
        assert policy.read_text() == "#!/bin/sh\nexit 0\n"
    assert policy.exists()


def test_a_policy_left_by_a_killed_run_is_removed(tmp_path: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    policy.write_text(debian._OURS)
    with debian._services_stay_down(policy):
        pass
    assert not policy.exists()


@pytest.mark.parametrize(
    ("answer", "is_one"),
    [
        (b"HTTP/1.0 200 OK\r\n\r\nOK", True),
        (b"HTTP/1.0 503 Service Unavailable\r\n\r\n", False),
        (b"", False),
    ],
)
def test_a_daemon_is_one_that_says_so(answer: bytes, is_one: bool) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(daemon.SOCKET))
        listener.listen()

        def once() -> None:
            client, _ = listener.accept()
            with client:
                client.recv(100)
                client.sendall(answer)

        answering = threading.Thread(target=once)
        answering.start()
        assert (daemon.running_daemon() == daemon.own_host()) is is_one
        answering.join()


def test_a_daemon_on_another_machine_is_asked_as_well() -> None:
    assert not daemon.answers("tcp://127.0.0.1:9")
    assert not daemon.answers("not an address")
