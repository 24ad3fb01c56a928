"""Backends of an export: the Services of its namespace that share its requests, such as a canary's.

Without any, an export leads to the Service it is named after. With some, it leads to these alone, by their
weights; who is not there, or has no ready pod, leaves its part to the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from gateway.core.fields import FieldError, service_name
from gateway.core.header_match import BACKEND_REFS, Match, read_match
from gateway.core.json_annotation import only, read_json, shown
from gateway.core.objects import Key, Object
from gateway.core.route import WeightedCluster
from gateway.core.services import Service

REASON = "InvalidBackendRefs"
MOST_BACKENDS = 16
"""As Gateway API has it for a rule."""
MAX_WEIGHT = 1_000_000
ENTRY = frozenset(("name", "weight", "match"))


@dataclass(frozen=True, slots=True)
class BackendRef:
    """A Service of the export's namespace, on the ports of the export's rules."""

    name: str
    weight: int = 1
    """Among the others; 0 for requests that match alone."""
    match: Match | None = None
    """Requests that go to it first, whatever its weight."""

    def __str__(self) -> str:
        return f"{self.name} {self.weight}" + (f" ({self.match})" if self.match is not None else "")


@dataclass(frozen=True, slots=True)
class Backend:
    """One of them as it is now: its ready endpoints, with its weight among the others."""

    cluster: WeightedCluster
    match: Match | None


def read_backend_refs(raw: Object) -> tuple[BackendRef, ...]:
    """What an export says; none when it leads to its own Service. FieldError when that cannot be kept."""
    listed = read_json(raw, BACKEND_REFS, REASON)
    if listed is None:
        return ()
    where = f"annotation {BACKEND_REFS}"
    if not isinstance(listed, list) or not 1 <= len(listed) <= MOST_BACKENDS:
        raise FieldError(REASON, f"{where} is {shown(listed)}: give a list of 1 to {MOST_BACKENDS} Services")
    refs = tuple(_read_ref(one, f"{where}: [{index}]") for index, one in enumerate(listed))
    if len({ref.name for ref in refs}) < len(refs):
        raise FieldError(REASON, f"{where} names one Service twice: give it all of its weight at once")
    if not any(ref.weight for ref in refs):
        raise FieldError(REASON, f"{where} gives no Service a weight: requests that match nothing need one")
    return refs


def _read_ref(raw: object, where: str) -> BackendRef:
    entry = only(raw, ENTRY, where, REASON)
    weight = entry.get("weight", 1)
    if isinstance(weight, float) and weight.is_integer():  # as programs write it that know no other numbers
        weight = int(weight)
    if not isinstance(weight, int) or isinstance(weight, bool) or not 0 <= weight <= MAX_WEIGHT:
        message = f"{where}.weight is {shown(weight)}: give a whole number from 0 to {MAX_WEIGHT}"
        raise FieldError(REASON, message)
    name = service_name(entry.get("name"), f"{where}.name")
    return BackendRef(name, weight, read_match(entry.get("match"), f"{where}.match"))


def backends_of(
    refs: tuple[BackendRef, ...],
    services: Mapping[Key, Service],
    key: Key,
    local: tuple[int, WeightedCluster],
    report: Callable[[FieldError], None],
) -> tuple[Backend, ...]:
    """The backends of the export `key` on a port. `local`: that port, and how its own Service is reached."""
    port, like = local
    found = []
    for ref in refs:
        service = services.get((key[0], ref.name))
        if service is None or service.external_name or port not in service.ports:
            message = f"there is no Service {key[0]}/{ref.name} with a port {port}: the others take its part"
            report(FieldError("BackendNotFound", f"annotation {BACKEND_REFS}: {message}"))
        endpoints = service.endpoints(port) if service is not None else ()
        cluster = replace(like, endpoints=endpoints, weight=ref.weight, backend=ref.name)
        found.append(Backend(cluster, ref.match))
    return tuple(found)
