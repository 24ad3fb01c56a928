"""Settles whose each host and each path of a cluster is, by the dates of the claims. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gateway.core.claims import Claims, Match
from gateway.core.dates import UNDATED, path_claim
from gateway.core.export_hosts import HOST
from gateway.core.fields import FieldError
from gateway.core.objects import Key


@dataclass(slots=True)
class Claimed:
    """What one export claims, and what it got."""

    key: Key
    created: str
    dates: Mapping[str, str]
    """By claim (`dates`)."""
    hosts: tuple[str, ...] = ()
    """Under which alone it is to be served; none when it cannot have one of them."""
    paths: dict[int, tuple[str, Match]] = field(default_factory=dict)
    """As written and as compared, by the number of the rule; also of rules that cannot be served."""
    won: dict[int, list[str]] = field(default_factory=dict)
    """The hosts at which a rule has its path; the empty one when the export has no host."""
    errors: list[FieldError] = field(default_factory=list)

    def since(self, claim: str) -> tuple[str, str, Key]:
        """What claims are ordered by."""
        return self.dates.get(claim, UNDATED), self.created, self.key


def settle(exports: Iterable[Claimed]) -> dict[Key, set[Key]]:
    """Give each host and path to its oldest claim, and say so. Returns who claimed paths in vain, by owner.

    The paths of a host are as old as the claim of the host is: all of them are of one namespace.
    """
    claimed = {export.key: export for export in exports}
    _settle_hosts(claimed)
    paths: dict[str, Claims] = {}
    wanted = [
        (export.since(host or path_claim(path, exact=match[0])), index, host)
        for export in claimed.values()
        for index, (path, match) in export.paths.items()
        for host in export.hosts or ("",)
    ]
    for (_, _, key), index, host in sorted(wanted):
        export, others = claimed[key], paths.setdefault(host, Claims())
        path, match = export.paths[index]
        owner = others.take(match, key)
        if owner is None:
            export.won.setdefault(index, []).append(host)
            continue
        same = others.owner(match) is not None
        how_so = "is already exported by" if same else "nests with a path of another namespace's"
        at = f"spec.rules[{index}].path {path!r}{f' of {host}' if host else ''}"
        message = f"{at} {how_so} {'/'.join(owner)}: change one of them"
        export.errors.append(FieldError("PathConflict", message))
    losers: dict[Key, set[Key]] = {}
    for each in paths.values():
        for owner, others_of in each.losers.items():
            losers.setdefault(owner, set()).update(others_of)
    return losers


def _settle_hosts(claimed: Mapping[Key, Claimed]) -> None:
    """A host is its oldest claim's namespace's. Who does not get all of its hosts gets nothing."""
    owners: dict[str, Key] = {}
    for (_, _, key), host in sorted(
        (export.since(host), host) for export in claimed.values() for host in export.hosts
    ):
        owners.setdefault(host, key)
    for export in claimed.values():
        lost = [host for host in export.hosts if owners[host][0] != export.key[0]]
        if lost:
            message = f"annotation {HOST}: {lost[0]!r} is that of {'/'.join(owners[lost[0]])}: give another"
            export.errors.append(FieldError("HostConflict", message))
            export.hosts = ()
            export.paths = {}
