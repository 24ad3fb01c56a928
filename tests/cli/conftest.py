"""What tests of the command line share."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest


@pytest.fixture
def as_on_a_terminal() -> Iterator[None]:
    """Who runs tests in the background may have these signals ignored, as nohup does."""
    handlers = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    yield
    for number, old in before.items():
        signal.signal(number, old)
