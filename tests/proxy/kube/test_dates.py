"""The controller notes since when exports claim what they claim, where who writes exports does not write."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from proxy.kube.test_no_room import StillInformer
from proxy.kube.test_watch import until

from gateway.core.dialling import STRICT
from gateway.core.snapshot import compile_snapshot
from gateway.kube.client import KubeClient
from gateway.kube.errors import Conflict
from gateway.kube.reconciler import GatewayIdentity, Reconciler
from gateway.kube.resources import EXPORT, HTTP_ENDPOINT, IMPORT, NAMESPACE, POLICY, SERVICE, SLICE

MADE = "2026-01-01T00:00:00Z"


class Exports:
    """The exports of a cluster, and the API that keeps what is written to their status."""

    def __init__(self) -> None:
        self.informer = StillInformer()
        self.writes = 0
        self.conflicts = 0

    def put(self, name: str, *paths: str, generation: int = 1) -> None:
        metadata = {
            "namespace": "demo", "name": name, "generation": generation, "creationTimestamp": MADE,
            "resourceVersion": f"{name}-{generation}",
        }  # fmt: skip
        rules = [{"portNumber": 80, "path": path, "pathType": "Prefix"} for path in paths]
        before = self.informer.objects.get(("demo", name), {})
        self.informer.objects["demo", name] = {
            "apiVersion": EXPORT.api_version, "kind": EXPORT.kind, "metadata": metadata,
            "spec": {"rules": rules}, "status": before.get("status", {}),
        }  # fmt: skip

    def since(self, name: str) -> dict[str, str]:
        status = self.informer.objects["demo", name]["status"]
        entries = status.get("firstSeen", [])
        return {claim: entry["since"] for entry in entries for claim in entry["claims"]}

    async def merge(self, resource: Any, namespace: str, name: str, body: Any, *, status: bool) -> None:
        assert (resource, status) == (EXPORT, True)
        found = self.informer.objects[namespace, name]
        assert body["metadata"]["resourceVersion"] == found["metadata"]["resourceVersion"]
        if self.conflicts:
            self.conflicts -= 1
            raise Conflict("the object has been modified")
        self.writes += 1
        self.informer.objects[namespace, name] = {**found, "status": {**found["status"], **body["status"]}}

    async def apply(self, resource: Any, namespace: str, name: str, body: Any, *, status: bool) -> None:
        assert "firstSeen" not in body["status"], "conditions are another writer's part"


async def test_dates_are_noted_once_and_tried_again() -> None:
    exports = Exports()
    exports.put("app", "/a")
    exports.conflicts = 1
    informers = {
        one.kind: StillInformer() for one in (IMPORT, POLICY, SERVICE, SLICE, NAMESPACE, HTTP_ENDPOINT)
    }
    informers[EXPORT.kind] = exports.informer
    identity = GatewayIdentity("multicluster-system", 15080)
    reconciler = Reconciler(cast("KubeClient", exports), identity, cast("Any", informers), STRICT)
    reconciler.take(compile_snapshot([], "default/default/default/here"))
    task = asyncio.create_task(reconciler.run())
    await until(lambda: exports.since("app") == {"/a": MADE})
    exports.put("app", "/a", "/b", generation=2)
    reconciler.wake()
    await until(lambda: set(exports.since("app")) == {"/a", "/b"})
    assert exports.since("app")["/a"] == MADE < exports.since("app")["/b"]
    exports.put("app", "/b", generation=3)
    reconciler.wake()
    await until(lambda: set(exports.since("app")) == {"/b"})
    reconciler.wake()
    await asyncio.sleep(0.05)
    assert exports.writes == 3
    task.cancel()
