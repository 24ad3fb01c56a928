"""Whose forwarding fields are believed, and how bounds are changed."""

from __future__ import annotations

import pytest

from gateway.core.limits import Limits, change_limits
from gateway.core.trust import NOBODY, TrustedProxies


@pytest.mark.parametrize("peer", [b"10.1.2.3", b"192.0.2.7", b"::ffff:10.1.2.3", b"fd00::5"])
def test_named_addresses_and_networks_are_trusted(peer: bytes) -> None:
    assert peer in TrustedProxies(["10.0.0.0/8", "192.0.2.7", "fd00::/8"])


@pytest.mark.parametrize("peer", [b"11.1.2.3", b"192.0.2.8", b"::1", b"unknown", b""])
def test_nobody_else_is(peer: bytes) -> None:
    assert peer not in TrustedProxies(["10.0.0.0/8", "192.0.2.7", "fd00::/8"])
    assert peer not in NOBODY


@pytest.mark.parametrize("text", ["10.0.0.0/33", "gateway.example", "10.0.0.1/8"])
def test_what_is_no_network_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="neither an address nor a network") as error:
        TrustedProxies([text])
    assert repr(text) in str(error.value)


def test_bounds_can_be_changed_by_name() -> None:
    changed = change_limits(Limits(), ["body_bytes=1048576", "connect_seconds=0.5"])
    assert (changed.body_bytes, changed.connect_seconds, changed.clients) == (1048576, 0.5, Limits().clients)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("body=1", "names no limit"),
        ("clients", "not a number"),
        ("clients=many", "not a number"),
        ("clients=1.5", "not a number"),
        ("clients=0", "greater than 0"),
        ("stall_seconds=-1", "greater than 0"),
        ("stall_seconds=inf", "finite number"),
        ("stall_seconds=nan", "greater than 0"),
    ],
)
def test_a_change_that_cannot_be_is_refused(change: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as error:
        change_limits(Limits(), [change])
    assert repr(change) in str(error.value)
