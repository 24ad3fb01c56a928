"""What is written in C touches no byte but its own: AddressSanitizer watches it read seeds and their parts.

In a process of its own, into which the sanitizer's library is loaded first.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from proxy.native import BUILT, build

TESTS = Path(__file__).resolve().parents[2]
FLAGS = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined")
PARTS_OF = 400
"""Bytes: of seeds up to this length each part from the beginning is read, as it may arrive."""
READ_ALL = f"""
from fuzz.targets import NATIVE_TARGETS, TARGETS
from fuzz.test_seeds import SEEDS
from proxy.smuggled import SMUGGLED

for target in sorted(NATIVE_TARGETS):
    seeds = [seed.read_bytes() for seed in sorted((SEEDS / target).iterdir())]
    for data in [*seeds, *SMUGGLED]:
        for end in range(len(data) + 1) if len(data) <= {PARTS_OF} else [len(data)]:
            TARGETS[target](data[:end])
print("read all")
"""


def test_the_native_twins_touch_no_byte_but_their_own(tmp_path: Path) -> None:
    gcc = shutil.which("gcc")
    if gcc is None:
        pytest.skip("no gcc")
    argv = [gcc, "-print-file-name=libasan.so"]
    library = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()
    if not Path(library).is_absolute():
        pytest.skip("gcc has no AddressSanitizer")
    build(tmp_path, gcc, FLAGS)
    environment = {
        "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent / "proxy")]),
        "PYTHONMALLOC": "malloc",  # of Python's own pools the sanitizer does not know the bounds
        "ASAN_OPTIONS": "detect_leaks=0",
        "LD_PRELOAD": library,
        BUILT: str(tmp_path),
    }
    argv = [sys.executable, "-c", READ_ALL]
    done = subprocess.run(
        argv, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.stdout.endswith("read all\n"), done.stderr[-4000:]
