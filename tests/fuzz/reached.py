"""The native twins, built so that the fuzzer sees what code they reach, AddressSanitizer what they touch."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import atheris
from proxy.native import BUILT, NoCompilerError, build

COMPILERS = ("clang", *(f"clang-{version}" for version in range(21, 13, -1)))
FLAGS = ("-O1", "-g", "-fsanitize=fuzzer-no-link,address,undefined", "-fno-sanitize=function")
ENVIRONMENT = {
    "PYTHONMALLOC": "malloc",  # of Python's own pools AddressSanitizer does not know the bounds
    "ASAN_OPTIONS": "detect_leaks=0",  # of the interpreter, which frees little at its end
    "LD_PRELOAD": str(Path(atheris.path()) / "asan_with_fuzzer.so"),
}


def start_over() -> None:
    """Begin this program again with such twins; says so and returns where they cannot be built."""
    if BUILT in os.environ:
        return
    folder = Path(tempfile.mkdtemp(prefix="fuzz-native-"))
    for compiler in COMPILERS:
        try:
            build(folder, compiler, FLAGS)
        except NoCompilerError:
            continue
        environment = {**os.environ, **ENVIRONMENT, BUILT: str(folder)}
        os.execve(sys.executable, sys.orig_argv, environment)  # noqa: S606  of nobody's input
    folder.rmdir()
    print(
        "No clang on PATH (Debian: apt install clang): what the native twins answer is compared, but "
        "neither what code they reach is known nor whether they touch others' memory.",
        file=sys.stderr,
    )
