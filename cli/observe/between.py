"""Over what clusters call each other, and by which roots each proves itself, as their gateways tell. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from cli.observe import serving
from cli.observe.view import ClusterView, Object, Platform

Over = Literal["mutual TLS", "plain HTTP", "both", "nothing", "unknown"]
"""`both`: some gateways of the caller ask over TLS by now, others do not. `nothing`: it is not asked."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A cluster whose gateways send requests to those of another one; both by cluster key.

    `callee` is empty when it is not known whom they send to.
    """

    caller: str
    callee: str
    over: Over
    callee_roots: tuple[str, ...] = ()
    """Fingerprints of the roots by which the callee proves itself to the caller."""
    caller_roots: tuple[str, ...] = ()
    until: float | None = None
    """When the first of the certificates of both ends, in seconds since 1970; None while one has none."""
    fault: str = ""
    """Why requests over TLS fail, or why there is no TLS."""
    plain: bool = False
    """The callee serves gateways of other clusters over plain HTTP too, as one of its own tells."""


def is_on(platform: Platform) -> bool:
    """Whether gateways can prove to each other whose they are."""
    return platform.settings.gateway.mutual_tls != "off"


def is_asked_for(platform: Platform) -> bool:
    """Whether gateways are to ask each other over TLS."""
    return platform.settings.gateway.mutual_tls in ("permissive", "strict")


def pairs(platform: Platform) -> list[Pair]:
    """Every cluster with each one that its routes lead to; with nobody while these are not known."""
    return [pair for view in platform.clusters for pair in _pairs(platform, view)]


def _pairs(platform: Platform, view: ClusterView) -> Iterator[Pair]:
    if view.error or (fault := serving.untold(view)):
        fault = f"its routes could not be read ({view.error or fault})"
        yield Pair(caller=view.key, callee="", over="unknown", fault=fault)
        return
    for callee in sorted(_callees(view), key=platform.short):
        yield _pair(platform, view, callee)


def _callees(view: ClusterView) -> set[str]:
    return {
        found.cluster
        for route in serving.routes(view.config)
        for shares in (route.clusters, *(shares for _, shares in route.matches))
        for found in shares
        if found.remote
    }


def _pair(platform: Platform, view: ClusterView, callee: str) -> Pair:
    name = platform.short(callee)
    if not is_asked_for(platform):
        lacking = [one.name for one in platform.settings.members if one.peers_port is None]
        fault = f"gateway.mutualTls is {platform.settings.gateway.mutual_tls}"
        fault += f", and {', '.join(lacking)} without peersPort" if lacking else ""
        # On the way back who still says that it listens is asked over TLS still.
        still = any(callee in page["gateways"] for page in pages_of(view))
        return Pair(caller=view.key, callee=callee, over="both" if still else "plain HTTP", fault=fault)
    pages = pages_of(view)
    if not pages:
        return Pair(caller=view.key, callee=callee, over="unknown", fault=f"{view.name} does not tell")
    over_tls = [callee in page["gateways"] for page in pages]
    if not any(over_tls):
        strict = platform.settings.gateway.mutual_tls == "strict"
        fault = f"{name} does not listen for TLS"
        return Pair(caller=view.key, callee=callee, over="nothing" if strict else "plain HTTP", fault=fault)
    other = platform.by_key(callee)
    others = pages_of(other) if other is not None else []
    ends = [time_of(page["until"]) for page in (*pages, *others) if page["until"]]
    return Pair(
        caller=view.key,
        callee=callee,
        over="mutual TLS" if all(over_tls) else "both",
        callee_roots=_roots(pages, callee),
        caller_roots=_roots(others, view.key),
        until=min(ends) if len(ends) == len(pages) + len(others) and (others or other is None) else None,
        fault=next(_faults(view, name, callee, pages, others), ""),
        plain=any(page.get("plain") is True for page in others),
    )


def _faults(
    view: ClusterView, name: str, callee: str, pages: Sequence[Object], others: Sequence[Object]
) -> Iterator[str]:
    if not all(page["certificate"] for page in pages):
        yield f"{view.name} has no certificate that counts"
    if not all(page["certificate"] for page in others):
        yield f"{name} has no certificate that counts"
    if not _roots(pages, callee):
        yield f"{view.name} knows no root of {name}"
    if others and not _roots(others, view.key):
        yield f"{name} knows no root of {view.name}"


def pages_of(view: ClusterView) -> list[Object]:
    """What its gateways tell of mutual TLS. Those of an older version do not say whom they ask."""
    told = (gateway.peers for gateway in view.gateways)
    return [page for page in told if page is not None and "gateways" in page]


def _roots(pages: Sequence[Object], key: str) -> tuple[str, ...]:
    """Roots of a cluster that all of these gateways know."""
    known = [set(page["peers"].get(key) or ()) for page in pages]
    return tuple(sorted(set.intersection(*known))) if known else ()


def time_of(text: str) -> float:
    """A time of a page in seconds since 1970."""
    return datetime.fromisoformat(text).timestamp()
