"""Hosts of exports: names under which an export is published north-south, with paths of their own.

Without one, exports share the paths of whatever Host is asked for: to a browser they are one origin, and a
page of one reads the cookies and answers of the others. A host belongs to the exports of one namespace: of
those to which it is granted (`host_grants`) the first that claims it. A request for it is served by nothing
else.
"""

from __future__ import annotations

import re
from collections.abc import Container

from gateway.core.derived_names import cluster_set_name
from gateway.core.fields import SERVICE_NAME, FieldError
from gateway.core.objects import Key, Object, meta, section
from gateway.core.reserved import DNS_PARTS

HOST = "multicluster.flomesh.io/host"
"""Annotation of an export: its host, or several with commas between them. Ours: the schema has no field."""

LONGEST_HOST = 253
MOST_HOSTS = 16
"""Of one export."""
NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
"""A last label that browsers take for the end of an IPv4 address (WHATWG URL, 3.5)."""
HINT = "give lower-case names of DNS with a dot in them, such as shop.example.com, with commas between them"


def read_hosts(raw: Object) -> tuple[str, ...]:
    """The hosts an export says, each once; none when it says none. FieldError when one cannot be used."""
    said = section(meta(raw), "annotations").get(HOST)
    if said is None:
        return ()
    hosts = [host.strip() for host in said.split(",")] if isinstance(said, str) else []
    if not 1 <= len(hosts) <= MOST_HOSTS:
        message = f"annotation {HOST} is {str(said)[:LONGEST_HOST]!r}: 1 to {MOST_HOSTS} hosts work: {HINT}"
        raise FieldError("InvalidHost", message)
    for host in hosts:
        if reason := unusable(host):
            message = f"annotation {HOST}: {host[:LONGEST_HOST]!r} {reason}: {HINT}"
            raise FieldError("InvalidHost", message)
    return tuple(dict.fromkeys(hosts))


def unusable(host: str) -> str:
    """Why no export can have this host; empty when one can."""
    labels = host.split(".")
    if len(host) > LONGEST_HOST or not all(map(SERVICE_NAME.fullmatch, labels)):
        return "is no such name"
    if len(labels) == 1:
        return "has no dot in it"
    if NUMBER.fullmatch(labels[-1]):
        return "is an address"
    if labels[-1] in DNS_PARTS or "svc" in labels:
        return "is a name inside clusters"
    return ""


def names_a_service(host: str, services: Container[Key]) -> bool:
    """Whether callers in a cluster say this host for one of these Services."""
    name, _, namespace = host.partition(".")
    return any((namespace, own) in services for own in (name, name.removesuffix(cluster_set_name(""))))


def host_of(field: bytes) -> str:
    """The host in a Host field, as exports name theirs."""
    return field.partition(b":")[0].rstrip(b".").lower().decode("latin-1")
