"""Identities of clusters, as certificates say them (SPIFFE).

Every cluster is a trust domain of its own. Name constraints of X.509 bind a root to a host (RFC 5280, section
4.2.1.10), and the trust domain is the host of an identity: so a root can be bound to one cluster, and with it
nobody issues what names another one.
"""

from __future__ import annotations

import re
from hashlib import sha256

MESH = "multicluster"
"""What all trust domains end with. It is a name for people: nobody looks it up."""

DIGEST = 32
"""Hexadecimal digits of a key's SHA-256 in its trust domain: two keys have two, whatever is in them."""

SHOWN = 40
"""Characters of a cluster's name in its trust domain, where a label has 63 at most."""

PART = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
NAME = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,251}[A-Za-z0-9])?"
CLUSTER_KEY = re.compile(rf"(?:{PART}/){{3}}{NAME}")
"""Cluster keys as the Cluster CRD has them: each part can stand in the path of an identity as it is."""


def trust_domain(cluster_key: str) -> str:
    """The trust domain of a cluster: its name as far as a host can have it, and what tells it apart.

    ValueError for what is no cluster key.
    """
    if not CLUSTER_KEY.fullmatch(cluster_key):
        raise ValueError(
            f"{cluster_key!r} can have no certificate: give a cluster key, region/zone/group/name, each of "
            "letters, digits and -_. between them"
        )
    name = re.sub(r"[^a-z0-9]+", "-", cluster_key.rpartition("/")[2].lower())[:SHOWN].rstrip("-")
    return f"{name}.{sha256(cluster_key.encode()).hexdigest()[:DIGEST]}.{MESH}"


def spiffe_id(cluster_key: str) -> str:
    """The identity of a cluster's gateways. ValueError for what is no cluster key."""
    return f"spiffe://{trust_domain(cluster_key)}/cluster/{cluster_key}"


def cluster_of(identity: str) -> str:
    """The cluster key that an identity names; empty when it is none of ours, in every byte."""
    _, found, key = identity.partition("/cluster/")
    return key if found and CLUSTER_KEY.fullmatch(key) and spiffe_id(key) == identity else ""
