"""The client against a real API server: how much of an answer it reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from proxy.kube.world import FLOMESH, made

from gateway.core.objects import HUB
from gateway.kube import client as client_module
from gateway.kube.client import KubeClient
from gateway.kube.client_config import from_kubeconfig
from gateway.kube.errors import Conflict, NotFound, TooLong
from gateway.kube.resources import EXPORT, SERVICE

pytestmark = pytest.mark.e2e

LARGE = {"note": "x" * 250_000}
"""Annotations that a tenant may give an object."""


@pytest.fixture(scope="module")
def server(api_servers: Callable[[int], list[Any]]) -> Any:
    (found,) = api_servers(1)
    found.call("POST", "/api/v1/namespaces", {"metadata": {"name": "demo"}})
    body = made("ServiceExport", "large", {"rules": [{"portNumber": 80, "path": "/a", "pathType": "Prefix"}]})
    body["metadata"]["annotations"] = LARGE
    found.call("POST", f"{FLOMESH}/namespaces/demo/serviceexports", body)
    return found


async def test_what_is_written_to_large_objects_is_not_answered_with_them(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A TLS connection keeps what the longest answer took, and a client has dozens."""
    monkeypatch.setattr(client_module, "MAX_ANSWER_BYTES", 8 << 10)
    async with KubeClient(from_kubeconfig(server.kubeconfig.read_text()), field_manager=HUB) as client:
        with pytest.raises(TooLong):
            await client.get(EXPORT, "demo", "large")
        await client.may_list(EXPORT)
        named = {"apiVersion": EXPORT.api_version, "kind": EXPORT.kind, "metadata": {"name": "large"}}
        condition = {
            "type": "Valid", "status": "True", "reason": "Valid", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }  # fmt: skip
        status = {**named, "status": {"conditions": [condition]}}
        await client.apply(EXPORT, "demo", "large", status, status=True)
        await client.merge(EXPORT, "demo", "large", {"metadata": {"labels": {"a": "b"}}})
        service = {"metadata": {"name": "large", "annotations": LARGE}, "spec": {"ports": [{"port": 80}]}}
        await client.create(SERVICE, "demo", service)
        with pytest.raises(Conflict):
            await client.create(SERVICE, "demo", service)
        await client.delete(SERVICE, "demo", "large")
        with pytest.raises(NotFound):
            await client.delete(SERVICE, "demo", "large")
    found = server.call("GET", f"{FLOMESH}/namespaces/demo/serviceexports/large")
    assert found["metadata"]["labels"] == {"a": "b"}
    assert found["status"]["conditions"] == [condition]
