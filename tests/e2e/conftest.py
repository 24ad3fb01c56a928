"""One environment for all tests on the real platform: brought up by the first, taken down by the last.

The modules run in the order of `ORDER`, which is that of a user's day; each test leaves the environment as it
found it, so that the next one starts from a healthy platform.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.commands import ENVIRONMENT, engine_environment, stack, state_folder
from e2e.load import Clusters

ORDER = (
    "test_bring_up",
    "test_documented",
    "test_membership",
    "test_every_caller",
    "test_app_id",
    "test_dapr_mtls",
    "test_preview_shares_e2e",
    "test_failures",
    "test_drill",
    "test_dashboard",
    "test_doctor",
    "test_of_others",
    "test_take_down",
    # Environments of their own, when the machine is free of the other one.
    "test_mutual_tls_e2e",
    "test_trust_e2e",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Modules in this order; the tests of other folders stay where they are."""
    order = {f"{name}.py": number for number, name in enumerate(ORDER)}
    ours = [item for item in items if item.path.parent == Path(__file__).parent]
    positions = [index for index, item in enumerate(items) if item.path.parent == Path(__file__).parent]
    ours.sort(key=lambda item: order.get(item.path.name, -1))
    for position, item in zip(positions, ours, strict=True):
        items[position] = item


@pytest.fixture(scope="session")
def clean_machine() -> Iterator[None]:
    """Start from nothing, and leave nothing whatever happens in between."""
    if state_folder().exists() and not os.environ.get("CI"):
        pytest.exit(
            f"environment {ENVIRONMENT!r} is up and these tests would take it down: ./stack destroy first", 2
        )
    stack("destroy", ENVIRONMENT)
    yield
    stack("destroy", ENVIRONMENT)


@pytest.fixture(scope="session")
def brought_up(clean_machine: None) -> str:
    """What `./stack up` said when it brought the environment up, once for all tests."""
    return stack("up", ENVIRONMENT)


@pytest.fixture(scope="session")
def platform(brought_up: str) -> dict[str, str]:
    """The environment, up; the process environment for pulumi, kubectl, k3d and docker on it."""
    return engine_environment()


@pytest.fixture(scope="module")
def clusters(platform: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Clusters:
    return Clusters(platform, tmp_path_factory.mktemp("kubeconfigs"))
