"""The configuration that most tests change."""

from __future__ import annotations

import pytest
from config.environments import Config, read_environment


@pytest.fixture
def dev() -> Config:
    """The configuration of the dev environment, free to be changed."""
    return read_environment("dev")
