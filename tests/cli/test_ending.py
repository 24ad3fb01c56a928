"""Commands that are told to end do so in order, wherever they are and however they were started."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import asyncio, os, signal
from cli import ending

class Gone:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        sum(range(100000))  # the handler runs in here, where nobody can catch what it raises

async def main():
    try:
        Gone()
        await asyncio.sleep(20)
    finally:
        print("closed in order")

signal.signal(signal.SIGINT, signal.{handler})
try:
    with ending.terminated_as_interrupted():
        asyncio.run(main())
except KeyboardInterrupt:
    print("ended as by Ctrl-C")
"""


@pytest.mark.parametrize("handler", ["SIG_IGN", "default_int_handler"])
def test_the_end_is_not_lost_in_a_destructor_also_in_the_background(handler: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("{handler}", handler)],
        capture_output=True,
        text=True,
        timeout=15,
        check=True,
    )
    assert done.stdout.splitlines() == ["closed in order", "ended as by Ctrl-C"]
    assert not done.stderr
