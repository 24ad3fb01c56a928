"""The files of a gateway's certificate: what is read, what is refused, and that changes are taken in."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from proxy.kube.mini_api import MiniApi

import gateway
from gateway.__main__ import main
from gateway.certificate_files import CertificateFilesError, follow_certificate, read_certificate
from gateway.core.certificates import Leaf
from gateway.core.issuing import Issuer, issue, make_root
from gateway.core.objects import HUB, MANAGED_BY
from gateway.core.peers import MutualTls
from gateway.kube.cache import ObjectCache
from gateway.kube.client import KubeClient
from gateway.kube.client_config import from_kubeconfig
from gateway.kube.follower import Viewpoint
from gateway.kube.run import DataPlane

HERE, OTHER = "default/default/default/here", "default/default/default/other"
ROOTS = {key: make_root(key, datetime.now(UTC)) for key in (HERE, OTHER)}


def fresh(key: str = HERE, root: Issuer | None = None) -> Leaf:
    return issue(root or ROOTS[key], key, datetime.now(UTC))


def put(folder: Path, leaf: Leaf) -> None:
    """Both files at once, as Kubernetes exchanges those of a Secret."""
    folder.mkdir(exist_ok=True)
    for name, content in (("tls.crt", leaf.chain), ("tls.key", leaf.key)):
        (folder / f"new-{name}").write_bytes(content)
    for name in ("tls.crt", "tls.key"):
        (folder / f"new-{name}").replace(folder / name)


def peer(key: str, port: int = 0) -> dict[str, Any]:
    spec: dict[str, Any] = {"clusterKey": key, "roots": [ROOTS[key].pem.decode()]}
    if port:
        spec["gateway"] = {"ip": "127.0.0.1", "port": port}
    metadata = {"name": key.rpartition("/")[2], "labels": {MANAGED_BY: HUB}}
    return {"kind": "Peer", "metadata": metadata, "spec": spec}


def test_a_folder_that_holds_no_certificate_of_this_cluster_is_named_with_the_reason(tmp_path: Path) -> None:
    folder = tmp_path / "tls"
    with pytest.raises(CertificateFilesError, match=r"tls\.crt: No such file.*kubernetes\.io/tls"):
        read_certificate(folder, HERE)
    leaf = fresh()
    put(folder, leaf)
    assert read_certificate(folder, HERE) == leaf
    with pytest.raises(CertificateFilesError, match=f"{folder}.*is for {HERE}, not for {OTHER}"):
        read_certificate(folder, OTHER)
    (folder / "tls.key").write_bytes(fresh().key)
    with pytest.raises(CertificateFilesError, match="not the key") as caught:
        read_certificate(folder, HERE)
    assert "PRIVATE" not in str(caught.value)
    (folder / "tls.key").unlink()
    with pytest.raises(CertificateFilesError, match=r"tls\.key: No such file"):
        read_certificate(folder, HERE)


async def test_a_certificate_may_come_later_and_a_broken_one_changes_nothing(
    net: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.certificate_files.SECONDS", 0.01)
    taken: list[Leaf] = []
    folder = tmp_path / "tls"
    following = asyncio.create_task(follow_certificate(folder, HERE, taken.append))
    try:
        await net.until(lambda: "No such file" in caplog.text)
        first, second = fresh(), fresh()
        put(folder, first)
        await net.until(lambda: taken == [first])
        put(folder, fresh(OTHER))
        await net.until(lambda: f"is for {OTHER}" in caplog.text)
        put(folder, second)
        await net.until(lambda: taken[-1] == second)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    assert "PRIVATE" not in caplog.text


@pytest.mark.parametrize(
    "more",
    [
        ["--mutual-tls", "strict"], ["--mutual-tls", "permissive", "--peers", "127.0.0.1:0"],
        ["--mutual-tls", "strict", "--certificate", "x"], ["--peers", "127.0.0.1:0"], ["--certificate", "x"],
        ["--peers", "127.0.0.1:0", "--certificate", "x"],
    ],
)  # fmt: skip
def test_options_that_do_not_go_together_are_refused(
    more: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["serve", "--objects", str(tmp_path), "--cluster-key", HERE, "--listen", "127.0.0.1:0"]
    assert main([*command, *more]) == 1
    assert "off needs none of them, any other both" in capsys.readouterr().err


def test_serve_does_not_start_without_the_certificate_it_was_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["serve", "--objects", str(tmp_path), "--cluster-key", HERE, "--listen", "127.0.0.1:0"]
    more = ["--mutual-tls", "strict", "--peers", "127.0.0.1:0", "--certificate", str(tmp_path / "none")]
    assert main([*command, *more]) == 1
    assert "tls.crt" in capsys.readouterr().err


@pytest.mark.parametrize("hours", ["0", "-1", "x", "100000", "nan"])
def test_lifetimes_that_are_none_are_refused(hours: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["control", "--cluster-key", HERE, "--mutual-tls", "strict", f"--certificate-hours={hours}"])
    assert "is no time" in capsys.readouterr().err


async def test_two_gateways_on_files_know_each_other_by_certificate(
    net: Any, make: Any, ok: Any, tmp_path: Path
) -> None:
    """Processes as a user starts them; the certificate of one is exchanged under way."""
    app = await net.app(lambda _head, _body: ok())
    started = []

    async def start(name: str, key: str, *objects: Any) -> tuple[int, int]:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "objects.yaml").write_text(yaml.safe_dump_all(objects), encoding="utf-8")
        put(tmp_path / f"{name}-tls", fresh(key))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway", "serve", "--objects", str(folder), "--cluster-key", key,
            "--listen", "127.0.0.1:0", "--east-west", "127.0.0.1:0", "--peers", "127.0.0.1:0",
            "--mutual-tls", "strict", "--certificate", str(tmp_path / f"{name}-tls"), "--no-access-log",
            "--limit", "connect_seconds=30", "--limit", "head_seconds=30",
            env={**os.environ, "PYTHONPATH": str(Path(gateway.__file__).parents[1])},
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        started.append(process)
        assert process.stderr is not None
        async with asyncio.timeout(60):
            while line := await process.stderr.readline():
                if found := re.search(
                    r"east-west=127\.0\.0\.1:(\d+) peers=127\.0\.0\.1:(\d+)", line.decode()
                ):
                    return int(found[1]), int(found[2])
        raise AssertionError("the gateway ended")

    try:
        exported = make.service(), make.slice("127.0.0.1", port=app), make.export()
        _, peers = await start("exporter", HERE, *exported, peer(OTHER))
        imported = make.imported(here=1), make.policy("ActiveActive")
        east, _ = await start("importer", OTHER, *imported, peer(HERE, peers))
        assert (await net.ask(east, "/x", "app.demo"))[0] == 200
        put(tmp_path / "exporter-tls", fresh())
        log = started[0].stderr
        assert log is not None
        async with asyncio.timeout(60):
            while b"this gateway's certificate is good until" not in await log.readline():
                pass
        assert (await net.ask(east, "/x", "app.demo"))[0] == 200
    finally:
        for process in started:
            if process.returncode is None:
                process.kill()
            await process.communicate()


async def test_a_gateway_in_kubernetes_follows_peers_and_its_certificate(
    net: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.certificate_files.SECONDS", 0.01)
    _, _, server = await net.gateway(mutual_tls=MutualTls.STRICT)
    api = MiniApi()
    await api.start()
    async with KubeClient(from_kubeconfig(api.kubeconfig()), field_manager="test") as client:
        viewpoint = Viewpoint(HERE, mutual_tls=MutualTls.STRICT)
        cache = ObjectCache(tmp_path / "cache", HERE)
        plane = DataPlane(client, server, viewpoint, cache, certificate=tmp_path / "tls")
        running = asyncio.create_task(plane.run())
        try:
            raw = peer(OTHER)
            await api.put("peers", "", "other", metadata=raw["metadata"], spec=raw["spec"])
            await net.until(lambda: OTHER in server.registry.snapshot.table.peers)
            leaf = fresh()
            put(tmp_path / "tls", leaf)
            await net.until(lambda: server.registry.runtime.peer_tls.contexts.own == leaf)
            await api.remove("peers", "", "other")
            await net.until(lambda: not server.registry.snapshot.table.peers)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await api.stop()
