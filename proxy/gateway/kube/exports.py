"""One cluster's exports judged: which ports they offer, and what is wrong with them. Pure.

The gateway of that cluster judges paths the same way (of two exports with one path the older wins), so what
the hub offers to the other clusters is what that gateway serves.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from gateway.core.rewrite import Rewrite, RewriteError
from gateway.core.route import normal_prefix
from gateway.kube.objects import Key, Object, listed, meta, port_of, section, spec_of, texts
from gateway.kube.status import Condition

PROTOCOLS = {"http", "https", "http2", "h2c", "grpc", "grpc-web", "tcp", "tls", "ws", "wss"}
"""Words that name a protocol as appProtocol or as the first part of a port's name."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A port offered to the other clusters under a path of this cluster's gateway."""

    port: int
    name: str
    app_protocol: str
    application: str
    """What is spoken on the port: appProtocol, else the prefix of the port's name, else http."""
    path: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an export amounts to. Good rules count even when others are faulty."""

    created: str
    offers: tuple[Offer, ...] = ()
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    targets: frozenset[str] = frozenset()
    account: str = ""

    def condition(self, joined: bool, known: Collection[str]) -> Condition:
        """`joined`: the others can reach this cluster's gateway. `known`: keys of all clusters."""
        if self.faults:
            tail = "; its other rules are served" if self.offers else ""
            return Condition("Valid", False, "Failed", "; ".join(self.faults) + tail)
        notes = list(self.notes)
        if not joined:
            notes.append(
                "not offered to other clusters: this cluster has no Cluster object with a gatewayHost"
            )
        if strangers := sorted(self.targets - set(known)):
            notes.append(f"targetClusters names clusters that have not joined: {', '.join(strangers)}")
        ports = ", ".join(str(offer.port) for offer in self.offers)
        return Condition(
            "Valid",
            True,
            "Success",
            "; ".join([f"ports {ports} are exported" if ports else "", *notes]).strip("; "),
        )


def judge_exports(exports: Mapping[Key, Object], services: Mapping[Key, Object]) -> dict[Key, Verdict]:
    """The verdict on every export of a cluster."""
    claimed: dict[tuple[bool, bytes], Key] = {}
    order = sorted(exports, key=lambda key: (_created(exports[key]), key))
    return {key: _judge(key, exports[key], services.get(key), claimed) for key in order}


def _created(obj: Object) -> str:
    return str(meta(obj).get("creationTimestamp") or "9999")


def _judge(
    key: Key, export: Object, service: Object | None, claimed: dict[tuple[bool, bytes], Key]
) -> Verdict:
    spec, created = spec_of(export), _created(export)
    if fault := _service_fault(key, service) or _rewrite_fault(spec):
        return Verdict(created, faults=(fault,))
    ports = {port_of(port): port for port in listed(spec_of(service or {}), "ports")}
    offers: dict[int, Offer] = {}
    faults: list[str] = []
    exact: set[int] = set()
    for rule in listed(spec, "rules"):
        number, path, kind = port_of(rule, "portNumber"), str(rule.get("path") or ""), rule.get("pathType")
        port = ports.get(number)
        if not number or port is None or port.get("protocol", "TCP") != "TCP":
            names = ", ".join(sorted(str(name) for name in ports)) or "none"
            faults.append(f"path {path}: {number} is not a TCP port of the Service, which has {names}")
            continue
        place = (kind == "Exact", path.encode() if kind == "Exact" else normal_prefix(path))
        if (owner := claimed.setdefault(place, key)) != key:
            faults.append(f"{kind} path {path} is already exported by {'/'.join(owner)}; change one of them")
        elif kind == "Exact":
            exact.add(number)
        elif number not in offers:
            name, said = str(port.get("name") or ""), str(port.get("appProtocol") or "")
            offers[number] = Offer(number, name, said, said or _by_name(name), path)
    notes = tuple(
        f"port {number} has only an Exact path, which other clusters cannot use: give it a Prefix"
        for number in sorted(exact - offers.keys())
    )
    return Verdict(
        created,
        tuple(offers.values()),
        tuple(faults),
        notes,
        frozenset(texts(spec, "targetClusters")),
        str(spec.get("serviceAccountName") or ""),
    )


def _service_fault(key: Key, service: Object | None) -> str:
    name = "/".join(key)
    if service is None:
        return f"there is no Service {name}"
    if meta(service).get("deletionTimestamp"):
        return f"Service {name} is being deleted"
    if spec_of(service).get("type") == "ExternalName":
        return f"Service {name} is of type ExternalName, which has no endpoints to export"
    return ""


def _rewrite_fault(spec: Object) -> str:
    rewrite = section(spec, "pathRewrite")
    if not rewrite.get("from") or not rewrite.get("to"):
        return ""
    return _pattern_fault(str(rewrite["from"]), str(rewrite["to"]))


@functools.lru_cache(maxsize=4096)
def _pattern_fault(pattern: str, to: str) -> str:
    """Compiling is most of the cost of a plan, and patterns seldom change."""
    try:
        Rewrite(pattern, to)
    except RewriteError as error:
        return f"pathRewrite: {error}"
    return ""


def _by_name(name: str) -> str:
    prefix = name.split("-", 1)[0].lower()
    return prefix if prefix in PROTOCOLS else "http"
