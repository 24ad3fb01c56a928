"""What the hub wants: every cluster's imports and every export's verdict, from all that is known. Pure.

The plan is made whole, from scratch, each time anything changed. So there is no order of events to get
wrong: a late joiner, a Service created after its export, an un-export before or after its Service, all end
in the same plan.

What is not known is left as it is: a member whose exports were never read (the hub was restarted while it
is down) keeps the endpoints it has in the other clusters' imports.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.kube.exports import Offer, Verdict, judge_exports
from gateway.kube.objects import Key, Object, label, listed, port_of, section, spec_of
from gateway.kube.resources import FLOMESH, HUB, IMPORT, MANAGED_BY
from gateway.kube.status import Condition


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
    """None: its exports cannot be offered elsewhere (no member itself, or its host name never resolved)."""
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
    verdict: Verdict
    accepted: list[Offer] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)

    def reaches(self, key: str) -> bool:
        targets = self.verdict.targets
        return key != self.view.key and (not targets or key in targets)


def is_ours(imported: Object) -> bool:
    return label(imported, MANAGED_BY) == HUB


def plan(views: Sequence[ClusterView]) -> Plan:
    services = _exporters(views)
    for exporters in services.values():
        _settle_ports(exporters)
    unknown = {view.key for view in views if not view.known}
    writer = _Writer()
    imports: dict[str, dict[Key, Mapping[str, Any]]] = {}
    for view in views:
        if view.imports is None:
            continue
        wanted = imports.setdefault(view.key, {})
        kept = {key: imported for key, imported in view.imports.items() if is_ours(imported)}
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
    known_keys = {view.key for view in views}
    conditions: dict[str, dict[Key, tuple[Condition, ...]]] = {view.key: {} for view in views}
    for key, exporters in services.items():
        for exporter in exporters:
            conditions[exporter.view.key][key] = (
                exporter.verdict.condition(exporter.view.address is not None, known_keys),
                _conflict(exporter.conflicts),
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
        account = next((exporter.verdict.account for exporter in exporters if exporter.verdict.account), "")
        return _import(key, ports, account or str(spec_of(existing).get("serviceAccountName") or ""))


def _exporters(views: Iterable[ClusterView]) -> dict[Key, list[_Exporter]]:
    """All exports by service, the oldest first: where two disagree, the one that was there first counts."""
    services: dict[Key, list[_Exporter]] = {}
    for view in views:
        for key, verdict in judge_exports(view.exports or {}, view.services).items():
            services.setdefault(key, []).append(_Exporter(view, verdict))
    for exporters in services.values():
        exporters.sort(key=lambda exporter: (exporter.verdict.created, exporter.view.key))
    return services


def _settle_ports(exporters: Sequence[_Exporter]) -> None:
    """Merge port by port. A port with another protocol than in the first cluster is left out and named."""
    first: dict[int, tuple[Offer, str]] = {}
    for exporter in exporters:
        if exporter.view.address is None:
            continue
        for offer in exporter.verdict.offers:
            owner, where = first.setdefault(offer.port, (offer, exporter.view.key))
            if owner.application == offer.application:
                exporter.accepted.append(offer)
            else:
                exporter.conflicts.append(
                    f"port {offer.port} is {offer.application} here but {owner.application} in {where}, "
                    f"which exported it first; this cluster's is left out"
                )


def _ports(exporters: Sequence[_Exporter], existing: Object, unknown: set[str]) -> list[dict[str, Any]]:
    ports: dict[int, dict[str, Any]] = {}
    for exporter in exporters:
        if (address := exporter.view.address) is None:
            continue
        for offer in exporter.accepted:
            said = {"name": offer.name, "appProtocol": offer.app_protocol}
            target = {"host": address.host, "ip": address.ip, "port": address.port, "path": offer.path}
            endpoint = {"clusterKey": exporter.view.key, "target": target}
            _port(ports, offer.port, said)["endpoints"].append(endpoint)
    for before in listed(spec_of(existing), "ports"):
        for kept in listed(before, "endpoints"):
            if str(kept.get("clusterKey")) in unknown:
                _port(ports, port_of(before), before)["endpoints"].append(kept)
    for port in ports.values():
        port["endpoints"].sort(key=lambda endpoint: str(endpoint.get("clusterKey")))
    return [ports[number] for number in sorted(ports)]


def _port(ports: dict[int, dict[str, Any]], number: int, said: Object) -> dict[str, Any]:
    """The entry of this port, made as `said` if there is none yet.

    Clusters may give one name to different ports; in one Service names are unique.
    """
    if number in ports:
        return ports[number]
    name = str(said.get("name") or "")
    if name and any(port.get("name") == name for port in ports.values()):
        name = f"{name[:56]}-{number}"
    port: dict[str, Any] = {"port": number, "protocol": "TCP", "endpoints": []}
    port |= {"name": name} if name else {}
    port |= {"appProtocol": said["appProtocol"]} if said.get("appProtocol") else {}
    ports[number] = port
    return port


def _import(key: Key, ports: list[dict[str, Any]], account: str) -> dict[str, Any]:
    spec: dict[str, Any] = {"type": "ClusterSetIP", "ports": ports}
    spec |= {"serviceAccountName": account} if account else {}
    return {
        "apiVersion": FLOMESH,
        "kind": IMPORT.kind,
        "metadata": {"namespace": key[0], "name": key[1], "labels": {MANAGED_BY: HUB}},
        "spec": spec,
    }


def _conflict(conflicts: Sequence[str]) -> Condition:
    if conflicts:
        return Condition("Conflict", True, "Conflict", "; ".join(conflicts))
    return Condition("Conflict", False, "NoConflict", "no other cluster's export is in the way")


def same_import(existing: Object, wanted: Mapping[str, Any]) -> bool:
    """Whether the existing import says what is wanted. Nothing but defaults is added by the API server."""
    return (
        dict(spec_of(existing)) == wanted["spec"]
        and section(existing.get("metadata"), "labels").get(MANAGED_BY) == HUB
    )
