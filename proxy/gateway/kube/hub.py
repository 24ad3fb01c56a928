"""`gateway hub`: keeps every cluster's imports in step with what the others export.

Follows the Cluster objects of its own cluster, keeps a connection to each, and makes a new plan whenever
anything changed anywhere. The plan is pure (`plan`); this module only moves information in and out.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import Iterator
from functools import partial

from gateway import process
from gateway.kube import finalizer
from gateway.kube.client import KubeClient
from gateway.kube.client_config import own_config
from gateway.kube.cluster import ClusterReconciler
from gateway.kube.connection import RESTART_SECONDS, Connection, Resolver, cluster_key
from gateway.kube.errors import Conflict, CredentialError, KubeError, NotFound
from gateway.kube.events import condition_events
from gateway.kube.hub_admin import AdminServer, HubMetrics
from gateway.kube.lease import Elected
from gateway.kube.objects import Object, key_of, meta, spec_of
from gateway.kube.plan import ClusterView, plan
from gateway.kube.resources import CLUSTER, EVENT, HUB, SECRET
from gateway.kube.status import Condition, status_patch
from gateway.kube.watch import Informer, Signal, without_managed_fields

log = logging.getLogger(__name__)

SETTLE_SECONDS = 0.005
ROUND_SECONDS = 30.0
"""A plan is made at least this often, so that nothing depends on having noticed every change."""
HOME_KEY = "default/default/default/control-plane"
"""Key of the hub's own cluster while no Cluster object with isInCluster names it."""


class Hub:
    """All clusters and the loops that keep them in step."""

    def __init__(
        self, client: KubeClient, namespace: str, metrics: HubMetrics, home_key: str = HOME_KEY
    ) -> None:
        """`namespace` holds the Secrets with the members' kubeconfigs."""
        self._client = client
        self._home_key = home_key
        self._metrics = metrics
        self._changed = Signal(SETTLE_SECONDS)
        self._untold = Signal(SETTLE_SECONDS)
        changed = self._changed.set
        self._clusters = Informer(client, CLUSTER, changed, keep=without_managed_fields)
        self._secrets = Informer(client, SECRET, changed, namespace=namespace, keep=without_managed_fields)
        self._home = ClusterReconciler("home", client, changed)
        self._home_address = Resolver(changed)
        self._connections: dict[str, Connection] = {}
        self._leaving: dict[str, asyncio.Task[None]] = {}
        """By name: clusters whose imports are being taken back."""
        self._released: set[str] = set()
        """By uid: clusters that left and whose objects may go."""

    @property
    def synced(self) -> bool:
        return self._clusters.synced and self._secrets.synced

    async def run(self) -> None:
        """Until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._clusters.run(), name="watch clusters")
                tasks.create_task(self._secrets.run(), name="watch secrets")
                tasks.create_task(self._home.run(), name="home")
                tasks.create_task(self._keep_in_step(), name="plan")
                tasks.create_task(self._report(), name="report")
        finally:
            self._home_address.close()
            for connection in self._connections.values():
                await connection.close(withdraw=False)
            # Clusters that were just removed still get their imports taken back; each has its own time limit.
            await asyncio.gather(*self._leaving.values())
            self._metrics.managed.clear()

    async def _keep_in_step(self) -> None:
        while True:
            await self._changed.wait(ROUND_SECONDS)
            # Before all Cluster objects are known, every endpoint would look like that of a removed cluster.
            if not self.synced:
                continue
            started = time.perf_counter()
            try:
                await self._follow_clusters()
                await self._plan()
            except Exception:
                # A defect met by one object must not end the hub, whose members would all lose it.
                log.exception("no plan could be made; the last one stays until something changes")
                continue
            self._metrics.plan_seconds.set(time.perf_counter() - started)
            self._metrics.plans.inc()
            self._untold.set()

    async def _follow_clusters(self) -> None:
        clusters = {key_of(obj)[1]: obj for obj in self._clusters.objects.values() if not _is_own(obj)}
        remotes = {name: obj for name, obj in clusters.items() if not finalizer.leaves(obj)}
        for name in sorted(self._connections.keys() - remotes.keys()):
            self._let_go(name, self._connections.pop(name))
            self._metrics.managed.remove(name)
        self._released &= {_uid(obj) for obj in clusters.values()}
        for name, cluster in clusters.items():
            if name in self._leaving or _uid(cluster) in self._released:
                continue
            if name in remotes:
                if name not in self._connections:
                    log.info("%s joins", name)
                    self._connections[name] = Connection(name, self._changed.set)
                await self._connections[name].update(cluster, self._secrets.objects)
            elif finalizer.marked(cluster):  # deleted while no hub ran
                connection = Connection(name, self._changed.set)
                await connection.update(cluster, self._secrets.objects)
                self._let_go(name, connection)
        spec = spec_of(own[0]) if (own := self._own()) else {}
        self._home_address.update(str(spec.get("gatewayHost") or ""), int(spec.get("gatewayPort") or 80))

    def _let_go(self, name: str, connection: Connection) -> None:
        log.info("%s leaves", name)
        self._leaving[name] = asyncio.create_task(self._take_back(name, connection), name=f"{name}: leave")

    async def _take_back(self, name: str, connection: Connection) -> None:
        """Take back what the hub wrote into a cluster that leaves, then let its object go."""
        try:
            await connection.close(withdraw=True)
            cluster = self._clusters.objects.get(("", name))
            if cluster is not None and finalizer.leaves(cluster) and finalizer.marked(cluster):
                await self._client.merge(CLUSTER, "", name, finalizer.unmark(cluster))
                self._released.add(_uid(cluster))
        except NotFound:
            pass  # gone already
        except KubeError as error:
            log.warning("%s left, and its Cluster object cannot be let go yet: %s", name, error)
            await asyncio.sleep(RESTART_SECONDS)
        finally:
            del self._leaving[name]
            self._changed.set()

    def _own(self) -> list[Object]:
        """Cluster objects that claim to be the hub's own cluster; the oldest is right."""
        own = [obj for obj in self._clusters.objects.values() if _is_own(obj)]
        return sorted(own, key=lambda obj: (str(meta(obj).get("creationTimestamp")), key_of(obj)))

    @property
    def _own_key(self) -> str:
        own = self._own()
        return cluster_key(own[0]) if own else self._home_key

    async def _plan(self) -> None:
        home = self._home.view(self._own_key, self._home_address.address)
        views: list[tuple[ClusterReconciler | None, ClusterView]] = [(self._home, home)]
        remotes = [connection for connection in self._connections.values() if connection.key != home.key]
        views += [(connection.reconciler, connection.view()) for connection in remotes]
        # In a thread: ten thousand exports take seconds, and probes and watches must not wait for them.
        made = await asyncio.to_thread(plan, [view for _, view in views])
        for reconciler, view in views:
            if reconciler is not None:
                reconciler.take(made.imports.get(view.key), made.conditions[view.key])

    async def _report(self) -> None:
        """Conditions of the Cluster objects. Beside planning: a slow home API server delays no member."""
        retry: float | None = None
        while True:
            await self._untold.wait(retry)
            retry = None
            for name in list(self._connections):
                if not await self._mark(name):
                    retry = ROUND_SECONDS
            for cluster, condition in self._verdicts():
                self._metrics.managed.labels(key_of(cluster)[1]).set(condition.status is True)
                if not await self._tell(cluster, condition):
                    retry = ROUND_SECONDS

    async def _mark(self, name: str) -> bool:
        """Have the object of a cluster that has joined wait for the hub when it is deleted."""
        cluster = self._clusters.objects.get(("", name))
        if cluster is None or finalizer.leaves(cluster) or finalizer.marked(cluster):
            return True
        try:
            await self._client.merge(CLUSTER, "", name, finalizer.mark(cluster))
        except (NotFound, Conflict):
            return True  # changed meanwhile, which makes a new plan
        except KubeError as error:
            log.warning("Cluster %s cannot be marked: %s", name, error)
            return False
        return True

    def _verdicts(self) -> Iterator[tuple[Object, Condition]]:
        own, own_key = self._own(), self._own_key
        for cluster in list(self._clusters.objects.values()):
            connection = self._connections.get(key_of(cluster)[1])
            verdict: Condition | None = None
            if cluster in own[:1]:
                verdict = self._own_verdict()
            elif cluster in own:
                verdict = _unmanaged(
                    f"Cluster {key_of(own[0])[1]!r} is the hub's own already; delete one of them"
                )
            elif connection is not None and connection.key == own_key:
                verdict = _unmanaged(f"{own_key} is the key of the hub's own cluster; give this one another")
            elif connection is not None:
                verdict = connection.managed()
            if verdict is not None:
                yield cluster, verdict

    def _own_verdict(self) -> Condition | None:
        if not self._home.asked:
            return None
        if trouble := self._home.trouble or self._home_address.trouble:
            return _unmanaged(trouble)
        return Condition("Managed", True, "Success", "this is the hub's own cluster")

    async def _tell(self, cluster: Object, condition: Condition) -> bool:
        now = time.time()
        patch = status_patch(cluster, [condition], now)
        if patch is None:
            return True
        try:
            await self._client.apply(CLUSTER, "", key_of(cluster)[1], patch, status=True)
            for event in condition_events(cluster, [condition], now):
                await self._client.create(EVENT, "default", event)
        except NotFound:
            return True
        except KubeError as error:
            log.warning("status of Cluster %s: %s", key_of(cluster)[1], error)
            return False
        return True


def _unmanaged(message: str) -> Condition:
    return Condition("Managed", False, "Failed", message)


def _uid(cluster: Object) -> str:
    return str(meta(cluster).get("uid") or "")


def _is_own(cluster: Object) -> bool:
    return bool(spec_of(cluster).get("isInCluster"))


def main(args: argparse.Namespace) -> int:
    """Run until SIGTERM. 2 when it cannot start."""
    return process.run(partial(_run, args))


async def _run(args: argparse.Namespace, stop: asyncio.Event) -> int:
    metrics = HubMetrics()
    namespace = os.environ.get("POD_NAMESPACE", "multicluster-system")
    try:
        config = own_config()
    except (CredentialError, OSError) as error:
        log.error("cannot start: %s", error)  # noqa: TRY400  the message is the point, not the trace
        return 2
    async with KubeClient(config, field_manager=HUB) as client:
        hub: Hub | None = None

        async def serve() -> None:
            nonlocal hub
            hub = Hub(client, namespace, metrics, args.cluster_key)  # anew: one that stood by knows nothing
            try:
                await hub.run()
            finally:
                hub = None

        def ready() -> bool:
            return hub.synced if hub is not None else args.elect

        async with contextlib.AsyncExitStack() as listening:
            if args.admin:
                try:
                    await listening.enter_async_context(AdminServer(args.admin, ready, metrics))
                except OSError as error:
                    log.error("cannot listen on %s: %s", args.admin, error)  # noqa: TRY400
                    return 2
            identity = os.environ.get("POD_NAME") or socket.gethostname()
            elected = Elected(client, namespace, HUB, identity)
            return await process.work_until(stop, elected.run(serve) if args.elect else serve())
