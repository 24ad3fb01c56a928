"""Answers the gateway makes itself."""

from __future__ import annotations

from gateway.core.answers import make_answer


def test_a_gateway_in_front_is_told_whether_an_application_may_have_seen_the_request() -> None:
    assert b"\r\nX-Gateway-Passed: 1\r\n" in make_answer(504, "late", to_gateway=True)
    refused = make_answer(502, "gone", refused="unreachable", to_gateway=True)
    assert b"\r\nX-Gateway-Refused: unreachable\r\n" in refused
    assert b"X-Gateway-Passed" not in refused
    assert b"X-Gateway" not in make_answer(504, "late")
    left = make_answer(502, "gone", to_gateway=True, unanswered=True)
    assert b"\r\nX-Gateway-Passed: no-answer\r\n" in left
