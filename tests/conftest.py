"""Golden files, and what explains a failure on real parts, kept while it is still there."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import evidence
import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI: pods, containers, plugins and tools go to CI_KEEP before the test's fixtures clean up.

    What every failed test said is collected beside them, for CI to print as the very last.
    """
    report = yield
    kept = os.environ.get("CI_KEEP")
    if kept and report.failed:
        evidence.note(Path(kept) / evidence.FAILED, f"{item.nodeid} ({report.when})", report.longreprtext)
    if kept and report.failed and report.when != "teardown" and item.get_closest_marker("e2e"):
        folder = Path(kept) / re.sub(r"[^\w.-]+", "-", item.nodeid)
        evidence.keep(folder)
        evidence.gather(folder)
    return report


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite golden files")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compares text with golden/<name> beside the test's module; --update-golden writes it."""

    def compare(name: str, text: str) -> None:
        path = request.path.with_name("golden") / name
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        assert path.read_text() == text, f"{name} differs; if that is meant, run pytest with --update-golden"

    return compare


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest) -> Any:
    """Prints what a test measured, as a line of JSON."""

    def say(report: dict[str, Any]) -> None:
        with capsys.disabled():
            print(f"\n{request.node.name}: {json.dumps(report)}", flush=True)

    return say
