"""Which exports the front door serves under their paths. Pure.

The front door, on the control plane, stands for the paths of all exporters. Whose each is goes by the hub's
own dates: the oldest claim has it, from then on, and the settings (`paths`) come before any claim. Who does
not get a path is still imported by name; its import says that the front door does not serve it. Nor does it
serve what has hosts, which is published under them by its own cluster alone, with paths of its own; nor what
is published between clusters alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from gateway.core.claims import Claims, Grant, Match, match_of
from gateway.core.fields import FieldError, parsed_mappings, path_text
from gateway.core.objects import Key, texts
from gateway.kube.cluster_view import ClusterView
from gateway.kube.exporters import Exporter
from gateway.kube.first_seen import path_claim

MOST_NOTES = 8
"""On one export: however many claim its paths, its condition stays one that can be read."""


@dataclass(frozen=True, slots=True, order=True)
class _Claim:
    """A path somebody wants to be served at the front door, in the order in which they are asked."""

    since: str
    created: str
    cluster: str
    key: Key
    path: str
    match: Match
    exporter: Exporter | None = field(compare=False)
    """None: what a member claimed that has not been read since the hub started."""


def read_grants(text: str) -> tuple[Grant, ...]:
    """The settings' delegated paths as JSON text. ValueError when it is something else."""
    return tuple(
        Grant(
            match_of(path_text(item.get("prefix"), "prefix"), exact=False)[1],
            frozenset(texts(item, "namespaces")),
            frozenset(texts(item, "clusters")),
        )
        for item in parsed_mappings(text)
    )


def settle_paths(
    views: Sequence[ClusterView], services: Mapping[Key, Sequence[Exporter]], grants: Iterable[Grant]
) -> None:
    """Say on each exporter which of its paths the front door does not serve, and tell both sides."""
    home = next((view for view in views if view.front_door), None)
    if home is None:
        return
    claims = Claims(grants)
    for claim in sorted([*_claims(home, services), *_unread(home, views)]):
        namespace, cluster = claim.key[0], claim.cluster
        reason = claims.refusal(claim.match[1], namespace, cluster)
        if not reason and claims.owner(claim.match) != claim.key:
            owner = claims.take(claim.match, claim.key)
            if owner is not None:
                reason = f"{'/'.join(owner)} has it, or one around or inside it, since before"
                _tell(services.get(owner, ()), claim)
        if reason and claim.exporter is not None:
            claim.exporter.not_at_door.add(claim.path)
            claim.exporter.conflicts.append(f"the front door does not serve {claim.path}: {reason}")


def _tell(owners: Iterable[Exporter], claim: _Claim) -> None:
    loser = f"{'/'.join(claim.key)} of {claim.cluster}"
    for exporter in owners:
        if len(exporter.notes) < MOST_NOTES:
            exporter.notes.append(f"the front door does not serve {claim.path} of {loser}, which is younger")


def _claims(home: ClusterView, services: Mapping[Key, Sequence[Exporter]]) -> Iterator[_Claim]:
    """What the front door would serve: imported ports, and the rules of its own cluster."""
    for key, exporters in services.items():
        for exporter in exporters:
            if exporter.export.hosts or not exporter.export.published:
                exporter.not_at_door.update(port.path for port in exporter.ports)
            elif exporter.view is home:
                for rule in exporter.export.rules:
                    yield _claim(exporter, rule.path, rule.match)
            elif exporter.reaches(home.key) and key[0] in home.namespaces:
                for port in exporter.ports:
                    yield _claim(exporter, port.path, match_of(port.path, exact=False))


def _claim(exporter: Exporter, path: str, match: Match) -> _Claim:
    view, export = exporter.view, exporter.export
    since = (view.first_seen or {}).get(path_claim(export.key, path, exact=match[0]), export.created)
    return _Claim(since, export.created, view.key, export.key, path, match, exporter)


def _unread(home: ClusterView, views: Iterable[ClusterView]) -> Iterator[_Claim]:
    """What members claimed that cannot be read now: nobody takes it while they are away."""
    for view in views:
        for claim, since in (view.first_seen or {}).items() if view.exports is None else ():
            name, _, path = claim.partition(" ")
            namespace, _, service = name.partition("/")
            allowed = view.may_export is None or namespace in view.may_export
            if not path or not allowed or namespace not in home.namespaces:
                continue
            try:
                match = match_of(path_text(path, "path"), exact=False)
            except FieldError:
                continue  # the export was told
            yield _Claim(since, since, view.key, (namespace, service), path, match, None)
