"""Memory for large reads stays with the process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

READS = """
import resource, sys
from gateway.edge.heap import keep_freed_memory

if "keep" in sys.argv:
    keep_freed_memory()

def faults(times):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        reads = [bytes(256000) for _ in range(8)]
        del reads
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults(10)
print(faults(100))
"""


def page_faults(*arguments: str) -> int:
    """Pages the kernel had to provide for eight reads under way at once, a hundred times over."""
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "proxy")}
    said = subprocess.run([sys.executable, "-c", READS, *arguments], env=env, capture_output=True, check=True)
    return int(said.stdout)


def test_the_memory_of_large_reads_is_used_again() -> None:
    if page_faults() < 1000:
        pytest.skip("this C library keeps freed memory by itself")
    assert page_faults("keep") < 100
