"""Clusters in few words, for what is foretold of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from proxy.conftest import Make

from gateway.core.app_ids import APP_ID
from gateway.core.derived_names import EVERY_CALLER
from gateway.core.header_match import BACKEND_REFS, MATCH
from gateway.core.what_if import Cluster, Row
from gateway.what_if import foresee

PLANE, CLIENT, EAST, WEST = (
    f"default/default/default/{name}" for name in ("plane", "client", "east", "west")
)
KEYS = (PLANE, CLIENT, EAST, WEST)
NAME, SET_NAME = "app.demo", "app.demo.svc.clusterset.local"

Raw = dict[str, Any]


def said(raw: Raw, name: str, value: object) -> Raw:
    raw["metadata"].setdefault("annotations", {})[name] = (
        value if isinstance(value, str) else json.dumps(value)
    )
    return raw


def match(*headers: tuple[str, str], kind: str = "Exact") -> Raw:
    return {"headers": [{"name": name, "value": value, "type": kind} for name, value in headers]}


@dataclass
class Site:
    """A cluster in few words."""

    pods: int = 0
    canaries: int = 0
    exports: bool = False
    backends: tuple[Raw, ...] = ()
    policy: str = ""
    targets: Mapping[str, int] = field(default_factory=dict)
    matches: Mapping[str, Raw] = field(default_factory=dict)
    every_caller: bool = True

    def objects(self, make: Any, network: int) -> list[Raw]:
        found: list[Raw] = [{"kind": "Namespace", "metadata": {"name": "demo"}}]
        for name, pods in (("app", self.pods), ("canary", self.canaries)):
            if pods or (name == "app" and self.exports):
                found.append(make.service(name, selector={"app": name}))
                third = 1 if name == "app" else 2
                addresses = [f"10.{network}.{third}.{number + 1}" for number in range(pods)]
                found.append(make.slice(*addresses, name=name))
        if self.exports:
            export = said(make.export(pathRewrite={"from": "^/app/?", "to": "/"}), APP_ID, "shop")
            found.append(said(export, BACKEND_REFS, list(self.backends)) if self.backends else export)
        if self.policy:
            policy = make.policy(
                self.policy, **{key.rpartition("/")[2]: n for key, n in self.targets.items()}
            )
            if self.every_caller:
                said(policy, EVERY_CALLER, "true")
            found.append(said(policy, MATCH, self.matches) if self.matches else policy)
        return found


def world(**sites: Site) -> dict[str, Cluster]:
    """Clusters by key, the plane with the front door."""
    objects = {
        key: sites.get(key.rpartition("/")[2], Site()).objects(Make(), n) for n, key in enumerate(KEYS)
    }
    return foresee(objects, front_door=PLANE)


def find(found: Sequence[Row], client: str, caller: str = NAME) -> Row:
    (row,) = [row for row in found if row.client == client and caller in row.callers]
    return row


def percents(parts: Mapping[tuple[str, str], float]) -> dict[str, float]:
    return {
        " ".join(filter(None, (key.rpartition("/")[2], backend))): round(100 * part, 3)
        for (key, backend), part in parts.items()
    }
