"""Informers: a local copy of one resource that follows the API server.

How it keeps its promise to neither lose nor invent an object: list everything at one resource version, then
watch from that version on. A watch that ends (they all do) is resumed from the last version seen, which
bookmarks keep fresh on a quiet kind. When the server no longer has that version (410 Gone, an API server
restored from a backup), list again and take the difference: what the new list lacks is gone, whatever was
missed in between. While the server cannot be reached the copy stays as it was.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable, Mapping
from contextlib import aclosing
from typing import Any

from gateway.core.objects import Key, key_of, version_of
from gateway.kube.client import PAGE, KubeClient, Object
from gateway.kube.errors import Gone, KubeError, NotFound, Refused, TooLong
from gateway.kube.resources import Resource
from gateway.kube.timing import DEFAULT_TIMING, Timing

log = logging.getLogger(__name__)

WATCH_SECONDS = 240
"""How long one watch lasts. Servers end them at 5 to 10 minutes on their own."""
SMALLEST_PAGE = 8
"""Objects: so many of the largest that etcd takes fit into one answer."""
STABLE_SECONDS = 10.0
"""A watch that lived this long was a success: the next failure starts at the first pause again."""


class Store:
    """A store of objects by key. Pure: fed with lists and events, it says which keys changed."""

    def __init__(self) -> None:
        self.objects: dict[Key, Object] = {}

    def replace(self, objects: Iterable[Object]) -> set[Key]:
        """Take a full list; the keys that are new, changed or gone."""
        fresh = {key_of(obj): obj for obj in objects}
        changed = {
            key for key in self.objects.keys() | fresh.keys() if self.objects.get(key) != fresh.get(key)
        }
        self.objects = fresh
        return changed

    def apply(self, kind: str, obj: Object) -> set[Key]:
        """Take one watch event: ADDED, MODIFIED or DELETED. Other types change nothing."""
        key = key_of(obj)
        if kind == "DELETED":
            return {key} if self.objects.pop(key, None) is not None else set()
        if kind not in {"ADDED", "MODIFIED"} or self.objects.get(key) == obj:
            return set()
        self.objects[key] = obj
        return {key}


def without_managed_fields(obj: Object) -> Object:
    """Bookkeeping of the API server, often most of an object, that nobody here reads."""
    metadata = obj.get("metadata")
    if not isinstance(metadata, Mapping) or "managedFields" not in metadata:
        return obj
    return {**obj, "metadata": {name: value for name, value in metadata.items() if name != "managedFields"}}


class Backoff:
    """Pauses that double up to a limit, cut by a random part so that not all clients return at once."""

    def __init__(self, timing: Timing = DEFAULT_TIMING) -> None:
        self._timing, self._next = timing, timing.first_retry

    def reset(self) -> None:
        self._next = self._timing.first_retry

    def pause(self) -> float:
        """Seconds to wait now; counts as one more failure."""
        ceiling, self._next = self._next, min(self._next * 2, self._timing.last_retry)
        return ceiling * random.uniform(0.5, 1.0)  # noqa: S311  spreading load, not a secret


class Informer:
    """An informer: lists and watches one resource, in one namespace or all, and tells `on_change` of changes.

    `synced` turns true with the first complete list and stays so. `error` is the last failure, None while
    all is well. `served`: the API server has the resource. One that is `optional` may be missing, as a CRD is
    where its owner is not installed: then it has no objects, and is asked for again at the longest pause.
    `run` never ends by itself; cancel its task.
    """

    def __init__(
        self,
        client: KubeClient,
        resource: Resource,
        on_change: Callable[[], None],
        *,
        namespace: str | None = None,
        keep: Callable[[Object], Object] = lambda obj: obj,
        timing: Timing = DEFAULT_TIMING,
        optional: bool = False,
        weigh: Callable[[Object], int] | None = None,
        most: int = 0,
    ) -> None:
        """`keep` cuts an object down to what is needed before it is stored.

        With `weigh` no more than `most` is stored, as it weighs what was kept.
        """
        self._client = client
        self._on_change = on_change
        self._namespace = namespace
        self._keep = keep
        self._timing = timing
        self._optional = optional
        self._weigh, self._most = weigh, most
        self._weights: dict[Key, int] = {}
        self._weight = 0
        self._page = PAGE
        self._version = ""
        self._store = Store()
        self._synced = asyncio.Event()
        self.resource = resource
        self.served = False
        self.error: KubeError | None = None

    @property
    def objects(self) -> Mapping[Key, Object]:
        return self._store.objects

    @property
    def synced(self) -> bool:
        return self._synced.is_set()

    async def wait_synced(self) -> None:
        await self._synced.wait()

    async def run(self) -> None:
        backoff = Backoff(self._timing)
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            try:
                if not self._version:
                    await self._list()
                await self._watch()
                if loop.time() - started >= 1.0:
                    backoff.reset()
                    continue  # ended in order: resume at once
            except Gone:
                log.info("%s: version %s is gone, listing again", self.resource.plural, self._version)
                self._version = ""
            except KubeError as error:
                if self._optional and isinstance(error, NotFound):
                    self._not_served()
                else:
                    self._failed(error)
                if "resource version" in str(error).lower():
                    self._version = (
                        ""  # "Too large resource version": the server's data is older than what we saw
                    )
            if loop.time() - started >= STABLE_SECONDS:
                backoff.reset()
            await asyncio.sleep(backoff.pause())

    def _failed(self, error: KubeError) -> None:
        # Once per cause, not once per attempt: a member may be down for hours.
        if self.error is None or str(self.error) != str(error):
            level = logging.ERROR if isinstance(error, Refused) else logging.WARNING
            log.log(level, "following %s at %s: %s", self.resource.plural, self._client.server, error)
        changed = self.error is None
        self.error = error
        if changed:
            self._on_change()

    def _not_served(self) -> None:
        self._version = ""
        if not self.served and self.synced:
            return
        log.info("%s has no %s now", self._client.server, self.resource.plural)
        self.served, self.error = False, None
        self._store.replace(())
        self._synced.set()
        self._on_change()

    def _healthy(self) -> None:
        if self.error is not None:
            log.info("following %s at %s again", self.resource.plural, self._client.server)
            self.error = None
            self._on_change()

    async def _list(self) -> None:
        found: list[Object] = []
        weights: dict[Key, int] = {}
        token = ""
        while True:
            page, version, token = await self._next_page(token)
            kept = [self._keep(obj) for obj in page]
            found.extend(kept)
            if self._weigh is not None:
                weights |= {key_of(obj): self._weigh(obj) for obj in kept}
                self._check_room(sum(weights.values()))
            if not token:
                break
            if len(found) > len(weights) and self._weigh is not None:
                raise KubeError(f"the list of {self.resource.plural} repeats itself")
            if not page:
                raise KubeError(f"a page of the list of {self.resource.plural} is empty and not the last one")
        first = not self.served
        changed = self._store.replace(found)
        self._weights, self._weight = weights, sum(weights.values())
        self._version = version
        self.served = True
        self._synced.set()
        self._healthy()
        if changed or first:
            self._on_change()

    async def _next_page(self, token: str) -> tuple[list[Object], str, str]:
        """One page; of fewer objects, from now on, where a page is more than is read at once."""
        while True:
            try:
                return await self._client.list(
                    self.resource, self._namespace, limit=self._page, continue_=token
                )
            except TooLong:
                if self._page <= SMALLEST_PAGE:
                    raise
                self._page //= 4

    def _check_room(self, weight: int) -> None:
        """What is there stays as it is when there is too much: no list can make this process hold it all."""
        if weight > self._most:
            self._version = ""  # when less is there, only a list tells
            raise KubeError(
                f"the {self.resource.plural} are more than the {self._most} bytes kept of a cluster"
            )

    def _weigh_one(self, kind: str, obj: Object) -> None:
        if self._weigh is None:
            return
        key = key_of(obj)
        before = self._weights.pop(key, 0)
        self._weight -= before
        if kind in {"ADDED", "MODIFIED"}:
            weight = self._weigh(obj)
            self._check_room(self._weight + weight)
            self._weights[key] = weight
            self._weight += weight

    async def _watch(self) -> None:
        # Spread out, so that not all watches end together.
        seconds = int(WATCH_SECONDS * random.uniform(0.75, 1.0))  # noqa: S311
        async with aclosing(
            self._client.watch(self.resource, self._namespace, self._version, seconds)
        ) as events:
            async for event in events:
                self._take(event)

    def _take(self, event: Mapping[str, Any]) -> None:
        obj = event.get("object") or {}
        kept = self._keep(obj)
        self._weigh_one(str(event.get("type")), kept)
        self._healthy()
        if self._store.apply(str(event.get("type")), kept):
            self._on_change()
        self._version = version_of(obj) or self._version


class Signal:
    """Many changes, one wake-up: waits for the first, then a moment for the others that come with it."""

    def __init__(self, settle_seconds: float) -> None:
        self._settle = settle_seconds
        self._event = asyncio.Event()

    def set(self) -> None:
        self._event.set()

    async def wait(self, at_most: float | None = None) -> None:
        """Until a change, or until `at_most` seconds have passed."""
        try:
            async with asyncio.timeout(at_most):
                await self._event.wait()
        except TimeoutError:
            return
        await asyncio.sleep(self._settle)
        self._event.clear()
