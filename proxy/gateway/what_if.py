"""`gateway what-if`: who would serve whom by the objects of several clusters, as JSON.

The objects of each cluster are read from files: Services with their EndpointSlices, exports, policies and
namespaces. What the hub would make of them is planned by the hub's own code, and compiled and shared out by
that of the gateways. Nobody is asked, and nothing is written.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gateway.core.claims import Grant
from gateway.core.host_grants import HostGrant, granted_in
from gateway.core.identity import PeersKeys
from gateway.core.objects import Key, Object, is_hub_import, key_of
from gateway.core.snapshot import compile_snapshot
from gateway.core.what_if import Cluster, Parts, Row, read_cluster, rows
from gateway.kube.cluster_view import Address, ClusterView
from gateway.kube.door import read_grants
from gateway.kube.plan import plan
from gateway.kube.resources import EXPORT, IMPORT, SERVICE
from gateway.serve import ObjectsError, read_objects

KEYS = PeersKeys((b"what-if: between gateways of files",))
"""By which the gateways of the files know each other's requests."""
GATEWAY_PORT = 80


def main(args: argparse.Namespace) -> int:
    """Print the answer. 0 done, 2 something is unreadable."""
    try:
        objects = {key: read_objects(path) for key, path in args.objects}
        grants = read_grants(args.paths)
        for key in (*args.without, *filter(None, [args.front_door])):
            if key not in objects:
                known = ", ".join(objects)
                raise ValueError(f"{key} is none of the clusters whose objects are given: {known}")  # noqa: TRY301
        if len(objects) < len(args.objects):
            raise ValueError("--objects names one cluster twice: give each once")  # noqa: TRY301
    except (ObjectsError, ValueError) as error:
        sys.stderr.write(f"gateway what-if: {error}\n")
        return 2
    clusters = foresee(objects, front_door=args.front_door, grants=grants, hosts=args.hosts)
    json.dump(_answer(clusters, args), sys.stdout, indent=1)
    sys.stdout.write("\n")
    return 0


def foresee(
    objects: Mapping[str, Sequence[Object]],
    *,
    front_door: str | None = None,
    grants: Sequence[Grant] = (),
    hosts: Sequence[HostGrant] = (),
) -> dict[str, Cluster]:
    """Each cluster, by its key, as its gateways would run once the hub has brought them each other's exports.

    `front_door`: the key of the control plane. `grants`: paths that are delegated. `hosts`: what exports may
    have.
    """
    views = [
        _view(key, listed, number, front_door=key == front_door)
        for number, (key, listed) in enumerate(objects.items(), 1)
    ]
    imports = plan(views, grants, hosts).imports
    clusters = {}
    for key, given in objects.items():
        listed = [one for one in given if one.get("kind") != IMPORT.kind or not is_hub_import(one)]
        listed += imports[key].values()
        compiled = compile_snapshot(listed, key, key == front_door, peers=KEYS, hosts=granted_in(key, hosts))
        clusters[key] = read_cluster(listed, compiled, front_door=key == front_door)
    return clusters


def _view(key: str, objects: Sequence[Object], number: int, *, front_door: bool) -> ClusterView:
    """A cluster as the hub would see it; its gateway has an address that nobody has (RFC 2544)."""
    address = f"198.{18 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"
    imports = _by_key(objects, IMPORT.kind)
    return ClusterView(
        key,
        Address(address, address, GATEWAY_PORT),
        exports=_by_key(objects, EXPORT.kind),
        services=_by_key(objects, SERVICE.kind),
        imports={key: one for key, one in imports.items() if not is_hub_import(one)},
        namespaces=frozenset(
            key_of(one)[1] if one.get("kind") == "Namespace" else key_of(one)[0] for one in objects
        ),
        front_door=front_door,
    )


def _by_key(objects: Sequence[Object], kind: str) -> dict[Key, Object]:
    return {key_of(one): one for one in objects if one.get("kind") == kind}


def _answer(clusters: Mapping[str, Cluster], args: argparse.Namespace) -> dict[str, Any]:
    """`rows`: who serves whom. `lost`: by cluster, the rows that differ while that one is lost as well."""
    without = frozenset(args.without)
    now = list(rows(clusters, without))
    each = [key for key in clusters if key not in without] if args.lose_each else []
    return {
        "clusters": list(clusters),
        "without": sorted(without),
        "rows": [_row(row) for row in now],
        "lost": {
            key: [_row(row) for row in _changed(now, rows(clusters, without | {key}, naming=key))]
            for key in each
        },
        "problems": [
            {
                "cluster": key, "kind": problem.kind, "object": f"{problem.namespace}/{problem.name}",
                "reason": problem.reason, "message": problem.message,
            }
            for key, cluster in clusters.items() for problem in cluster.problems
        ],
    }  # fmt: skip


def _changed(before: Sequence[Row], after: Iterator[Row]) -> Iterator[Row]:
    same = set(map(_text, before))
    return (row for row in after if _text(row) not in same)


def _text(row: Row) -> str:
    return json.dumps(_row(row))


def _row(row: Row) -> dict[str, Any]:
    return {
        "client": row.client,
        "callers": list(row.callers),
        "where": row.where,
        "service": row.service,
        "port": row.port,
        "policy": row.policy,
        "leaves": row.leaves,
        "direct": row.direct,
        **_parts(row.parts),
        "matches": [{"headers": headers, **_parts(parts)} for headers, parts in row.matches],
    }


def _parts(parts: Parts) -> dict[str, Any]:
    """In percent. `refused`: what nobody serves."""
    return {
        "served": [
            {"cluster": cluster, "backend": backend, "percent": round(100 * part, 4)}
            for (cluster, backend), part in parts.items()
        ],
        "refused": round(100 * (1 - sum(parts.values())), 4) + 0.0,
    }
