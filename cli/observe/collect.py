"""Reads every cluster of an environment at once. What does not answer becomes a word in the view."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
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
    admin_port,
    key_of,
)
from stacks.config.model import ClusterSettings, Settings

FLOMESH = "/apis/flomesh.io/v1alpha1"
EVERYWHERE = {
    "Node": "/api/v1/nodes",
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
DNS = "kube-system"
NOT_FOUND = 404


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
) -> Platform:
    """The whole environment now. `missing` says why a cluster has no API in `apis`."""
    views = await asyncio.gather(
        *(
            _cluster(
                environment,
                config,
                settings,
                apis.get(config.name),
                (missing or {}).get(config.name, "not asked"),
            )
            for config in settings.clusters
        )
    )
    return Platform(
        environment=environment,
        settings=settings,
        clusters=tuple(views),
        containers=containers or {},
        at=time.time(),
    )


async def _cluster(
    environment: str, config: ClusterSettings, settings: Settings, api: Api | None, why: str
) -> ClusterView:
    view = ClusterView(environment=environment, settings=config, dapr_namespace=settings.dapr.namespace)
    if api is None:
        return replace(view, error=why)
    try:
        version = str((await api.json("/version"))["gitVersion"])
    except ApiError as error:
        return replace(view, error=str(error))
    of_dapr = {} if config.dapr == "none" else ON_MEMBERS
    listed = EVERYWHERE | (ON_THE_PLANE if config.role == "control-plane" else of_dapr)
    view = replace(view, version=version)
    view = await _read(view, api, list(listed.items()))
    concerned = {key_of(obj)[0] for kind in NAMED for obj in view.all(kind)} | set(namespaces(settings))
    pages = [
        (kind, path.format(namespace))
        for kind, path in OF_NAMESPACES.items()
        for namespace in sorted(concerned)
    ]
    view = await _read(view, api, pages)
    if of_dapr:
        view = await _dapr_roots(view, api)
    pods = view.ready_pods(SYSTEM, {"app": GATEWAY})
    mutual_tls = settings.gateway.mutual_tls != "off"
    gateways = await asyncio.gather(*(_gateway(api, pod, mutual_tls=mutual_tls) for pod in pods))
    return replace(view, gateways=tuple(gateways))


async def _read(view: ClusterView, api: Api, pages: Sequence[tuple[str, str]]) -> ClusterView:
    """The view with the objects of more pages, each a kind and a path."""
    objects, unread = dict(view.objects), dict(view.unread)
    answers = await asyncio.gather(*(_list(api, *page) for page in pages))
    for (kind, _), answer in zip(pages, answers, strict=True):
        if isinstance(answer, str):
            unread[kind] = answer
        else:
            objects[kind] = (*objects.get(kind, ()), *answer)
    return replace(view, objects=objects, unread=unread)


async def _list(api: Api, kind: str, path: str) -> tuple[Object, ...] | str:
    """Objects at a path; a text when they cannot be had."""
    try:
        return tuple((await api.json(path)).get("items") or [])
    except ApiError as error:
        return () if error.status == NOT_FOUND and kind in MAY_LACK else str(error)


async def _dapr_roots(view: ClusterView, api: Api) -> ClusterView:
    path = f"/api/v1/namespaces/{view.dapr_namespace}/configmaps/{DAPR_ROOTS}"
    try:
        found = await api.json(path)
    except ApiError as error:
        unread = {} if error.status == NOT_FOUND else {"ConfigMap": str(error)}
        return replace(view, unread={**view.unread, **unread})
    return replace(view, objects={**view.objects, "ConfigMap": (found,)})


async def _gateway(api: Api, running: Object, *, mutual_tls: bool) -> GatewayView:
    pod = key_of(running)[1]
    admin = f"/api/v1/namespaces/{SYSTEM}/pods/{pod}:{admin_port(running)}/proxy"
    view = GatewayView(pod=pod)
    try:
        view = replace(view, config=await api.json(f"{admin}/config"))
        return replace(view, peers=await api.json(f"{admin}/peers")) if mutual_tls else view
    except ApiError as error:
        return replace(view, error=str(error))
