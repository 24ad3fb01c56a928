"""Writes what a cluster needs for its gateways: derived Services of imports, conditions on what is routed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from gateway.core.conditions import EVERY_CALLER_CONDITION, INVOCABLE, programmed
from gateway.core.dates import STATUS, record
from gateway.core.dialling import Dialling
from gateway.core.every_caller import Reach
from gateway.core.hosts import CLUSTER_DOMAIN
from gateway.core.objects import Key, Object, key_of, version_of
from gateway.core.problem import Problem
from gateway.core.snapshot import Compiled, Snapshot
from gateway.kube.actions import Action
from gateway.kube.client import KubeClient
from gateway.kube.derived import reconcile
from gateway.kube.endpoints import IPV4, peers
from gateway.kube.errors import Conflict, Invalid, KubeError, NotFound
from gateway.kube.follower import Taken
from gateway.kube.http_endpoints import Dapr, Wanted, plan_endpoints
from gateway.kube.resources import (
    EXPORT,
    HTTP_ENDPOINT,
    IMPORT,
    NAMESPACE,
    POLICY,
    SERVICE,
    SLICE,
    Resource,
)
from gateway.kube.slices import Gateways
from gateway.kube.status import status_patch, timestamp
from gateway.kube.takeovers import Takeovers
from gateway.kube.watch import Backoff, Informer, Signal

log = logging.getLogger(__name__)

PARALLEL = 8
"""Writes under way at once: enough to hide latency, too few to be throttled."""
SETTLE_SECONDS = 0.002
ROUND_SECONDS = 30.0
"""A round is made at least this often: a Service that was left alone is looked at again."""


@dataclass(frozen=True, slots=True)
class GatewayIdentity:
    """Where the gateways of the cluster are found."""

    namespace: str
    """Namespace of their pods."""
    east_west_port: int
    """Port of the east-west listener in a pod."""
    service_ports: range = range(0)
    """Ports there that stand for one Service's port each."""
    service: str = "gateway"
    """The Service that selects the gateway's pods."""
    cluster_domain: str = CLUSTER_DOMAIN
    """Under which the cluster's Services have their names in DNS."""
    family: str = IPV4
    """Address type by which pods reach them."""


def _no_room(left_out: Taken) -> Iterator[Problem]:
    """What is said of objects that the controller has no room for; gateways have less."""
    for kind, objects in left_out.items():
        for namespace, name in objects:
            message = (
                "there is no room for it as it is now, and no namespace gets more than half of the room: "
                "make it smaller, delete others, or give gateways and controller more memory"
            )
            yield Problem(kind, namespace, name, "NoRoom", message)


def _dates(exports: Mapping[Key, Object]) -> Iterator[tuple[Key, Object]]:
    """What is to be noted of exports, all of it at one moment: ties go by their age."""
    now = timestamp(time.time())
    for key, raw in exports.items():
        if (dates := record(raw, now)) is not None:
            yield key, {"metadata": {"resourceVersion": version_of(raw)}, "status": {STATUS: dates}}


class Reconciler:
    """Brings the objects to what the last compilation says. Idempotent; failures are tried again."""

    def __init__(
        self,
        client: KubeClient,
        identity: GatewayIdentity,
        informers: Mapping[str, Informer],
        dialling: Dialling,
    ) -> None:
        """`dialling` says which imports count; for the others nothing is derived."""
        self._client = client
        self._identity = identity
        self._informers = informers
        self._dialling = dialling
        self._takeovers = Takeovers(time.monotonic)
        self._compiled: Compiled | None = None
        self._wake = Signal(SETTLE_SECONDS)
        self._limit = asyncio.Semaphore(PARALLEL)
        self._rejected: list[Problem] = []
        """Of imports whose derived Service or slice the API server does not accept."""

    def take(self, compiled: Compiled) -> None:
        """There is a new compilation."""
        self._compiled = compiled
        self._wake.set()

    def wake(self) -> None:
        """Something changed that does not route but may need a write, such as a deleted Service."""
        self._wake.set()

    async def run(self) -> None:
        backoff = Backoff()
        retry: float | None = None
        while True:
            await self._wake.wait(ROUND_SECONDS if retry is None else retry)
            if self._compiled is None:
                continue
            try:
                done = await self._write(self._compiled)
            except Exception:
                log.exception("a round of writes failed; it is tried again")  # a defect, but routing goes on
                done = False
            if done:
                backoff.reset()
                retry = None
            else:
                retry = backoff.pause()

    async def _write(self, compiled: Compiled) -> bool:
        """One round; derived Services first, for they carry traffic. False when something is left to do."""
        self._rejected.clear()
        told = {kind: dict(informer.objects) for kind, informer in self._informers.items()}
        imports = {key: one for key, one in told[IMPORT.kind].items() if self._dialling.takes(one)}
        taken = {**told, IMPORT.kind: imports}
        # In threads: looking through ten thousand objects must keep no watch waiting.
        reached = await asyncio.to_thread(self._takeovers.reaches, taken, compiled)
        actions = await asyncio.to_thread(self._actions, taken, compiled.snapshot, reached)
        actions, settled = self._takeovers.settled(actions, taken)
        done = await self._all(self._act(action) for action in actions)
        dapr = await asyncio.to_thread(self._dapr, taken, compiled.snapshot)
        if dapr is not None:
            done = await self._all(self._act(action) for action in dapr.actions) and done
        dates = await asyncio.to_thread(list, _dates(told[EXPORT.kind]))
        done = await self._all(self._date(*each) for each in dates) and done
        left_out = {kind: dict(informer.left_out) for kind, informer in self._informers.items()}
        problems = (*compiled.problems, *self._rejected, *_no_room(left_out))
        patches = await asyncio.to_thread(list, self._patches(told, left_out, problems, reached, dapr))
        return await self._all(self._patch(*patch) for patch in patches) and done and settled

    async def _date(self, key: Key, body: Object) -> bool:
        """Note since when an export claims what it claims."""
        async with self._limit:
            try:
                await self._client.merge(EXPORT, *key, body, status=True)
            except NotFound:
                return True
            except Conflict:
                return False  # it has changed, and so may its claims: the watch brings the news
            except KubeError as error:
                log.warning("dates of export %s/%s: %s", *key, error)
                return isinstance(error, Invalid)
        return True

    async def _all(self, calls: Iterable[Coroutine[Any, Any, bool]]) -> bool:
        return all(await asyncio.gather(*calls))

    def _actions(self, taken: Taken, snapshot: Snapshot, reached: Mapping[Key, Reach]) -> list[Action]:
        slices = taken[SLICE.kind]
        actions = reconcile(
            taken[IMPORT.kind],
            taken[SERVICE.kind],
            slices,
            Gateways(
                peers(slices, self._identity.namespace, self._identity.service, self._identity.family),
                self._identity.east_west_port,
                self._identity.service_ports,
                self._identity.family,
            ),
            leaves=snapshot.leaves_cluster,
            takes_over=partial(self._takeovers.may_begin, taken, reached),
        )
        return [*self._takeovers.held(taken, reached), *actions]

    def _dapr(self, taken: Taken, snapshot: Snapshot) -> Wanted | None:
        """What Dapr needs: nothing where there is no Dapr, None while that is not known."""
        namespaces, endpoints = self._informers[NAMESPACE.kind], self._informers[HTTP_ENDPOINT.kind]
        if not (namespaces.synced and endpoints.synced):
            return None
        if not endpoints.served:
            return Wanted()
        dapr = Dapr(
            namespaces=taken[NAMESPACE.kind],
            services=taken[SERVICE.kind],
            exports=taken[EXPORT.kind],
            endpoints=taken[HTTP_ENDPOINT.kind],
            leaves=snapshot.leaves_cluster,
            home=self._identity.namespace,
            domain=self._identity.cluster_domain,
        )
        return plan_endpoints(taken[IMPORT.kind], dapr)

    async def _act(self, action: Action) -> bool:
        (namespace, name), resource = action.key, action.resource
        async with self._limit:
            try:
                if action.takes_over and not await self._may_take(action.key):
                    return False
                if action.verb == "create":
                    await self._client.create(resource, namespace, action.body)
                elif action.verb == "merge":
                    await self._client.merge(resource, namespace, name, action.body)
                else:
                    await self._client.delete(resource, namespace, name, uid=action.uid)
            except (Conflict, NotFound):
                # Another replica was first, or the object changed: the watch brings the news and the next
                # round decides again. Should the watch be late, a retry does no harm.
                return False
            except Invalid as error:
                message = f"its {resource.kind} {namespace}/{name} is refused: {error}"
                problem = Problem(IMPORT.kind, *action.service, "DerivedServiceRefused", message)
                self._rejected.append(problem)
                return True  # the same body will be refused again; only a changed import helps
            except KubeError as error:
                log.warning("%s %s %s/%s: %s", action.verb, resource.kind, namespace, name, error)
                return False
        log.info("%s %s %s/%s", action.verb, resource.kind, namespace, name)
        if action.takes_over:
            self._takeovers.taken(action.key)
        return True

    async def _may_take(self, key: Key) -> bool:
        """Whether a Service's selector may be taken over once more."""
        # Asked for again, because the informer drops what says who wrote the selector.
        service = await self._client.get(SERVICE, *key)
        return self._takeovers.may_take(service, self._informers[POLICY.kind].objects.get(key, {}))

    def _patches(
        self,
        taken: Taken,
        left_out: Taken,
        problems: Iterable[Problem],
        reached: Mapping[Key, Reach],
        dapr: Wanted | None,
    ) -> Iterator[tuple[Resource, Object, Mapping[str, Any]]]:
        found: dict[tuple[str, Key], list[Problem]] = {}
        for problem in problems:
            found.setdefault((problem.kind, (problem.namespace, problem.name)), []).append(problem)
        reaches = {key: reach.condition for key, reach in reached.items()}
        # Beside Programmed an object has at most one more condition of ours; None: it is not known yet.
        more = {
            IMPORT.kind: (INVOCABLE, dapr.conditions if dapr is not None else None),
            POLICY.kind: (EVERY_CALLER_CONDITION, reaches),
        }
        for resource in (EXPORT, IMPORT, POLICY):
            kind, conditions = more.get(resource.kind, ("", {}))
            for key, obj in {**left_out[resource.kind], **taken[resource.kind]}.items():
                own = [programmed(found.get((resource.kind, key), []))]
                if conditions is not None and key in conditions:
                    patch = status_patch(obj, [*own, conditions[key]], time.time())
                elif conditions is not None:
                    patch = status_patch(obj, own, time.time(), dropped=[kind])
                else:
                    patch = status_patch(obj, own, time.time(), kept=[kind])
                if patch is not None:
                    yield resource, obj, patch

    async def _patch(self, resource: Resource, obj: Object, patch: Mapping[str, Any]) -> bool:
        namespace, name = key_of(obj)
        async with self._limit:
            try:
                await self._client.apply(resource, namespace, name, patch, status=True)
            except NotFound:
                return True  # deleted meanwhile
            except KubeError as error:
                log.warning("status of %s %s/%s: %s", resource.kind, namespace, name, error)
                return isinstance(error, Invalid)
        return True
