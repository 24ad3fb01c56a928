"""`gateway run`: the data plane of a Kubernetes cluster, configured by the objects in its API.

It only reads: what is written to the API is the controller's work (`control`).
"""

from __future__ import annotations

import argparse
import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from gateway import process
from gateway.certificate_files import follow_certificate
from gateway.core.objects import GATEWAY, Object
from gateway.core.snapshot import Compiled
from gateway.edge.garbage import look_through
from gateway.edge.server import GatewayServer
from gateway.kube.cache import ObjectCache
from gateway.kube.capacity import MEMORY_PER_BYTE, capacity_of
from gateway.kube.client import KubeClient
from gateway.kube.client_config import own_config
from gateway.kube.errors import CredentialError
from gateway.kube.follower import Follower, Viewpoint
from gateway.kube.watch import Signal
from gateway.options import dapr_token, dialling, hosts, make_server
from gateway.peers_file import PeersFileError, read_keys, stamp

log = logging.getLogger(__name__)

KEYS_SECONDS = 1.0
"""How often the file of the peers' keys is looked at, which means a stat."""
SAVE_SECONDS = 0.1
"""Disks are slow: save at most ten times a second however much changes."""
RESTORE_AFTER_SECONDS = 3.0
"""How long a start waits for the API server before it serves what is on disk."""


class DataPlane:
    """Keeps the server's routes in step with the objects, and the last good ones on disk."""

    def __init__(  # noqa: PLR0917  what it is made of, in the order of the command line
        self,
        client: KubeClient,
        server: GatewayServer,
        viewpoint: Viewpoint,
        cache: ObjectCache,
        peers_file: Path | None = None,
        certificate: Path | None = None,
    ) -> None:
        """`peers_file`: where the keys of the viewpoint are from, to be read again when it changes.

        `certificate`: the folder with the certificate by which the server proves whose it is.
        """
        self._server = server
        self._cache = cache
        self._unsaved = Signal(SAVE_SECONDS)
        self._objects: Sequence[Object] = ()
        self._serving = False
        self._peers_file = peers_file
        self._certificate = certificate
        self._capacity = capacity_of(server.budget)
        self._follower = Follower(client, viewpoint, self._take, capacity=self._capacity)

    async def run(self) -> None:
        """Until cancelled, or until one of the tasks fails (which is a defect)."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follower.run(), name="follow the objects")
            tasks.create_task(self._restore(), name="restore")
            tasks.create_task(self._save(), name="save")
            if self._peers_file is not None:
                tasks.create_task(self._follow_keys(self._peers_file), name="follow the peers' keys")
            if self._certificate is not None:
                key = self._follower.viewpoint.cluster_key
                following = follow_certificate(self._certificate, key, self._server.set_certificate)
                tasks.create_task(following, name="follow the certificate")

    def gauges(self) -> dict[str, int]:
        """What the objects take, and how many are left out."""
        left_out = sum(len(informer.left_out) for informer in self._follower.informers.values())
        return {
            'gateway_memory_used_bytes{part="objects"}': self._capacity.used * MEMORY_PER_BYTE,
            "gateway_objects_left_out": left_out,
        }

    async def _take(self, objects: Sequence[Object], compiled: Compiled) -> None:
        self._objects = objects
        self._swap(compiled)
        self._unsaved.set()

    async def _restore(self) -> None:
        """Serve the saved objects when the API server does not answer soon."""
        try:
            async with asyncio.timeout(RESTORE_AFTER_SECONDS):
                await self._follower.wait_synced()
        except TimeoutError:
            saved = self._cache.load()
            if self._follower.synced:
                return
            if saved is None:
                log.warning("no complete answer from the API server yet, and nothing is saved: not ready")
                return
            log.warning(
                "no complete answer from the API server yet: serving the %d objects saved last", len(saved)
            )
            compiled = await asyncio.to_thread(self._follower.compile, saved)
            if not self._serving:  # meanwhile the API server may have answered, who knows better
                self._swap(compiled)

    def _swap(self, compiled: Compiled) -> None:
        self._server.swap(compiled.snapshot)
        if not self._serving:
            # Nobody is served yet: the one moment to look through everything that is here to stay, and then
            # never again.
            look_through()
            self._serving = True
            self._server.set_ready(True)

    async def _follow_keys(self, path: Path) -> None:
        """Take the keys in whenever the file changes; one that holds none leaves those in force."""
        seen = (0, 0, 0)  # not now: between the start and here it may have changed
        while True:
            if (now := stamp(path)) != seen:
                seen = now
                try:
                    peers = await asyncio.to_thread(read_keys, path)
                except PeersFileError as error:
                    log.error("kept the keys in force: %s", error)  # noqa: TRY400  the message says it all
                else:
                    if peers != self._follower.viewpoint.peers:
                        log.info("the peers' keys have changed")
                        self._follower.look_from(replace(self._follower.viewpoint, peers=peers))
            await asyncio.sleep(KEYS_SECONDS)

    async def _save(self) -> None:
        while True:
            await self._unsaved.wait()
            try:
                await asyncio.to_thread(self._cache.save, self._objects)
            except OSError as error:
                log.warning("cannot keep the objects for a restart: %s", error)


def main(args: argparse.Namespace) -> int:
    """Run until SIGTERM, then drain. 2 when it cannot start."""
    return process.run(partial(_run, args), args.log_level)


async def _run(args: argparse.Namespace, stop: asyncio.Event) -> int:
    try:
        config = own_config()
        server = make_server(args)
        token = dapr_token()
        peers = read_keys(args.peers_key_file)
        await server.start()
    except (CredentialError, ValueError, OSError) as error:
        log.error("cannot start: %s", error)  # noqa: TRY400  the message is the point, not the trace
        return 2
    async with KubeClient(config, field_manager=GATEWAY) as client:
        cache = ObjectCache(Path(args.cache_dir), args.cluster_key)
        viewpoint = Viewpoint(
            args.cluster_key,
            args.front_door,
            args.cluster_domain,
            args.service_ports,
            token,
            peers,
            dialling(args),
            hosts(args),
            args.mutual_tls,
        )
        plane = DataPlane(client, server, viewpoint, cache, args.peers_key_file, args.certificate)
        server.add_gauges(plane.gauges)
        # Routes keep following their pods while running requests finish; only then the watches end.
        return await process.work_until(
            stop, plane.run(), lambda: server.drain(args.drain_seconds, args.drain_delay)
        )
