"""`gateway run`: the gateway of a Kubernetes cluster, configured by the objects in its API.

watches -> settle a few ms -> compile -> swap into the data plane   (the routing loop)
                                 `-> derived Services, status, disk (the writing loop, never in the way of
                                 routing)
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from gateway import process
from gateway.core.objects import GATEWAY, SERVICE_NAME, Key, Object, key_of, label, version_of
from gateway.core.snapshot import Compiled, compile_snapshot
from gateway.edge.server import GatewayServer
from gateway.kube.cache import ObjectCache
from gateway.kube.client import KubeClient
from gateway.kube.client_config import own_config
from gateway.kube.errors import CredentialError
from gateway.kube.reconciler import GatewayIdentity, Reconciler, Taken
from gateway.kube.resources import EXPORT, IMPORT, POLICY, SERVICE, SLICE
from gateway.kube.watch import Informer, Signal, without_managed_fields
from gateway.options import make_server

log = logging.getLogger(__name__)

SETTLE_SECONDS = 0.003
"""Objects that are written together arrive together; compile once for them."""
SAVE_SECONDS = 0.1
"""Disks are slow: save at most ten times a second however much changes."""
RESTORE_AFTER_SECONDS = 3.0
"""How long a start waits for the API server before it serves what is on disk."""


class Controller:
    """Follows the objects of one cluster and keeps the data plane and the derived Services in step."""

    def __init__(
        self, client: KubeClient, server: GatewayServer, identity: GatewayIdentity, cache: ObjectCache
    ) -> None:
        self._server = server
        self._identity = identity
        self._cache = cache
        self._changed = Signal(SETTLE_SECONDS)
        self._unsaved = Signal(SAVE_SECONDS)
        self._objects: Sequence[Object] = ()
        self._fingerprint: list[tuple[str, Key, str]] | None = None
        self._serving = False
        resources = (EXPORT, IMPORT, POLICY, SERVICE, SLICE)
        self.informers = {
            resource.kind: Informer(client, resource, self._changed.set, keep=without_managed_fields)
            for resource in resources
        }
        self._reconciler = Reconciler(client, identity, self.informers)

    @property
    def synced(self) -> bool:
        return all(informer.synced for informer in self.informers.values())

    async def run(self) -> None:
        """Until cancelled, or until one of the tasks fails (which is a defect)."""
        async with asyncio.TaskGroup() as tasks:
            for name, informer in self.informers.items():
                tasks.create_task(informer.run(), name=f"watch {name}")
            tasks.create_task(self._route(), name="route")
            tasks.create_task(self._restore(), name="restore")
            tasks.create_task(self._reconciler.run(), name="write")
            tasks.create_task(self._save(), name="save")

    async def _restore(self) -> None:
        """Serve the saved objects when the API server does not answer soon."""
        try:
            async with asyncio.timeout(RESTORE_AFTER_SECONDS):
                for informer in self.informers.values():
                    await informer.wait_synced()
        except TimeoutError:
            saved = self._cache.load()
            if self.synced:
                return
            if saved is None:
                log.warning("no complete answer from the API server yet, and nothing is saved: not ready")
                return
            log.warning(
                "no complete answer from the API server yet: serving the %d objects saved last", len(saved)
            )
            compiled = await asyncio.to_thread(self._compile, saved)
            if not self._serving:  # meanwhile the API server may have answered, who knows better
                await self._swap(compiled)

    async def _route(self) -> None:
        while True:
            await self._changed.wait()
            if not self.synced:
                continue
            # Copies, for the watches go on; in a thread, for ten thousand objects take a second or more.
            taken = {kind: dict(informer.objects) for kind, informer in self.informers.items()}
            try:
                found = await asyncio.to_thread(self._look, taken)
            except Exception:
                # A defect met by one object: the routes so far are worth more than a restart into it.
                log.exception("these objects cannot be compiled; the last good routes stay")
                continue
            if found is None:
                self._reconciler.wake()
                continue
            self._objects, compiled = found
            await self._swap(compiled)
            self._reconciler.take(compiled)
            self._unsaved.set()

    def _look(self, taken: Taken) -> tuple[Sequence[Object], Compiled] | None:
        """The relevant objects and what they compile to; None when they are those of last time."""
        objects = relevant(taken)
        fingerprint = [(str(obj["kind"]), key_of(obj), version_of(obj)) for obj in objects]
        if fingerprint == self._fingerprint:
            return None
        self._fingerprint = fingerprint
        return objects, self._compile(objects)

    def _compile(self, objects: Sequence[Object]) -> Compiled:
        # Collecting garbage stops every thread, and so many new objects would set it off again and again.
        gc.disable()
        try:
            return compile_snapshot(objects, self._identity.cluster_key, self._identity.front_door)
        finally:
            gc.enable()

    async def _swap(self, compiled: Compiled) -> None:
        self._server.swap(compiled.snapshot)
        if not self._serving:
            # Nobody is served yet: the one moment to look through everything that is here to stay, and then
            # never again.
            gc.collect()
            gc.freeze()
            self._serving = True
            self._server.set_ready(True)

    async def _save(self) -> None:
        while True:
            await self._unsaved.wait()
            try:
                await asyncio.to_thread(self._cache.save, self._objects)
            except OSError as error:
                log.warning("cannot keep the objects for a restart: %s", error)


def relevant(taken: Taken) -> list[Object]:
    """All exports, imports and policies, and of the Services and slices those that belong to them.

    Pods come and go all the time; those of other services must cost nothing here.
    """
    ours = [taken[resource.kind] for resource in (EXPORT, IMPORT, POLICY)]
    names = {key for objects in ours for key in objects}
    found = [objects[key] for objects in ours for key in sorted(objects)]
    services = taken[SERVICE.kind]
    found += [services[key] for key in sorted(names) if key in services]
    found += [
        obj
        for key, obj in sorted(taken[SLICE.kind].items(), key=lambda item: item[0])
        if (key[0], label(obj, SERVICE_NAME)) in names
    ]
    return found


def main(args: argparse.Namespace) -> int:
    """Run until SIGTERM, then drain. 2 when it cannot start."""
    return process.run(partial(_run, args))


async def _run(args: argparse.Namespace, stop: asyncio.Event) -> int:
    try:
        config = own_config()
        server = make_server(args)
        await server.start()
    except (CredentialError, ValueError, OSError) as error:
        log.error("cannot start: %s", error)  # noqa: TRY400  the message is the point, not the trace
        return 2
    async with KubeClient(config, field_manager=GATEWAY) as client:
        identity = GatewayIdentity(
            cluster_key=args.cluster_key,
            front_door=args.front_door,
            namespace=os.environ.get("POD_NAMESPACE", "multicluster-system"),
            east_west_port=server.addresses["east-west"][1] if args.east_west else 0,
        )
        cache = ObjectCache(Path(args.cache_dir), args.cluster_key)
        controller = Controller(client, server, identity, cache)
        # Routes keep following their pods while running requests finish; only then the watches end.
        return await process.work_until(
            stop, controller.run(), lambda: server.drain(args.drain_seconds, args.drain_delay)
        )
