"""How often and how long, in seconds: what the tests of the hub set shorter."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.core.member_token import LIFE_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Of the hub and what it follows."""

    first_retry: float = 0.1
    last_retry: float = 5.0
    """Longest pause between attempts, so that a server that returns is noticed within this time."""
    check: float = 5.0
    """How often reachability is checked; also the patience of one check. Managed lags 10 s at most."""
    withdraw: float = 10.0
    """How long a cluster that leaves may take to let its imports be removed."""
    token_seconds: float = LIFE_SECONDS
    """How long a token of a member is asked for."""
    bad_condition: float = 1.0
    """How long a first condition that is bad is held back."""


DEFAULT_TIMING = Timing()


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseTiming:
    """Of those who share one Lease."""

    lease: float = 15.0
    """How long a holder that fell silent is waited for."""
    give_up: float = 10.0
    """How long a holder goes on without a renewal: less than `lease` by more than a call may take."""
    renew: float = 2.0
    """Between renewals, and between looks of those who stand by."""


DEFAULT_LEASE_TIMING = LeaseTiming()
CONTROLLER_LEASE_TIMING = LeaseTiming(lease=6.0, give_up=4.0, renew=1.0)
"""Shorter than the hub's: callers whose Service has no endpoints wait for the next controller."""
