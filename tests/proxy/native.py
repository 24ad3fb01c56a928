"""The native twin that reads heads: the one the gateway was built with, or one built of the same source."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sysconfig
import tempfile
from functools import cache
from importlib.machinery import ExtensionFileLoader
from pathlib import Path

from gateway.core import scan
from gateway.core.scan import NativeRequest, NativeResponse

SOURCE = Path(__file__).resolve().parents[2] / "proxy" / "gateway" / "core" / "_scan.c"
FLAGS = ("-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC")


class NoCompilerError(Exception):
    """There is no C compiler to build it with."""


@cache
def native() -> tuple[NativeRequest, NativeResponse]:
    """Of requests and of answers. NoCompilerError when it was not built and cannot be."""
    if scan.native_request is not None and scan.native_response is not None:
        return scan.native_request, scan.native_response
    compiler = shutil.which("gcc")
    if compiler is None:
        raise NoCompilerError("gcc is not on PATH")
    include = sysconfig.get_paths()["include"]
    with tempfile.TemporaryDirectory() as folder:
        built = Path(folder) / "_scan.so"
        argv = [compiler, *FLAGS, f"-I{include}", str(SOURCE), "-o", str(built)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{SOURCE.name} does not compile:\n{done.stderr}")
        loader = ExtensionFileLoader("_scan", str(built))
        spec = importlib.util.spec_from_loader("_scan", loader)
        assert spec is not None
        module = importlib.util.module_from_spec(spec)
        loader.exec_module(module)
    requests = module.Scanner(scan.request_names(), scan.OTHER_PREFIXES)
    return requests.request, module.Scanner(scan.response_names(), ()).response
