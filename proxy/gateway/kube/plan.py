"""What the hub wants: the imports of every cluster and the conditions of every export. Pure.

The plan is made whole, from scratch, each time anything changed. So there is no order of events to get
wrong: a late joiner, a Service created after its export, an export withdrawn before its Service or after
it, all end in the same plan.

What is not known is left as it is: a member whose exports were never read (the hub was restarted while it
is down) keeps the endpoints it has in the other clusters' imports.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.core.app_ids import APP_ID
from gateway.core.claims import Grant
from gateway.core.conditions import Condition, conflict, valid
from gateway.core.host_grants import HostGrant
from gateway.core.objects import (
    FLOMESH,
    HUB,
    MANAGED_BY,
    Key,
    Object,
    annotation,
    is_hub_import,
    listed,
    number,
    spec_of,
)
from gateway.core.timeouts import TIMEOUTS, Timeouts
from gateway.kube.cluster_view import ClusterView
from gateway.kube.door import settle_paths
from gateway.kube.exporters import IMPORT_PORTS, Exporter, gather
from gateway.kube.peer_objects import NO_PEERS_PLAN, PeersPlan
from gateway.kube.resources import IMPORT


@dataclass(frozen=True, slots=True)
class Plan:
    """By cluster key: the import bodies it should have, and the conditions its exports should show.

    A cluster whose own imports were never read has no entry in `imports`: endpoints of a member that is
    down may be known from there alone, and a plan without them would drop them.
    """

    imports: Mapping[str, Mapping[Key, Mapping[str, Any]]]
    conditions: Mapping[str, Mapping[Key, tuple[Condition, ...]]]
    faults: Mapping[str, str]
    """By key of a cluster that serves nonsense: what is said of it."""
    peers: PeersPlan = NO_PEERS_PLAN


def plan(views: Sequence[ClusterView], grants: Iterable[Grant] = (), hosts: Sequence[HostGrant] = ()) -> Plan:
    """`grants`: paths of the front door that the settings delegate. `hosts`: what exports may have."""
    gathered = gather(views, hosts)
    services = gathered.services
    settle_paths(views, services, grants)
    unknown = {view.key for view in views if not view.is_read} | gathered.unread
    writer = _Writer()
    imports: dict[str, dict[Key, Mapping[str, Any]]] = {}
    for view in views:
        if view.imports is None:
            continue
        wanted = imports.setdefault(view.key, {})
        kept = {key: imported for key, imported in view.imports.items() if is_hub_import(imported)}
        for key in sorted(services.keys() | kept.keys()):
            exporters = [exporter for exporter in services.get(key, ()) if exporter.reaches(view.key)]
            if key[0] not in view.namespaces:
                _absent(view, key, exporters)
                continue
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
                valid(exporter.told(), reachable=exporter.view.address is not None, clusters=conditions),
                conflict(exporter.conflicts),
            )
    peers = _peers(views)
    return Plan(imports, conditions, {**peers.faults, **gathered.faults}, peers)


def _peers(views: Sequence[ClusterView]) -> PeersPlan:
    if all(view.peers is None for view in views):
        return NO_PEERS_PLAN
    # 9 MiB that a hub without mutual TLS does not need.
    from gateway.kube.peers_plan import plan_peers  # noqa: PLC0415

    return plan_peers(views)


def _absent(view: ClusterView, key: Key, exporters: Iterable[Exporter]) -> None:
    for exporter in exporters:
        if exporter.ports:
            exporter.notes.append(f"not imported by {view.key}, which has no namespace {key[0]}")


class _Writer:
    """Writes import bodies. Importers that see the same exporters share one: nearly all of them do."""

    def __init__(self) -> None:
        self._made: dict[tuple[Key, tuple[str, ...]], Mapping[str, Any] | None] = {}

    def body(
        self, key: Key, exporters: Sequence[Exporter], existing: Object, unknown: set[str]
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
        key: Key, exporters: Sequence[Exporter], existing: Object, unknown: set[str]
    ) -> Mapping[str, Any] | None:
        ports = _ports(exporters, existing, unknown)
        if not ports:
            return None
        accounts = [exporter.export.service_account for exporter in exporters]
        accounts.append(str(spec_of(existing).get("serviceAccountName") or ""))
        app_ids = [exporter.app_id for exporter in exporters]
        timeouts = [Timeouts(request=exporter.request_timeout).annotation() for exporter in exporters]
        if any(kept["clusterKey"] in unknown for port in ports for kept in port["endpoints"]):
            app_ids.append(annotation(existing, APP_ID))
            timeouts.append(annotation(existing, TIMEOUTS))
        said = {APP_ID: next(filter(None, app_ids), ""), TIMEOUTS: next(filter(None, timeouts), "")}
        return _import(key, ports, next(filter(None, accounts), ""), said)


def carried(imported: Object) -> dict[str, str | None]:
    """The annotations by which an import says what its exports say; None for those it does not have."""
    return {name: annotation(imported, name) or None for name in (APP_ID, TIMEOUTS)}


def _ports(exporters: Sequence[Exporter], existing: Object, unknown: set[str]) -> list[dict[str, Any]]:
    ports: dict[int, dict[str, Any]] = {}
    for exporter in exporters:
        if (address := exporter.view.address) is None:
            continue
        for exported in exporter.ports:
            said = {"name": exported.name, "appProtocol": exported.app_protocol}
            target = {"host": address.host, "ip": address.ip, "port": address.port, "path": exported.path}
            endpoint: dict[str, Any] = {"clusterKey": exporter.view.key, "target": target}
            if exported.path in exporter.not_at_door:
                endpoint["frontDoor"] = False
            _port(ports, exported.number, said)["endpoints"].append(endpoint)
    for before in listed(spec_of(existing), "ports"):
        for kept in listed(before, "endpoints"):
            wanted = number(before, "port")
            room = wanted in ports or len(ports) < IMPORT_PORTS
            if str(kept.get("clusterKey")) in unknown and room:
                _port(ports, wanted, before)["endpoints"].append(kept)
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


def _import(key: Key, ports: list[dict[str, Any]], account: str, said: Mapping[str, str]) -> dict[str, Any]:
    """`said`: its annotations; empty ones are left out."""
    spec: dict[str, Any] = {"type": "ClusterSetIP", "ports": ports}
    spec |= {"serviceAccountName": account} if account else {}
    metadata: dict[str, Any] = {"namespace": key[0], "name": key[1], "labels": {MANAGED_BY: HUB}}
    annotations = {name: value for name, value in said.items() if value}
    metadata |= {"annotations": annotations} if annotations else {}
    return {"apiVersion": FLOMESH, "kind": IMPORT.kind, "metadata": metadata, "spec": spec}


def same_import(existing: Object, wanted: Mapping[str, Any]) -> bool:
    """Whether the existing import says what is wanted. Nothing but defaults is added by the API server."""
    same = dict(spec_of(existing)) == wanted["spec"] and carried(existing) == carried(wanted)
    return same and is_hub_import(existing)
