"""What there is no room for is told so by its condition."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, cast

from proxy.kube.test_watch import until

from gateway.core.dialling import STRICT
from gateway.core.snapshot import compile_snapshot
from gateway.kube.capacity import Capacity, Kept
from gateway.kube.client import KubeClient
from gateway.kube.reconciler import GatewayIdentity, Reconciler
from gateway.kube.resources import EXPORT, HTTP_ENDPOINT, IMPORT, NAMESPACE, POLICY, SERVICE, SLICE


class StillInformer:
    """An informer that knows what it is given."""

    synced = served = True

    def __init__(self, *objects: Any) -> None:
        self.objects = {(one["metadata"]["namespace"], one["metadata"]["name"]): one for one in objects}
        self.left_out: Mapping[tuple[str, str], Any] = {}


class Client:
    """Takes what is written."""

    def __init__(self) -> None:
        self.written: dict[str, Any] = {}

    async def apply(self, resource: Any, namespace: str, name: str, body: Any, *, status: bool) -> None:
        self.written[name] = body["status"]["conditions"]

    async def merge(self, resource: Any, namespace: str, name: str, body: Any, *, status: bool) -> None:
        assert name != "new", "what is not read has its dates left alone"


def export(name: str, **more: Any) -> dict[str, Any]:
    metadata = {"namespace": "demo", "name": name, "uid": name, "generation": 2}
    return {"apiVersion": EXPORT.api_version, "kind": EXPORT.kind, "metadata": metadata, **more}


async def test_new_and_grown_objects() -> None:
    kept = Kept(Capacity(3000))
    big = {"spec": {"text": "x" * 5000}}
    assert not kept.take(("demo", "new"), export("new", **big))
    assert not kept.take(("demo", "grown"), export("grown", **big))
    informers = {
        one.kind: StillInformer() for one in (IMPORT, POLICY, SERVICE, SLICE, NAMESPACE, HTTP_ENDPOINT)
    }
    informers[EXPORT.kind] = StillInformer(export("grown", spec={}), export("small", spec={}))
    informers[EXPORT.kind].left_out = kept.left_out
    client = Client()
    identity = GatewayIdentity("multicluster-system", 15080)
    reconciler = Reconciler(cast("KubeClient", client), identity, cast("Any", informers), STRICT)
    reconciler.take(compile_snapshot([], "default/default/default/here"))
    task = asyncio.create_task(reconciler.run())
    await until(lambda: len(client.written) == 3)
    task.cancel()
    found = {name: (one[0]["status"], one[0]["reason"]) for name, one in client.written.items()}
    assert found["small"] == ("True", "Programmed")
    assert found["new"] == found["grown"] == ("False", "NoRoom")
    assert "more memory" in client.written["new"][0]["message"]
    assert client.written["new"][0]["observedGeneration"] == 2
