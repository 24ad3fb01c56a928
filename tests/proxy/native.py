"""The native twins, which read heads and join lines: those the gateway was built with, or built of the same
sources."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from importlib.machinery import ExtensionFileLoader
from pathlib import Path
from typing import Any

from gateway.core import pieces, scan
from gateway.core.scan import NativeRequest, NativeResponse

CORE = Path(__file__).resolve().parents[2] / "proxy" / "gateway" / "core"
TWINS = ("_scan", "_pieces")
FLAGS = ("-O2", "-Wall", "-Wextra", "-Werror")
BUILT = "NATIVE_TWINS"
"""Environment variable: the folder of twins that were built in another way, as with a sanitizer."""


class NoCompilerError(Exception):
    """There is no C compiler to build them with."""


@cache
def native() -> tuple[NativeRequest, NativeResponse]:
    """Of requests and of answers. NoCompilerError when it was not built and cannot be."""
    if scan.native_request is not None and scan.native_response is not None and BUILT not in os.environ:
        return scan.native_request, scan.native_response
    module = _loaded("_scan")
    requests = module.Scanner(scan.request_names(), scan.OTHER_PREFIXES)
    return requests.request, module.Scanner(scan.response_names(), ()).response


def native_join() -> Callable[..., bytes]:
    """The one that joins lines. NoCompilerError likewise."""
    given = None if BUILT in os.environ else pieces.native_join
    return given or _loaded("_pieces").join  # type: ignore[no-any-return]


def build(folder: Path, compiler: str, flags: Sequence[str]) -> None:
    """Both twins, as `BUILT` wants them. NoCompilerError when there is no such compiler."""
    found = shutil.which(compiler)
    if found is None:
        raise NoCompilerError(f"{compiler} is not on PATH")
    include = sysconfig.get_paths()["include"]
    for name in TWINS:
        source = CORE / f"{name}.c"
        argv = [
            found,
            *flags,
            "-shared",
            "-fPIC",
            f"-I{include}",
            str(source),
            "-o",
            str(folder / f"{name}.so"),
        ]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{source.name} does not compile:\n{done.stderr}")


@cache
def _loaded(name: str) -> Any:
    if BUILT in os.environ:
        return _extension(name, Path(os.environ[BUILT]))
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder), "gcc", FLAGS)
        return _extension(name, Path(folder))


def _extension(name: str, folder: Path) -> Any:
    loader = ExtensionFileLoader(name, str(folder / f"{name}.so"))
    spec = importlib.util.spec_from_loader(name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module
