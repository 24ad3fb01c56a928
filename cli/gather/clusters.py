"""What is read from each cluster: objects, events, logs, and each gateway's own pages."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

from cli.gather.archive import Archive
from cli.gather.redact import cluster_secrets
from cli.observe.api import Api, ApiError
from cli.observe.collect import namespaces
from cli.observe.view import SYSTEM, ClusterView, Object, Platform, admin_port, key_of, spec, status
from stacks.config.model import Settings

LOG_LINES, LOG_BYTES = 2000, 1_000_000
PARALLEL = 8
"""Requests to one API server at a time."""


async def secrets_of(apis: Mapping[str, Api], settings: Settings) -> set[str]:
    """Values of the Secrets in the namespaces that concern us; of a cluster that does not answer none."""
    pages = [
        (api, f"/api/v1/namespaces/{name}/secrets") for api in apis.values() for name in namespaces(settings)
    ]
    found: set[str] = set()
    for answer in await asyncio.gather(*(_secrets(api, path) for api, path in pages)):
        found |= answer
    return found


async def _secrets(api: Api, path: str) -> set[str]:
    try:
        listed = (await api.json(path)).get("items") or []
    except ApiError:
        return set()
    return {value for secret in listed for value in cluster_secrets(secret)}


async def gather_clusters(archive: Archive, platform: Platform, apis: Mapping[str, Api]) -> None:
    """Everything of every cluster, clusters at once."""
    await asyncio.gather(
        *(_cluster(archive, platform, view, apis.get(view.name)) for view in platform.clusters)
    )


async def _cluster(archive: Archive, platform: Platform, view: ClusterView, api: Api | None) -> None:
    folder = f"clusters/{view.name}"
    if api is None or view.error:
        archive.lacks(f"cluster {view.name}", view.error or "not asked")
        return
    archive.text(f"{folder}/version.txt", f"Kubernetes {view.version}\n")
    for (kind, namespace), why in view.unread.items():
        of = f"{view.name}, namespace {namespace}" if namespace else view.name
        archive.lacks(f"{kind} objects of {of}", why.reason)
    for kind, objects in view.objects.items():
        archive.json(f"{folder}/objects/{kind}.json", [_short(obj) for obj in objects])
    limit = asyncio.Semaphore(PARALLEL)

    async def page(path: str, source: str) -> None:
        async with limit:
            try:
                archive.text(f"{folder}/{path}", await api.text(source))
            except ApiError as error:
                archive.lacks(f"{path} of {view.name}", error)

    pages = [*_events(platform), *(entry for pod in view.all("Pod") for entry in (*_logs(pod), *_admin(pod)))]
    await asyncio.gather(*(page(path, source) for path, source in pages))


def _short(obj: Object) -> dict[str, Any]:
    metadata = {name: value for name, value in obj["metadata"].items() if name != "managedFields"}
    return {**obj, "metadata": metadata}


def _events(platform: Platform) -> Iterator[tuple[str, str]]:
    for namespace in namespaces(platform.settings):
        yield f"events/{namespace}.json", f"/api/v1/namespaces/{namespace}/events"


def _logs(pod: Object) -> Iterator[tuple[str, str]]:
    """The log of each container that has begun, and of its run before when there was one."""
    namespace, name = key_of(pod)
    found = [*(status(pod).get("containerStatuses") or []), *(status(pod).get("initContainerStatuses") or [])]
    for container in found:
        query = f"container={container['name']}&tailLines={LOG_LINES}&limitBytes={LOG_BYTES}&timestamps=true"
        source = f"/api/v1/namespaces/{namespace}/pods/{name}/log?{query}"
        path = f"logs/{namespace}/{name}.{container['name']}"
        if "waiting" not in (container.get("state") or {}):
            yield f"{path}.log", source
        if container.get("restartCount"):
            yield f"{path}.previous.log", f"{source}&previous=true"


def _admin(pod: Object) -> Iterator[tuple[str, str]]:
    """A gateway's routes, peers and metrics; the hub has metrics alone."""
    namespace, name = key_of(pod)
    port = admin_port(pod)
    if namespace != SYSTEM or not port:
        return
    admin = f"/api/v1/namespaces/{namespace}/pods/{name}:{port}/proxy"
    yield f"admin/{name}.metrics.txt", f"{admin}/metrics"
    if "run" in (spec(pod).get("containers") or [{}])[0].get("args", []):
        yield f"admin/{name}.config.json", f"{admin}/config"
        yield f"admin/{name}.peers.json", f"{admin}/peers"
