"""What the node makes of k3s's command line, and the files it writes from it."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

from airgap.images.node.k3s_node import render, store, watch
from airgap.images.node.k3s_node.arguments import ServerOptions, parse_server_arguments


def _node(*words: str) -> render.Node:
    options = parse_server_arguments(words)
    return render.Node(name="k3d-a-server-0", address="172.28.0.3", options=options, pause_image="pause:1")


def test_k3ds_usual_flags_are_understood() -> None:
    words = ["--tls-san", "0.0.0.0", "--tls-san=172.28.0.1", "--disable=traefik", "--disable", "servicelb"]
    assert parse_server_arguments(words) == ServerOptions(
        tls_sans=("0.0.0.0", "172.28.0.1"), ignored=("--disable=traefik", "--disable=servicelb")
    )


def test_flags_without_a_value_do_not_swallow_the_next_one() -> None:
    options = parse_server_arguments(["--cluster-init", "--debug", "--tls-san", "a", "--what", "--ever"])
    assert options.tls_sans == ("a",)
    assert options.ignored == ("--cluster-init", "--debug", "--what", "--ever")


def test_address_ranges_decide_the_well_known_addresses() -> None:
    options = parse_server_arguments(["--service-cidr", "10.50.0.0/16", "--cluster-cidr=10.60.0.0/16"])
    assert options.cluster_dns == "10.50.0.10"
    assert options.pod_subnet == "10.60.0.0/24"


def test_a_bad_address_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"10\.0\.0\.0/99"):
        parse_server_arguments(["--service-cidr", "10.0.0.0/99"])


def test_the_certificate_holds_every_name_but_the_wildcard_address() -> None:
    names = _node("--tls-san", "0.0.0.0", "--tls-san", "172.28.0.1").certificate_names
    assert names == ("127.0.0.1", "172.28.0.1", "172.28.0.3", "k3d-a-server-0", "localhost")
    config = render.kubeadm_config(_node("--tls-san", "172.28.0.1"), "v1.34.4")
    cluster = json.loads(config.split("---\n")[1])
    assert "172.28.0.1" in cluster["apiServer"]["certSANs"]


def test_the_kubeconfig_has_the_names_k3d_looks_for() -> None:
    admin = "clusters:\n- cluster:\n    certificate-authority-data: Q0E=\n    server: https://1.2.3.4:6443\nusers:\n"
    admin += "- user:\n    client-certificate-data: Q1JU\n    client-key-data: S0VZ\n"
    config = json.loads(render.default_kubeconfig(admin))
    assert config["current-context"] == "default"
    assert config["clusters"][0]["name"] == config["users"][0]["name"] == "default"
    assert config["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:6443"
    assert config["users"][0]["user"] == {"client-certificate-data": "Q1JU", "client-key-data": "S0VZ"}


def test_every_program_is_told_the_same_ranges() -> None:
    node = _node("--service-cidr", "10.50.0.0/16")
    commands = render.commands(node)
    for name in ("kube-apiserver", "kube-controller-manager"):
        assert "--service-cluster-ip-range=10.50.0.0/16" in commands[name]
    assert json.loads(render.kubelet_config(node))["clusterDNS"] == ["10.50.0.10"]


def test_dns_listens_where_the_service_sends_queries() -> None:
    node = _node()
    slice_ = json.loads(render.dns_endpoints(node))
    assert slice_["endpoints"][0]["addresses"] == [node.address]
    assert "bind" not in render.corefile(), "a server block of the user's listens everywhere: so must ours"


def test_dns_takes_in_what_k3s_takes_in() -> None:
    first, last = render.corefile().strip().rsplit("}\n", 1)
    assert "    import /etc/coredns/custom/*.override\n" in first
    assert last == "import /etc/coredns/custom/*.server"


def test_a_changed_added_or_removed_manifest_changes_the_signature(tmp_path: Path) -> None:
    signatures = [watch.signature(tmp_path)]
    (tmp_path / "a.yaml").write_text("a")
    signatures.append(watch.signature(tmp_path))
    (tmp_path / "a.yaml").write_text("ab")
    signatures.append(watch.signature(tmp_path))
    assert len(set(signatures)) == 3
    (tmp_path / "notes.txt").write_text("x")
    assert watch.signature(tmp_path) == signatures[-1], "only manifests count"


def _archive(path: Path, manifest: str) -> Path:
    with tarfile.open(path, "w") as archive:
        entry = tarfile.TarInfo("manifest.json")
        entry.size = len(manifest)
        archive.addfile(entry, io.BytesIO(manifest.encode()))
    return path


def _store(folder: Path, archive: Path) -> Path:
    snapshot = folder / store.SNAPSHOTTER / "snapshots" / "1" / "fs"
    snapshot.mkdir(parents=True)
    (snapshot / "program").write_text("x")
    (folder / store.SNAPSHOTTER / "metadata.db").write_text("snapshots")
    (folder / store.CONTENT / "blobs/sha256").mkdir(parents=True)
    (folder / store.METADATA).parent.mkdir()
    (folder / store.METADATA).write_text("metadata")
    (folder / store.ARCHIVES).write_text(json.dumps([store.archive_identity(archive)]))
    return folder


def test_a_new_node_takes_the_images_that_came_with_it(tmp_path: Path) -> None:
    known = _archive(tmp_path / "a.tar", "[1]")
    other = _archive(tmp_path / "b.tar", "[2]")
    root = tmp_path / "root"
    assert store.adopt(_store(tmp_path / "store", known), root)
    assert (root / store.SNAPSHOTTER / "snapshots/1/fs/program").read_text() == "x"
    assert store.holds(known, root)
    assert not store.holds(other, root), "what did not come with the image is imported"


def test_a_restarted_node_keeps_what_it_has(tmp_path: Path) -> None:
    origin = _store(tmp_path / "store", _archive(tmp_path / "a.tar", "[1]"))
    root = tmp_path / "root"
    store.adopt(origin, root)
    (root / store.METADATA).write_text("changed since")
    assert store.adopt(origin, root)
    assert (root / store.METADATA).read_text() == "changed since"


def test_a_node_image_without_images_has_nothing_to_adopt(tmp_path: Path) -> None:
    assert not store.adopt(tmp_path / "none", tmp_path / "root")
    assert not store.holds(_archive(tmp_path / "a.tar", "[1]"), tmp_path / "root")


def test_layers_are_told_from_other_content(tmp_path: Path) -> None:
    blobs = tmp_path / "blobs/sha256"
    blobs.mkdir(parents=True)
    (blobs / "aa").write_text(json.dumps({"layers": [{"digest": "sha256:cc"}]}))
    (blobs / "bb").write_text(json.dumps({"rootfs": {}}))
    (blobs / "cc").write_bytes(b"\x1f\x8b not json")
    assert store.layer_digests(tmp_path) == {"cc"}
