"""Rules about the paths of exports and their rewrites, as the gateway and the CRDs have them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import re2

from stacks.config.model import Settings
from stacks.config.problem import Problem
from stacks.config.traffic import PublishedPath

ESCAPE = re.compile(r"%(?:2[eE])|%(?![0-9A-Fa-f]{2})")
"""An escaped dot, or a % that begins no escape."""

GROUP = re.compile(r"\$\$|\$(\d\d?)")
REPLACEMENT = re.compile(r"[\x21\x22\x24-\x7e]+")
"""Characters that a request target can have."""


def paths_have_one_owner(settings: Settings) -> Iterator[Problem]:
    """A path can be asked for, and on a cluster and host it belongs to one rule of one export.

    Nor is it inside a prefix of another namespace, whose requests it would take.
    """
    owners: dict[tuple[str, str | None, str, str], str] = {}
    claimed: dict[tuple[str, str | None], list[tuple[str, str, str, str]]] = {}
    for index, export in enumerate(settings.exports):
        # What is not published claims no path.
        for number, rule in enumerate(export.path_rules if export.published else ()):
            where = f"exports[{index}].rules[{number}].path"
            if fault := _unreachable(rule.path):
                yield Problem(where, rule.path, fault, "Write the path as clients ask for it.")
            for cluster in export.clusters:
                owner = owners.setdefault((cluster, export.host, *_match(rule)), where)
                if owner != where:
                    yield Problem(
                        where, rule.path, f"{owner} has it on {cluster} already", "Change one of them."
                    )
                    continue
                claim = (export.namespace, *_match(rule), where)
                for other in claimed.setdefault((cluster, export.host), []):
                    if other[0] != claim[0] and (_is_inside(claim, other) or _is_inside(other, claim)):
                        reason = f"{other[3]}, another namespace's, is around or inside it on {cluster}"
                        yield Problem(where, rule.path, reason, "Change one of them.")
                claimed[cluster, export.host].append(claim)


def delegated_paths_make_sense(settings: Settings) -> Iterator[Problem]:
    """A delegated path is one that requests have, is delegated once, and to clusters there are."""
    first: dict[str, str] = {}
    for index, grant in enumerate(settings.paths):
        where = f"paths[{index}]"
        if settings.mesh == "flomesh":
            yield Problem(where, None, "has no meaning for FSM's hub", "Remove it, or use `mesh: bundled`.")
        if fault := _unreachable(grant.prefix):
            yield Problem(f"{where}.prefix", grant.prefix, fault, "Write the path as clients ask for it.")
        before = first.setdefault(grant.prefix.removesuffix("*").rstrip("/"), where)
        if before != where:
            yield Problem(f"{where}.prefix", grant.prefix, f"{before} delegates it", "Join the two.")
        yield from clusters_exist(settings, f"{where}.clusters", grant.clusters)


def clusters_exist(settings: Settings, where: str, clusters: Iterable[str]) -> Iterator[Problem]:
    """A problem for each name that no cluster has."""
    names = [cluster.name for cluster in settings.clusters]
    for name in clusters:
        if name not in names:
            reason, hint = "no cluster has this name", f"Choose from: {', '.join(names)}."
            yield Problem(where, name, reason, hint, of_every="clusters")


def paths_are_said_or_not(settings: Settings) -> Iterator[Problem]:
    """One rewrite is all that an export has: what takes default paths off leaves the others on."""
    for index, export in enumerate(settings.exports):
        without = [number for number, rule in enumerate(export.rules) if rule.path is None]
        if export.path_rewrite is None and 0 < len(without) < len(export.rules):
            yield Problem(
                f"exports[{index}].rules[{without[0]}].path",
                None,
                "missing, and other rules have one",
                "Write one as well, take the others out, or write the pathRewrite for all of them.",
            )


def rewrites_can_run(settings: Settings) -> Iterator[Problem]:
    """A rewrite is a pattern of RE2 syntax and a replacement that makes a request target."""
    for index, export in enumerate(settings.exports):
        if export.path_rewrite is None:
            continue
        where, source, to = f"exports[{index}].pathRewrite", export.path_rewrite.from_, export.path_rewrite.to
        if REPLACEMENT.fullmatch(to) is None:
            reason = "empty" if not to else "has a character that no request target can have"
            yield Problem(
                f"{where}.to", to, reason, "Write / for the root; escape spaces, # and the like, as %20."
            )
        try:
            options = re2.Options()
            options.log_errors = False
            groups = re2.compile(source, options).groups
        except re2.error as error:
            reason = f"is not a regular expression in RE2 syntax: {error.args[0].decode()}"
            yield Problem(f"{where}.from", source, reason, "Correct it.")
            continue
        highest = max((int(found) for found in GROUP.findall(to) if found), default=0)
        if highest > groups:
            yield Problem(
                f"{where}.to", to, f"uses group ${highest}, and `from` has {groups}", "Correct one of them."
            )


def _unreachable(path: str) -> str:
    path = path.removesuffix("*")  # a Prefix drops it
    if not path.isascii() or not path.isprintable():
        return "has characters outside printable ASCII, which clients send escaped"
    if ESCAPE.search(path) or not {".", ".."}.isdisjoint(re.split(r"[/\\]|%2[fF]|%5[cC]", path)):
        return "has dot segments, or a % that begins no escape, which no request has"
    return ""


def _is_inside(claim: tuple[str, str, str, str], other: tuple[str, str, str, str]) -> bool:
    """Whether a path is inside a prefix, or is the same one. The root gets what nobody claims."""
    _, _, path, _ = claim
    _, kind, prefix, _ = other
    return kind == "Prefix" and bool(prefix) and bool(path) and f"{path}/".startswith(f"{prefix}/")


def _match(rule: PublishedPath) -> tuple[str, str]:
    """What no two rules of a cluster may share: `/a`, `/a/` and `/a/*` are one prefix."""
    path = rule.path if rule.path_type == "Exact" else rule.path.removesuffix("*").rstrip("/")
    return rule.path_type, path
