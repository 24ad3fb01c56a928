"""Namespaces whose Services never cross clusters, whoever exports them.

Those of the system: an import named like one of its Services would stand in its place. And those named like a
public top-level domain: a pod's search path makes Service `pypi` of namespace `org` answer for `pypi.org`.
"""

from __future__ import annotations

from gateway.core.objects import SYSTEM_NAMESPACE

SYSTEM = frozenset({"default", SYSTEM_NAMESPACE, "dapr-system"})
DNS_PARTS = frozenset({"svc", "cluster", "clusterset", "local", "localhost", "internal"})
"""Parts of the names that clusters and nodes themselves go by."""
COUNTRY_CODE = 2
"""Letters of a top-level domain of a country (ISO 3166), and no other domain is as short."""
PUBLIC = frozenset(
    {
        "com", "org", "net", "edu", "gov", "mil", "int", "arpa", "info", "biz", "name", "pro",
        "app", "dev", "cloud", "page", "site", "online", "tech", "xyz", "host", "network", "systems",
    }
)  # fmt: skip
"""The generic top-level domains that software asks for most, of some 1,400: `mayExport` is the sure way."""


def reserved(namespace: str) -> str:
    """Why no Service of this namespace is imported anywhere; empty when nothing speaks against it."""
    if namespace in SYSTEM or namespace.startswith("kube-"):
        return f"namespace {namespace} is the system's"
    if namespace in DNS_PARTS:
        return f"namespace {namespace} is a part of the names that clusters go by"
    if namespace in PUBLIC or (len(namespace) == COUNTRY_CODE and namespace.isalpha()):
        return (
            f"namespace {namespace} is a public top-level domain, whose names its Services would answer for"
        )
    return ""
