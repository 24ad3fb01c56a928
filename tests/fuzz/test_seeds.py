"""Every seed, and everything the fuzzer ever found, against its target."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz.targets import TARGETS

SEEDS = Path(__file__).with_name("seeds")


@pytest.mark.parametrize("target", TARGETS)
def test_no_seed_breaks_its_target(target: str) -> None:
    seeds = sorted((SEEDS / target).iterdir())
    assert len(seeds) >= 5, "the fuzzer starts from good ones"
    for seed in seeds:
        try:
            TARGETS[target](seed.read_bytes())
        except Exception as error:
            raise AssertionError(f"{seed.name}: {error}") from error
