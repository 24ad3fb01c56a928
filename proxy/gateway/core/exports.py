"""ServiceExports of one cluster, evaluated: which paths lead to which Service port, and what is wrong.

The gateway of the cluster serves the rules, the hub brings the ports to the other clusters: both evaluate
here, so what is imported elsewhere is what the exporter's gateway serves.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.core.affinity import HASH_ON, LOAD_BALANCERS, ROUND_ROBIN, Balancing
from gateway.core.app_ids import read_app_id
from gateway.core.backends import BackendRef, read_backend_refs
from gateway.core.claims import Match, match_of
from gateway.core.dates import dates_of
from gateway.core.export_hosts import HOST, names_a_service, read_hosts
from gateway.core.fields import FieldError, mapping, mappings, path_text, port_number, text
from gateway.core.header_match import BACKEND_REFS
from gateway.core.host_grants import GRANT_IT, HostGrants
from gateway.core.objects import Key, Object, created, spec_of, texts
from gateway.core.problem import Problem
from gateway.core.published import BETWEEN, check_published, is_published
from gateway.core.rewrite import PATTERNS, Rewrite, RewriteError
from gateway.core.services import Service
from gateway.core.settle import Claimed, settle
from gateway.core.sidecars import INVOKE, read_invoke
from gateway.core.timeouts import NO_TIMEOUTS, Timeouts, read_timeouts

HASH_ON_ANNOTATION = "multicluster.flomesh.io/hash-on"
"""What HashingLoadBalancer hashes: `source` (default), `header:NAME` or `cookie:NAME`. Ours: the schema
has no field."""

PROTOCOLS = {"http", "https", "http2", "h2c", "grpc", "grpc-web", "tcp", "tls", "ws", "wss"}
"""Words that name a protocol as appProtocol or as the first part of a port's name."""

HTTP = {"http", "ws", "kubernetes.io/ws"}
"""Protocols of a port that a gateway carries."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One path rule that can be served."""

    key: Key
    exact: bool
    path: str
    port: int
    rewrite: Rewrite | None
    balancing: Balancing
    invoked: str = ""
    """The app-id by which Dapr's sidecars are asked for it; empty when its own port is."""
    hosts: tuple[str, ...] = ()
    """It is served under these hosts alone; none: under every host that nobody claims."""
    backends: tuple[BackendRef, ...] = ()
    """Services that share its requests; none: the export's own has them all."""
    published: bool = True
    """It is served at its path; else to gateways of other clusters alone, which name the Service."""

    @property
    def match(self) -> Match:
        return match_of(self.path, exact=self.exact)


@dataclass(frozen=True, slots=True)
class ExportedPort:
    """A port of the Service that other clusters may import, under a path of this cluster's gateway."""

    number: int
    name: str
    app_protocol: str
    protocol: str
    """What is spoken on the port: appProtocol, else the prefix of the port's name, else http."""
    path: str


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What one ServiceExport amounts to. Good rules count even when others are faulty."""

    key: Key
    created: str
    rules: tuple[Rule, ...] = ()
    ports: tuple[ExportedPort, ...] = ()
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    """What is no fault and may still surprise."""
    target_clusters: frozenset[str] = frozenset()
    """Keys of the clusters that may import; empty means all."""
    service_account: str = ""
    app_id: str = ""
    """By which Dapr apps of other clusters call the service; empty for none."""
    hosts: tuple[str, ...] = ()
    """Under which alone it is published; none: it shares the paths of all other hosts."""
    timeouts: Timeouts = NO_TIMEOUTS
    """How long its callers wait at most."""
    published: bool = True
    """Whether it is served north-south, and at the front door, at all."""


def evaluate_exports(
    exports: Mapping[Key, Object], services: Mapping[Key, Service], grants: HostGrants | None = None
) -> dict[Key, Evaluation]:
    """Every export of a cluster, the oldest first. `services`: its own, derived ones left out.

    Of two exports that claim one host or path, or of two namespaces with a path inside the other's, the older
    claim has it, then the older export, then the first by name. A claim counts from when it was written,
    served or not: so nobody who is served loses a path to a Service that comes. `grants`: who may have which
    hosts; None: anybody.
    """
    known = services.keys() | exports.keys()
    order = sorted(exports, key=lambda key: (created(exports[key]), key))
    read = {key: _read(key, exports[key], services.get(key), known, grants) for key in order}
    losers = settle(export.claimed for export in read.values())
    found = {key: _evaluation(export, exports[key], services.get(key)) for key, export in read.items()}
    for owner, others in losers.items():
        note = f"paths of it, or around or inside them, are claimed in vain by {named(others)}"
        found[owner] = replace(found[owner], notes=(*found[owner].notes, note))
    return found


def named(keys: Iterable[Key]) -> str:
    """Services by name; of many the first few."""
    first, *others = ["/".join(key) for key in sorted(keys)]
    shown = ", ".join([first, *others[:2]])
    return f"{shown} and {len(others) - 2} more" if len(others) > 2 else shown


@dataclass(slots=True)
class _Read:
    """An export as it reads on its own, before it is settled what it claims is whose."""

    claimed: Claimed
    rules: dict[int, Rule] = field(default_factory=dict)
    """Those that can be served, by number."""
    app_id: str = ""
    timeouts: Timeouts = NO_TIMEOUTS
    published: bool = True


def _read(
    key: Key, raw: Object, service: Service | None, known: Container[Key], grants: HostGrants | None
) -> _Read:
    found = _Read(Claimed(key, created(raw), dates_of(raw)), published=is_published(raw))
    errors = found.claimed.errors
    try:
        check_published(raw)
    except FieldError as error:
        errors.append(error)
    try:
        found.app_id = read_app_id(raw)
    except FieldError as error:
        errors.append(error)
    try:
        found.timeouts = read_timeouts(raw)
    except FieldError as error:
        errors.append(error)
    try:
        if found.published:
            found.claimed.hosts = _own_hosts(key, raw, known, grants)
        spec = mapping(raw.get("spec"), "spec")
        listed = mappings(spec.get("rules"), "spec.rules")
        if found.published:  # else it claims no path, and is in nobody's way
            found.claimed.paths = dict(_claims(listed))
        service = _exportable(key, service)
        if not listed:
            raise FieldError("NoRules", "spec.rules is empty: give at least one path rule")  # noqa: TRY301
        invoked = read_invoke(raw, found.app_id)
        if invoked and len({str(item.get("portNumber")) for item in listed}) > 1:
            message = f"annotation {INVOKE} is sidecar, which calls the app's one port: export no other"
            raise FieldError("InvalidDaprInvoke", message)  # noqa: TRY301
        backends: tuple[BackendRef, ...] = ()
        try:
            backends = _read_backends(raw, invoked)
        except FieldError as error:  # the Service it is named after has all requests, as before
            errors.append(error)
        how = _read_rewrite(spec), _read_balancing(raw, spec), invoked
        for index, item in enumerate(listed):
            try:
                rule = _read_rule(key, service, item, f"spec.rules[{index}]", how)
                found.rules[index] = replace(rule, backends=backends)
            except FieldError as error:
                errors.append(error)
    except FieldError as error:
        errors.append(error)
    return found


def _own_hosts(key: Key, raw: Object, known: Container[Key], grants: HostGrants | None) -> tuple[str, ...]:
    """The hosts of an export. FieldError when it may not have one of them: it is not served under fewer."""
    hosts = read_hosts(raw)
    for host in hosts:
        if names_a_service(host, known):
            message = f"annotation {HOST}: {host!r} is how callers in clusters name a Service: give another"
            raise FieldError("InvalidHost", message)
        if grants is not None and not grants.covers(host, key[0]):
            message = f"annotation {HOST}: {host!r} is not granted to namespace {key[0]} here: {GRANT_IT}"
            raise FieldError("HostNotGranted", message)
    return hosts


def _claims(rules: Iterable[Object]) -> Iterator[tuple[int, tuple[str, Match]]]:
    """The paths that rules claim, whether they can be served or not."""
    for index, item in enumerate(rules):
        with suppress(FieldError):  # reading the rule says it
            path, exact = path_text(item.get("path"), ""), item.get("pathType") == "Exact"
            yield index, (path, match_of(path, exact=exact))


def _evaluation(read: _Read, raw: Object, service: Service | None) -> Evaluation:
    claimed, spec = read.claimed, spec_of(raw)
    rules = [
        replace(rule, hosts=tuple(claimed.won[index]) if claimed.hosts else (), published=read.published)
        for index, rule in read.rules.items()
        if index in claimed.won or not read.published
    ]
    ports = _ports(rules, service) if service else {}
    return Evaluation(
        claimed.key,
        claimed.created,
        tuple(rules),
        tuple(ports.values()),
        tuple(Problem("ServiceExport", *claimed.key, error.reason, str(error)) for error in claimed.errors),
        tuple(_notes(rules, ports, published=read.published)),
        frozenset(texts(spec, "targetClusters")),
        str(spec.get("serviceAccountName") or ""),
        read.app_id,
        claimed.hosts,
        read.timeouts,
        read.published,
    )


def _notes(rules: Iterable[Rule], ports: Mapping[int, ExportedPort], *, published: bool) -> Iterator[str]:
    if not published:
        yield BETWEEN
    for number in sorted({rule.port for rule in rules if rule.exact} - ports.keys()):
        yield f"port {number} has only an Exact path, which other clusters cannot use: give it a Prefix"
    if any(rule.invoked and rule.balancing != Balancing() for rule in rules):
        yield "loadBalancer and sessionSticky do nothing here: Dapr's sidecars pick the pod"
    for refs in {rule.backends for rule in rules if rule.backends}:
        yield f"its requests go to {', '.join(map(str, refs))}"


def _exportable(key: Key, service: Service | None) -> Service:
    name = "/".join(key)
    if service is None:
        raise FieldError("ServiceNotFound", f"there is no Service {name}")
    if service.deleted:
        raise FieldError("ServiceDeleted", f"Service {name} is being deleted")
    if service.external_name:
        message = f"Service {name} is of type ExternalName, which has no endpoints to export"
        raise FieldError("ExternalName", message)
    return service


def _ports(rules: Iterable[Rule], service: Service) -> dict[int, ExportedPort]:
    """By number. The first Prefix of a port is the one other clusters use."""
    ports: dict[int, ExportedPort] = {}
    for rule in rules:
        if not rule.exact and rule.port not in ports:
            port = service.ports[rule.port]
            protocol = protocol_of(port.name, port.app_protocol)
            ports[rule.port] = ExportedPort(rule.port, port.name, port.app_protocol, protocol, rule.path)
    return ports


def protocol_of(name: str, app_protocol: str) -> str:
    """What is spoken on a port: its appProtocol, else the first part of its name, else http."""
    prefix = name.split("-", 1)[0].lower()
    return app_protocol or (prefix if prefix in PROTOCOLS else "http")


def _read_rewrite(spec: Object) -> Rewrite | None:
    rewriting = mapping(spec.get("pathRewrite"), "spec.pathRewrite")
    source, to = rewriting.get("from"), rewriting.get("to")
    if not source and not to:
        return None
    if not source or not to:
        message = f"spec.pathRewrite needs both from and to: from is {source!r}, to is {to!r}"
        raise FieldError("InvalidRewrite", message)
    try:
        return PATTERNS.get(text(source, "spec.pathRewrite.from"), text(to, "spec.pathRewrite.to"))
    except RewriteError as error:
        raise FieldError("InvalidRewrite", f"spec.pathRewrite: {error}") from error


def _read_backends(raw: Object, invoked: str) -> tuple[BackendRef, ...]:
    found = read_backend_refs(raw)
    if found and invoked:
        message = f"annotation {BACKEND_REFS} does nothing with {INVOKE}: sidecar, for Dapr picks the pod"
        raise FieldError("InvalidBackendRefs", f"{message}: give app")
    return found


def _read_balancing(raw: Object, spec: Object) -> Balancing:
    kind = spec.get("loadBalancer") or ROUND_ROBIN
    if not isinstance(kind, str) or kind not in LOAD_BALANCERS:
        choices = ", ".join(sorted(LOAD_BALANCERS))
        raise FieldError("InvalidLoadBalancer", f"spec.loadBalancer is {kind!r}: give one of {choices}")
    annotations = mapping(mapping(raw.get("metadata"), "metadata").get("annotations"), "metadata.annotations")
    hash_on: Any = annotations.get(HASH_ON_ANNOTATION) or "source"
    if not isinstance(hash_on, str) or HASH_ON.fullmatch(hash_on) is None:
        message = f"annotation {HASH_ON_ANNOTATION} is {hash_on!r}: give source, header:NAME or cookie:NAME"
        raise FieldError("InvalidHashOn", message)
    return Balancing(kind, hash_on, spec.get("sessionSticky") is True)


def _read_rule(
    key: Key,
    service: Service,
    raw: Object,
    where: str,
    how: tuple[Rewrite | None, Balancing, str],
) -> Rule:
    kind = raw.get("pathType")
    if kind not in ("Exact", "Prefix"):  # not a set: any JSON value may stand there
        raise FieldError("InvalidPathType", f"{where}.pathType is {kind!r}: give Exact or Prefix")
    path = path_text(raw.get("path"), f"{where}.path")
    port = port_number(raw.get("portNumber"), f"{where}.portNumber")
    if port not in service.ports:
        has = ", ".join(map(str, sorted(service.ports))) or "none"
        message = f"{where}.portNumber {port} is not a TCP port of the Service, which has {has}"
        raise FieldError("PortNotFound", message)
    return Rule(key, kind == "Exact", path, port, *how)
