"""Look for bytes that break a target, guided by what code they reach.

    pip install --require-hashes -r tests/fuzz/requirements.lock   # beside requirements-dev.lock
    PYTHONPATH=tests:proxy python -m fuzz [TARGET ...] [--seconds SECONDS] [-- libFuzzer options]

Without a target all take their turns, each in a process of its own. The first that breaks ends it, with exit
code 1 and the file of what broke it. That goes into seeds/TARGET, to be tried by the fast tests from then on.
What reads bytes in C is built with clang, where there is one: the fuzzer sees what code it reaches, and
AddressSanitizer what memory it touches.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["gateway"]):
    from fuzz.targets import JSON_TARGETS, NATIVE_TARGETS, TARGETS

from fuzz.mutate import mutated
from fuzz.reached import start_over

SEEDS = Path(__file__).with_name("seeds")
LONGEST = {True: 32 * 1024, False: 4096}
"""Bytes, of a target that reads JSON and of one that reads bytes."""
BOUNDS = ("-timeout=20", "-rss_limit_mb=1024")
"""Seconds for one input, with all that is counted meanwhile, and memory of the process."""


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m fuzz")
    parser.add_argument(
        "targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; all by default"
    )
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default 60; 0: no end)")
    own, options = _split(arguments)
    chosen = parser.parse_args(own)
    if unknown := sorted(set(chosen.targets) - set(TARGETS)):
        parser.error(f"no such target: {', '.join(unknown)}. Known: {', '.join(TARGETS)}.")
    if len(chosen.targets) == 1:
        fuzz(chosen.targets[0], chosen.seconds, options)
    for target in chosen.targets or TARGETS:
        print(f"== {target}", flush=True)
        rest = ["--seconds", str(chosen.seconds), "--", *options]
        code = subprocess.run([sys.executable, "-m", "fuzz", target, *rest], check=False).returncode
        if code:
            print(f"== {target} broke", flush=True)
            return 1
    return 0


def fuzz(target: str, seconds: int, options: Sequence[str]) -> None:
    """Ends the process, as libFuzzer does."""
    if target in NATIVE_TARGETS:
        start_over()
    logging.disable()  # what a faulty object makes the gateway say, a thousand times a second
    reads_json = target in JSON_TARGETS
    corpus = Path(tempfile.mkdtemp(prefix=f"fuzz-{target}-"))  # what libFuzzer adds stays out of the seeds
    shutil.copytree(SEEDS / target, corpus, dirs_exist_ok=True)
    given = (
        *BOUNDS,
        f"-max_len={LONGEST[reads_json]}",
        f"-max_total_time={seconds}",
        f"-artifact_prefix={corpus}/found-",
    )
    how = {"custom_mutator": mutated} if reads_json else {}
    atheris.Setup([sys.argv[0], *given, *options, str(corpus)], TARGETS[target], **how)
    atheris.Fuzz()


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Our arguments, and libFuzzer's behind `--`."""
    at = list(arguments).index("--") if "--" in arguments else len(arguments)
    return list(arguments[:at]), list(arguments[at + 1 :])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
