"""A hostile member: whatever its API server answers, only that member pays for it.

The bytes are JSON: lists of objects by what the hub asks a member for, beside the member's Cluster object.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from fuzz.schema import condition_faults, import_faults
from gateway.core.admission import check_key
from gateway.core.claims import Grant
from gateway.core.objects import Key, Object, key_of
from gateway.core.reserved import reserved
from gateway.kube import trim
from gateway.kube.capacity import Capacity, Kept
from gateway.kube.cluster_view import Address, ClusterView
from gateway.kube.events import condition_events
from gateway.kube.first_seen import FirstSeen
from gateway.kube.plan import Plan, plan, same_import
from gateway.kube.resources import EXPORT, IMPORT, NAMESPACE, SERVICE, Resource
from gateway.kube.status import status_patch

HOME, HONEST, AWAY, HOSTILE = (f"r/z/g/{name}" for name in ("home", "honest", "away", "hostile"))
NAMESPACES = ("corp", "demo", "team")
MAY_EXPORT = frozenset({"demo", "team", "kube-system"})
"""What the control plane lets the hostile member export."""
NOW = 1_800_000_000.0
BEFORE, AFTER = "2026-01-01T00:00:00.000Z", "2026-02-01T00:00:00.000Z"
"""The honest member was seen first, whatever the record says, which no member writes."""
LONGEST_BODY = 256 * 1024
"""Characters of an import that few clusters export: etcd takes 1.5 MiB of an object."""
LISTS: Mapping[str, tuple[Resource, Callable[[Object], Object]]] = {
    "exports": (EXPORT, trim.export),
    "services": (SERVICE, trim.service),
    "imports": (IMPORT, trim.own),
    "namespaces": (NAMESPACE, trim.namespace),
}


def members(data: bytes) -> None:
    """A hostile member changes nothing of the others' services, and what is written an API server takes."""
    try:
        said = json.loads(data)
    except (ValueError, RecursionError):
        return  # the client says so
    if not isinstance(said, dict):
        return
    lists = {name: _kept(said.get(name), name) for name in LISTS}
    cluster = said.get("cluster")
    seen = FirstSeen(cluster if isinstance(cluster, dict) else {})
    seen.see(lists["exports"], NOW)
    again = FirstSeen({"status": seen.status()})
    assert not again.see(lists["exports"], NOW + 1), "the next hub knows it"
    namespaces = {name for _, name in lists["namespaces"]}
    hostile = ClusterView(
        HOSTILE, Address("h", "10.0.0.9", 80), lists["exports"], lists["services"], lists["imports"],
        namespaces, MAY_EXPORT, {claim: max(since, AFTER) for claim, since in seen.times.items()},
    )  # fmt: skip
    made = _plan(hostile)
    _compare(made, _before())
    for key, conditions in made.conditions[HOSTILE].items():
        _check_patch(lists["exports"][key], conditions)  # any API server takes what goes back


def _kept(raw: object, name: str) -> dict[Key, Object]:
    """The objects as an informer keeps them; what no client passes on, or is too much, left out."""
    resource, keep = LISTS[name]
    found: dict[Key, Object] = {}
    room = Kept(Capacity(trim.MOST_BYTES))
    for item in raw if isinstance(raw, list) else ():
        if isinstance(item, dict) and isinstance(item.get("metadata"), dict):
            kept = keep({**item, "apiVersion": resource.api_version, "kind": resource.kind})
            if room.take(key_of(kept), kept):
                found[key_of(kept)] = kept
    return found


def _service(name: str, namespace: str, port: int) -> dict[str, Any]:
    spec = {"ports": [{"port": port, "name": "http"}]}
    return {"metadata": {"name": name, "namespace": namespace}, "spec": spec}


def _export(name: str, namespace: str, port: int, path: str) -> dict[str, Any]:
    rules = [{"portNumber": port, "path": path, "pathType": "Prefix"}]
    metadata = {"name": name, "namespace": namespace, "creationTimestamp": BEFORE}
    return {
        "apiVersion": EXPORT.api_version,
        "kind": EXPORT.kind,
        "metadata": metadata,
        "spec": {"rules": rules},
    }


def _honest() -> ClusterView:
    exports = {
        ("corp", "app"): _export("app", "corp", 80, "/corp"),
        ("demo", "app"): _export("app", "demo", 3000, "/shop"),
    }
    services = {("corp", "app"): _service("app", "corp", 80), ("demo", "app"): _service("app", "demo", 3000)}
    times = {"corp/app": BEFORE, "corp/app /corp": BEFORE, "demo/app": BEFORE, "demo/app /shop": BEFORE}
    target = {"host": "h", "ip": "10.0.0.3", "port": 80, "path": "/team"}
    port = {"port": 80, "protocol": "TCP", "endpoints": [{"clusterKey": AWAY, "target": target}]}
    metadata = {
        "name": "away",
        "namespace": "team",
        "labels": {"app.kubernetes.io/managed-by": "multicluster-hub"},
    }
    imports = {("team", "away"): {"metadata": metadata, "spec": {"type": "ClusterSetIP", "ports": [port]}}}
    return ClusterView(
        HONEST, Address("h", "10.0.0.1", 80), exports, services, imports, NAMESPACES, None, times
    )


@cache
def _before() -> Plan:
    """What is planned while the hostile member exports nothing."""
    return _plan(ClusterView(HOSTILE, Address("h", "10.0.0.9", 80), {}, {}, {}, (), MAY_EXPORT, {}))


def _plan(hostile: ClusterView) -> Plan:
    home = ClusterView(HOME, Address("h", "10.0.0.2", 80), {}, {}, {}, NAMESPACES, front_door=True)
    away = ClusterView(
        AWAY, Address("h", "10.0.0.3", 80), None, first_seen={"team/away": BEFORE, "team/away /team": BEFORE}
    )
    grants = (Grant(b"/granted", frozenset({"corp"})), Grant(b"", frozenset({"corp"}), frozenset({HONEST})))
    return plan([home, hostile, _honest(), away], grants)


def _compare(made: Plan, before: Plan) -> None:
    assert "cannot be evaluated" not in made.faults.get(HOSTILE, ""), made.faults
    assert made.faults.keys() <= {HOSTILE}
    assert made.imports.keys() == before.imports.keys()
    for cluster in (HOME, HONEST):
        for key, body in before.imports[cluster].items():
            assert key in made.imports[cluster], f"{key} is withdrawn"
            _keeps(made.imports[cluster][key], body)
        for key, body in made.imports[cluster].items():
            _check_import(key, body)
            if key not in before.imports[cluster]:
                assert key[0] in MAY_EXPORT, f"{key} is not the hostile member's to export"
                assert key[0] in NAMESPACES, f"{key} is imported where there is no such namespace"
    for key, conditions in before.conditions[HONEST].items():
        kept = made.conditions[HONEST][key]
        told = [(one.type, one.status, one.reason) for one in kept]
        assert told == [(one.type, one.status, one.reason) for one in conditions], f"{key} is told otherwise"
        _check_patch(_honest().exports[key], kept)  # type: ignore[index]


def _keeps(body: Mapping[str, Any], before: Mapping[str, Any]) -> None:
    """What others export stays, in the same words; the hostile member may stand beside it where it may."""
    ports = {port["port"]: port for port in body["spec"]["ports"]}
    for port in before["spec"]["ports"]:
        now = ports.pop(port["port"])
        theirs = [one for one in now["endpoints"] if one["clusterKey"] != HOSTILE]
        assert {**now, "endpoints": theirs} == port
    added = [one["clusterKey"] for port in ports.values() for one in port["endpoints"]]
    assert set(added) <= {HOSTILE}
    if body["metadata"]["namespace"] not in MAY_EXPORT:
        assert body == before


def _check_import(key: Key, body: Mapping[str, Any]) -> None:
    assert key == (body["metadata"]["namespace"], body["metadata"]["name"])
    check_key(key)
    assert not reserved(key[0]), key
    assert not (found := import_faults(body)), found
    assert len(json.dumps(body)) <= LONGEST_BODY
    assert same_import(body, body), "written once, it is not written again"


def _check_patch(export: Object, conditions: Any) -> None:
    clean = {**export, "status": {}}
    patch = status_patch(clean, conditions, NOW)
    if patch is not None:
        metadata = export["metadata"]
        if isinstance(metadata.get("generation", 0), int) and 0 <= metadata.get("generation", 0) < 2**63:
            assert not (found := condition_faults("serviceexports", patch)), found
    status_patch(export, conditions, NOW)
    json.dumps(list(condition_events(export, conditions, NOW)))
