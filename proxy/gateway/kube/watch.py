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
from gateway.kube.capacity import MOST_REFUSED, Capacity, Kept
from gateway.kube.client import PAGE, KubeClient, Object
from gateway.kube.errors import Gone, KubeError, NotFound, Refused, TooLong
from gateway.kube.resources import Resource
from gateway.kube.timing import DEFAULT_TIMING, Timing

log = logging.getLogger(__name__)

WATCH_SECONDS = 240
"""How long one watch lasts. Servers end them at 5 to 10 minutes on their own."""
LEFT_OUT_SECONDS = 20
"""How long a watch lasts while something is left out: only a list tells what there is room for meanwhile."""
UNBOUNDED = 1 << 40
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
        capacity: Capacity | None = None,
    ) -> None:
        """`keep` cuts an object down to what is needed before it is stored.

        What is beyond `capacity` is left out, and `error` says so: of an object that was stored before, the
        version stays that was.
        """
        self._client = client
        self._on_change = on_change
        self._namespace = namespace
        self._keep = keep
        self._timing = timing
        self._optional = optional
        self._capacity = capacity or Capacity(UNBOUNDED)
        self._kept = Kept(self._capacity)
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
    def left_out(self) -> Mapping[Key, Object]:
        """What there is no room for: no more than says which objects these are."""
        return self._kept.left_out

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
                if self._version:
                    await self._watch()
                if loop.time() - started >= 1.0 and self._version:
                    backoff.reset()
                    continue  # ended in order: resume at once
                if not self._version:
                    backoff.reset()  # there is room again: list, but not after each of many events
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
        if self._kept.left_out:
            self._failed(KubeError(self._kept.says(self.resource.plural)))
        elif self.error is not None:
            log.info("following %s at %s again", self.resource.plural, self._client.server)
            self.error = None
            self._on_change()

    async def _list(self) -> None:
        found: dict[Key, Object | None] = {}
        token = ""
        listed = 0
        while True:
            async with self._capacity.reading:
                page, version, token = await self._next_page(token)
                for obj in map(self._keep, page):
                    self._choose(found, obj)
            listed += len(page)
            if not token:
                break
            if listed > len(found):
                raise KubeError(f"the list of {self.resource.plural} repeats itself")
            if not page:
                raise KubeError(f"a page of the list of {self.resource.plural} is empty and not the last one")
            if sum(obj is None for obj in found.values()) > MOST_REFUSED:
                raise KubeError(self._kept.says(self.resource.plural))
        first = not self.served
        before = self._kept.weight
        self._kept.keep_only(found)
        changed = self._store.replace(obj for obj in found.values() if obj is not None)
        more_room = self._kept.left_out and self._kept.weight < before
        self._version = "" if more_room else version
        self.served = True
        self._synced.set()
        self._healthy()
        if changed or first:
            self._on_change()

    def _choose(self, found: dict[Key, Object | None], obj: Object) -> None:
        """Take a listed object, or what was known of it where there is no room for it as it is now."""
        key = key_of(obj)
        found[key] = obj if self._kept.take(key, obj) else self._store.objects.get(key)

    async def _next_page(self, token: str) -> tuple[list[Object], str, str]:
        """One page; of fewer objects where a page is more than is read at once."""
        while True:
            try:
                page = await self._client.list(
                    self.resource, self._namespace, limit=self._page, continue_=token
                )
            except TooLong:
                if self._page == 1:
                    raise
                self._page = max(self._page // 4, 1)
            else:
                self._page = min(self._page * 2, PAGE)
                return page

    async def _watch(self) -> None:
        # Spread out, so that not all watches end together.
        most = LEFT_OUT_SECONDS if self._kept.left_out else WATCH_SECONDS
        seconds = int(most * random.uniform(0.75, 1.0))  # noqa: S311
        async with aclosing(
            self._client.watch(self.resource, self._namespace, self._version, seconds)
        ) as events:
            async for event in events:
                self._take(event)
                if not self._version:
                    return
        if self._kept.left_out:
            self._version = ""

    def _take(self, event: Mapping[str, Any]) -> None:
        obj = event.get("object") or {}
        kind, kept = str(event.get("type")), self._keep(obj)
        before = self._kept.weight
        fits = self._fits(kind, kept)
        self._healthy()
        if fits and self._store.apply(kind, kept):
            self._on_change()
        self._version = version_of(obj) or self._version
        if self._kept.left_out and self._kept.weight < before:
            self._version = ""  # there is room again: a list tells what for

    def _fits(self, kind: str, obj: Object) -> bool:
        if kind in {"ADDED", "MODIFIED"}:
            return self._kept.take(key_of(obj), obj)
        if kind == "DELETED":
            self._kept.drop(key_of(obj))
        return True


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
