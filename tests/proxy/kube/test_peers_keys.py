"""The keys of a gateway in Kubernetes are those its Secret holds now."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from proxy.kube.mini_api import MiniApi

from gateway.core.identity import BY_NAME, PeersKeys
from gateway.kube.cache import ObjectCache
from gateway.kube.client import KubeClient
from gateway.kube.client_config import from_kubeconfig
from gateway.kube.follower import Viewpoint
from gateway.kube.run import DataPlane
from gateway.peers_file import read_keys

OLD, NEW = b"\x01" * 32, b"\x02" * 32


async def test_a_changed_secret_is_taken_in_and_a_broken_one_changes_nothing(
    net: Any, make: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.kube.run.KEYS_SECONDS", 0.01)
    file = tmp_path / "keys"
    file.write_text(OLD.hex())
    _, _, server = await net.gateway()
    api = MiniApi()
    await api.start()
    for plural, raw in (("services", make.service()), ("serviceexports", make.export())):
        await api.put(plural, "demo", "app", spec=raw["spec"])

    def known(key: bytes) -> bool:
        value = PeersKeys((key,)).sign(make.key("here"), "demo/app", 3000, BY_NAME)
        return server.registry.snapshot.identified(value) is not None

    async with KubeClient(from_kubeconfig(api.kubeconfig()), field_manager="test") as client:
        viewpoint = Viewpoint(make.key("here"), peers=read_keys(file))
        plane = DataPlane(client, server, viewpoint, ObjectCache(tmp_path, make.key("here")), file)
        running = asyncio.create_task(plane.run())
        try:
            await net.until(lambda: known(OLD))
            file.write_text(f"{NEW.hex()}\n{OLD.hex()}")
            await net.until(lambda: known(NEW))
            assert known(OLD)
            file.write_text("no key")
            await net.until(lambda: "kept the keys in force" in caplog.text)
            file.unlink()
            await net.until(lambda: "No such file" in caplog.text)
            assert known(NEW)
            file.write_text(NEW.hex())
            await net.until(lambda: not known(OLD))
            assert known(NEW)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await api.stop()
    assert OLD.hex() not in caplog.text
