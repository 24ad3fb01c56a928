"""Certificates by which gateways prove whose they are: how old, until when, and where they count. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from cli.doctor import hints
from cli.doctor.check import Check, Result
from cli.doctor.deployments import check
from cli.doctor.lifetimes import Lifetime
from cli.observe.between import Pair, is_asked_for, is_on, pages_of, pairs, time_of
from cli.observe.view import CONTROLLER, HUB, ClusterView, Platform


def certificate_checks(platform: Platform, view: ClusterView) -> Iterator[Check]:
    """Of one cluster: its gateways' certificate, the root that others trust, its calls to others."""
    if not is_on(platform):
        yield from _plain(platform, view)
        return
    strict = platform.settings.gateway.mutual_tls == "strict"
    yield from _certificate(platform, view, without="fail" if strict else "warn")
    yield from _root(platform, view)
    if is_asked_for(platform):
        yield from _calls(platform, view)


def _certificate(platform: Platform, view: ClusterView, *, without: Result) -> Iterator[Check]:
    what, hint = "gateways' certificate", hints.logs(view.settings, CONTROLLER)
    pages = pages_of(view)
    if not pages:
        return  # that no gateway is ready, or one does not tell, is a check of its own
    lifetimes = [_lifetime(page["since"], page["until"]) for page in pages if page["until"]]
    if len(lifetimes) < len(pages):
        seen = f"{len(pages) - len(lifetimes)} of {len(pages)} gateways have none yet"
        yield check(view, what, without, seen, hint)
        return
    first = min(lifetimes, key=lambda lifetime: lifetime.until)
    yield check(view, what, first.result(platform.at), first.seen(platform.at), hint)


def _root(platform: Platform, view: ClusterView) -> Iterator[Check]:
    """By what others know it. A root that is followed by another one may end."""
    known = {
        root: _lifetime(page["roots"][root]["since"], page["roots"][root]["until"])
        for other in platform.clusters
        for page in pages_of(other)
        for root in page["peers"].get(view.key) or ()
    }
    if not known:
        return
    root, lifetime = max(known.items(), key=lambda item: item[1].until)
    seen = f"{root}, {lifetime.seen(platform.at)}"
    yield check(view, "root", lifetime.result(platform.at), seen, hints.logs(view.settings, CONTROLLER))


def _calls(platform: Platform, view: ClusterView) -> Iterator[Check]:
    found = [pair for pair in pairs(platform) if pair.caller == view.key and pair.over != "unknown"]
    secure = [pair for pair in found if pair.over == "mutual TLS" and not pair.fault]
    for pair in (pair for pair in found if pair not in secure):
        name = platform.short(pair.callee)
        over = f"{name} is not asked" if pair.over == "nothing" else f"over {pair.over}"
        seen = f"{over}: {pair.fault or 'gateways change over'}"
        # Plain HTTP serves; what is sent over TLS without what that takes, or nowhere, does not.
        serves = pair.over == "plain HTTP" or (pair.over == "both" and not pair.fault)
        result: Result = "warn" if serves else "fail"
        yield check(view, f"calls to {name}", result, seen, _hint(platform, view, pair))
    if secure:
        names = ", ".join(platform.short(pair.callee) for pair in secure)
        yield check(view, "calls to other clusters", "ok", f"over mutual TLS to {names}")


def _hint(platform: Platform, view: ClusterView, pair: Pair) -> str:
    other = platform.by_key(pair.callee)
    if other is None or pair.over not in ("plain HTTP", "nothing"):
        return hints.logs(view.settings, CONTROLLER)
    if other.settings.peers_port is None:
        return f"Set `peersPort` of {other.name}, and run ./stack up {platform.environment}"
    # It is said when all gateways of that cluster have told its controller that they listen, those of the
    # caller can prove themselves to them, and the hub has reached them.
    again = ""
    if other.settings.source == "k3d":
        again = (
            f" A k3d cluster that was made without its port {other.settings.peers_port} publishes it when it "
            f"is made again: pulumi up --replace '**{other.name}-k3d'."
        )
    return (
        f"Wait a minute after ./stack up.{again} Else the hub says what it meets there: "
        f"{hints.logs(platform.settings.control_plane, HUB)}; and the controller, whether its gateways have "
        f"a certificate: {hints.logs(other.settings, CONTROLLER)}"
    )


def _plain(platform: Platform, view: ClusterView) -> Iterator[Check]:
    """A member that cannot be asked over TLS, for nobody has said where."""
    lacks = view.settings.role == "member" and view.settings.peers_port is None
    if lacks and platform.settings.mesh == "bundled":
        seen = "asked by other clusters over plain HTTP: it has no peersPort"
        hint = "Set `peersPort` of each member, and run ./stack up: docs/existing-clusters.md says which"
        yield check(view, "mutual TLS", "warn", seen, f"{hint} {platform.environment}")


def _lifetime(since: str, until: str) -> Lifetime:
    return Lifetime(since=time_of(since), until=time_of(until))
