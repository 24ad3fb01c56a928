"""The native twins, which read heads and join lines: those the gateway was built with, or built of the same
sources."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Callable
from functools import cache
from importlib.machinery import ExtensionFileLoader
from pathlib import Path
from typing import Any

from gateway.core import pieces, scan
from gateway.core.scan import NativeRequest, NativeResponse

CORE = Path(__file__).resolve().parents[2] / "proxy" / "gateway" / "core"
FLAGS = ("-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC")


class NoCompilerError(Exception):
    """There is no C compiler to build them with."""


@cache
def native() -> tuple[NativeRequest, NativeResponse]:
    """Of requests and of answers. NoCompilerError when it was not built and cannot be."""
    if scan.native_request is not None and scan.native_response is not None:
        return scan.native_request, scan.native_response
    module = _built("_scan")
    requests = module.Scanner(scan.request_names(), scan.OTHER_PREFIXES)
    return requests.request, module.Scanner(scan.response_names(), ()).response


def native_join() -> Callable[..., bytes]:
    """The one that joins lines. NoCompilerError likewise."""
    return pieces.native_join or _built("_pieces").join  # type: ignore[no-any-return]


@cache
def _built(name: str) -> Any:
    compiler = shutil.which("gcc")
    if compiler is None:
        raise NoCompilerError("gcc is not on PATH")
    source = CORE / f"{name}.c"
    include = sysconfig.get_paths()["include"]
    with tempfile.TemporaryDirectory() as folder:
        built = Path(folder) / f"{name}.so"
        argv = [compiler, *FLAGS, f"-I{include}", str(source), "-o", str(built)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{source.name} does not compile:\n{done.stderr}")
        loader = ExtensionFileLoader(name, str(built))
        spec = importlib.util.spec_from_loader(name, loader)
        assert spec is not None
        module = importlib.util.module_from_spec(spec)
        loader.exec_module(module)
    return module
