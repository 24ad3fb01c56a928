"""Keeps what explains a failure on real parts, while it is still there."""

from __future__ import annotations

import os
import re
from collections.abc import Generator
from pathlib import Path

import evidence
import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI: pods, containers, plugins and tools go to CI_KEEP before the test's fixtures clean up."""
    report = yield
    kept = os.environ.get("CI_KEEP")
    if kept and report.failed and report.when != "teardown" and item.get_closest_marker("e2e"):
        evidence.keep(Path(kept) / re.sub(r"[^\w.-]+", "-", item.nodeid))
    return report
