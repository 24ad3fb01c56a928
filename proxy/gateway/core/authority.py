"""A cluster's certificate authority over time: when a root is made, when it issues, and when it goes. Pure.

A root issues only when the gateways of every other cluster know it; the one before is trusted until its last
certificate has ended. So nothing that is in use is ever unknown to anybody, and no connection breaks. Only
one that has ended is followed at once, as when nobody was there for half of its time.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from cryptography.x509 import Certificate

from gateway.core.certificates import Leaf, fingerprint, is_issued_by, read_leaf_certificate
from gateway.core.issuing import LEAF_LIFETIME, ROOT_LIFETIME, Issuer, issue, make_root


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long roots and certificates count."""

    root: timedelta = ROOT_LIFETIME
    leaf: timedelta = LEAF_LIFETIME


DEFAULT_LIFETIMES = Lifetimes()


@dataclass(frozen=True, slots=True)
class Authority:
    """What there is at one moment, all of it kept in the cluster that it belongs to."""

    current: Issuer
    """Issues."""
    leaf: Leaf
    """The certificate of the cluster's gateways."""
    following: Issuer | None = None
    """Issues when everybody knows it."""
    retired: Certificate | None = None
    """The root before the current one, while certificates of it may be in use."""
    retired_until: datetime | None = None

    @property
    def roots(self) -> tuple[Certificate, ...]:
        """What other clusters are to trust now, the current one first."""
        following = (self.following.certificate,) if self.following is not None else ()
        retired = (self.retired,) if self.retired is not None else ()
        return (self.current.certificate, *following, *retired)


def begin(
    cluster_key: str, now: datetime, lifetimes: Lifetimes = DEFAULT_LIFETIMES, *, given: Issuer | None = None
) -> Authority:
    """The authority of a cluster that has none. `given`: the user's own CA.

    ValueError for what is no cluster key.
    """
    root = given if given is not None else make_root(cluster_key, now, lifetimes.root)
    return Authority(root, issue(root, cluster_key, now, lifetimes.leaf))


def advance(
    before: Authority,
    cluster_key: str,
    now: datetime,
    known: Collection[str],
    lifetimes: Lifetimes = DEFAULT_LIFETIMES,
    *,
    given: Issuer | None = None,
) -> Authority:
    """What there is to be now; `before` itself when nothing is due.

    `known`: fingerprints of the roots of this cluster that the gateways of every other one trust.
    `given`: the user's own CA, which follows whatever issues now; then no root is made here.
    """
    after = before
    if after.retired_until is not None and now >= after.retired_until:
        after = replace(after, retired=None, retired_until=None)
    if given is not None:
        after = _followed(after, None if given.certificate == after.current.certificate else given)
    elif after.following is None and now >= _half(after.current.certificate):
        after = replace(after, following=make_root(cluster_key, now, lifetimes.root))
    following = after.following
    if following is not None and now >= after.current.certificate.not_valid_after_utc:
        # By a root that has ended nobody is anybody any more: there is nothing to wait for.
        after = replace(after, current=following, following=None, retired=None, retired_until=None)
    elif following is not None and after.retired is None and fingerprint(following.certificate) in known:
        after = replace(
            after,
            current=following,
            following=None,
            retired=after.current.certificate,
            retired_until=after.leaf.until,
        )
    if now >= after.leaf.renew_at or not is_issued_by(
        read_leaf_certificate(after.leaf), [after.current.certificate]
    ):
        after = replace(after, leaf=issue(after.current, cluster_key, now, lifetimes.leaf))
    return after


def _followed(before: Authority, following: Issuer | None) -> Authority:
    """With this root to issue next, or none. One that has not issued yet is missed by nobody."""
    one, other = (issuer and issuer.certificate for issuer in (before.following, following))
    return before if one == other else replace(before, following=following)


def _half(root: Certificate) -> datetime:
    return root.not_valid_before_utc + (root.not_valid_after_utc - root.not_valid_before_utc) / 2
