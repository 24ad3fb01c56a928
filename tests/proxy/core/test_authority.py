"""A cluster's CA over time: no root issues before all know it, none goes before its last certificate has."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gateway.core.authority import Authority, Lifetimes, advance, begin
from gateway.core.certificates import fingerprint, is_issued_by, read_leaf_certificate
from gateway.core.issuing import make_root

KEY = "default/default/default/here"
NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
TIMES = Lifetimes(root=timedelta(days=100), leaf=timedelta(hours=24))


def prints(authority: Authority) -> list[str]:
    return [fingerprint(root) for root in authority.roots]


def begun() -> Authority:
    return begin(KEY, NOW, TIMES)


def test_a_cluster_begins_with_a_root_and_a_certificate_of_it() -> None:
    found = begun()
    assert found.roots == (found.current.certificate,)
    assert is_issued_by(read_leaf_certificate(found.leaf), found.roots)
    assert advance(found, KEY, NOW, (), TIMES) is found, "nothing is due"
    with pytest.raises(ValueError, match="no key"):
        begin("no key", NOW)


def test_a_certificate_is_renewed_at_half_of_its_time() -> None:
    found = begun()
    assert advance(found, KEY, found.leaf.renew_at - HOUR, (), TIMES) is found
    later = advance(found, KEY, found.leaf.renew_at, (), TIMES)
    assert later.leaf.until == found.leaf.renew_at + TIMES.leaf
    assert later.current is found.current
    late = advance(found, KEY, found.leaf.until + 90 * HOUR, (), TIMES)
    assert late.leaf.since < found.leaf.until + 90 * HOUR < late.leaf.until, "however long nobody was there"


def test_a_new_root_waits_until_all_know_it() -> None:
    found = begun()
    half = NOW + timedelta(days=51)
    both = advance(found, KEY, half, (), TIMES)
    assert both.current is found.current
    assert len(both.roots) == 2
    assert is_issued_by(read_leaf_certificate(both.leaf), [found.current.certificate])
    waiting = advance(both, KEY, half + HOUR, prints(found), TIMES)
    assert waiting is both, "they know the old one alone"
    changed = advance(both, KEY, half + HOUR, prints(both), TIMES)
    assert both.following is not None
    assert changed.current is both.following
    assert changed.retired == found.current.certificate
    assert is_issued_by(read_leaf_certificate(changed.leaf), [both.following.certificate])
    assert set(prints(changed)) == set(prints(both)), "the old certificate is in use for a while"
    assert changed.retired_until == both.leaf.until
    assert advance(changed, KEY, both.leaf.until - timedelta(hours=14), (), TIMES).retired is not None
    gone = advance(changed, KEY, both.leaf.until, (), TIMES)
    assert (gone.retired, gone.retired_until) == (None, None)
    assert gone.roots == (both.following.certificate,)


def test_a_root_that_has_ended_is_followed_at_once() -> None:
    """As after a controller that was down for half of its time, or a hub that told nobody of the next."""
    found = begun()
    end = found.current.certificate.not_valid_after_utc
    late = end + 30 * HOUR
    for before in (found, advance(found, KEY, end - HOUR, (), TIMES)):
        after = advance(before, KEY, late, (), TIMES)
        assert after.current is not found.current
        assert before.following in (None, after.current)
        assert after.roots == (after.current.certificate,), "what has ended proves nothing"
        assert is_issued_by(read_leaf_certificate(after.leaf), after.roots)
        assert after.leaf.since < late < after.leaf.until
        assert advance(after, KEY, late, (), TIMES) is after


def test_while_a_root_is_about_to_end_its_certificates_end_with_it() -> None:
    found = begun()
    end = found.current.certificate.not_valid_after_utc
    after = advance(found, KEY, end - HOUR / 60, (), TIMES)
    assert after.current is found.current, "others know no other one yet"
    assert after.leaf.until == end
    assert after.leaf.since < end - HOUR / 60


def test_no_root_follows_while_one_is_being_retired() -> None:
    times = Lifetimes(root=timedelta(hours=10), leaf=timedelta(hours=24))
    found = begin(KEY, NOW, times)
    at = NOW + 6 * HOUR
    both = advance(found, KEY, at, (), times)
    changed = advance(both, KEY, at, prints(both), times)
    assert changed.retired is not None
    more = advance(changed, KEY, at + 3 * HOUR, (), times)
    assert more.following is None, "it is not half through"
    third = advance(more, KEY, at + 5.5 * HOUR, (), times)
    assert third.following is not None
    assert third.retired is None, "a certificate ends with its root"


def test_a_ca_of_the_users_issues_from_the_beginning() -> None:
    given = make_root(KEY, NOW)
    found = begin(KEY, NOW, TIMES, given=given)
    assert found.roots == (given.certificate,)
    assert advance(found, KEY, NOW, (), TIMES, given=given) is found, "nothing is due"
    late = advance(found, KEY, NOW + timedelta(days=3000), (), TIMES, given=given)
    assert late.following is None, "who made it renews it"


def test_a_ca_of_the_users_follows_what_issued_before_when_all_know_it() -> None:
    given, found = make_root(KEY, NOW), begun()
    both = advance(found, KEY, NOW, (), TIMES, given=given)
    assert both.roots == (found.current.certificate, given.certificate)
    assert is_issued_by(read_leaf_certificate(both.leaf), [found.current.certificate])
    assert advance(both, KEY, NOW, (), TIMES, given=given) is both
    other = make_root(KEY, NOW)
    assert advance(both, KEY, NOW, prints(both), TIMES, given=other).current is found.current, (
        "nobody knows this one"
    )
    changed = advance(both, KEY, NOW, prints(both), TIMES, given=given)
    assert changed.current == given
    assert changed.retired == found.current.certificate
    assert is_issued_by(read_leaf_certificate(changed.leaf), [given.certificate])


def test_a_root_that_was_to_follow_is_dropped_for_a_ca_of_the_users_and_one_of_ours_follows_it_later() -> (
    None
):
    found = begun()
    half = NOW + timedelta(days=51)
    given = make_root(KEY, half, timedelta(days=10))
    waiting = advance(found, KEY, half, (), TIMES)
    both = advance(waiting, KEY, half, (), TIMES, given=given)
    assert both.following == given
    changed = advance(both, KEY, half, prints(both), TIMES, given=given)
    without = advance(changed, KEY, half + timedelta(days=6), (), TIMES)
    assert without.current == given
    assert without.following is not None, "it is gone, and what it left ends"
