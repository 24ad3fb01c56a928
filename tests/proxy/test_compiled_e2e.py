"""The gateway as the image has it: compiled. It must pass every test that its sources pass."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package and its compiled modules."""
    if shutil.which("gcc") is None:
        pytest.skip("no C compiler on PATH")
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("compiled")
    for folder in (source, target):
        shutil.copytree(
            ROOT / "proxy" / "gateway",
            folder / "gateway",
            ignore=shutil.ignore_patterns("*.so", "__pycache__"),
        )
    for name in ("setup.py", "pyproject.toml", "requirements.in"):
        shutil.copy(ROOT / "proxy" / name, source)
    argv = [sys.executable, "setup.py", "build_ext", "--build-lib", str(target)]
    built = subprocess.run(
        argv,
        cwd=source,
        env={**os.environ, "GATEWAY_COMPILE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout[-3000:] + built.stderr[-3000:]
    return target


def test_the_hot_modules_are_compiled_and_pass_the_tests(compiled: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(compiled)}
    where = subprocess.run(
        [sys.executable, "-c", "from gateway.edge import exchange; print(exchange.__file__)"],
        env=environment, capture_output=True, text=True, check=True, cwd=compiled,
    ).stdout  # fmt: skip
    assert where.startswith(str(compiled))
    assert where.strip().endswith(".so")
    argv = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-q",
        "-o",
        "pythonpath=. tests",
        "tests/proxy",
        "--ignore=tests/proxy/kube",  # nothing of it is compiled
    ]
    tests = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert tests.returncode == 0, tests.stdout[-5000:]
