"""`gateway control`: the controller of a cluster, which writes what its gateways read.

It makes the derived Services, EndpointSlices, status conditions and Dapr's HTTPEndpoints. It is a process of
its own for two reasons: it must act when no gateway is ready, and what parses the network's HTTP must hold no
right to write. Of several controllers the holder of a Lease writes; the others follow along, ready to go on
within a second.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from gateway import process
from gateway.core.authority import Lifetimes
from gateway.core.budget import DEFAULT_BUDGET, Budget
from gateway.core.objects import CONTROLLER, GATEWAY, SYSTEM_NAMESPACE, Object
from gateway.core.peers import MutualTls
from gateway.core.snapshot import Compiled
from gateway.kube import trim
from gateway.kube.acknowledgement import Loaded, ask_all
from gateway.kube.admin import AdminServer
from gateway.kube.authority import AuthorityKeeper
from gateway.kube.capacity import capacity_of
from gateway.kube.client import KubeClient
from gateway.kube.client_config import own_config
from gateway.kube.endpoints import family_of, peers
from gateway.kube.errors import CredentialError
from gateway.kube.follower import Follower, Viewpoint
from gateway.kube.lease import Elected
from gateway.kube.reconciler import GatewayIdentity, Reconciler
from gateway.kube.resources import HTTP_ENDPOINT, NAMESPACE, SLICE
from gateway.kube.timing import CONTROLLER_LEASE_TIMING, LeaseTiming
from gateway.kube.watch import Informer
from gateway.memory import own_budget
from gateway.options import dialling, hosts

log = logging.getLogger(__name__)


class Controller:
    """Follows the objects of one cluster, and writes while it holds the Lease."""

    def __init__(
        self,
        client: KubeClient,
        viewpoint: Viewpoint,
        identity: GatewayIdentity,
        name: str,
        timing: LeaseTiming = CONTROLLER_LEASE_TIMING,
        *,
        budget: Budget = DEFAULT_BUDGET,
        lifetimes: Lifetimes | None = None,
    ) -> None:
        """`name` is unlike that of every other candidate; the pod's name is. `lifetimes`: of the certificates
        by which gateways prove whose they are; None for no certificates.
        """
        capacity = capacity_of(budget)
        self._follower = Follower(client, viewpoint, self._take, self._wake, capacity=capacity)
        self._others = {
            NAMESPACE.kind: Informer(client, NAMESPACE, self._wake, keep=trim.labelled, capacity=capacity),
            HTTP_ENDPOINT.kind: Informer(
                client, HTTP_ENDPOINT, self._wake, keep=trim.own, capacity=capacity, optional=True
            ),
        }
        informers = {**self._follower.informers, **self._others}
        self._reconciler = Reconciler(client, identity, informers, viewpoint.dialling)
        self._identity = identity
        self._authority: AuthorityKeeper | None = None
        if lifetimes is not None:
            self._authority = AuthorityKeeper(
                client,
                identity.namespace,
                viewpoint.cluster_key,
                self._loaded,
                lifetimes=lifetimes,
                announced=viewpoint.mutual_tls is not MutualTls.ACCEPT,
            )
        self._elected = Elected(client, identity.namespace, CONTROLLER, name, timing)

    @property
    def synced(self) -> bool:
        return self._follower.synced

    async def run(self) -> None:
        """Until cancelled, or until one of the tasks fails (which is a defect)."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follower.run(), name="follow the objects")
            for name, informer in self._others.items():
                tasks.create_task(informer.run(), name=f"watch {name}")
            tasks.create_task(self._elected.run(self._write), name="write")

    async def _write(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._reconciler.run(), name="reconcile")
            if self._authority is not None:
                tasks.create_task(self._authority.run(), name="certificate authority")

    async def _loaded(self) -> Loaded | None:
        """What all gateways that are ready have loaded."""
        if not self.synced:
            return None
        slices = self._follower.informers[SLICE.kind].objects
        return await ask_all(
            peers(slices, self._identity.namespace, self._identity.service, self._identity.family)
        )

    async def _take(self, _: Sequence[Object], compiled: Compiled) -> None:
        self._reconciler.take(compiled)

    def _wake(self) -> None:
        self._reconciler.wake()


def main(args: argparse.Namespace) -> int:
    """Run until SIGTERM. 2 when it cannot start."""
    return process.run(partial(_run, args), args.log_level)


async def _run(args: argparse.Namespace, stop: asyncio.Event) -> int:
    try:
        config = own_config()
    except (CredentialError, OSError) as error:
        log.error("cannot start: %s", error)  # noqa: TRY400  the message is the point, not the trace
        return 2
    # The field manager stays the gateways': it is the owner of what they wrote before there was a controller.
    async with KubeClient(config, field_manager=GATEWAY) as client, contextlib.AsyncExitStack() as listening:
        namespace = os.environ.get("POD_NAMESPACE", SYSTEM_NAMESPACE)
        lifetimes = Lifetimes(timedelta(days=args.root_days), timedelta(hours=args.certificate_hours))
        controller = Controller(
            client,
            Viewpoint(
                args.cluster_key,
                args.front_door,
                args.cluster_domain,
                args.service_ports,
                dialling=dialling(args),
                hosts=hosts(args),
                mutual_tls=args.mutual_tls,
            ),
            GatewayIdentity(
                namespace=namespace,
                east_west_port=args.east_west_port,
                service_ports=args.service_ports,
                cluster_domain=args.cluster_domain,
                family=family_of(os.environ.get("POD_IP", "")),
            ),
            os.environ.get("POD_NAME") or socket.gethostname(),
            budget=own_budget(),
            lifetimes=lifetimes if args.mutual_tls is not MutualTls.OFF else None,
        )
        if args.admin:
            try:
                unready = "the objects of the cluster have not been read yet"
                await listening.enter_async_context(
                    AdminServer(args.admin, lambda: controller.synced, unready)
                )
            except OSError as error:
                log.error("cannot listen on %s: %s", args.admin, error)  # noqa: TRY400
                return 2
        return await process.work_until(stop, controller.run())
