"""Rules about the backends of exports and about header matches, as the gateway has them."""

from __future__ import annotations

from collections.abc import Iterator

import re2

from stacks.config.model import Settings
from stacks.config.problem import Problem, once
from stacks.config.traffic import ExportSettings, RequestMatch


def backends_make_sense(settings: Settings) -> Iterator[Problem]:
    """Each Service shares an export once, and one of them takes what matches nothing."""
    for index, export in enumerate(settings.exports):
        where, refs = f"exports[{index}].backendRefs", export.backend_refs
        if not refs:
            continue
        if settings.mesh == "flomesh":
            yield Problem(where, None, "has no meaning for FSM", "Remove it, or use `mesh: bundled`.")
        if settings.dapr.invoke == "sidecar" and settings.app_id(export):
            reason = "does nothing with `dapr.invoke: sidecar`, where Dapr picks the pod"
            yield Problem(where, None, reason, "Leave it out, or write `invoke: app`.")
        yield from once(where, (ref.name for ref in refs), "Give it all of its weight at once.")
        if not any(ref.weight for ref in refs):
            reason = "no Service has a weight, and requests that match nothing need one"
            yield Problem(where, None, reason, "Give one of them a weight.")
        yield from _ports_are_there(settings, where, export)
        for number, ref in enumerate(refs):
            yield from _match(f"{where}[{number}].match", ref.match)


def matches_make_sense(settings: Settings) -> Iterator[Problem]:
    """What a target is matched by is a policy's that has a choice, and one that a request can have."""
    for index, policy in enumerate(settings.policies):
        for number, target in enumerate(policy.targets):
            where = f"policies[{index}].targets[{number}].match"
            if target.match is None:
                continue
            if settings.mesh == "flomesh":
                yield Problem(where, None, "has no meaning for FSM", "Remove it, or use `mesh: bundled`.")
            if policy.lb_type == "Locality":
                reason = "does nothing with Locality"
                yield Problem(where, None, reason, "Remove it, or use FailOver or ActiveActive.")
            yield from _match(where, target.match)


def _ports_are_there(settings: Settings, where: str, export: ExportSettings) -> Iterator[Problem]:
    """Of Services that the settings make; those of others nobody says here."""
    wanted = {rule.port_number for rule in export.rules}
    for number, ref in enumerate(export.backend_refs):
        for cluster in export.clusters:
            ports = settings.ports_of(cluster, export.namespace, ref.name)
            if ports and (missing := sorted(wanted.difference(ports))):
                reason = f"has no port {missing[0]} on {cluster}, which a rule exports"
                yield Problem(f"{where}[{number}].name", ref.name, reason, "Give the Service that port too.")
                break


def _match(where: str, match: RequestMatch | None) -> Iterator[Problem]:
    if match is None:
        return
    names = (header.name.lower() for header in match.headers)
    yield from once(f"{where}.headers", names, "Use a pattern for several values.")
    for number, header in enumerate(match.headers):
        if header.type == "RegularExpression" and (fault := _fault(header.value)):
            reason = f"is not a regular expression in RE2 syntax: {fault}"
            yield Problem(f"{where}.headers[{number}].value", header.value, reason, "Correct it.")


def _fault(pattern: str) -> str:
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(pattern, options)
    except re2.error as error:
        return str(error.args[0].decode())
    return ""
