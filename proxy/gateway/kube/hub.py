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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from gateway import process
from gateway.core.claims import Grant
from gateway.core.conditions import Condition, managed
from gateway.core.host_grants import HostGrant
from gateway.core.objects import (
    HUB,
    SYSTEM_NAMESPACE,
    Object,
    created,
    is_deleted,
    key_of,
    section,
    spec_of,
    uid_of,
)
from gateway.core.peers import MutualTls
from gateway.kube import finalizer
from gateway.kube.admin import AdminServer
from gateway.kube.client import KubeClient
from gateway.kube.client_config import own_config
from gateway.kube.connection import RESTART_SECONDS, Connection, cluster_of
from gateway.kube.door import read_grants
from gateway.kube.errors import Conflict, CredentialError, KubeError, NotFound
from gateway.kube.events import condition_events
from gateway.kube.hub_metrics import HubMetrics
from gateway.kube.lease import Elected
from gateway.kube.plan import plan
from gateway.kube.resources import CLUSTER, EVENT, SECRET
from gateway.kube.status import status_patch
from gateway.kube.timing import DEFAULT_TIMING, Timing
from gateway.kube.token_keeper import TokenStore
from gateway.kube.watch import Informer, Signal, without_managed_fields

if TYPE_CHECKING:
    from gateway.kube.peers_reached import Reached

log = logging.getLogger(__name__)

SETTLE_SECONDS = 0.005
ROUND_SECONDS = 30.0
"""A plan is made at least this often, so that nothing depends on having noticed every change."""
HOME_KEY = "default/default/default/control-plane"
"""Key of the hub's own cluster while no Cluster object with isInCluster names it."""


class Hub:
    """All clusters and the loops that keep them in step."""

    def __init__(
        self,
        client: KubeClient,
        namespace: str,
        metrics: HubMetrics,
        home_key: str = HOME_KEY,
        timing: Timing = DEFAULT_TIMING,
        *,
        grants: Sequence[Grant] = (),
        hosts: Sequence[HostGrant] = (),
        mutual_tls: MutualTls = MutualTls.OFF,
    ) -> None:
        """`namespace` holds the Secrets with the kubeconfigs of the members; `grants` are delegated paths,
        `hosts` what exports may have. `mutual_tls`: how gateways of different clusters talk."""
        self._client = client
        self._home_key = home_key
        self._metrics = metrics
        self._grants = grants
        self._hosts = hosts
        self._timing = timing
        self._changed = Signal(SETTLE_SECONDS)
        self._untold = Signal(SETTLE_SECONDS)
        changed, keep = self._changed.set, without_managed_fields
        self._clusters = Informer(client, CLUSTER, changed, keep=keep, timing=timing)
        self._secrets = Informer(client, SECRET, changed, namespace=namespace, keep=keep, timing=timing)
        self._mutual_tls = mutual_tls is not MutualTls.OFF
        self._reached = _reached(mutual_tls, changed)
        self._home = Connection("home", changed, timing, home=client, mutual_tls=self._mutual_tls)
        self._tokens = TokenStore(client, namespace)
        self._remotes: dict[str, Connection] = {}
        """By name of the Cluster object."""
        self._undated: set[str] = set()
        """By name: clusters whose dates of what they export are to be written."""
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
                tasks.create_task(self._keep_in_step(), name="plan")
                tasks.create_task(self._report(), name="report")
        finally:
            for connection in (self._home, *self._remotes.values()):
                await connection.close(withdraw=False)
            if self._reached is not None:
                await self._reached.close()
            # Clusters that were just removed still get their imports taken back; each has its own time limit.
            await asyncio.gather(*self._leaving.values())
            self._metrics.managed.clear()
            self._metrics.token_expires.clear()

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
                # A defect met by one object must not end the hub, for all members would lose it.
                log.exception("no plan could be made; the last one stays until something changes")
                continue
            self._metrics.plan_seconds.set(time.perf_counter() - started)
            self._metrics.plans.inc()
            self._untold.set()

    async def _follow_clusters(self) -> None:
        clusters = {key_of(obj)[1]: obj for obj in self._clusters.objects.values() if not _is_home(obj)}
        remotes = {name: obj for name, obj in clusters.items() if not is_deleted(obj)}
        for name in sorted(self._remotes.keys() - remotes.keys()):
            self._let_go(name, self._remotes.pop(name))
            self._metrics.forget(name)
        self._released &= {uid_of(obj) for obj in clusters.values()}
        for name, cluster in clusters.items():
            if name in self._leaving or uid_of(cluster) in self._released:
                continue
            if name in remotes:
                if name not in self._remotes:
                    log.info("%s joins", name)
                    self._remotes[name] = self._connection(name)
                await self._remotes[name].update(cluster, self._secrets.objects)
            elif finalizer.is_set(cluster):  # deleted while no hub ran
                connection = self._connection(name)
                await connection.update(cluster, self._secrets.objects)
                self._let_go(name, connection)
        home = next(iter(self._homes()), cluster_of(self._home_key))
        await self._home.update(home, self._secrets.objects)

    def _connection(self, name: str) -> Connection:
        return Connection(
            name, self._changed.set, self._timing, store=self._tokens, mutual_tls=self._mutual_tls
        )

    def _let_go(self, name: str, connection: Connection) -> None:
        log.info("%s leaves", name)
        self._leaving[name] = asyncio.create_task(self._take_back(name, connection), name=f"{name}: leave")

    async def _take_back(self, name: str, connection: Connection) -> None:
        """Take back what the hub wrote into a cluster that leaves, then let its object go."""
        try:
            await connection.close(withdraw=True)
            cluster = self._clusters.objects.get(("", name))
            if cluster is not None and is_deleted(cluster) and finalizer.is_set(cluster):
                await self._client.merge(CLUSTER, "", name, finalizer.remove(cluster))
                self._released.add(uid_of(cluster))
        except NotFound:
            pass  # gone already
        except KubeError as error:
            log.warning("%s left, and its Cluster object cannot be let go yet: %s", name, error)
            await asyncio.sleep(RESTART_SECONDS)
        finally:
            del self._leaving[name]
            self._changed.set()

    def _dated(self) -> dict[str, Connection]:
        """Connections by the name of the Cluster object that keeps the dates of what is exported there."""
        return self._remotes | {key_of(one)[1]: self._home for one in self._homes()[:1]}

    def _homes(self) -> list[Object]:
        """Cluster objects that claim to be the hub's own cluster; the oldest is right."""
        homes = [obj for obj in self._clusters.objects.values() if _is_home(obj)]
        return sorted(homes, key=lambda obj: (created(obj), key_of(obj)))

    async def _plan(self) -> None:
        connections = [self._home]
        connections += [remote for remote in self._remotes.values() if remote.key != self._home.key]
        now = time.time()
        self._undated |= {name for name, one in self._dated().items() if one.see(now)}
        views = [connection.view() for connection in connections]
        if (reached := self._reached) is not None:
            views = [replace(view, peers_reached=view.key in reached) for view in views]
        # In a thread: ten thousand exports take seconds, and checks and watches must not wait for them.
        made = await asyncio.to_thread(plan, views, self._grants, self._hosts)
        if reached is not None:
            reached.take(made.peers.listeners)
        for connection in connections:
            connection.take(made)

    async def _report(self) -> None:
        """Conditions of the Cluster objects. Beside planning: a slow home API server delays no member."""
        retry: float | None = None
        while True:
            await self._untold.wait(retry)
            retry = None
            for name in list(self._remotes):
                if not await self._add_finalizer(name):
                    retry = ROUND_SECONDS
            for name in sorted(self._undated):
                if not await self._date(name):
                    retry = ROUND_SECONDS
            for name in list(self._remotes):
                if not await self._tell_token(name):
                    retry = ROUND_SECONDS
            for cluster, condition in self._managed():
                self._metrics.managed.labels(key_of(cluster)[1]).set(condition.status is True)
                if not await self._tell(cluster, condition):
                    retry = ROUND_SECONDS

    async def _add_finalizer(self, name: str) -> bool:
        """Have the object of a cluster that has joined wait for the hub when it is deleted."""
        cluster = self._clusters.objects.get(("", name))
        if cluster is None or is_deleted(cluster) or finalizer.is_set(cluster):
            return True
        try:
            await self._client.merge(CLUSTER, "", name, finalizer.add(cluster))
        except (NotFound, Conflict):
            return True  # changed meanwhile, which makes a new plan
        except KubeError as error:
            log.warning("Cluster %s: its finalizer cannot be added: %s", name, error)
            return False
        return True

    async def _date(self, name: str) -> bool:
        """Keep when the claims of a cluster were first seen where the next hub finds it."""
        self._undated.discard(name)
        if (dated := self._dated().get(name)) is None:
            return True
        try:
            await self._client.merge(CLUSTER, "", name, {"status": dated.first_seen()}, status=True)
        except NotFound:
            return True
        except KubeError as error:
            log.warning("Cluster %s: when its exports were first seen cannot be kept: %s", name, error)
            self._undated.add(name)
            return False
        return True

    async def _tell_token(self, name: str) -> bool:
        """How old the hub's token in a cluster is and when it ends, in the status of the Cluster object."""
        cluster, remote = self._clusters.objects.get(("", name)), self._remotes.get(name)
        if cluster is None or remote is None:
            return True
        if told := remote.token():
            self._metrics.token_expires.labels(name).set(remote.token_expires)
        before = section(section(cluster, "status"), "token")
        if before == {field: value for field, value in told.items() if value is not None}:
            return True
        try:
            patch = {"status": {"token": told or None}}
            await self._client.merge(CLUSTER, "", name, patch, status=True)
        except NotFound:
            return True
        except KubeError as error:
            log.warning("Cluster %s: the age of the hub's token cannot be told: %s", name, error)
            return False
        return True

    def _managed(self) -> Iterator[tuple[Object, Condition]]:
        homes = self._homes()
        for cluster in list(self._clusters.objects.values()):
            condition: Condition | None = None
            if cluster in homes[:1]:
                condition = self._home.managed()
            elif cluster in homes:
                condition = managed(f"Cluster {key_of(homes[0])[1]!r} is the hub's own already; delete one")
            elif (remote := self._remotes.get(key_of(cluster)[1])) is not None:
                condition = remote.managed()
                if remote.key == self._home.key:
                    condition = managed(f"{remote.key} is the key of the hub's own cluster; give it another")
            if condition is not None:
                yield cluster, condition

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


def _reached(mutual_tls: MutualTls, on_change: Callable[[], None]) -> Reached | None:
    """Who dials other clusters before they are asked over TLS. With `strict` they are not asked otherwise."""
    if mutual_tls is not MutualTls.PERMISSIVE:
        return None
    # 9 MiB that a hub without mutual TLS does not need.
    from gateway.kube.peers_reached import Reached  # noqa: PLC0415

    return Reached(on_change)


def _is_home(cluster: Object) -> bool:
    return bool(spec_of(cluster).get("isInCluster"))


def main(args: argparse.Namespace) -> int:
    """Run until SIGTERM. 2 when it cannot start."""
    return process.run(partial(_run, args), args.log_level)


async def _run(args: argparse.Namespace, stop: asyncio.Event) -> int:
    metrics = HubMetrics()
    namespace = os.environ.get("POD_NAMESPACE", SYSTEM_NAMESPACE)
    try:
        grants = read_grants(args.paths)
    except ValueError as error:
        log.error("cannot start: --paths is no list of delegated paths: %s", error)  # noqa: TRY400
        return 2
    try:
        config = own_config()
    except (CredentialError, OSError) as error:
        log.error("cannot start: %s", error)  # noqa: TRY400  the message is the point, not the trace
        return 2
    async with KubeClient(config, field_manager=HUB) as client:
        hub: Hub | None = None

        async def serve() -> None:
            nonlocal hub
            # A new one each time: while standing by it followed nothing.
            hub = Hub(
                client, namespace, metrics, args.cluster_key,
                grants=grants, hosts=args.hosts, mutual_tls=args.mutual_tls,
            )  # fmt: skip
            try:
                await hub.run()
            finally:
                hub = None

        def ready() -> bool:
            return hub.synced if hub is not None else args.elect

        async with contextlib.AsyncExitStack() as listening:
            if args.admin:
                try:
                    unready = "the Cluster objects have not been read yet"
                    admin = AdminServer(args.admin, ready, unready, metrics.registry)
                    await listening.enter_async_context(admin)
                except OSError as error:
                    log.error("cannot listen on %s: %s", args.admin, error)  # noqa: TRY400
                    return 2
            identity = os.environ.get("POD_NAME") or socket.gethostname()
            elected = Elected(client, namespace, HUB, identity)
            return await process.work_until(stop, elected.run(serve) if args.elect else serve())
