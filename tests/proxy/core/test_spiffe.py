"""Identities of clusters: each key has one, no two share a trust domain, and nothing else passes for one."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.spiffe import cluster_of, spiffe_id, trust_domain

KEY = "default/default/default/cluster-1"
SEGMENTS = st.from_regex(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,8}[A-Za-z0-9])?", fullmatch=True)
KEYS = st.tuples(SEGMENTS, SEGMENTS, SEGMENTS, SEGMENTS).map("/".join)


def test_an_identity_is_the_key_in_a_trust_domain_that_people_recognise() -> None:
    domain = trust_domain(KEY)
    assert re.fullmatch(r"cluster-1\.[0-9a-f]{32}\.multicluster", domain)
    assert spiffe_id(KEY) == f"spiffe://{domain}/cluster/{KEY}"
    assert cluster_of(spiffe_id(KEY)) == KEY


@given(KEYS, KEYS)
def test_two_clusters_never_share_a_trust_domain(one: str, other: str) -> None:
    assert (trust_domain(one) == trust_domain(other)) == (one == other)
    assert cluster_of(spiffe_id(one)) == one
    assert re.fullmatch(r"[a-z0-9-]+\.[0-9a-f]{32}\.multicluster", trust_domain(one)), "a host, for X.509"


def test_a_long_name_is_shown_in_part() -> None:
    long = f"a/b/c/{'x' * 39}.{'y' * 200}"
    assert trust_domain(long).startswith("x" * 39 + ".")
    assert max(map(len, trust_domain(long).split("."))) <= 63, "of a host"
    assert cluster_of(spiffe_id(long)) == long


def test_keys_that_look_alike_are_told_apart() -> None:
    alike = ["a.b/c/d/e", "a/b.c/d/e", "a/b/c/d.e", "a/b/c/d-e", "a/b/c/d_e", "A/b/c/d.e", "a/b/c/D.e"]
    assert len({trust_domain(key) for key in alike}) == len(alike)


@pytest.mark.parametrize(
    "key", ["", "cluster-1", "a/b/c", "a/b/c/d/e", "a/b/c/..", "a/b/c/-d", "a/b/c/d e", "a/b/c/ü"]
)
def test_what_is_no_cluster_key_has_no_identity(key: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(key))):
        spiffe_id(key)


@pytest.mark.parametrize(
    "identity",
    [
        "", "spiffe://", "/cluster/", spiffe_id(KEY) + "/", spiffe_id(KEY) + "/x", spiffe_id(KEY).upper(),
        spiffe_id(KEY).replace("cluster-1.", "cluster-2."), spiffe_id(KEY).replace("spiffe:", "https:"),
        spiffe_id(KEY)[:-1] + "2", f"spiffe://{trust_domain(KEY)}:443/cluster/{KEY}",
        f"spiffe://{trust_domain(KEY)}/cluster/../cluster/{KEY}", f"spiffe://{trust_domain(KEY)}/cluster/x",
        f"spiffe://{trust_domain('a/b/c/d')}/cluster/{KEY}",
    ],
)  # fmt: skip
def test_nothing_else_names_a_cluster(identity: str) -> None:
    assert cluster_of(identity) == ""
