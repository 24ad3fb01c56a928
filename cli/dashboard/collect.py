"""Reads every cluster again and again over connections that stay open, each at its own pace."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from cli.dashboard.frame import Moment, frame
from cli.dashboard.metrics import Counters, read
from cli.dashboard.reading import Reading
from cli.dashboard.schema import Frame
from cli.dashboard.words import Query, about
from cli.doctor.check import Check
from cli.doctor.command import after
from cli.doctor.lost import broken
from cli.observe.api import Api, ApiError
from cli.observe.collect import EVERYWHERE, FLOMESH, ON_THE_PLANE, admin_path, concerned, look_at
from cli.observe.environment import Running
from cli.observe.view import GATEWAY, SYSTEM, ClusterView, GatewayView, Object, Platform, key_of, meta
from stacks.config.model import ClusterSettings

LEAST_PAUSE = 0.5
"""Between the beginnings of two readings of a cluster, in seconds: with it a change is shown in one."""
PAGE_SECONDS = 1.0
"""Patience with a gateway's pages: a pod that is gone, and still listed, must not make its cluster silent."""
WHOLE_SECONDS = 5.0
"""Between two looks at all of a cluster's objects; exports, imports and policies are read each time."""
RESTLESS_SECONDS = 5.0
"""After a change everything is looked at without a pause: EndpointSlices follow in their own time."""
CHECK_SECONDS = 5.0
DOCTOR_SECONDS = 5.0
"""A result of the doctor is told again for so long, however often it is asked for."""
ANSWERS_FROM = 500
"""A code from here on is of the way to an API server, or of one that cannot answer."""


class Collector:
    """What is known of an environment, kept up to date inside `run`."""

    def __init__(self, running: Running) -> None:
        self._running = running
        settings, environment = running.settings, running.engine.environment
        views = [
            ClusterView(environment=environment, settings=one, dapr_namespace=settings.dapr.namespace)
            for one in settings.clusters
        ]
        self._readings = {
            view.name: Reading(view=view, error=running.missing.get(view.name, "not asked yet"))
            for view in views
        }
        self._problems: Sequence[Check] = ()
        self._change = asyncio.Event()
        self._doctor = Doctor(running)

    async def run(self) -> None:
        """Read until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for config, api in self._asked():
                tasks.create_task(self._follow(config, api))
            tasks.create_task(self._check())

    async def once(self) -> Moment:
        """Every cluster read one time: how it is, and nothing of what moves."""
        await asyncio.gather(
            *(self._read(config, Reader(self._running, config, api)) for config, api in self._asked())
        )
        self._problems = broken(self._platform())
        moment = self._moment()
        # None is due again: one that took long makes the others no older.
        return replace(
            moment, shows="moment", readings=[replace(one, due=math.inf) for one in moment.readings]
        )

    def frame(self, query: Query) -> Frame:
        """What is known now."""
        return frame(self._moment(), query, time.time())

    def next_change(self) -> asyncio.Event:
        """Set by the next reading that tells of something else than traffic."""
        return self._change

    async def doctor(self, subject: str) -> dict[str, Any]:
        """What the doctor says about a service or a cluster, at most `DOCTOR_SECONDS` old."""
        at, checks = await self._doctor.examine()
        return {"at": at, "checks": [check.as_json() for check in checks if about(check, subject)]}

    def _asked(self) -> list[tuple[ClusterSettings, Api]]:
        """The clusters with an API to ask."""
        apis = self._running.apis
        return [(one, apis[one.name]) for one in self._running.settings.clusters if one.name in apis]

    def _moment(self) -> Moment:
        readings = [self._readings[config.name] for config in self._running.settings.clusters]
        return Moment(platform=self._platform(), readings=readings, problems=self._problems)

    def _platform(self) -> Platform:
        views = (
            replace(one.view, error=one.error) if one.error else one.view for one in self._readings.values()
        )
        return Platform(
            environment=self._running.engine.environment,
            settings=self._running.settings,
            clusters=tuple(views),
            docker=False,
            at=time.time(),
        )

    async def _follow(self, config: ClusterSettings, api: Api) -> None:
        reader = Reader(self._running, config, api)
        rest = 0.0
        try:
            while True:
                await asyncio.sleep(rest)
                rest = await self._read(config, reader)
        finally:
            reader.end()

    async def _read(self, config: ClusterSettings, reader: Reader) -> float:
        """Read a cluster; seconds until it is to be read again."""
        began = time.monotonic()
        before = self._readings[config.name]
        now = await reader.read(before)
        took = time.monotonic() - began
        rest = pause(took, reader.paged, reader.work, len(self._readings)) - took
        self._readings[config.name] = replace(now, due=time.time() + rest)
        if now.error != before.error or now.services != before.services:
            self._change.set()
            self._change = asyncio.Event()
        return rest

    async def _check(self) -> None:
        while True:
            began = time.monotonic()
            self._problems = broken(self._platform())
            await asyncio.sleep(max(CHECK_SECONDS, 10 * (time.monotonic() - began)))


def pause(took: float, paged: float, work: float, clusters: int) -> float:
    """Seconds from the beginning of a cluster's reading to that of the next.

    An API server is left alone for a third of the time, of which a reading took `took`; gateways, whose pages
    took `paged`, for four fifths; and this machine, with `work` for each cluster's, for half.
    """
    return max(LEAST_PAUSE, 1.5 * took, 5 * paged, 2 * work * clusters)


class Reader:
    """Reads one cluster. `paged`: seconds until its gateways had answered; `work`: that they kept us busy."""

    def __init__(self, running: Running, config: ClusterSettings, api: Api) -> None:
        self._running = running
        self._config = config
        self._api = api
        self._look: asyncio.Task[ClusterView] | None = None
        self._look_due = 0.0
        self._restless_until = 0.0
        self._versions: object = None
        self.paged = self.work = 0.0
        listed = EVERYWHERE | (ON_THE_PLANE if config.role == "control-plane" else {})
        self._often = {kind: path for kind, path in listed.items() if path.startswith(FLOMESH)}

    async def read(self, before: Reading) -> Reading:
        """The next reading; one that says so when there is no answer."""
        try:
            view = await self._objects(before.view)
            asked = time.monotonic()
            texts = await self._pages(view)
            self.paged = time.monotonic() - asked
        except ApiError as error:
            self.end()
            return before.failed(str(error))
        began = time.perf_counter()
        try:
            view, counters = digested(view, texts)
            found = before.answered(view, counters, time.time())
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            return before.failed(f"what it answers is not understood: {type(error).__name__}: {error}")
        self.work = time.perf_counter() - began
        return found

    async def _objects(self, before: ClusterView) -> ClusterView:
        answers = await asyncio.gather(*(self._list(path) for path in self._often.values()))
        often = {k: listed for k, listed in zip(self._often, answers, strict=True) if listed is not None}
        versions = [meta(obj).get("resourceVersion") for listed in answers for obj in listed or ()]
        if versions != self._versions:
            self._versions, self._restless_until = versions, time.monotonic() + RESTLESS_SECONDS
        found = await self._whole(before)
        return replace(found, objects={**found.objects, **often})

    async def _whole(self, before: ClusterView) -> ClusterView:
        """The view as a look at everything last saw it, which nobody waits for but the first time."""
        now = time.monotonic()
        if self._look is None and (now >= self._look_due or now < self._restless_until):
            empty = replace(before, objects={}, gateways=(), unread={}, error="")
            looking = look_at(empty, self._running.settings, self._api, concerned(before))
            self._look = asyncio.create_task(looking)
        if self._look is None or (before.version and not self._look.done()):
            return before
        found, self._look, self._look_due = await self._look, None, now + WHOLE_SECONDS
        if found.error and not before.version:
            raise ApiError(found.error)
        return before if found.error else with_earlier(found, before)

    def end(self) -> None:
        """Stop looking; what was seen counts as old."""
        if self._look is not None:
            self._look.cancel()
        self._look, self._look_due, self._versions = None, 0.0, None

    async def _list(self, path: str) -> tuple[Object, ...] | None:
        """Objects; None when this cluster has no such ones, or does not tell. Raises ApiError without it."""
        try:
            return tuple((await self._api.json(path)).get("items") or ())
        except ApiError as error:
            if error.status >= ANSWERS_FROM or not error.status:
                raise
            return None

    async def _pages(self, view: ClusterView) -> dict[str, tuple[str, str] | str]:
        """Configuration and metrics of each gateway pod as text; one text, why not, when they are not had."""
        pods = view.ready_pods(SYSTEM, {"app": GATEWAY})
        answers = await asyncio.gather(*(self._page(pod) for pod in pods))
        return {key_of(pod)[1]: answer for pod, answer in zip(pods, answers, strict=True)}

    async def _page(self, pod: Object) -> tuple[str, str] | str:
        asked = (self._api.text(admin_path(pod, page)) for page in ("config", "metrics"))
        try:
            async with asyncio.timeout(PAGE_SECONDS):
                config, metrics = await asyncio.gather(*asked)
        except ApiError as error:
            return str(error)
        except TimeoutError:
            return f"does not answer within {PAGE_SECONDS:g} s"
        return config, metrics


def with_earlier(found: ClusterView, before: ClusterView) -> ClusterView:
    """What was found, and of what did not come in time what was there before. Pure."""
    late = {page for page, why in found.unread.items() if not why.is_refused}
    if not late:
        return found
    objects = dict(found.objects)
    for kind in dict.fromkeys(kind for kind, _ in sorted(late)):
        of = {namespace for one, namespace in late if one == kind}
        old = tuple(obj for obj in before.all(kind) if "" in of or key_of(obj)[0] in of)
        objects[kind] = objects.get(kind, ()) + old
    return replace(found, objects=objects)


def digested(
    view: ClusterView, texts: Mapping[str, tuple[str, str] | str]
) -> tuple[ClusterView, dict[str, Counters]]:
    """The view with what its gateways say, and what they count, by pod. Pure."""
    earlier = {gateway.pod: gateway for gateway in view.gateways}
    gateways: list[GatewayView] = []
    counters: dict[str, Counters] = {}
    for pod, text in texts.items():
        told = earlier.get(pod, GatewayView(pod=pod))
        if isinstance(text, str):
            gateways.append(replace(told, error=text))  # it routes as it did, as far as anybody knows
            continue
        config, metrics = text
        try:
            gateways.append(replace(told, config=json.loads(config), error=""))
        except ValueError:
            gateways.append(GatewayView(pod=pod, error=f"/config is no JSON: {config[:100]!r}"))
        counters[pod] = read(metrics)
    return replace(view, gateways=tuple(gateways)), counters


class Doctor:
    """The doctor, who is asked by many and looks once for all of them."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._looking: asyncio.Task[tuple[float, list[Check]]] | None = None

    async def examine(self) -> tuple[float, list[Check]]:
        """When it looked, and all checks."""
        if self._looking is None or (self._looking.done() and self._is_old(self._looking)):
            self._looking = asyncio.create_task(self._look())
        return await asyncio.shield(self._looking)

    async def _look(self) -> tuple[float, list[Check]]:
        checks = await after(self._running)
        return time.time(), checks

    def _is_old(self, done: asyncio.Task[tuple[float, list[Check]]]) -> bool:
        if done.cancelled() or done.exception():
            return True
        return time.time() - done.result()[0] > DOCTOR_SECONDS
