"""Look for bytes that break a target, guided by what code they reach.

    pip install --require-hashes -r tests/fuzz/requirements.lock   # beside requirements-dev.lock
    PYTHONPATH=tests:proxy python -m fuzz TARGET [libFuzzer options, such as -max_total_time=300]

What is found goes into seeds/TARGET, to be tried by the fast tests from then on.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["gateway"]):
    from fuzz.targets import TARGETS

SEEDS = Path(__file__).with_name("seeds")


def main(arguments: list[str]) -> None:
    if len(arguments) < 2 or arguments[1] not in TARGETS:
        raise SystemExit(f"usage: python -m fuzz {{{','.join(TARGETS)}}} [libFuzzer options]")
    target = arguments[1]
    corpus = Path(tempfile.mkdtemp(prefix=f"fuzz-{target}-"))  # what libFuzzer adds stays out of the seeds
    shutil.copytree(SEEDS / target, corpus, dirs_exist_ok=True)
    options = ["-max_len=4096", f"-artifact_prefix={corpus}/found-", *arguments[2:]]
    atheris.Setup([arguments[0], *options, str(corpus)], TARGETS[target])
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv)
