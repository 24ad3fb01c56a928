"""The end of the day: nothing is left, and the platform can be had again."""

from __future__ import annotations

import socket

import pytest
from e2e.commands import ENVIRONMENT, stack, state_folder, temporary_files

pytestmark = pytest.mark.e2e

PORTS = (80, 81, 82, 83, 6379, 6444, 6445, 6446, 6447)


def test_destroy_leaves_nothing(platform: dict[str, str]) -> None:
    before = temporary_files()
    stack("destroy", ENVIRONMENT)
    assert not state_folder().exists(), "the environment's state and passphrase are gone"
    assert temporary_files() <= before, "no temporary file was left"
    for port in PORTS:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))


def test_up_after_destroy_works() -> None:
    stack("up", ENVIRONMENT)
