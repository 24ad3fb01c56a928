"""Dapr app-ids of imported services: who has one, and in which namespaces it may be called.

A sidecar looks an app-id up among the HTTPEndpoints of its own namespace first, by the id without a namespace
behind it: an HTTPEndpoint `orders` answers `orders`, `orders.shop` and `orders.anything` alike, and comes
before an app of that id, even the caller itself. So one service has an app-id in a namespace, and nobody
gets one that would hide an app of this cluster.

What is settled here follows configuration alone, never health: a sidecar restarts its runtime for each
HTTPEndpoint that comes, changes or goes (Dapr 1.18), or does not notice before its next start.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from gateway.core.fields import FieldError, mapping
from gateway.core.objects import Key, Object

APP_ID = "multicluster.flomesh.io/dapr-app-id"
"""Annotation of an export: the app-id by which Dapr apps of other clusters call the Service. The hub carries
it to the imports. Without it there is nothing for Dapr: a Service need not be a Dapr app."""

CALLERS = "multicluster.flomesh.io/dapr-callers"
"""Label of a namespace, with the value `true`: its Dapr apps call imported services by app-id."""

_APP_ID = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?")
LONGEST_APP_ID = 58
"""Dapr's operator makes a Service `<app-id>-dapr`, and a Service's name has 63 characters at most."""
NOBODY: Mapping[Key, str] = {}


def read_app_id(raw: Object) -> str:
    """The app-id an export or import says; empty when it says none. FieldError when it cannot be one."""
    annotations = mapping(mapping(raw.get("metadata"), "metadata").get("annotations"), "metadata.annotations")
    found = annotations.get(APP_ID)
    if found is None:
        return ""
    if not isinstance(found, str) or len(found) > LONGEST_APP_ID or _APP_ID.fullmatch(found) is None:
        message = (
            f"annotation {APP_ID} is {found!r}: give the app-id of a Dapr app, "
            f"{LONGEST_APP_ID} lower-case letters, digits and inner '-' at most"
        )
        raise FieldError("InvalidAppId", message)
    return found


@dataclass(frozen=True, slots=True)
class Candidate:
    """An import that goes by an app-id."""

    key: Key
    app_id: str
    created: str
    exported: bool
    """This cluster exports the service as well: it has pods of its own, which Dapr reaches natively."""
    leaves: bool
    """The policy of this cluster lets requests for it go to other clusters."""


@dataclass(frozen=True, slots=True, order=True)
class Refusal:
    """Why callers of one namespace do not get the app-id."""

    reason: str
    """CamelCase word fit for a condition."""
    message: str
    namespace: str


@dataclass(slots=True)
class Settled:
    """What an import gets for its app-id."""

    app_id: str
    namespaces: list[str] = field(default_factory=list)
    """Namespaces that need an HTTPEndpoint for it."""
    native: bool = False
    """In some namespace it is left to Dapr's own way between sidecars."""
    refusals: list[Refusal] = field(default_factory=list)


def settle(
    candidates: Iterable[Candidate],
    callers: Collection[str],
    apps: Mapping[str, Collection[str]],
    foreign: Collection[Key],
    holders: Mapping[Key, str] = NOBODY,
) -> dict[Key, Settled]:
    """What each import gets.

    `callers`: namespaces whose Dapr apps call imported services. `apps`: namespaces of this cluster's Dapr
    apps by app-id. `foreign`: namespace and name of HTTPEndpoints that others made. `holders`: by namespace
    and app-id, the import that has it there now, as `namespace/name`.
    """
    settled: dict[Key, Settled] = {}
    by_id: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        settled[candidate.key] = Settled(candidate.app_id)
        by_id.setdefault(candidate.app_id, []).append(candidate)
    for app_id, group in by_id.items():
        for namespace in sorted(callers):
            owner, *others = sorted(
                group, key=lambda candidate: _rank(candidate, namespace, holders.get((namespace, app_id), ""))
            )
            mine = settled[owner.key]
            if owner.exported and not owner.leaves:
                mine.native = True
            elif refusal := _in_the_way(owner, namespace, apps.get(app_id, ()), foreign):
                mine.refusals.append(refusal)
            else:
                mine.namespaces.append(namespace)
            for other in others:
                message = f"app-id {app_id} is that of {'/'.join(owner.key)}"
                settled[other.key].refusals.append(Refusal("AppIdTaken", message, namespace))
    return settled


def _rank(candidate: Candidate, namespace: str, holder: str) -> tuple[bool, bool, str, Key]:
    """A service of the caller's own namespace first, as Dapr has it; then who has the app-id, whatever an
    older import says by now; then the oldest import."""
    key = candidate.key
    return key[0] != namespace, "/".join(key) != holder, candidate.created, key


def _in_the_way(
    candidate: Candidate, namespace: str, apps: Collection[str], foreign: Collection[Key]
) -> Refusal | None:
    home = candidate.key[0]
    if home in apps and not candidate.exported:
        message = (
            f"{home} has a Dapr app {candidate.app_id} in this cluster that is not exported: export it too"
        )
        return Refusal("LocalApp", message, namespace)
    hidden = sorted(set(apps) - {home})
    if hidden and namespace != home:
        message = f"an HTTPEndpoint would hide the Dapr app {candidate.app_id} in {', '.join(hidden)}"
        return Refusal("LocalApp", message, namespace)
    if (namespace, candidate.app_id) in foreign:
        message = (
            f"there is an HTTPEndpoint {candidate.app_id} that the gateway did not make; it is left alone"
        )
        return Refusal("ForeignHTTPEndpoint", message, namespace)
    return None
