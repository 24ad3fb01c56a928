"""Whether a policy can hold for callers of a local Service's own name.

Callers of a Service with ready local pods go past every gateway. For its policy to hold for them too, its own
endpoints have to be the gateways. That is right only for Services of which the gateways carry all.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from gateway.core.conditions import EVERY_CALLER_CONDITION, Condition
from gateway.core.derived_names import EVERY_CALLER, LOCAL_OF, LONGEST_NAME, SELECTOR, local_name
from gateway.core.errors import ProtocolError
from gateway.core.exports import HTTP, Evaluation
from gateway.core.objects import (
    Key,
    Object,
    annotation,
    is_deleted,
    is_derived_service,
    is_external_name,
    key_of,
    label,
    listed,
    number,
    section,
    spec_of,
)
from gateway.core.route import WeightedCluster, normal_prefix

AFFINITY = "it keeps a client at one gateway; sessions are kept by the export's sessionSticky"


def asks(policy: Object | None) -> bool:
    """Whether a policy is to hold for every caller."""
    return policy is not None and annotation(policy, EVERY_CALLER) == "true"


def selector_of(service: Object) -> Mapping[str, str]:
    """The selector of a Service: its own, else the one that was taken over; empty when there is none."""
    own = section(spec_of(service), "selector")
    if own:
        return own
    try:
        kept = json.loads(annotation(service, SELECTOR) or "{}")
    except ValueError:
        return {}
    return kept if isinstance(kept, dict) else {}


def is_touched(service: Object) -> bool:
    """Whether something of a takeover is on a Service still."""
    return bool(annotation(service, SELECTOR))


def _elsewhere(service: Object) -> tuple[str, str] | None:
    """Reason and message for a Service whose callers reach what somebody else says; None for others."""
    name = "/".join(key_of(service))
    if is_external_name(service):
        return "ExternalName", f"Service {name} is of type ExternalName: callers are sent to another name"
    if not selector_of(service):
        return (
            "NoSelector",
            f"Service {name} has no selector: callers reach what somebody else lists",
        )
    return None


def _of_its_kind(service: Object) -> tuple[str, str] | None:
    spec, name = spec_of(service), "/".join(key_of(service))
    if spec.get("clusterIP") == "None":
        return "Headless", f"Service {name} is headless: callers dial its pods themselves"
    for field in ("internalTrafficPolicy", "externalTrafficPolicy"):
        if spec.get(field) == "Local":
            message = f"Service {name} has {field} Local, which a gateway on another node cannot keep"
            return "TrafficPolicyLocal", message
    if len(local_name(key_of(service)[1])) > LONGEST_NAME:
        return "NameTooLong", f"{local_name(name)} has more than the {LONGEST_NAME} letters of a Service"
    return None


def _not_carried(service: Object, export: Evaluation | None) -> tuple[str, str] | None:
    if export is None:
        name = "/".join(key_of(service))
        return "NotExported", f"Service {name} is not exported by this cluster: give it a ServiceExport"
    if not export.ports:
        why = export.problems[0].message if export.problems else "it has no Prefix path"
        return "NotExported", f"no port is exported by the ServiceExport {'/'.join(export.key)}: {why}"
    protocols = {port.number: port.protocol for port in export.ports}
    for port in listed(spec_of(service), "ports"):
        found, protocol = number(port, "port"), port.get("protocol", "TCP")
        if protocol != "TCP":
            return "PortNotCarried", f"port {found} is {protocol}: gateways carry HTTP over TCP alone"
        if found not in protocols:
            message = f"port {found} is not exported: add a Prefix rule for it, or a Service of its own"
            return "PortNotCarried", message
        if protocols[found] not in HTTP:
            message = (
                f"port {found} speaks {protocols[found]} by its appProtocol or name: gateways carry HTTP"
            )
            return "PortNotCarried", message
    return _path_not_restored(export)


def _path_not_restored(export: Evaluation) -> tuple[str, str] | None:
    """A rewrite sees the export's path before a call that leaves the cluster: an application must not see
    something of it now and then."""
    paths = {port.path for port in export.ports}
    for rule in export.rules:
        if rule.rewrite is not None and rule.path in paths and not rule.exact:
            prefix = normal_prefix(rule.path)
            served = WeightedCluster("", (), rewrite=rule.rewrite, rewritten_prefix=prefix)
            if not _restores(served):
                message = (
                    f"the pathRewrite changes the path of requests that leave the cluster, as it sees "
                    f"{prefix.decode()} in front: let every export of the service rewrite from "
                    f"^{prefix.decode()}/? to /"
                )
                return "PathNotRestored", message
    return None


def _restores(served: WeightedCluster) -> bool:
    try:
        return served.target(b"/x") == b"/x"
    except ProtocolError:  # it makes too much of it
        return False


@dataclass(frozen=True, slots=True)
class Reach:
    """How far one policy reaches."""

    condition: Condition
    wanted: bool = False
    """Its local Service is to be taken over."""


def reaches(
    policies: Mapping[Key, Object],
    services: Mapping[Key, Object],
    exports: Mapping[Key, Evaluation],
    needed: Callable[[Key], bool],
    contested: Mapping[Key, str],
    *,
    imports: Collection[Key],
) -> dict[Key, Reach]:
    """The reach of every policy that asks to hold for every caller, or says something else where it would.

    `needed`: whether requests must come by a gateway, for the policy of a service lets them leave the cluster
    or its export lists backends. `contested`: who keeps putting the selector of a Service back.
    """
    found = {}
    for key, policy in policies.items():
        if not asks(policy):
            if (said := annotation(policy, EVERY_CALLER)) not in {"", "false"}:
                message = (
                    f"annotation {EVERY_CALLER} is {said!r}, and counts as false: give 'true' or 'false'"
                )
                found[key] = _fails("InvalidAnnotation", message)
            continue
        found[key] = _reach(
            services.get(key),
            services.get((key[0], local_name(key[1]))),
            exports.get(key),
            needed=needed(key) and not is_deleted(policy),
            rival=contested.get(key, ""),
            imported=key in imports,
        )
    return found


def _reach(
    service: Object | None,
    beside: Object | None,
    export: Evaluation | None,
    *,
    needed: bool,
    rival: str,
    imported: bool,
) -> Reach:
    if service is None and not imported:
        return _fails("NoService", "there is no such Service here, and no other cluster exports one")
    if service is None or is_derived_service(service):
        return _holds("NoLocalService", "callers here reach the gateways, for there is no local Service")
    if (refused := _elsewhere(service)) is not None:
        return _fails(*refused)
    if not needed:
        why = "it keeps requests in this cluster" if imported else "no other cluster exports it to this one"
        return _holds("NotNeeded", f"{why}: callers reach the local pods directly")
    refused = _of_its_kind(service) or _not_carried(service, export) or _in_the_way(service, beside, rival)
    if refused is not None:
        reason, message = refused
        message += ". While a local pod is ready, callers of the Service's own name reach it directly"
        return _fails(reason, message)
    message = "callers of the Service's own name reach the gateways"
    if spec_of(service).get("sessionAffinity") == "ClientIP":
        message += f"; sessionAffinity ClientIP: {AFFINITY}"
    return replace(_holds("TakenOver", message), wanted=True)


def _in_the_way(service: Object, beside: Object | None, rival: str) -> tuple[str, str] | None:
    name = key_of(service)[1]
    if beside is not None and label(beside, LOCAL_OF) != name:
        return "NameTaken", f"there is a Service {local_name(name)} of somebody else: rename one of them"
    if rival:
        message = f"{rival} keeps putting the selector back: have it leave spec.selector of the Service alone"
        return "SelectorContested", message
    return None


def _holds(reason: str, message: str) -> Reach:
    return Reach(Condition(EVERY_CALLER_CONDITION, True, reason, message))


def _fails(reason: str, message: str) -> Reach:
    return Reach(Condition(EVERY_CALLER_CONDITION, False, reason, message))
