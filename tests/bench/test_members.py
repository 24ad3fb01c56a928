"""The generator of environments of any size."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from bench import members
from stacks.config import loading

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("count", [2, 4, 64])
def test_an_environment_of_any_size_has_no_problem(count: int) -> None:
    parsed = loading.parse_stack_file(members.stack_file(count))
    assert len(parsed.members) == count


def test_the_scale_environment_is_the_one_with_sixteen_members() -> None:
    on_file = yaml.safe_load((ROOT / "Pulumi.scale.yaml").read_text())
    assert on_file == members.stack_file(16), "python -m bench.members 16 writes it again"


@pytest.mark.parametrize("count", [1, 1000])
def test_what_has_no_caller_or_no_ports_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match="choose 2 to 999"):
        members.stack_file(count)
