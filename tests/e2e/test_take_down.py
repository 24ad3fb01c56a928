"""The end of the day: nothing is left, whether the environment was whole or half made."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

import pytest
from e2e.commands import ENVIRONMENT, ROOT, killed_up, stack, state_folder

pytestmark = pytest.mark.e2e

PORTS = (80, 81, 82, 83, 6379, 6444, 6445, 6446, 6447, 20081, 20082, 20083)


def _destroy_leaves_nothing(temporary: Path) -> None:
    stack("destroy", ENVIRONMENT, env={"TMPDIR": str(temporary)})
    assert not state_folder().exists(), "the environment's state and passphrase are gone"
    assert not list(temporary.iterdir()), "no temporary file was left"
    assert not _programs(), "no process was left"
    for port in PORTS:
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", port))


def _programs() -> list[str]:
    """Command lines of processes that run our program for this environment."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # ended meanwhile
            found.append(path.read_text(errors="replace").replace("\0", " "))
    return [line for line in found if str(ROOT) in line and f'"stack": "{ENVIRONMENT}"' in line]


def test_destroy_leaves_nothing(platform: dict[str, str], tmp_path: Path) -> None:
    _destroy_leaves_nothing(tmp_path)


def test_an_up_after_that_starts_from_nothing_and_can_be_taken_back_half_made(tmp_path: Path) -> None:
    killed_up(TMPDIR=str(tmp_path))
    assert state_folder().exists()
    _destroy_leaves_nothing(tmp_path)
