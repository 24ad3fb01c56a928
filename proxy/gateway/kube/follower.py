"""Follows the objects of one cluster and compiles them, for the data plane and for the controller alike.

watches -> settle a few ms -> compile, in a thread -> `on_compiled`
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from gateway.core.backends import read_backend_refs
from gateway.core.derived_names import LOCAL_OF, cluster_set_name
from gateway.core.dialling import STRICT, Dialling
from gateway.core.fields import FieldError
from gateway.core.host_grants import NO_HOSTS, HostGrants
from gateway.core.hosts import CLUSTER_DOMAIN
from gateway.core.identity import NO_KEYS, PeersKeys
from gateway.core.objects import (
    IMPORT_NAME,
    SERVICE_NAME,
    SYSTEM_NAMESPACE,
    Key,
    Object,
    key_of,
    label,
    version_of,
)
from gateway.core.peers import MutualTls
from gateway.core.snapshot import Compiled, compile_snapshot
from gateway.edge.garbage import free, undisturbed
from gateway.kube import trim
from gateway.kube.capacity import Capacity
from gateway.kube.client import KubeClient
from gateway.kube.resources import EXPORT, IMPORT, PEER, POLICY, SERVICE, SLICE
from gateway.kube.watch import Informer, Signal

log = logging.getLogger(__name__)

Taken = Mapping[str, Mapping[Key, Object]]
"""Objects by kind, as they were at one moment."""

SETTLE_SECONDS = 0.003
"""Objects that are written together arrive together; compile once for them."""
RESOURCES = (EXPORT, IMPORT, POLICY, SERVICE, SLICE)


@dataclass(frozen=True, slots=True)
class Viewpoint:
    """Which cluster the objects are read for, and what its gateways are: the front door too, or not; where
    they listen besides."""

    cluster_key: str
    front_door: bool = False
    cluster_domain: str = CLUSTER_DOMAIN
    service_ports: range = range(0)
    dapr_token: bytes = field(default=b"", repr=False)
    """What Dapr's sidecars want that its gateways ask."""
    peers: PeersKeys = NO_KEYS
    """By what its gateways and those of other clusters know each other."""
    dialling: Dialling = STRICT
    """Whom its gateways dial."""
    hosts: HostGrants | None = NO_HOSTS
    """Which hosts its exports may have; None: any."""
    mutual_tls: MutualTls = MutualTls.OFF
    """How its gateways and those of other clusters talk."""


class Follower:
    """Informers of one cluster, and what their objects compile to.

    `on_compiled` gets the objects that matter and their compilation whenever they changed; `on_other` is
    called when something else did, such as a Service that nobody exports or imports.
    """

    def __init__(
        self,
        client: KubeClient,
        viewpoint: Viewpoint,
        on_compiled: Callable[[Sequence[Object], Compiled], Awaitable[None]],
        on_other: Callable[[], None] = lambda: None,
        *,
        capacity: Capacity,
    ) -> None:
        """`capacity`: for the objects of all informers here, and of whoever else shares it."""
        self.viewpoint = viewpoint
        self._on_compiled = on_compiled
        self._on_other = on_other
        self._changed = Signal(SETTLE_SECONDS)
        self._fingerprint: tuple[Viewpoint, list[tuple[str, Key, str]]] | None = None
        self.informers = {
            resource.kind: Informer(client, resource, self._changed.set, keep=trim.own, capacity=capacity)
            for resource in RESOURCES
        }
        if viewpoint.mutual_tls is not MutualTls.OFF:
            self.informers[PEER.kind] = Informer(
                client, PEER, self._changed.set, keep=trim.own, capacity=capacity, optional=True
            )

    @property
    def synced(self) -> bool:
        return all(informer.synced for informer in self.informers.values())

    async def wait_synced(self) -> None:
        for informer in self.informers.values():
            await informer.wait_synced()

    def taken(self) -> Taken:
        """A copy of what is known now, for the watches go on."""
        return {kind: dict(informer.objects) for kind, informer in self.informers.items()}

    async def run(self) -> None:
        """Until cancelled, or until one of the tasks fails (which is a defect)."""
        async with asyncio.TaskGroup() as tasks:
            for name, informer in self.informers.items():
                tasks.create_task(informer.run(), name=f"watch {name}")
            tasks.create_task(self._follow(), name="follow")

    async def _follow(self) -> None:
        while True:
            await self._changed.wait()
            if not self.synced:
                continue
            taken = self.taken()
            try:
                # In a thread, for ten thousand objects take a second or more.
                found = await asyncio.to_thread(self._look, taken)
            except Exception:
                # A defect met by one object: the routes so far are worth more than a restart into it.
                log.exception("these objects cannot be compiled; the last good routes stay")
                continue
            if found is None:
                self._on_other()
            else:
                await self._on_compiled(*found)
                exports: list[object] = list(found[1].exports)
                found = None
                await asyncio.to_thread(free, exports)  # which a gateway has no use for

    def _look(self, taken: Taken) -> tuple[Sequence[Object], Compiled] | None:
        """The relevant objects and what they compile to; None when they are those of last time."""
        objects = relevant(taken)
        versions = [(str(obj["kind"]), key_of(obj), version_of(obj)) for obj in objects]
        fingerprint = self.viewpoint, versions
        if fingerprint == self._fingerprint:
            return None
        self._fingerprint = fingerprint
        return objects, self.compile(objects, fingerprint[0])

    def look_from(self, viewpoint: Viewpoint) -> None:
        """Compile the same objects for another viewpoint from now on."""
        self.viewpoint = viewpoint
        self._changed.set()

    def compile(self, objects: Sequence[Object], viewpoint: Viewpoint | None = None) -> Compiled:
        viewpoint = viewpoint or self.viewpoint
        with undisturbed():
            return compile_snapshot(
                objects,
                viewpoint.cluster_key,
                viewpoint.front_door,
                cluster_domain=viewpoint.cluster_domain,
                listening=viewpoint.service_ports,
                dapr_token=viewpoint.dapr_token,
                peers=viewpoint.peers,
                dialling=viewpoint.dialling,
                hosts=viewpoint.hosts,
                mutual_tls=viewpoint.mutual_tls,
            )


def relevant(taken: Taken) -> list[Object]:
    """All exports, imports, policies and peers, and of the Services and slices those that belong to them, or
    to a backend of an export.

    Those of the system as well: Dapr's sidecars are asked, the others are nobody's endpoints. Pods come and
    go all the time; those of other services must cost nothing here.
    """
    ours = [taken[resource.kind] for resource in (EXPORT, IMPORT, POLICY)]
    names = {key for objects in ours for key in objects} | _backends(taken[EXPORT.kind])
    found = [objects[key] for objects in (*ours, taken.get(PEER.kind, {})) for key in sorted(objects)]
    services = taken[SERVICE.kind]
    derived = {(namespace, cluster_set_name(name)) for namespace, name in taken[IMPORT.kind]}
    system = {key for key in services if key[0] == SYSTEM_NAMESPACE}
    found += [services[key] for key in sorted(names | derived | system) if key in services]
    found += [
        obj
        for key, obj in sorted(taken[SLICE.kind].items(), key=lambda item: item[0])
        if key[0] == SYSTEM_NAMESPACE or (key[0], _service_of(obj)) in names
    ]
    return found


def _backends(exports: Mapping[Key, Object]) -> set[Key]:
    """The Services that share the requests of exports."""
    found: set[Key] = set()
    for (namespace, _), export in exports.items():
        try:
            found.update((namespace, ref.name) for ref in read_backend_refs(export))
        except FieldError:  # it leads to its own Service, and its condition says why
            continue
    return found


def _service_of(endpoint_slice: Object) -> str:
    """The Service, local or imported, that a slice is about."""
    names = (label(endpoint_slice, name) for name in (LOCAL_OF, IMPORT_NAME, SERVICE_NAME))
    return next(filter(None, names), "")
