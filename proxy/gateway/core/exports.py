"""ServiceExports: which paths of this cluster lead to which Service port, and how."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from gateway.core.affinity import HASH_ON, KINDS, ROUND_ROBIN, Balancing
from gateway.core.objects import FieldError, Key, Objects, Raw, items, path_text, port_number, section, text
from gateway.core.rewrite import Rewrite, RewriteError
from gateway.core.route import normal_prefix

HASH_ON_ANNOTATION = "multicluster.flomesh.io/hash-on"
"""What HashingLoadBalancer hashes: `source` (default), `header:NAME` or `cookie:NAME`. Ours: the schema
has no field."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One usable path rule."""

    key: Key
    exact: bool
    path: str
    port: int
    rewrite: Rewrite | None
    balancing: Balancing

    @property
    def place(self) -> tuple[bool, bytes]:
        """What no two rules may share."""
        return self.exact, self.path.encode() if self.exact else normal_prefix(self.path)


def read_exports(objects: Objects, report: Callable[[Key, FieldError], None]) -> list[Rule]:
    """Usable rules of all exports. Of two exports with one path the older wins, then the first by name."""
    taken: dict[tuple[bool, bytes], Key] = {}
    rules: list[Rule] = []
    exports = objects.exports
    for key in sorted(exports, key=lambda key: (_created(exports[key]), key)):
        try:
            listed, how = _read_export(objects, key)
        except FieldError as error:
            report(key, error)
            continue
        for index, item in enumerate(listed):
            try:
                rule = _read_rule(objects, key, item, f"spec.rules[{index}]", how)
                _claim(taken, rule, f"spec.rules[{index}]")
            except FieldError as error:
                report(key, error)
            else:
                rules.append(rule)
    return rules


def _claim(taken: dict[tuple[bool, bytes], Key], rule: Rule, where: str) -> None:
    owner = taken.get(rule.place)
    if owner is not None:
        message = f"{where}.path {rule.path!r} is already exported by {'/'.join(owner)}: change one of them"
        raise FieldError("PathConflict", message)
    taken[rule.place] = rule.key


def _read_export(objects: Objects, key: Key) -> tuple[list[Raw], tuple[Rewrite | None, Balancing]]:
    raw = objects.exports[key]
    spec = section(raw.get("spec"), "spec")
    service = objects.services.get(key)
    name = "/".join(key)
    if service is None:
        raise FieldError("ServiceNotFound", f"no Service {name} in this cluster: create it")
    if service.external_name:
        raise FieldError("ExternalName", f"Service {name} is of type ExternalName, which has no endpoints")
    listed = items(spec.get("rules"), "spec.rules")
    if not listed:
        raise FieldError("NoRules", "spec.rules is empty: give at least one path rule")
    return listed, (_read_rewrite(spec), _read_balancing(raw, spec))


@lru_cache(maxsize=16384)
def _rewrite(source: str, to: str) -> Rewrite:
    """Compiling patterns is a good part of the cost of a snapshot, and they seldom change."""
    return Rewrite(source, to)


def _read_rewrite(spec: Raw) -> Rewrite | None:
    """Only with both parts given, as FSM has it."""
    rewriting = section(spec.get("pathRewrite"), "spec.pathRewrite")
    source, to = rewriting.get("from"), rewriting.get("to")
    if not source or not to:
        return None
    try:
        return _rewrite(text(source, "spec.pathRewrite.from"), text(to, "spec.pathRewrite.to"))
    except RewriteError as error:
        raise FieldError("InvalidRewrite", f"spec.pathRewrite: {error}") from error


def _read_balancing(raw: Raw, spec: Raw) -> Balancing:
    kind = spec.get("loadBalancer") or ROUND_ROBIN
    if not isinstance(kind, str) or kind not in KINDS:
        raise FieldError(
            "InvalidLoadBalancer", f"spec.loadBalancer is {kind!r}: give one of {', '.join(sorted(KINDS))}"
        )
    annotations = section(section(raw.get("metadata"), "metadata").get("annotations"), "metadata.annotations")
    hash_on: Any = annotations.get(HASH_ON_ANNOTATION) or "source"
    if not isinstance(hash_on, str) or HASH_ON.fullmatch(hash_on) is None:
        message = f"annotation {HASH_ON_ANNOTATION} is {hash_on!r}: give source, header:NAME or cookie:NAME"
        raise FieldError("InvalidHashOn", message)
    return Balancing(kind, hash_on, spec.get("sessionSticky") is True)


def _read_rule(
    objects: Objects, key: Key, raw: Raw, where: str, how: tuple[Rewrite | None, Balancing]
) -> Rule:
    kind = raw.get("pathType")
    if kind not in ("Exact", "Prefix"):  # not a set: any JSON value may stand there
        raise FieldError("InvalidPathType", f"{where}.pathType is {kind!r}: give Exact or Prefix")
    path = path_text(raw.get("path"), f"{where}.path")
    port = port_number(raw.get("portNumber"), f"{where}.portNumber")
    ports = objects.services[key].ports
    if port not in ports:
        known = ", ".join(map(str, sorted(ports))) or "none"
        raise FieldError(
            "PortNotFound", f"{where}.portNumber {port} is no TCP port of the Service: it has {known}"
        )
    return Rule(key, kind == "Exact", path, port, *how)


def _created(raw: Raw) -> str:
    metadata = raw.get("metadata")
    return str(metadata.get("creationTimestamp") or "9999") if isinstance(metadata, Mapping) else "9999"
