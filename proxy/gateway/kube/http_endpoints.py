"""Dapr HTTPEndpoints: what lets Dapr apps call imported services by app-id. Pure.

A sidecar that is asked for an app-id looks among the HTTPEndpoints of its own namespace before it resolves
the id. So each imported service with an app-id gets an HTTPEndpoint of that name in the namespaces of
callers, and its address is the derived Service that always follows the policy. It has no `scopes`, a list of
the callers' app-ids: the namespace is the scope. Such a list would change with every app that comes, and each
change restarts the runtime of all sidecars that see it, or is not seen before their next start (Dapr up to
1.17).

In clusters that export the service too there is one only while the policy lets requests leave: otherwise
Dapr's own way between sidecars is left alone.

An import cannot own objects of other namespaces. Their owner is the namespace of the gateway, with which they
go when the program is uninstalled; all else is taken back here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from gateway.core.app_ids import CALLERS, Candidate, read_app_id, settle
from gateway.core.conditions import Condition, dapr_invocable, not_invocable
from gateway.core.derived_names import LONGEST_NAME, cluster_set_name
from gateway.core.exports import HTTP, protocol_of
from gateway.core.fields import FieldError
from gateway.core.hosts import CLUSTER_DOMAIN
from gateway.core.objects import (
    DERIVED,
    Key,
    Object,
    annotation,
    created,
    is_deleted,
    is_derived_service,
    is_marked,
    label,
    listed,
    number,
    spec_of,
    uid_of,
)
from gateway.kube.actions import Action, delete, ensure
from gateway.kube.resources import HTTP_ENDPOINT, NAMESPACE

DAPR_ENABLED = "dapr.io/enabled"
DAPR_APP_ID = "dapr.io/app-id"
"""Label and annotation of the Service `<app-id>-dapr` that Dapr's operator makes for each app."""
IMPORT_OF = "multicluster.flomesh.io/import"
"""Annotation of an HTTPEndpoint: the import it is for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dapr:
    """What decides about HTTPEndpoints, beside the imports."""

    namespaces: Mapping[Key, Object]
    services: Mapping[Key, Object]
    exports: Mapping[Key, Object]
    endpoints: Mapping[Key, Object]
    """The HTTPEndpoints that there are."""
    leaves: Callable[[Key], bool]
    """Whether the policy of a service lets requests leave the cluster."""
    home: str
    """The gateway's own namespace."""
    domain: str = CLUSTER_DOMAIN
    """The cluster's DNS domain."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be written for Dapr."""

    actions: list[Action] = field(default_factory=list)
    conditions: dict[Key, Condition] = field(default_factory=dict)
    """Of the imports that have an app-id."""


def plan_endpoints(imports: Mapping[Key, Object], dapr: Dapr) -> Wanted:
    """The writes that bring the HTTPEndpoints to what they should be, and what the imports say of theirs."""
    wanted = Wanted()
    candidates: list[Candidate] = []
    urls: dict[Key, str] = {}
    for key, imported in sorted(imports.items()):
        try:
            app_id = read_app_id(imported)
            if app_id:
                urls[key] = _url(key, imported, dapr)
                candidates.append(
                    Candidate(key, app_id, created(imported), key in dapr.exports, dapr.leaves(key))
                )
        except FieldError as error:
            wanted.conditions[key] = not_invocable(error)
    owners: dict[Key, Key] = {}
    if candidates:
        foreign = {key for key, endpoint in dapr.endpoints.items() if not is_marked(endpoint)}
        holders = {key: annotation(one, IMPORT_OF) for key, one in dapr.endpoints.items() if is_marked(one)}
        found = settle(candidates, _callers(dapr), local_apps(dapr.services), foreign, holders)
        for key, settled in found.items():
            wanted.conditions[key] = dapr_invocable(settled)
            owners |= {(namespace, settled.app_id): key for namespace in settled.namespaces}
    wanted.actions.extend(_writes(owners, urls, dapr))
    return wanted


def local_apps(services: Mapping[Key, Object]) -> dict[str, set[str]]:
    """Namespaces of this cluster's Dapr apps by app-id, as Dapr's operator publishes them."""
    apps: dict[str, set[str]] = {}
    for (namespace, name), service in services.items():
        if name.endswith("-dapr") and label(service, DAPR_ENABLED) == "true":
            app_id = annotation(service, DAPR_APP_ID)
            if name == f"{app_id}-dapr":
                apps.setdefault(app_id, set()).add(namespace)
    return apps


def _callers(dapr: Dapr) -> set[str]:
    return {
        name
        for (_, name), namespace in dapr.namespaces.items()
        if label(namespace, CALLERS) == "true" and not is_deleted(namespace)
    }


def _url(key: Key, imported: Object, dapr: Dapr) -> str:
    """Of the lowest HTTP port of the derived Service. FieldError when that cannot be called.

    HTTP is all that an HTTPEndpoint speaks. Whether the Service is there already does not count: it comes.
    """
    ports = [
        number(port, "port")
        for port in listed(spec_of(imported), "ports")
        if port.get("protocol", "TCP") == "TCP"
        and protocol_of(str(port.get("name") or ""), str(port.get("appProtocol") or "")) in HTTP
    ]
    if not ports:
        message = "no imported port speaks HTTP: Dapr calls other services by app-id only over HTTP"
        raise FieldError("NoHttpPort", message)
    name = cluster_set_name(key[1])
    if len(name) > LONGEST_NAME:
        message = (
            f"Service {name} would be longer than {LONGEST_NAME} characters: export it by a shorter name"
        )
        raise FieldError("NameTooLong", message)
    service = dapr.services.get((key[0], name))
    if service is not None and not is_derived_service(service):
        message = f"there is a Service {name} that the gateway did not make: calls would end there"
        raise FieldError("ForeignService", message)
    return f"http://{name}.{key[0]}.svc.{dapr.domain}:{min(ports)}"


def _body(name: Key, imported: Key, url: str, dapr: Dapr) -> Mapping[str, object]:
    home = dapr.namespaces.get(("", dapr.home), {})
    owner = {
        "apiVersion": NAMESPACE.api_version,
        "kind": NAMESPACE.kind,
        "name": dapr.home,
        "uid": uid_of(home),
    }
    metadata = {
        "namespace": name[0],
        "name": name[1],
        "labels": dict(DERIVED),
        "annotations": {IMPORT_OF: "/".join(imported)},
    }
    return {
        "apiVersion": HTTP_ENDPOINT.api_version,
        "kind": HTTP_ENDPOINT.kind,
        "metadata": metadata | ({"ownerReferences": [owner]} if home else {}),
        "spec": {"baseUrl": url},
    }


def _writes(owners: Mapping[Key, Key], urls: Mapping[Key, str], dapr: Dapr) -> Iterator[Action]:
    for name, imported in sorted(owners.items()):
        body = _body(name, imported, urls[imported], dapr)
        yield from ensure(HTTP_ENDPOINT, name, body, dapr.endpoints.get(name), imported)
    for name, endpoint in sorted(dapr.endpoints.items()):
        if is_marked(endpoint) and name not in owners:
            yield delete(HTTP_ENDPOINT, name, endpoint)
