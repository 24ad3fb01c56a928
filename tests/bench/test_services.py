"""The generator of environments with many services."""

from __future__ import annotations

import pytest

from bench import services
from stacks.config import loading


@pytest.mark.parametrize("count", [1, 20])
def test_an_environment_of_many_services_has_no_problem(count: int) -> None:
    parsed = loading.parse_stack_file(services.settings(count))
    assert len(parsed.clusters) == 4
    assert [len(each) for each in (parsed.apps, parsed.exports, parsed.policies)] == [count] * 3


def test_another_weight_changes_one_policy_and_nothing_else() -> None:
    before, after = (services.settings(20, weight=weight)["config"] for weight in (50, 60))
    assert [key for key in before if before[key] != after[key]] == ["multicluster-dapr:policies"]
    pairs = zip(before["multicluster-dapr:policies"], after["multicluster-dapr:policies"], strict=True)
    assert [one == other for one, other in pairs].count(False) == 1


def test_no_services_are_refused() -> None:
    with pytest.raises(ValueError, match="choose one at least"):
        services.settings(0)


def test_each_figure_is_a_row_of_its_own() -> None:
    told = services.rows({"preview": [9.0, 8.0], "a second up": [12.0]})
    assert [(row.figure, list(row.samples["gateway"])) for row in told] == [
        ("preview", [9.0, 8.0]),
        ("a second up", [12.0]),
    ]
