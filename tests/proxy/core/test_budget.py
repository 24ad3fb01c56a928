"""One budget of memory, shared out once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.budget import DEFAULT_BUDGET, LEAST_BYTES, MIB, share_out
from gateway.core.rewrite import CACHE_BYTES


@pytest.mark.parametrize(("limit", "held", "total"), [(128, 32, 74), (256, 48, 165), (1024, 0, 853)])
def test_what_the_process_holds_and_a_reserve_are_nobodys(limit: int, held: int, total: int) -> None:
    assert share_out(limit * MIB, held * MIB).total // MIB == total


@given(limit=st.integers(0, 1 << 40), held=st.integers(0, 1 << 34))
def test_shares_make_up_the_budget_and_none_is_empty(limit: int, held: int) -> None:
    budget = share_out(limit, held)
    assert budget.total == max(limit - held - limit // 6, LEAST_BYTES)
    assert min(budget.traffic, budget.caches, budget.objects) > 0
    assert budget.caches == CACHE_BYTES


def test_without_a_limit_there_is_one_all_the_same() -> None:
    assert DEFAULT_BUDGET.total < 1024 * MIB
