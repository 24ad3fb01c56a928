"""Reads every cluster of an environment at once. What does not answer becomes a word in the view."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from cli.observe.api import Api, ApiError
from cli.observe.view import (
    DAPR_ROOTS,
    GATEWAY,
    SYSTEM,
    ClusterView,
    GatewayView,
    Object,
    Platform,
    Unread,
    admin_port,
    key_of,
)
from stacks.config.model import Settings

FLOMESH = "/apis/flomesh.io/v1alpha1"
EVERYWHERE = {
    "Node": "/api/v1/nodes",
    "Namespace": "/api/v1/namespaces",
    "ServiceExport": f"{FLOMESH}/serviceexports",
    "ServiceImport": f"{FLOMESH}/serviceimports",
    "GlobalTrafficPolicy": f"{FLOMESH}/globaltrafficpolicies",
}
ON_THE_PLANE = {"Cluster": f"{FLOMESH}/clusters"}
ON_MEMBERS = {
    "Component": "/apis/dapr.io/v1alpha1/components",
    "HTTPEndpoint": "/apis/dapr.io/v1alpha1/httpendpoints",
}
MAY_LACK = {"HTTPEndpoint"}
"""Not in every version: then there are none."""
NAMED = ("ServiceExport", "ServiceImport", "GlobalTrafficPolicy", "HTTPEndpoint")
"""What is for services and callers in namespaces of users."""
# Of the namespaces that concern us alone: a cluster of someone else may hold thousands of pods.
OF_NAMESPACES = {
    "Pod": "/api/v1/namespaces/{}/pods",
    "Service": "/api/v1/namespaces/{}/services",
    "EndpointSlice": "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "StatefulSet": "/apis/apps/v1/namespaces/{}/statefulsets",
}
DAPR_ROOTS_PAGE = "/api/v1/namespaces/{}/configmaps?fieldSelector=metadata.name%3D" + DAPR_ROOTS
DNS = "kube-system"
NOT_FOUND = 404
AGAIN_SECONDS = 1.0
"""Patience with a cluster that is looked at over and over: a slow one is asked again soon."""


def namespaces(settings: Settings) -> list[str]:
    """The namespaces that concern an environment."""
    named = {app.namespace for app in settings.apps} | {export.namespace for export in settings.exports}
    named |= {policy.namespace for policy in settings.policies}
    return sorted(named | {SYSTEM, settings.dapr.namespace, DNS})


async def observe(
    environment: str,
    settings: Settings,
    apis: Mapping[str, Api],
    *,
    missing: Mapping[str, str] | None = None,
    containers: Mapping[str, str] | None = None,
    before: Platform | None = None,
) -> Platform:
    """The whole environment now. `missing` says why a cluster has no API in `apis`.

    `before`: an earlier look, which says where to look at once; without it, namespaces that the settings do
    not name are looked into once they are known.
    """
    views = await asyncio.gather(
        *(
            _cluster(
                ClusterView(
                    environment=environment, settings=config, dapr_namespace=settings.dapr.namespace,
                    error=(missing or {}).get(config.name, "not asked"),
                ),
                settings,
                apis.get(config.name),
                before.cluster(config.name) if before is not None else None,
            )
            for config in settings.clusters
        )
    )  # fmt: skip
    return Platform(
        environment=environment,
        settings=settings,
        clusters=tuple(views),
        containers=containers or {},
        at=time.time(),
    )


async def _cluster(
    view: ClusterView, settings: Settings, api: Api | None, before: ClusterView | None
) -> ClusterView:
    """The view with what the cluster answers; as it is, with its error, when there is no API to ask."""
    if api is None:
        return view
    if before is None:
        return await look_at(replace(view, error=""), settings, api, set())
    try:
        async with asyncio.timeout(AGAIN_SECONDS):
            return await look_at(replace(view, error=""), settings, api, concerned(before))
    except TimeoutError:
        return replace(view, error=f"does not answer within {AGAIN_SECONDS:g} s")


async def look_at(view: ClusterView, settings: Settings, api: Api, more: set[str]) -> ClusterView:
    """The view with all that a cluster answers. `more`: namespaces beside those of the settings."""
    known = {*namespaces(settings), *more} - {DNS}  # of which only an archive has something to say
    of_dapr = {} if view.settings.dapr == "none" else ON_MEMBERS
    listed = EVERYWHERE | (ON_THE_PLANE if view.settings.role == "control-plane" else of_dapr)
    if of_dapr:
        listed |= {"ConfigMap": DAPR_ROOTS_PAGE.format(view.dapr_namespace)}
    # All that is known to be wanted is asked for at once: a turn takes as long as its slowest answer.
    pages = asyncio.create_task(_read(view, api, [*listed.items(), *_within(known)]))
    try:
        version = str((await api.json("/version"))["gitVersion"])
        view = replace(await pages, version=version)
    except ApiError as error:
        return replace(view, error=str(error))
    finally:
        pages.cancel()  # when there is nobody, nothing is waited for
    pods = view.ready_pods(SYSTEM, {"app": GATEWAY})
    mutual_tls = settings.gateway.mutual_tls != "off"
    async with asyncio.TaskGroup() as tasks:
        rest = tasks.create_task(_read(view, api, _within(concerned(view) - known)))
        gateways = [tasks.create_task(_gateway(api, pod, mutual_tls=mutual_tls)) for pod in pods]
    return replace(rest.result(), gateways=tuple(one.result() for one in gateways))


def concerned(view: ClusterView) -> set[str]:
    """Namespaces with services and callers in them, whether or not the settings name them."""
    return {key_of(obj)[0] for kind in NAMED for obj in view.all(kind)}


def _within(found: Collection[str]) -> list[tuple[str, str]]:
    """The pages of these namespaces."""
    return [(kind, path.format(one)) for kind, path in OF_NAMESPACES.items() for one in sorted(found)]


async def _read(view: ClusterView, api: Api, pages: Sequence[tuple[str, str]]) -> ClusterView:
    """The view with the objects of more pages, each a kind and a path."""
    objects, unread = dict(view.objects), dict(view.unread)
    answers = await asyncio.gather(*(_list(api, *page) for page in pages))
    for (kind, path), answer in zip(pages, answers, strict=True):
        if isinstance(answer, Unread):
            unread[kind, _namespace(path)] = answer
        else:
            objects[kind] = (*objects.get(kind, ()), *answer)
    return replace(view, objects=objects, unread=unread)


def _namespace(path: str) -> str:
    """Whose objects a page lists; empty when it lists those of all namespaces."""
    return path.partition("/namespaces/")[2].partition("/")[0]


async def _list(api: Api, kind: str, path: str) -> tuple[Object, ...] | Unread:
    """Objects at a path, or why they cannot be had."""
    try:
        return tuple((await api.json(path)).get("items") or [])
    except ApiError as error:
        absent = error.status == NOT_FOUND and kind in MAY_LACK
        return () if absent else Unread(str(error), error.status)


async def _gateway(api: Api, running: Object, *, mutual_tls: bool) -> GatewayView:
    pod = key_of(running)[1]
    view = GatewayView(pod=pod)
    try:
        view = replace(view, config=await api.json(admin_path(running, "config")))
        return replace(view, peers=await api.json(admin_path(running, "peers"))) if mutual_tls else view
    except ApiError as error:
        return replace(view, error=str(error))


def admin_path(running: Object, page: str) -> str:
    """Where the API server passes on what is asked of a gateway pod's admin pages."""
    return f"/api/v1/namespaces/{SYSTEM}/pods/{key_of(running)[1]}:{admin_port(running)}/proxy/{page}"
