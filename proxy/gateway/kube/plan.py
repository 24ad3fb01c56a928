"""What the hub wants: the imports of every cluster and the conditions of every export. Pure.

The plan is made whole, from scratch, each time anything changed. So there is no order of events to get
wrong: a late joiner, a Service created after its export, an export withdrawn before its Service or after
it, all end in the same plan.

What is not known is left as it is: a member whose exports were never read (the hub was restarted while it
is down) keeps the endpoints it has in the other clusters' imports.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from gateway.core.app_ids import APP_ID
from gateway.core.conditions import Condition, conflict, valid
from gateway.core.exports import Evaluation, ExportedPort, evaluate_exports
from gateway.core.fields import FieldError
from gateway.core.objects import (
    FLOMESH,
    HUB,
    MANAGED_BY,
    Key,
    Object,
    annotation,
    is_derived_service,
    is_hub_import,
    listed,
    number,
    spec_of,
)
from gateway.core.services import Service, read_service
from gateway.kube.resources import IMPORT


@dataclass(frozen=True, slots=True)
class Address:
    """A cluster's gateway as the others dial it."""

    host: str
    ip: str
    port: int


@dataclass(frozen=True, slots=True)
class ClusterView:
    """One cluster as the hub knows it now."""

    key: str
    address: Address | None
    """None: nobody can import from it (no Cluster object, or its host name never resolved)."""
    exports: Mapping[Key, Object] | None
    """None: never read."""
    services: Mapping[Key, Object] = field(default_factory=dict)
    imports: Mapping[Key, Object] | None = None
    """What is there now, whoever made it. None: never read, so there is nothing to compare a plan with."""

    @property
    def known(self) -> bool:
        return self.exports is not None and self.address is not None


@dataclass(frozen=True, slots=True)
class Plan:
    """By cluster key: the import bodies it should have, and the conditions its exports should show.

    A cluster whose own imports were never read has no entry in `imports`: endpoints of a member that is
    down may be known from there alone, and a plan without them would drop them.
    """

    imports: Mapping[str, Mapping[Key, Mapping[str, Any]]]
    conditions: Mapping[str, Mapping[Key, tuple[Condition, ...]]]


@dataclass(slots=True)
class _Exporter:
    """One cluster's export of a service."""

    view: ClusterView
    export: Evaluation
    ports: list[ExportedPort] = field(default_factory=list)
    """Those that are imported elsewhere."""
    conflicts: list[str] = field(default_factory=list)
    app_id: str = ""
    """The app-id of the service, which its imports carry."""

    def reaches(self, key: str) -> bool:
        targets = self.export.target_clusters
        return key != self.view.key and (not targets or key in targets)


def plan(views: Sequence[ClusterView]) -> Plan:
    services = _exporters(views)
    for exporters in services.values():
        _settle_ports(exporters)
        _settle_app_id(exporters)
    unknown = {view.key for view in views if not view.known}
    writer = _Writer()
    imports: dict[str, dict[Key, Mapping[str, Any]]] = {}
    for view in views:
        if view.imports is None:
            continue
        wanted = imports.setdefault(view.key, {})
        kept = {key: imported for key, imported in view.imports.items() if is_hub_import(imported)}
        for key in sorted(services.keys() | kept.keys()):
            exporters = [exporter for exporter in services.get(key, ()) if exporter.reaches(view.key)]
            body = writer.body(key, exporters, kept.get(key, {}), unknown - {view.key})
            if body is not None and (key in kept or key not in view.imports):
                wanted[key] = body
            elif body is not None:
                for exporter in exporters:
                    exporter.conflicts.append(
                        f"{view.key} has a ServiceImport of this name the hub did not make; it is left alone"
                    )
    conditions: dict[str, dict[Key, tuple[Condition, ...]]] = {view.key: {} for view in views}
    for key, exporters in services.items():
        for exporter in exporters:
            conditions[exporter.view.key][key] = (
                valid(exporter.export, reachable=exporter.view.address is not None, clusters=conditions),
                conflict(exporter.conflicts),
            )
    return Plan(imports, conditions)


class _Writer:
    """Writes import bodies. Importers that see the same exporters share one: nearly all of them do."""

    def __init__(self) -> None:
        self._made: dict[tuple[Key, tuple[str, ...]], Mapping[str, Any] | None] = {}

    def body(
        self, key: Key, exporters: Sequence[_Exporter], existing: Object, unknown: set[str]
    ) -> Mapping[str, Any] | None:
        """None when there is nothing to import."""
        if unknown and existing:
            return self._write(key, exporters, existing, unknown)
        same = (key, tuple(exporter.view.key for exporter in exporters))
        if same not in self._made:
            self._made[same] = self._write(key, exporters, {}, set())
        return self._made[same]

    @staticmethod
    def _write(
        key: Key, exporters: Sequence[_Exporter], existing: Object, unknown: set[str]
    ) -> Mapping[str, Any] | None:
        ports = _ports(exporters, existing, unknown)
        if not ports:
            return None
        accounts = [exporter.export.service_account for exporter in exporters]
        accounts.append(str(spec_of(existing).get("serviceAccountName") or ""))
        app_ids = [exporter.app_id for exporter in exporters]
        if any(kept["clusterKey"] in unknown for port in ports for kept in port["endpoints"]):
            app_ids.append(app_id_of(existing))
        return _import(key, ports, next(filter(None, accounts), ""), next(filter(None, app_ids), ""))


def _exporters(views: Iterable[ClusterView]) -> dict[Key, list[_Exporter]]:
    """All exports by service, the oldest first: where two disagree, the one that was there first counts."""
    services: dict[Key, list[_Exporter]] = {}
    for view in views:
        for key, export in evaluate_exports(view.exports or {}, _own_services(view)).items():
            services.setdefault(key, []).append(_Exporter(view, export))
    for exporters in services.values():
        exporters.sort(key=lambda exporter: (exporter.export.created, exporter.view.key))
    return services


def _own_services(view: ClusterView) -> dict[Key, Service]:
    """The exported Services of a cluster; one derived from an import is served by others."""
    found: dict[Key, Service] = {}
    for key in view.exports or ():
        raw = view.services.get(key)
        if raw is not None and not is_derived_service(raw):
            with suppress(FieldError):  # as good as none: no API server stores such a Service
                found[key] = read_service(raw)
    return found


def _settle_ports(exporters: Sequence[_Exporter]) -> None:
    """Merge port by port. A port with another protocol than in the first cluster is left out and named."""
    first: dict[int, tuple[ExportedPort, str]] = {}
    for exporter in exporters:
        if exporter.view.address is None:
            continue
        for port in exporter.export.ports:
            owner, where = first.setdefault(port.number, (port, exporter.view.key))
            if owner.protocol == port.protocol:
                exporter.ports.append(port)
            else:
                exporter.conflicts.append(
                    f"port {port.number} is {port.protocol} here but {owner.protocol} in {where}, "
                    f"which exported it first; this cluster's is left out"
                )


def _settle_app_id(exporters: Sequence[_Exporter]) -> None:
    """One app-id per service, that of the oldest export that has one; exports without one agree to it."""
    having = [exporter for exporter in exporters if exporter.ports and exporter.export.app_id]
    for exporter in exporters if having else ():
        exporter.app_id = having[0].export.app_id
    for exporter in having:
        if exporter.export.app_id != exporter.app_id:
            exporter.conflicts.append(
                f"its app-id is {exporter.export.app_id} here but {exporter.app_id} in {having[0].view.key}, "
                f"which exported it first: Dapr apps of other clusters call it by that one"
            )


def app_id_of(imported: Object) -> str:
    """The app-id an import carries; empty for none."""
    return annotation(imported, APP_ID)


def _ports(exporters: Sequence[_Exporter], existing: Object, unknown: set[str]) -> list[dict[str, Any]]:
    ports: dict[int, dict[str, Any]] = {}
    for exporter in exporters:
        if (address := exporter.view.address) is None:
            continue
        for exported in exporter.ports:
            said = {"name": exported.name, "appProtocol": exported.app_protocol}
            target = {"host": address.host, "ip": address.ip, "port": address.port, "path": exported.path}
            endpoint = {"clusterKey": exporter.view.key, "target": target}
            _port(ports, exported.number, said)["endpoints"].append(endpoint)
    for before in listed(spec_of(existing), "ports"):
        for kept in listed(before, "endpoints"):
            if str(kept.get("clusterKey")) in unknown:
                _port(ports, number(before, "port"), before)["endpoints"].append(kept)
    for port in ports.values():
        port["endpoints"].sort(key=lambda endpoint: str(endpoint.get("clusterKey")))
    return [ports[wanted] for wanted in sorted(ports)]


def _port(ports: dict[int, dict[str, Any]], wanted: int, said: Object) -> dict[str, Any]:
    """The entry of this port, made as `said` if there is none yet.

    Clusters may give one name to different ports; in one Service names are unique.
    """
    if wanted in ports:
        return ports[wanted]
    name = str(said.get("name") or "")
    if name and any(port.get("name") == name for port in ports.values()):
        name = f"{name[:56]}-{wanted}"
    port: dict[str, Any] = {"port": wanted, "protocol": "TCP", "endpoints": []}
    port |= {"name": name} if name else {}
    port |= {"appProtocol": said["appProtocol"]} if said.get("appProtocol") else {}
    ports[wanted] = port
    return port


def _import(key: Key, ports: list[dict[str, Any]], account: str, app_id: str) -> dict[str, Any]:
    spec: dict[str, Any] = {"type": "ClusterSetIP", "ports": ports}
    spec |= {"serviceAccountName": account} if account else {}
    metadata: dict[str, Any] = {"namespace": key[0], "name": key[1], "labels": {MANAGED_BY: HUB}}
    metadata |= {"annotations": {APP_ID: app_id}} if app_id else {}
    return {"apiVersion": FLOMESH, "kind": IMPORT.kind, "metadata": metadata, "spec": spec}


def same_import(existing: Object, wanted: Mapping[str, Any]) -> bool:
    """Whether the existing import says what is wanted. Nothing but defaults is added by the API server."""
    same = dict(spec_of(existing)) == wanted["spec"] and app_id_of(existing) == app_id_of(wanted)
    return same and is_hub_import(existing)
