"""The gateway compiled, as its image has it: in the cache, once per content of its sources."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from bench.commands import complete
from bench.programs import BenchError

FILES = ("setup.py", "pyproject.toml", "requirements.in")
SUFFIXES = {".py", ".pyi", ".c"}
KEPT_SECONDS = 24 * 3600
"""Others are left alone for a day: another run may be making one, or measuring it."""
UNWANTED = shutil.ignore_patterns("*.so", "__pycache__", "build")


def compiled_gateway(root: Path, cache: Path) -> Path:
    """Folder to put on PYTHONPATH. BenchError when it cannot be compiled."""
    proxy = root / "proxy"
    digest = hashlib.sha256(sys.version.encode())
    sources = [path for path in (proxy / "gateway").rglob("*") if path.suffix in SUFFIXES]
    for path in [*sorted(sources), *(proxy / name for name in FILES)]:
        digest.update(str(path.relative_to(proxy)).encode() + path.read_bytes())
    target = cache / "gateway" / digest.hexdigest()[:12]
    if target.is_dir():
        return target
    if shutil.which("gcc") is None:
        raise BenchError("gcc is not installed, and the gateway is measured as its image has it: compiled")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".building-") as building:
        source, fresh = Path(building) / "source", Path(building) / "fresh"
        for folder in (source, fresh):
            shutil.copytree(proxy / "gateway", folder / "gateway", ignore=UNWANTED)
        for name in FILES:
            shutil.copy(proxy / name, source)
        complete(
            [sys.executable, "setup.py", "build_ext", "--build-lib", str(fresh)],
            cwd=source,
            env={**os.environ, "GATEWAY_COMPILE": "1"},
        )
        for old in target.parent.iterdir():
            if time.time() - old.stat().st_mtime > KEPT_SECONDS:
                shutil.rmtree(old)
        if not target.is_dir():  # a run beside this one may have been quicker
            fresh.replace(target)
    return target
