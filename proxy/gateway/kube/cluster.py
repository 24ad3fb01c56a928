"""One cluster as the hub follows it: what it exports, what it should import, whether it answers.

Every cluster has its own tasks and its own retries, so a cluster that is down delays nobody else.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from typing import Any

from gateway.core.conditions import Condition
from gateway.core.objects import (
    Key,
    Object,
    is_deleted,
    is_hub_import,
    key_of,
    section,
    uid_of,
    version_of,
)
from gateway.kube import trim
from gateway.kube.capacity import Capacity
from gateway.kube.client import KubeClient
from gateway.kube.cluster_view import Address, ClusterView
from gateway.kube.errors import Conflict, Invalid, KubeError, NotFound, Refused
from gateway.kube.events import condition_events
from gateway.kube.peer_objects import peer_name
from gateway.kube.peers_writer import PeersWriter
from gateway.kube.plan import carried, same_import
from gateway.kube.resources import EVENT, EXPORT, IMPORT, NAMESPACE, PEER, SERVICE
from gateway.kube.status import current, status_patch
from gateway.kube.timing import DEFAULT_TIMING, Timing
from gateway.kube.watch import Backoff, Informer, Signal

log = logging.getLogger(__name__)

PARALLEL = 8
SETTLE_SECONDS = 0.002


class ClusterReconciler:
    """Follows and writes one cluster through one client."""

    def __init__(
        self,
        name: str,
        client: KubeClient,
        on_change: Callable[[], None],
        timing: Timing = DEFAULT_TIMING,
        *,
        mutual_tls: bool = False,
    ) -> None:
        """`mutual_tls`: its gateways may prove by certificates whose they are."""
        self.name = name
        self._client = client
        self._on_change = on_change
        self._timing = timing
        self._exports, self._services, self._imports, self._namespaces = self._informers = tuple(
            Informer(
                client,
                resource,
                on_change,
                keep=keep,
                timing=timing,
                capacity=Capacity(trim.MOST_BYTES),
            )
            for resource, keep in (
                (EXPORT, trim.export),
                (SERVICE, trim.service),
                (IMPORT, trim.own),
                (NAMESPACE, trim.namespace),
            )
        )
        self._peers: Informer | None = None
        if mutual_tls:
            self._peers = Informer(
                client, PEER, on_change, keep=trim.own, timing=timing, capacity=Capacity(trim.MOST_BYTES),
                optional=True,
            )  # fmt: skip
            self._informers = (*self._informers, self._peers)
            self._peers_writer = PeersWriter(name, client, self._peers)
        self._own_peer = ("", "")
        self._wanted_peers: Mapping[Key, Mapping[str, Any]] | None = None
        self._said: Mapping[str, Any] = {}
        self._wanted: Mapping[Key, Mapping[str, Any]] | None = None
        self._conditions: Mapping[Key, tuple[Condition, ...]] = {}
        self._wake = Signal(SETTLE_SECONDS)
        self._limit = asyncio.Semaphore(PARALLEL)
        self._refused: dict[Key, Mapping[str, Any]] = {}
        """Import bodies that the API server did not accept, so as not to send the same again and again."""
        self._first_seen: dict[str, float] = {}
        """By uid of an export whose first condition was bad: when that was, on the loop's clock."""
        self._error: str | None = None
        self.asked = False
        """The cluster has been asked whether it can be managed: before that, `error` means nothing."""

    @property
    def exports(self) -> Mapping[Key, Object] | None:
        """None before all were read."""
        synced = self._exports.synced and self._services.synced
        return dict(self._exports.objects) if synced else None

    def view(self, key: str, address: Address | None) -> ClusterView:
        readable = self._imports.synced and self._namespaces.synced
        namespaces = self._namespaces.objects
        peers = self._peers
        self._own_peer = ("", peer_name(key))
        return ClusterView(
            key,
            address,
            self.exports,
            dict(self._services.objects),
            dict(self._imports.objects) if readable else None,
            {name for (_, name), obj in namespaces.items() if not is_deleted(obj)},
            peers=dict(peers.objects) if peers is not None and peers.synced else None,
        )

    def take(
        self,
        imports: Mapping[Key, Mapping[str, Any]] | None,
        conditions: Mapping[Key, tuple[Condition, ...]],
        peers: Mapping[Key, Mapping[str, Any]] | None = None,
        said: Mapping[str, Any] | None = None,
    ) -> None:
        """What this cluster should have from now on; None while that cannot be told.

        `said`: in the status of its own Peer.
        """
        self._wanted, self._conditions = imports, conditions
        self._wanted_peers, self._said = peers, said or {}
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for informer in self._informers:
                tasks.create_task(informer.run(), name=f"{self.name}: watch {informer.resource.plural}")
            tasks.create_task(self._check(), name=f"{self.name}: check")
            tasks.create_task(self._write(), name=f"{self.name}: write")

    @property
    def error(self) -> str | None:
        """Why the cluster cannot be managed right now; None when it can."""
        if self._error is not None:
            return self._error
        for informer in self._informers:
            if informer.error is not None:
                return f"cannot follow {informer.resource.plural}: {informer.error}"
        return None

    async def _check(self) -> None:
        while True:
            error = await self._ask()
            if error != self._error or not self.asked:
                self._error, self.asked = error, True
                self._on_change()
            await asyncio.sleep(self._timing.check)

    async def _ask(self) -> str | None:
        """A small call that needs network, TLS, the credential and its rights, all at once."""
        try:
            async with asyncio.timeout(self._timing.check):
                await self._client.may_list(EXPORT)
        except TimeoutError:
            return f"{self._client.server} does not answer within {self._timing.check:g} s"
        except Refused as error:
            return f"{self._client.server} refuses the hub's credential: {error}"
        except NotFound:
            return (
                f"{self._client.server} does not serve flomesh.io/v1alpha1: the CRDs are not installed there"
            )
        except KubeError as error:
            return f"cannot reach {error}"
        return None

    async def _write(self) -> None:
        backoff = Backoff(self._timing)
        retry: float | None = None
        while True:
            await self._wake.wait(retry)
            if await self._bring_about():
                backoff.reset()
                retry = None
            else:
                retry = backoff.pause()

    async def _bring_about(self) -> bool:
        """One round of writes. False when something is left to try again."""
        wanted = self._wanted or {}
        self._refused = {key: body for key, body in self._refused.items() if key in wanted}
        done = self._wanted is None or await self._all(self._import_calls(wanted))
        if self._peers is not None:
            done = (
                await self._peers_writer.bring_about(self._wanted_peers, self._own_peer, self._said) and done
            )
        exports = self._exports.objects
        uids = {uid_of(obj) for obj in exports.values()}
        self._first_seen = {uid: seen for uid, seen in self._first_seen.items() if uid in uids}
        done = await self._all(self._report(key) for key in sorted(exports)) and done
        return await self._all(self._report_import(key, body) for key, body in wanted.items()) and done

    def _import_calls(self, wanted: Mapping[Key, Mapping[str, Any]]) -> Iterator[Coroutine[Any, Any, bool]]:
        existing = self._imports.objects
        for key, body in wanted.items():
            before = existing.get(key)
            refused = self._refused.get(key) == body
            if not refused and (before is None or not same_import(before, body)):
                yield self._put(key, body, before)
        for key, obj in existing.items():
            if is_hub_import(obj) and key not in wanted:
                yield self._remove(key, obj)

    async def _all(self, calls: Iterable[Coroutine[Any, Any, bool]]) -> bool:
        return all(await asyncio.gather(*calls))

    async def _put(self, key: Key, body: Mapping[str, Any], before: Object | None) -> bool:
        namespace, name = key
        async with self._limit:
            try:
                if before is None:
                    await self._client.create(IMPORT, namespace, body)
                elif is_hub_import(before):
                    spec = {"serviceAccountName": None, **body["spec"]}
                    metadata = {"resourceVersion": version_of(before), "annotations": carried(body)}
                    await self._client.merge(IMPORT, namespace, name, {"metadata": metadata, "spec": spec})
                else:
                    return True
            except Conflict:
                return False  # made or changed by someone else meanwhile: the watch tells, then decide again
            except Invalid as error:
                log.warning("%s: import %s/%s is refused: %s", self.name, namespace, name, error)
                self._refused[key] = body
                return True
            except KubeError as error:
                log.warning("%s: import %s/%s: %s", self.name, namespace, name, error)
                return False
        self._refused.pop(key, None)
        log.info("%s: %s import %s/%s", self.name, "changed" if before else "made", namespace, name)
        return True

    async def _remove(self, key: Key, obj: Object) -> bool:
        async with self._limit:
            try:
                await self._client.delete(IMPORT, *key, uid=uid_of(obj))
            except NotFound:
                return True
            except KubeError as error:
                log.warning("%s: removing import %s/%s: %s", self.name, *key, error)
                return False
        log.info("%s: removed import %s/%s", self.name, *key)
        return True

    async def _report(self, key: Key) -> bool:
        """Conditions of one export, and an event for each that turned."""
        export = self._exports.objects.get(key)
        conditions = self._conditions.get(key)
        if export is None or conditions is None:
            return True
        now = time.time()
        patch = status_patch(export, conditions, now)
        if patch is None:
            return True
        if self._too_early(export, conditions):
            return False
        async with self._limit:
            try:
                await self._client.apply(EXPORT, *key, patch, status=True)
                for event in condition_events(export, conditions, now):
                    await self._client.create(EVENT, key[0], event)
            except NotFound:
                return True
            except KubeError as error:
                log.warning("%s: status of export %s/%s: %s", self.name, *key, error)
                return isinstance(error, Invalid)
        return True

    def _too_early(self, export: Object, conditions: Iterable[Condition]) -> bool:
        """Whether a first condition that is bad should wait.

        A Service made together with its export may be seen a moment after it, and a false alarm stays in the
        events for an hour.
        """
        if current(export, "Valid") or all(c.status is not False for c in conditions if c.type == "Valid"):
            return False
        uid = uid_of(export)
        now = asyncio.get_running_loop().time()
        return now - self._first_seen.setdefault(uid, now) < self._timing.bad_condition

    async def _report_import(self, key: Key, body: Mapping[str, Any]) -> bool:
        """The exporting clusters and the addresses of their gateways, for those who look at an import."""
        existing = self._imports.objects.get(key)
        if existing is None or not is_hub_import(existing):
            return True
        addresses: dict[str, set[str]] = {}
        for port in body["spec"]["ports"]:
            for endpoint in port["endpoints"]:
                addresses.setdefault(endpoint["clusterKey"], set()).add(endpoint["target"]["ip"])
        clusters = [{"cluster": name, "addresses": sorted(addresses[name])} for name in sorted(addresses)]
        if section(existing, "status").get("clusters") == clusters:
            return True
        namespace, name = key
        patch = {name_: body[name_] for name_ in ("apiVersion", "kind")}
        patch |= {"metadata": {"namespace": namespace, "name": name}, "status": {"clusters": clusters}}
        async with self._limit:
            try:
                await self._client.apply(IMPORT, namespace, name, patch, status=True)
            except NotFound:
                return True
            except KubeError as error:
                log.warning("%s: status of import %s/%s: %s", self.name, namespace, name, error)
                return isinstance(error, Invalid)
        return True

    async def withdraw(self) -> None:
        """Take back everything the hub wrote here: the cluster leaves. Best effort, within a limit."""
        try:
            async with asyncio.timeout(self._timing.withdraw):
                imports, _, _ = await self._client.list(IMPORT)
                await self._all(self._remove(key_of(obj), obj) for obj in imports if is_hub_import(obj))
                exports, _, _ = await self._client.list(EXPORT)
                await self._all(self._forget(obj) for obj in exports)
                if self._peers is not None and self._peers.served:
                    await self._peers_writer.withdraw()
        except (KubeError, TimeoutError) as error:
            log.warning(
                "%s left, and its imports could not be taken back: %s", self.name, error or "timed out"
            )

    async def _forget(self, export: Object) -> bool:
        """Drop our conditions: applying nothing gives up what we own."""
        namespace, name = key_of(export)
        body = {name_: export[name_] for name_ in ("apiVersion", "kind")}
        body |= {"metadata": {"namespace": namespace, "name": name}}
        async with self._limit:
            try:
                await self._client.apply(EXPORT, namespace, name, body, status=True)
            except NotFound:
                return True
        return True
