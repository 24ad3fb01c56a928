"""k3d clusters: k3d's own file, and the commands around its CLI."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.cluster import k3d_config


def _config(**changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "name": "cluster-1",
        "environment": "dev",
        "image": "node:1",
        "gateway": "172.28.0.1",
        "bind_addresses": ("127.0.0.1",),
        "api_port": 6445,
        "http_port": 81,
        "archives": {},
    }
    parsed: dict[str, Any] = yaml.safe_load(
        k3d_config.render(k3d_config.K3dConfig(**{**values, **changes}), "multi-clusters")
    )
    return parsed


def test_the_k3d_file_is_k3ds_own_format() -> None:
    direct = ["server:0:direct"]
    assert _config(archives={"dapr": "/cache/dapr.tar"}) == {
        "apiVersion": "k3d.io/v1alpha5",
        "kind": "Simple",
        "metadata": {"name": "cluster-1"},
        "servers": 1,
        "image": "node:1",
        "network": "multi-clusters",
        "kubeAPI": {"host": "172.28.0.1", "hostIP": "172.28.0.1", "hostPort": "6445"},
        "ports": [
            {"port": "127.0.0.1:6445:6443", "nodeFilters": direct},
            {"port": "172.28.0.1:81:30080", "nodeFilters": direct},
            {"port": "127.0.0.1:81:30080", "nodeFilters": direct},
        ],
        "options": {
            "k3d": {"wait": True, "timeout": "300s", "disableLoadbalancer": True},
            "k3s": {"extraArgs": [{"arg": "--disable=traefik", "nodeFilters": ["server:0"]}]},
            "kubeconfig": {"updateDefaultKubeconfig": False, "switchCurrentContext": False},
            "runtime": {
                "labels": [{"label": "multicluster-dapr.environment=dev", "nodeFilters": ["server:0"]}]
            },
        },
        "volumes": [
            {
                "volume": "/cache/dapr.tar:/var/lib/rancher/k3s/agent/images/dapr.tar:ro",
                "nodeFilters": ["server:0"],
            }
        ],
    }


def test_the_nodes_memory_and_ingress_follow_the_settings() -> None:
    config = _config(memory="4g", node_http_port=80)
    assert config["options"]["runtime"]["serversMemory"] == "4g"
    assert config["ports"][-1]["port"] == "127.0.0.1:81:80"


def test_ranges_are_said_only_when_they_are_given() -> None:
    def said(**ranges: str) -> list[str]:
        return [entry["arg"] for entry in _config(**ranges)["options"]["k3s"]["extraArgs"]]

    assert said() == ["--disable=traefik"]
    assert said(pod_cidr="10.50.0.0/16", service_cidr="10.51.0.0/16")[1:] == [
        "--cluster-cidr=10.50.0.0/16",
        "--service-cidr=10.51.0.0/16",
    ]


def test_an_address_is_bound_once() -> None:
    ports = [entry["port"] for entry in _config(bind_addresses=("172.28.0.1", "127.0.0.1"))["ports"]]
    assert ports == ["127.0.0.1:6445:6443", "172.28.0.1:81:30080", "127.0.0.1:81:30080"]


def test_a_cluster_is_not_made_again_for_a_port_that_it_may_lack() -> None:
    """One that is older than the default of its port: Docker publishes ports when it makes a container."""

    def of(**more: Any) -> k3d_config.K3dConfig:
        return k3d_config.K3dConfig(
            name="cluster-1", environment="dev", image="node:1", gateway="172.28.0.1",
            bind_addresses=("127.0.0.1",), api_port=6445, http_port=81, archives={}, **more,
        )  # fmt: skip

    before = k3d_config.render(of(), "n")
    after = of(peers_port=20081, may_lack_peers_port=True)
    assert "172.28.0.1:20081:30443" in k3d_config.render(after, "n"), "one that is made now has it"
    assert k3d_config.identity(after, "n") == before
    said = of(peers_port=8441)
    assert k3d_config.identity(said, "n") == k3d_config.render(said, "n") != before, "who asks gets it"


@pytest.fixture
def k3d(tmp_path: Path) -> Any:
    """A k3d of our own on PATH that knows the clusters in a folder; returns a function that runs a script."""
    clusters, folder = tmp_path / "clusters", tmp_path / "bin"
    clusters.mkdir()
    folder.mkdir()
    fake = folder / "k3d"
    fake.write_text(f"""#!/bin/sh
cd {shlex.quote(str(clusters))}
echo "$@" >> ../calls
touch "$TMPDIR/k3d-config-tmp"
case "$*" in
  "cluster list slow") sleep 30 ;;
  "cluster list"*) test -e "$3" || exit 1; cat "$3" ;;
  "cluster delete"*) rm -f "$3" ;;
  "cluster create"*) cat > created; echo "chatter on stdout" ;;
  "kubeconfig get"*) echo "kubeconfig of $3" ;;
  "image import"*) read -r left < failures && echo $((left - 1)) > failures && [ "$left" -le 0 ] ;;
esac
""")
    fake.chmod(0o755)
    # The file of a cluster says who owns it: a line per label, as the daemon's filters see them.
    daemon = folder / "docker"
    daemon.write_text(f"""#!/bin/sh
set -eu
[ "$1" != tag ] || {{ echo "docker $*" >> {shlex.quote(str(tmp_path / "calls"))}; exit 0; }}
test -e {shlex.quote(str(clusters))}/cluster-1 || exit 0
for word; do case $word in label=k3d.cluster=*) ;; label=*)
  grep -qxF "${{word#label=}}" {shlex.quote(str(clusters))}/cluster-1 || exit 0 ;; esac; done
echo 0123456789ab
""")
    daemon.chmod(0o755)

    def run(script: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        env = {"PATH": f"{folder}:{os.environ['PATH']}", "TMPDIR": str(tmp_path / "tmp")}
        (tmp_path / "tmp").mkdir(exist_ok=True)
        return subprocess.run(
            ["/bin/sh", "-c", script],
            cwd=Path(__file__).parents[2],
            input=stdin,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )

    (clusters / "failures").write_text("0\n")
    run.clusters = clusters  # type: ignore[attr-defined]
    run.calls = tmp_path / "calls"  # type: ignore[attr-defined]
    run.tmp = tmp_path / "tmp"  # type: ignore[attr-defined]
    return run


CREATE = k3d_config.create_command(name="cluster-1", environment="dev")


def test_creating_prints_the_kubeconfig_and_nothing_else(k3d: Any) -> None:
    done = k3d(CREATE, "the config")
    assert (done.returncode, done.stdout) == (0, "kubeconfig of cluster-1\n"), done.stderr
    assert (k3d.clusters / "created").read_text() == "the config"
    assert not list(k3d.tmp.iterdir()), "k3d leaves its copy of the configuration behind; the script must not"


@pytest.mark.parametrize(
    "left",
    [
        "k3d.role=server\nmulticluster-dapr.environment=dev\n",
        "k3d.role=noRole\n",
    ],
    ids=["a server with our label", "k3d's own helper container, and no server yet"],
)
def test_a_cluster_left_by_an_interrupted_run_is_made_anew(k3d: Any, left: str) -> None:
    (k3d.clusters / "cluster-1").write_text(left)
    done = k3d(CREATE)
    assert done.returncode == 0
    assert "was left by an interrupted run" in done.stderr
    assert not (k3d.clusters / "cluster-1").exists(), "the old one is deleted first"


@pytest.mark.parametrize("labels", ["app=k3d", "multicluster-dapr.environment=other"])
def test_someone_elses_cluster_is_refused_and_kept(k3d: Any, labels: str) -> None:
    (k3d.clusters / "cluster-1").write_text(f"k3d.role=server\n{labels}\n")
    done = k3d(CREATE)
    assert done.returncode == 1
    assert "A k3d cluster named cluster-1 exists and is not part of environment dev." in done.stderr
    assert "k3d cluster delete cluster-1" in done.stderr, "the message has a hint"
    assert (k3d.clusters / "cluster-1").exists()


def test_a_command_removes_its_own_folder_and_no_other(k3d: Any) -> None:
    """The cluster of another run may have the same name, and be in the making."""
    k3d.tmp.mkdir()
    others = {"multicluster-dapr-cluster-1.abc123", "multicluster-dapr-cluster-10.abc123"}
    for name in others:
        (k3d.tmp / name).mkdir()
    assert k3d(k3d_config.delete_command(name="cluster-1")).returncode == 0
    assert {path.name for path in k3d.tmp.iterdir()} == others


def test_a_command_that_is_ended_removes_its_folder_too(k3d: Any) -> None:
    ended = k3d(f"timeout --preserve-status 1 {k3d_config.create_command(name='slow', environment='dev')}")
    assert ended.returncode == 143
    assert k3d.calls.read_text().startswith("cluster list slow\n")
    assert not list(k3d.tmp.iterdir())


def test_deleting_and_importing_are_one_call_each(k3d: Any) -> None:
    assert k3d(k3d_config.delete_command(name="cluster-1")).returncode == 0
    images = ["docker.io/multicluster-dapr/gateway:0123abcd", "docker.io/multicluster-dapr/nodeapp:4567cdef"]
    assert k3d(k3d_config.import_command(name="cluster-1", images=images)).returncode == 0
    assert k3d.calls.read_text().splitlines() == [
        "cluster delete cluster-1",
        f"docker tag 0123abcd {images[0]}",
        f"docker tag 4567cdef {images[1]}",
        "image import --mode direct --cluster cluster-1 " + " ".join(images),
    ]


@pytest.mark.parametrize(("failures", "code"), [(1, 0), (2, 1)])
def test_images_are_copied_once_more_when_that_fails(failures: int, code: int, k3d: Any) -> None:
    (k3d.clusters / "failures").write_text(f"{failures}\n")
    done = k3d(k3d_config.import_command(name="cluster-1", images=["gateway:0123abcd"]))
    assert done.returncode == code
    assert done.stderr.count("Copying the images once more.") == 1
