"""Service ports: listening ports of the gateway at which one Service's port is served, whatever the Host.

A caller may send any Host, so an EndpointSlice that lists gateways names, for each port of its Service, a
listening port that stands for nothing else. These slices are the only record of which port stands for what:
whoever restarts, and whichever gateway is asked, reads the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gateway.core.fields import FieldError, mapping, mappings, port_number, service_name
from gateway.core.objects import IMPORT_NAME, SERVICE_PORTS, Object, annotation, key_of, label
from gateway.core.problem import Problem
from gateway.core.route import Route

LONGEST_ANNOTATION = 8 * 1024
"""Characters. A slice has at most 100 ports, which take a fifth of it."""
PORT = re.compile(r"[0-9]{1,5}")


@dataclass(frozen=True, slots=True)
class Claim:
    """What one slice says of one listening port."""

    port: int
    service: str
    """`namespace/name` of the import."""
    service_port: int


def read_claims(endpoint_slice: Object, listening: range) -> list[Claim]:
    """The claims of a slice that lists gateways. FieldError, and none, when it is faulty."""
    text = annotation(endpoint_slice, SERVICE_PORTS)
    if not text:
        return []
    where = f"annotation {SERVICE_PORTS}"
    if len(text) > LONGEST_ANNOTATION:
        raise FieldError("Invalid", f"{where} is longer than {LONGEST_ANNOTATION} characters")
    namespace = service_name(key_of(endpoint_slice)[0] or "default", "metadata.namespace")
    name = service_name(label(endpoint_slice, IMPORT_NAME), f"label {IMPORT_NAME}")
    try:
        read = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FieldError("Invalid", f"{where} is not JSON: {error}") from error
    named = [item.get("port") for item in mappings(endpoint_slice.get("ports"), "ports")]
    claims = []
    for key, value in mapping(read, where).items():
        port = port_number(int(key) if PORT.fullmatch(key) else key, f"a port in {where}")
        if port not in named:
            raise FieldError("PortNotFound", f"{where} names port {port}, which is none of the slice's ports")
        if port not in listening:
            message = f"{where} names port {port}: a gateway has {listening[0]} to {listening[-1]}"
            raise FieldError("PortNotFound", message)
        claims.append(Claim(port, f"{namespace}/{name}", port_number(value, f"{where}: {key}")))
    return claims


def service_ports(
    slices: Iterable[Object], routes: Iterable[Route], listening: range
) -> tuple[dict[int, Route], list[Problem]]:
    """Routes by listening port, and what is wrong with the slices.

    `listening`: the ports a gateway listens on for this; a claim of any other is a problem. A port that
    stands for several Services by what is written routes by Host instead: nobody can take another's requests.
    """
    found: dict[int, dict[Claim, Object]] = {}
    problems: list[Problem] = []
    for raw in slices if listening else ():
        try:
            for claim in read_claims(raw, listening):
                found.setdefault(claim.port, {}).setdefault(claim, raw)
        except FieldError as error:
            problems.append(_problem(raw, error))
    if not found:
        return {}, problems
    by_port = {(route.service, route.port): route for route in routes}
    ports = {}
    for port, claims in sorted(found.items()):
        route = _only(claims, by_port, port, problems)
        if route is not None:
            ports[port] = route
    return ports, problems


def _only(
    claims: Mapping[Claim, Object],
    routes: Mapping[tuple[str, int], Route],
    port: int,
    problems: list[Problem],
) -> Route | None:
    """The route that a port stands for, when it is one."""
    if len(claims) > 1:
        services = ", ".join(sorted(f"{claim.service}:{claim.service_port}" for claim in claims))
        message = f"port {port} stands for several Services, so its requests are routed by Host: {services}"
        problems.extend(_problem(raw, FieldError("PortConflict", message)) for raw in claims.values())
        return None
    (claim,) = claims
    # An import that has just gone leaves its slice behind for a moment: no fault of anybody's.
    return routes.get((claim.service, claim.service_port))


def _problem(raw: Object, error: FieldError) -> Problem:
    return Problem("EndpointSlice", *key_of(raw), error.reason, str(error))
