"""What a viewer asks for, as it stands in the address of the stream. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cli.doctor.check import Check

LONGEST = 300
"""Of each part, in characters: longer than any namespace and name."""


@dataclass(frozen=True, kw_only=True)
class Query:
    """Filters, by part of a service's name and by namespace, and what is looked into.

    `service` is namespace/name, `source` the cluster of callers there whose calls are to be explained;
    `cluster` is one's name. Empty: not asked for.
    """

    text: str = ""
    namespace: str = ""
    service: str = ""
    source: str = ""
    cluster: str = ""

    def matches(self, service: str) -> bool:
        """Whether a service, namespace/name, passes the filters."""
        namespace = service.partition("/")[0]
        return self.text in service and self.namespace in ("", namespace)


def query(words: Mapping[str, str]) -> Query:
    """A query from the address's own. Raises ValueError for what is none."""
    unknown = sorted(set(words) - set(Query.__dataclass_fields__))
    if unknown:
        raise ValueError(f"no such filter: {unknown[0][:LONGEST]!r}")
    long = next((name for name, word in words.items() if len(word) > LONGEST), None)
    if long:
        raise ValueError(f"{long} is longer than {LONGEST} characters")
    return Query(**words)


def about(check: Check, subject: str) -> bool:
    """Whether a check is about a service (namespace/name) or a cluster, by the words of its name."""
    return subject in check.name.replace(":", " ").split()
