"""Objects of each cluster with the pods that are assumed. Pure.

Pods are not known before there are any: an app has a ready one where the settings deploy it, and a Service of
somebody else has one wherever it is exported.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from stacks.config.model import Settings

BACKEND_REFS = "multicluster.flomesh.io/backend-refs"
"""Annotation of an export: the Services that share its requests, as JSON."""

Object = Mapping[str, Any]
Key = tuple[str, str]
"""(namespace, name)."""
Objects = Mapping[str, list[Object]]
"""By the name of the cluster."""


@dataclass(frozen=True, kw_only=True)
class Assumed:
    """Objects with pods, and the Services, by cluster, of which it is only assumed that they are there."""

    objects: Objects
    others: tuple[tuple[str, Key], ...]


def with_pods(objects: Objects, settings: Settings) -> Assumed:
    """The objects with an EndpointSlice for each Service that has pods."""
    others: list[tuple[str, Key]] = []
    complete: dict[str, list[Object]] = {}
    for number, (cluster, listed) in enumerate(objects.items()):
        there = {_key(one) for one in listed if one["kind"] == "Service"}
        missing = {
            key: service
            for key, service in _exported(listed)
            if key not in there and key not in _of_apps(settings)
        }
        others += [(cluster, key) for key in missing]
        found = [*listed, *missing.values()]
        asleep = _asleep(settings, cluster)
        awake = [one for one in found if one["kind"] == "Service" and _key(one) not in asleep]
        complete[cluster] = [
            *found,
            *(
                _slice(one, f"10.{number & 255}.{index >> 8 & 255}.{index & 255}")
                for index, one in enumerate(awake, 1)
            ),
        ]
    return Assumed(objects=complete, others=tuple(others))


def _of_apps(settings: Settings) -> frozenset[Key]:
    """Services whose apps the settings deploy, wherever; what a chart or manifests bring is not known."""
    return frozenset((app.namespace, app.service) for app in settings.apps if not app.is_packaged)


def _asleep(settings: Settings, cluster: str) -> frozenset[Key]:
    """Services of apps that have no pod in a cluster."""
    here = (app for app in settings.apps if cluster in app.clusters)
    return frozenset((app.namespace, app.service) for app in here if app.on(cluster).replicas == 0)


def _exported(objects: Iterable[Object]) -> Iterator[tuple[Key, Object]]:
    """The Services that exports lead to, as they would have to be."""
    for export in objects:
        if export["kind"] != "ServiceExport":
            continue
        namespace, own = _key(export)
        listed = json.loads(_annotations(export).get(BACKEND_REFS) or "[]")
        ports = sorted({int(rule["portNumber"]) for rule in export["spec"]["rules"]})
        for name in dict.fromkeys([own, *(str(one["name"]) for one in listed)]):
            yield (
                (namespace, name),
                {
                    "apiVersion": "v1", "kind": "Service",
                    "metadata": {"name": name, "namespace": namespace},
                    "spec": {
                        "selector": {"app": name},
                        "ports": [{"name": f"http-{port}", "port": port} for port in ports],
                    },
                },
            )  # fmt: skip


def _slice(service: Object, address: str) -> dict[str, Any]:
    """One ready pod."""
    namespace, name = _key(service)
    ports = [
        {"name": port.get("name") or "", "port": int(port["port"]), "protocol": "TCP"}
        for port in service["spec"].get("ports") or ()
    ]
    return {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {
            "name": name, "namespace": namespace, "labels": {"kubernetes.io/service-name": name},
        },
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        "ports": ports,
    }  # fmt: skip


def _key(obj: Object) -> Key:
    return str(obj["metadata"].get("namespace") or ""), str(obj["metadata"]["name"])


def _annotations(obj: Object) -> Mapping[str, str]:
    return obj["metadata"].get("annotations") or {}
