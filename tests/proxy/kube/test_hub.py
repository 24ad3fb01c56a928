"""The hub's moving parts in one process, against APIs of a few lines: joins, leaves, deaths, credentials."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
from proxy.kube.mini_api import GOOD, MiniApi, Path, serving

from gateway.core.app_ids import APP_ID
from gateway.kube import connection
from gateway.kube.client import KubeClient
from gateway.kube.client_config import from_kubeconfig
from gateway.kube.finalizer import FINALIZER
from gateway.kube.hub import Hub
from gateway.kube.hub_metrics import HubMetrics
from gateway.kube.timing import Timing

MANAGED_BY = "app.kubernetes.io/managed-by"


class World:
    """A home and members; the words the tests are written in."""

    def __init__(self) -> None:
        self.home, self.one, self.two = MiniApi(), MiniApi(), MiniApi()
        self.apis = {"cluster-1": self.one, "cluster-2": self.two}
        self.metrics = HubMetrics()
        self.timing = Timing(first_retry=0.02, last_retry=0.2, check=0.2, bad_condition=0.05)
        self._task: asyncio.Task[None] | None = None
        self._client: KubeClient | None = None

    async def start_hub(self) -> None:
        self._client = KubeClient(from_kubeconfig(self.home.kubeconfig()), field_manager="test")
        await self._client.open()
        hub = Hub(self._client, "multicluster-system", self.metrics, timing=self.timing)
        self._task = asyncio.create_task(hub.run())

    async def stop_hub(self) -> None:
        assert self._task is not None
        assert self._client is not None
        self._task.cancel()
        (result,) = await asyncio.gather(self._task, return_exceptions=True)
        await self._client.close()
        assert isinstance(result, asyncio.CancelledError), result

    async def secret(self, name: str, token: str = GOOD) -> None:
        text = base64.b64encode(self.apis[name].kubeconfig(token).encode()).decode()
        await self.home.put("secrets", "multicluster-system", name, data={"kubeconfig": text})

    async def join(self, name: str, **spec: Any) -> None:
        await self.secret(name)
        body = {"gatewayHost": "172.28.0.1", "gatewayPort": 80, "kubeconfigSecretRef": {"name": name}, **spec}
        await self.home.put("clusters", "", name, spec=body)

    async def export(self, api: MiniApi, name: str = "app", **spec: Any) -> None:
        rules = [{"portNumber": 3000, "path": f"/{name}", "pathType": "Prefix"}]
        await api.put("services", "demo", name, spec={"ports": [{"name": "http", "port": 3000}]})
        await api.put("serviceexports", "demo", name, spec={"rules": rules, **spec})

    async def finalized(self, name: str) -> None:
        """Until the object of the cluster waits for the hub when it is deleted."""

        def check() -> bool:
            return FINALIZER in self.home.objects["clusters", "", name]["metadata"].get("finalizers", ())

        await until(check, f"{name} has the finalizer")

    async def gone(self, name: str) -> None:
        await until(lambda: ("clusters", "", name) not in self.home.objects, f"{name} is let go")

    def exporters(self, api: MiniApi, name: str = "app") -> set[str]:
        found = api.objects.get(("serviceimports", "demo", name), {"spec": {"ports": []}})
        return {e["clusterKey"].split("/")[-1] for p in found["spec"]["ports"] for e in p["endpoints"]}

    async def expect(self, api: MiniApi, *clusters: str, name: str = "app") -> None:
        await until(lambda: self.exporters(api, name) == set(clusters), f"{name} is imported from {clusters}")

    async def condition(self, api: MiniApi, path: Path, kind: str, status: str, words: str = "") -> None:
        def check() -> bool:
            listed = api.objects.get(path, {}).get("status", {}).get("conditions", [])
            return any(c["type"] == kind and c["status"] == status and words in c["message"] for c in listed)

        await until(check, f"{kind}={status} {words!r} on {path}")


async def until(check: Callable[[], bool], what: str) -> None:
    try:
        async with asyncio.timeout(8):
            while not check():  # noqa: ASYNC110  what is awaited is the result
                await asyncio.sleep(0.005)
    except TimeoutError:
        pytest.fail(f"not within 8 s: {what}")


@pytest.fixture
async def quiet_world() -> AsyncIterator[World]:
    """Without a hub yet."""
    made = World()
    async with serving(made.home, made.one, made.two):
        yield made


@pytest.fixture
async def world(quiet_world: World) -> AsyncIterator[World]:
    await quiet_world.start_hub()
    yield quiet_world
    await quiet_world.stop_hub()


CLUSTER_1: Path = ("clusters", "", "cluster-1")
EXPORT: Path = ("serviceexports", "demo", "app")


async def test_an_export_is_imported_elsewhere(world: World) -> None:
    await world.join("cluster-1")
    await world.join("cluster-2")
    await world.export(world.one)
    await world.expect(world.two, "cluster-1")
    await world.expect(world.home, "cluster-1")
    assert world.exporters(world.one) == set()
    await world.condition(world.one, EXPORT, "Valid", "True")
    await world.condition(world.home, CLUSTER_1, "Managed", "True")
    clusters = [{"cluster": "default/default/default/cluster-1", "addresses": ["172.28.0.1"]}]

    def shown() -> bool:
        found = world.two.objects["serviceimports", "demo", "app"]
        return bool(found.get("status", {}).get("clusters") == clusters)

    await until(shown, "the import's status names the exporter")


async def test_the_app_id_of_an_export_comes_with_the_import_and_goes(world: World) -> None:
    def app_id() -> object:
        found = world.two.objects.get(("serviceimports", "demo", "app"), {"metadata": {}})
        return (found["metadata"].get("annotations") or {}).get(APP_ID)

    async def export(*app_ids: str) -> None:
        await world.export(world.one)
        raw = world.one.objects[EXPORT]
        metadata = {"annotations": {APP_ID: app_ids[0]}} if app_ids else {}
        await world.one.put("serviceexports", "demo", "app", spec=raw["spec"], metadata=metadata)

    await world.join("cluster-1")
    await world.join("cluster-2")
    await export()
    await world.expect(world.two, "cluster-1")
    assert app_id() is None
    await export("orders")
    await until(lambda: app_id() == "orders", "the import has the app-id")
    await world.condition(world.one, EXPORT, "Valid", "True", "its app-id for Dapr is orders")
    await export("Orders")
    await until(lambda: app_id() is None, "a faulty app-id is taken back")
    await world.condition(world.one, EXPORT, "Valid", "False", "is 'Orders': give the app-id")
    await world.expect(world.two, "cluster-1")


async def test_a_late_joiner_and_one_that_leaves(world: World) -> None:
    await world.join("cluster-1")
    await world.export(world.one)
    await world.export(world.two)
    await world.expect(world.home, "cluster-1")
    await world.join("cluster-2")
    await world.expect(world.two, "cluster-1")
    await world.expect(world.one, "cluster-2")
    await world.home.remove(*CLUSTER_1)
    await world.expect(world.two)
    await world.expect(world.one)
    await world.expect(world.home, "cluster-2")
    await world.gone("cluster-1")


async def test_a_cluster_deleted_while_no_hub_runs_gives_its_imports_back(quiet_world: World) -> None:
    world = quiet_world
    await world.start_hub()
    await world.join("cluster-1")
    await world.join("cluster-2")
    await world.export(world.two)
    await world.export(world.one)
    await world.expect(world.one, "cluster-2")
    await world.expect(world.two, "cluster-1")
    await world.finalized("cluster-1")
    await world.stop_hub()
    await world.home.remove(*CLUSTER_1)
    assert CLUSTER_1 in world.home.objects, "it waits for the hub"
    await world.start_hub()
    await world.expect(world.one)
    await world.expect(world.two)
    await world.gone("cluster-1")
    await world.stop_hub()


async def test_a_dead_cluster_can_leave_and_come_back(quiet_world: World) -> None:
    world = quiet_world
    world.timing = replace(world.timing, withdraw=0.2)
    await world.start_hub()
    await world.join("cluster-1")
    await world.join("cluster-2")
    await world.export(world.two)
    await world.expect(world.one, "cluster-2")
    await world.finalized("cluster-1")
    await world.one.stop()
    await world.home.remove(*CLUSTER_1)
    await world.gone("cluster-1")
    await world.one.start()
    await world.join("cluster-1")
    await world.condition(world.home, CLUSTER_1, "Managed", "True")
    await world.expect(world.one, "cluster-2")
    await world.stop_hub()


async def test_a_dead_member_blocks_nobody(world: World) -> None:
    await world.join("cluster-1")
    await world.join("cluster-2")
    await world.export(world.one)
    await world.expect(world.two, "cluster-1")
    await world.one.stop()
    await world.condition(world.home, CLUSTER_1, "Managed", "False", "cannot reach")
    await world.export(world.two, "other")
    await world.expect(world.home, "cluster-2", name="other")
    assert world.exporters(world.two) == {"cluster-1"}
    await world.one.start()
    await world.expect(world.one, "cluster-2", name="other")
    await world.condition(world.home, CLUSTER_1, "Managed", "True")


async def test_a_restarted_hub_keeps_what_a_dead_member_exported(quiet_world: World) -> None:
    world = quiet_world
    await world.start_hub()
    await world.join("cluster-1")
    await world.join("cluster-2")
    await world.export(world.one)
    await world.export(world.two)
    await world.expect(world.home, "cluster-1", "cluster-2")
    await world.expect(world.two, "cluster-1")
    await world.stop_hub()
    await world.one.stop()
    await world.start_hub()
    await world.two.remove(*EXPORT)
    await world.expect(world.home, "cluster-1")
    assert world.exporters(world.two) == {"cluster-1"}
    await world.one.start()
    await world.one.remove(*EXPORT)
    await world.expect(world.home)
    await world.expect(world.two)
    await world.stop_hub()


async def test_a_new_credential_is_taken_up(world: World) -> None:
    await world.join("cluster-1")
    await world.export(world.one)
    await world.expect(world.home, "cluster-1")
    world.one.token = "rotated"
    await world.condition(world.home, CLUSTER_1, "Managed", "False", "refuses the hub's credential")
    await world.secret("cluster-1", "rotated")
    await world.condition(world.home, CLUSTER_1, "Managed", "True")
    assert world.exporters(world.home) == {"cluster-1"}


async def test_a_missing_secret_and_one_that_comes_later(world: World) -> None:
    await world.join("cluster-1", kubeconfigSecretRef={"name": "later"})
    await world.condition(world.home, CLUSTER_1, "Managed", "False", "no Secret 'later'")
    text = base64.b64encode(world.one.kubeconfig().encode()).decode()
    await world.home.put("secrets", "multicluster-system", "later", data={"kubeconfig": text})
    await world.condition(world.home, CLUSTER_1, "Managed", "True")


async def test_missing_rights_are_named(world: World) -> None:
    world.one.refused = {"services"}
    await world.join("cluster-1")
    await world.condition(world.home, CLUSTER_1, "Managed", "False", "cannot follow services")
    world.one.refused = set()
    await world.condition(world.home, CLUSTER_1, "Managed", "True")


async def test_a_host_name_is_resolved(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def addresses_of(host: str) -> list[str]:
        return {"one.example": ["192.0.2.8", "192.0.2.9"]}[host]

    monkeypatch.setattr(connection, "addresses_of", addresses_of)
    await world.join("cluster-1", gatewayHost="one.example", gatewayPort=8080)
    await world.export(world.one)
    await world.expect(world.home, "cluster-1")
    (port,) = world.home.objects["serviceimports", "demo", "app"]["spec"]["ports"]
    assert port["endpoints"][0]["target"] == {
        "host": "one.example",
        "ip": "192.0.2.8",
        "port": 8080,
        "path": "/app",
    }


@pytest.mark.parametrize(
    ("host", "reason"),
    [("localhost", "is 127.0.0.1, which is a loopback"), ("127.0.0.2", "loopback"),
     ("169.254.1.1", "link-local"), ("0.0.0.0", "unspecified"), ("224.0.0.1", "many hosts")],
)  # fmt: skip
async def test_an_address_that_is_no_gateways_is_told_to_nobody(world: World, host: str, reason: str) -> None:
    """It would be dialled by every other cluster, and lead back into that one."""
    await world.join("cluster-1", gatewayHost=host)
    await world.export(world.one)
    await world.condition(world.home, CLUSTER_1, "Managed", "False", reason)
    assert world.exporters(world.home) == set()


async def test_a_host_name_that_does_not_resolve_is_named(world: World) -> None:
    await world.join("cluster-1", gatewayHost="nowhere.invalid")
    await world.export(world.one)
    await world.condition(world.home, CLUSTER_1, "Managed", "False", "does not resolve")
    assert world.exporters(world.home) == set()


async def test_the_hubs_own_cluster_can_be_a_member(world: World) -> None:
    await world.join("cluster-1")
    await world.home.put("clusters", "", "central", spec={"isInCluster": True, "gatewayHost": "172.28.0.1"})
    await world.export(world.home)
    await world.expect(world.one, "central")
    await world.condition(world.home, ("clusters", "", "central"), "Managed", "True", "own cluster")
    await world.home.put("clusters", "", "zzz", spec={"isInCluster": True})
    await world.condition(
        world.home, ("clusters", "", "zzz"), "Managed", "False", "'central' is the hub's own"
    )


async def test_a_service_seen_after_its_export_raises_no_alarm(world: World) -> None:
    await world.join("cluster-1")
    await world.condition(world.home, CLUSTER_1, "Managed", "True")
    await world.export(world.one)
    await world.condition(world.one, EXPORT, "Valid", "True")

    def reasons() -> list[str]:
        return [str(obj["reason"]) for path, obj in world.one.objects.items() if path[0] == "events"]

    await until(lambda: bool(reasons()), "an event")
    assert reasons() == ["Valid"]


async def test_what_others_change_in_an_import_is_put_right(world: World) -> None:
    await world.join("cluster-1")
    await world.export(world.one)
    await world.expect(world.home, "cluster-1")
    wanted = world.home.objects["serviceimports", "demo", "app"]["spec"]
    labels = {"labels": {MANAGED_BY: "multicluster-hub"}}
    await world.home.put(
        "serviceimports", "demo", "app", metadata=labels, spec={"type": "ClusterSetIP", "ports": []}
    )
    await world.expect(world.home, "cluster-1")
    assert world.home.objects["serviceimports", "demo", "app"]["spec"] == wanted
    await world.home.remove("serviceimports", "demo", "app")
    await world.expect(world.home, "cluster-1")


async def test_a_deleted_namespace_does_not_come_back(world: World) -> None:
    await world.join("cluster-1")
    await world.join("cluster-2")
    await world.export(world.one)
    await world.expect(world.two, "cluster-1")
    gone = {"deletionTimestamp": "2026-01-01T00:00:00Z"}
    await world.two.put("namespaces", "", "demo", metadata=gone)
    await world.expect(world.two)
    await world.two.remove("namespaces", "", "demo")
    await world.condition(world.one, EXPORT, "Valid", "True", "cluster-2, which has no namespace demo")
    await world.export(world.one, "other")
    await world.expect(world.home, "cluster-1", name="other")
    assert ("namespaces", "", "demo") not in world.two.objects
    await world.two.put("namespaces", "", "demo")
    await world.expect(world.two, "cluster-1")


async def test_what_a_member_may_export_is_the_control_planes_word(world: World) -> None:
    await world.join("cluster-1", mayExport=["shop"])
    await world.join("cluster-2")
    await world.export(world.one)
    await world.condition(world.one, EXPORT, "Valid", "False", "lets this cluster export shop")
    assert world.exporters(world.home) == set()
    await world.join("cluster-1", mayExport=["demo"])
    await world.condition(world.one, EXPORT, "Valid", "True")
    await world.expect(world.home, "cluster-1")
    await world.join("cluster-1", mayExport=[])
    await world.expect(world.home)


async def test_who_was_there_first_outlives_the_hub(quiet_world: World) -> None:
    world = quiet_world
    await world.start_hub()
    await world.join("cluster-1")
    await world.join("cluster-2")
    await world.export(world.one)
    await world.expect(world.home, "cluster-1")

    def kept() -> bool:
        return bool(world.home.objects[CLUSTER_1].get("status", {}).get("firstSeen"))

    await until(kept, "the date is kept")
    await world.stop_hub()
    await world.export(world.two)
    ports = [{"name": "http", "port": 3000, "appProtocol": "grpc"}]
    await world.two.put("services", "demo", "app", spec={"ports": ports})
    spec = world.two.objects[EXPORT]["spec"]
    await world.two.put(*EXPORT, spec=spec, metadata={"creationTimestamp": "1970-01-01T00:00:00Z"})
    await world.start_hub()
    await world.condition(world.two, EXPORT, "Conflict", "True", "port 3000 is grpc here but http in")
    await world.expect(world.home, "cluster-1")
    await world.stop_hub()


async def test_nonsense_of_one_member_is_named_and_costs_only_that_member(world: World) -> None:
    await world.join("cluster-1")
    await world.join("cluster-2")
    await world.export(world.one, targetClusters=["\ud800"])
    spec = world.one.objects[EXPORT]["spec"]
    await world.one.put("serviceexports", "..", "secrets", spec=spec)
    await world.condition(
        world.home, CLUSTER_1, "Managed", "False", "no API server stores: metadata.namespace"
    )
    await world.condition(world.one, EXPORT, "Valid", "False", "which no API server admits")
    await world.export(world.two)
    await world.expect(world.home, "cluster-2")
    await world.one.remove("serviceexports", "..", "secrets")
    await world.condition(world.home, CLUSTER_1, "Managed", "True")


async def test_the_front_door_keeps_a_path_for_who_was_first(quiet_world: World) -> None:
    world = quiet_world
    await world.start_hub()
    await world.join("cluster-1")
    await world.join("cluster-2")
    await world.export(world.one)
    await world.expect(world.home, "cluster-1")

    def dated() -> bool:
        return bool(world.home.objects[CLUSTER_1].get("status", {}).get("firstSeen"))

    await until(dated, "the claim is kept")
    await world.stop_hub()
    await world.one.stop()
    for api in (world.home, world.two):
        await api.put("namespaces", "", "evil")
    rules = [{"portNumber": 3000, "path": "/app/login", "pathType": "Prefix"}]
    await world.two.put("services", "evil", "evil", spec={"ports": [{"name": "http", "port": 3000}]})
    await world.two.put(
        "serviceexports",
        "evil",
        "evil",
        spec={"rules": rules},
        metadata={"creationTimestamp": "1970-01-01T00:00:00Z"},
    )
    await world.start_hub()
    evil: Path = ("serviceexports", "evil", "evil")
    await world.condition(
        world.two, evil, "Conflict", "True", "the front door does not serve /app/login: demo/app"
    )

    def lost() -> bool:
        found = world.home.objects.get(("serviceimports", "evil", "evil"))
        return found is not None and found["spec"]["ports"][0]["endpoints"][0].get("frontDoor") is False

    await until(lost, "its import says so")
    await world.one.start()
    await world.condition(world.one, EXPORT, "Valid", "True", "does not serve /app/login of evil/evil")
    await world.one.remove(*EXPORT)
    await world.condition(world.two, evil, "Conflict", "False")
    await world.stop_hub()


async def test_an_old_export_of_the_control_plane_gets_no_path_that_a_member_has(world: World) -> None:
    await world.join("cluster-1")
    central: Path = ("clusters", "", "central")
    await world.home.put(*central, spec={"isInCluster": True, "gatewayHost": "172.28.0.1"})
    for api in (world.home, world.one):
        await api.put("namespaces", "", "evil")
    rules = [{"portNumber": 3000, "path": "/evil", "pathType": "Prefix"}]
    evil: Path = ("serviceexports", "evil", "evil")
    old = {"creationTimestamp": "1970-01-01T00:00:00Z"}
    await world.home.put("services", "evil", "evil", spec={"ports": [{"name": "http", "port": 3000}]})
    await world.home.put(*evil, spec={"rules": rules}, metadata=old)

    def dated() -> bool:
        return bool(world.home.objects[central].get("status", {}).get("firstSeen"))

    await until(dated, "what the control plane exports is dated")
    await world.export(world.one)
    await world.expect(world.home, "cluster-1")
    await world.home.put(*evil, spec={"rules": [{**rules[0], "path": "/app/login"}]}, metadata=old)
    await world.condition(
        world.home, evil, "Conflict", "True", "the front door does not serve /app/login: demo/app"
    )
