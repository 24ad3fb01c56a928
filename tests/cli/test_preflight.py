"""What is refused before anything is built."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli import docker_objects, preflight
from cli.errors import UserError
from cli.paths import Paths


def free_port() -> int:
    """One that nothing on this machine listens on, an environment that is up included."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


OTHERS = [free_port() for _ in range(4)]
STACK = f"""
config:
  multicluster-dapr:redis: {{{{port: {OTHERS[0]}}}}}
  multicluster-dapr:clusters:
    - {{{{name: control-plane, role: control-plane, apiPort: {OTHERS[1]}, httpPort: {{http}}}}}}
    - {{{{name: cluster-1, apiPort: {OTHERS[2]}, httpPort: {OTHERS[3]}}}}}
"""


PEERS = STACK.format(http=free_port()).replace(f"httpPort: {OTHERS[3]}", "httpPort: 30009, peersPort: 30010")


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def written(tmp_path: Path, text: str) -> Paths:
    (tmp_path / "Pulumi.dev.yaml").write_text(text)
    return Paths(root=tmp_path, cache=tmp_path / "c", state=tmp_path / "s")


def test_every_problem_of_the_file_is_reported_by_name(tmp_path: Path) -> None:
    paths = written(tmp_path, STACK.format(http=70000) + "  multicluster-dapr:rediss: {}\n")
    with pytest.raises(UserError) as caught:
        preflight.checked_settings(paths, "dev")
    assert "Pulumi.dev.yaml" in str(caught.value)
    assert "httpPort" in str(caught.value)
    assert "rediss" in str(caught.value)


def test_a_port_held_by_something_else_is_named_with_its_holder(
    tmp_path: Path, taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docker_objects, "published_ports", lambda *_: set())
    chosen = preflight.checked_settings(written(tmp_path, STACK.format(http=taken)), "dev")
    with pytest.raises(UserError, match=rf"port {taken}, wanted by clusters\[0\]\.httpPort.*listens there"):
        preflight.check_ports(chosen, {}, "dev")


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("172.28.0.1", "httpPort"),
        ("127.0.0.1", "httpPort"),
        ("0.0.0.0", "httpPort"),
        ("::", "peersPort"),
        ("172.28.0.1", "peersPort"),
    ],
)
def test_a_port_is_taken_where_it_is_to_be_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, key: str
) -> None:
    monkeypatch.setattr(docker_objects, "published_ports", lambda *_: set())
    chosen = preflight.checked_settings(written(tmp_path, PEERS), "dev")
    port = getattr(chosen.clusters[1], {"httpPort": "http_port", "peersPort": "peers_port"}[key])
    monkeypatch.setattr(preflight, "_listening", lambda: [preflight.Listening(address, port, "0")])
    with pytest.raises(UserError, match=rf"port {port}, wanted by clusters\[1\]\.{key}"):
        preflight.check_ports(chosen, {}, "dev")


@pytest.mark.parametrize(("address", "name"), [("127.0.0.1", "peers_port"), ("192.0.2.7", "http_port")])
def test_a_port_at_another_address_is_in_nobodys_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, name: str
) -> None:
    """The port for other clusters' gateways is published at the network's first address alone."""
    monkeypatch.setattr(docker_objects, "published_ports", lambda *_: set())
    chosen = preflight.checked_settings(written(tmp_path, PEERS), "dev")
    at = getattr(chosen.clusters[1], name)
    monkeypatch.setattr(preflight, "_listening", lambda: [preflight.Listening(address, at, "0")])
    preflight.check_ports(chosen, {}, "dev")


@pytest.mark.parametrize(
    ("family", "address", "told"),
    [
        (socket.AF_INET, "127.0.0.1", "127.0.0.1"),
        (socket.AF_INET6, "::1", "::1"),
        (socket.AF_INET6, "::ffff:127.0.0.1", "127.0.0.1"),
    ],
)
def test_who_listens_is_read_from_the_kernel(family: socket.AddressFamily, address: str, told: str) -> None:
    with socket.socket(family) as listener:
        try:
            listener.bind((address, 0))
        except OSError:
            pytest.skip(f"no such address here: {address}")
        listener.listen()
        port = listener.getsockname()[1]
        assert [one.address for one in preflight._listening() if one.port == port] == [told]


def test_a_port_our_own_containers_hold_is_fine(
    tmp_path: Path, taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docker_objects, "published_ports", lambda *_: {taken, *OTHERS})
    chosen = preflight.checked_settings(written(tmp_path, STACK.format(http=taken)), "dev")
    preflight.check_ports(chosen, {}, "dev")


def test_a_port_that_follows_from_another_is_checked_until_the_cluster_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that runs has the ports it was made with: whoever has this one by now is in nobody's way."""
    there: set[int] = set()
    monkeypatch.setattr(docker_objects, "published_ports", lambda *_: there)
    with socket.socket() as listener:
        for port in range(30_000, 40_000):
            with contextlib.suppress(OSError):
                listener.bind(("0.0.0.0", port))  # the network is not there, and has no address yet
                break
        listener.listen()
        file = STACK.format(http=free_port()).replace(f"httpPort: {OTHERS[3]}", f"httpPort: {port - 20_000}")
        chosen = preflight.checked_settings(written(tmp_path, file), "dev")
        with pytest.raises(
            UserError, match=rf"port {port}, wanted by clusters\[1\]\.peersPort.*listens there"
        ):
            preflight.check_ports(chosen, {}, "dev")
        there.add(port - 20_000)
        preflight.check_ports(chosen, {}, "dev")


@pytest.mark.parametrize(
    ("networks", "told"),
    [
        (
            {"theirs": ["172.28.128.0/17"]},
            r"network\.subnet: 172\.28\.0\.0/16 overlaps with 172\.28\.128\.0/17 .*'theirs'",
        ),
        ({"multi-clusters": []}, r"network\.name: Docker has a network 'multi-clusters' that is not"),
    ],
)
def test_a_network_in_the_way_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, networks: dict[str, list[str]], told: str
) -> None:
    monkeypatch.setattr(docker_objects, "other_networks", lambda *_: networks)
    chosen = preflight.checked_settings(written(tmp_path, STACK.format(http=80)), "dev")
    with pytest.raises(UserError, match=told):
        preflight.check_network(chosen, {}, "dev")


def test_networks_beside_ours_are_fine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    others = {"bridge": ["172.17.0.0/16"], "host": [], "six": ["fd00::/64"]}
    monkeypatch.setattr(docker_objects, "other_networks", lambda *_: others)
    chosen = preflight.checked_settings(written(tmp_path, STACK.format(http=80)), "dev")
    preflight.check_network(chosen, {}, "dev")


@pytest.mark.parametrize(
    ("of", "told"),
    [
        (
            "dev",
            r"clusters\[1\]\.name: .* 'cluster-1', of environment 'dev'.*stack destroy dev",
        ),
        ("", r"clusters\[1\]\.name: .* of no environment.*k3d cluster delete cluster-1"),
    ],
)
def test_a_cluster_of_somebody_else_is_named_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of: str, told: str
) -> None:
    monkeypatch.setattr(docker_objects, "other_clusters", lambda *_: {"cluster-1": of, "mine": ""})
    chosen = preflight.checked_settings(written(tmp_path, STACK.format(http=80)), "dev")
    with pytest.raises(UserError, match=f"(?s){told}"):
        preflight.check_clusters(chosen, {}, "t2")


def test_clusters_with_other_names_are_fine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = "control-plane t2\ncluster-1 t2\nelse dev\nmine \n"
    monkeypatch.setattr(docker_objects.process, "output", lambda *_, **__: rows)
    assert docker_objects.other_clusters({}, "t2") == {"else": "dev", "mine": ""}
    chosen = preflight.checked_settings(written(tmp_path, STACK.format(http=80)), "dev")
    preflight.check_clusters(chosen, {}, "t2")
