"""Who exports which service, and what of it the others import. Pure.

Members are not believed: what one says is checked as its API server should have checked it, is counted by the
control plane's word on what that member may export, and is dated by the hub. A member whose objects cannot be
evaluated costs the others nothing: it counts as one that was not read.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from gateway.core.admission import check_export, check_key, check_service
from gateway.core.exports import Evaluation, ExportedPort, evaluate_exports
from gateway.core.fields import FieldError
from gateway.core.host_grants import HostGrant, HostGrants, granted_in
from gateway.core.objects import Key, Object, created, is_derived_service
from gateway.core.problem import Problem
from gateway.core.reserved import reserved
from gateway.core.services import Service, read_service
from gateway.kube.cluster_view import ClusterView

log = logging.getLogger(__name__)

IMPORT_PORTS = 64
"""Ports of one import, as its CRD has it: with one more, no change of the import would be accepted."""
PORT_ENDPOINTS = 256
"""Exporters of one port, as well."""


@dataclass(slots=True)
class Exporter:
    """One cluster's export of a service."""

    view: ClusterView
    export: Evaluation
    ports: list[ExportedPort] = field(default_factory=list)
    """Those that are imported elsewhere."""
    conflicts: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    app_id: str = ""
    """The app-id of the service, which its imports carry."""
    request_timeout: str = ""
    """How long callers wait for an answer at most, which the imports carry too."""
    not_at_door: set[str] = field(default_factory=set)
    """Paths of it that the front door does not serve."""

    def reaches(self, key: str) -> bool:
        targets = self.export.target_clusters
        return key != self.view.key and (not targets or key in targets)

    @property
    def since(self) -> str:
        """When this export was first seen."""
        return (self.view.first_seen or {}).get("/".join(self.export.key), self.export.created)

    def told(self) -> Evaluation:
        """The export with all that is to be said of it."""
        return replace(self.export, notes=(*self.export.notes, *self.notes))


@dataclass(slots=True)
class Gathered:
    """All exports by service, the oldest first: where two disagree, the one that was there first counts."""

    services: dict[Key, list[Exporter]] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    """By cluster key: why exports of it were not read, as no export can say it."""
    unread: set[str] = field(default_factory=set)
    """Keys of clusters of which nothing could be evaluated."""


def gather(views: Iterable[ClusterView], hosts: Sequence[HostGrant] = ()) -> Gathered:
    gathered = Gathered()
    for view in views:
        try:
            exporters, unnamed = _exporters(view, granted_in(view.key, hosts))
        except Exception as error:
            # Whatever a member serves, the plan for the others must go on.
            log.exception("%s: its exports cannot be evaluated", view.key)
            gathered.faults[view.key] = f"its exports cannot be evaluated: {type(error).__name__}"
            gathered.unread.add(view.key)
            continue
        if unnamed:
            gathered.faults[view.key] = f"it serves what no API server stores: {unnamed[0]}"
        for exporter in exporters:
            gathered.services.setdefault(exporter.export.key, []).append(exporter)
    for found in gathered.services.values():
        found.sort(key=lambda exporter: (exporter.since, exporter.export.created, exporter.view.key))
        _settle_ports(found)
        _settle_app_id(found)
        _settle_timeout(found)
    return gathered


def _exporters(view: ClusterView, hosts: HostGrants) -> tuple[list[Exporter], list[str]]:
    """A cluster's exports, and what is wrong with those that have no name to answer under."""
    services = _own_services(view)
    admitted: dict[Key, Object] = {}
    evaluations: list[Evaluation] = []
    unnamed: list[str] = []
    for key, raw in (view.exports or {}).items():
        try:
            check_key(key)
        except FieldError as error:
            unnamed.append(str(error)[:200])
            continue
        try:
            check_export(raw)
            if key in services:
                check_service(services[key])
            admitted[key] = raw
        except FieldError as error:
            problem = Problem("ServiceExport", *key, error.reason, str(error))
            evaluations.append(Evaluation(key, created(raw), problems=(problem,)))
    evaluations += evaluate_exports(admitted, services, hosts).values()
    return [Exporter(view, _permitted(view, evaluation)) for evaluation in evaluations], unnamed


def _permitted(view: ClusterView, export: Evaluation) -> Evaluation:
    """The export, or what is said of it when no other cluster may import it from this one."""
    namespace = export.key[0]
    reason = reserved(namespace)
    if not reason and view.may_export is not None and namespace not in view.may_export:
        allowed = ", ".join(sorted(view.may_export)) or "none"
        reason = f"the control plane lets this cluster export {allowed}"
    if not reason:
        return export
    message = f"no other cluster imports it: {reason}"
    problem = Problem("ServiceExport", *export.key, "NotAllowed", message)
    return replace(export, rules=(), ports=(), app_id="", problems=(problem, *export.problems))


def _own_services(view: ClusterView) -> dict[Key, Service]:
    """The exported Services of a cluster; one derived from an import is served by others."""
    found: dict[Key, Service] = {}
    for key in view.exports or ():
        raw = view.services.get(key)
        if raw is not None and not is_derived_service(raw):
            with suppress(FieldError):  # as good as none: no API server stores such a Service
                found[key] = read_service(raw)
    return found


def _settle_ports(exporters: Sequence[Exporter]) -> None:
    """Merge port by port. A port with another protocol than in the first cluster is left out and named."""
    first: dict[int, tuple[ExportedPort, str]] = {}
    sharing: Counter[int] = Counter()
    for exporter in exporters:
        if exporter.view.address is None:
            continue
        for port in exporter.export.ports:
            if port.number not in first and len(first) == IMPORT_PORTS:
                exporter.conflicts.append(
                    f"port {port.number} is left out: an import has {IMPORT_PORTS}, all of older exports"
                )
                continue
            owner, where = first.setdefault(port.number, (port, exporter.view.key))
            if owner.protocol != port.protocol:
                exporter.conflicts.append(
                    f"port {port.number} is {port.protocol} here but {owner.protocol} in {where}, "
                    f"which exported it first; this cluster's is left out"
                )
            elif sharing[port.number] == PORT_ENDPOINTS:
                exporter.conflicts.append(
                    f"port {port.number} is left out: {PORT_ENDPOINTS} clusters export it already"
                )
            else:
                sharing[port.number] += 1
                exporter.ports.append(port)


def _settle_app_id(exporters: Sequence[Exporter]) -> None:
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


def _settle_timeout(exporters: Sequence[Exporter]) -> None:
    """One timeout per service, likewise: KEP-1645 has it so for what Services say of themselves."""
    having = [exporter for exporter in exporters if exporter.ports and exporter.export.timeouts.request]
    for exporter in exporters if having else ():
        exporter.request_timeout = having[0].export.timeouts.request
    for exporter in having:
        own = exporter.export.timeouts.request
        if own != exporter.request_timeout:
            exporter.conflicts.append(
                f"its request timeout is {own} here but {exporter.request_timeout} in {having[0].view.key}, "
                f"which exported it first: callers in other clusters wait that long"
            )
