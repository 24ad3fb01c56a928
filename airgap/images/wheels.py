"""The wheelhouses of the Python images: what the gateway and the demo app install, and what the gateway is
compiled with, without network."""

from __future__ import annotations

import hashlib
import platform
import shutil
import sys
import tempfile
from pathlib import Path

from airgap.leftovers import PREFIX
from airgap.report import Report
from airgap.run import run_logged

ROOT = Path(__file__).resolve().parents[2]
LOCKS = (ROOT / "proxy" / "requirements.lock", ROOT / "apps" / "nodeapp" / "requirements.lock")
BUILD_LOCKS = (ROOT / "proxy" / "build-requirements.lock",)
PYTHON = "3.11"  # of the base image, whatever Python runs this


def ensure_wheels(
    cache: Path, report: Report, locks: tuple[Path, ...] = LOCKS, folder: str = "wheels"
) -> Path:
    """Folder with the wheels of all lock files, downloaded once per content of the lock files.

    `folder` of the cache: it keeps the newest set only.
    """
    content = hashlib.sha256(b"".join(lock.read_bytes() for lock in locks)).hexdigest()[:12]
    target = cache / folder / content
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with (
        report.step("Downloading Python wheels") as step,
        tempfile.TemporaryDirectory(dir=target.parent, prefix=PREFIX) as unfinished,
    ):
        for lock in locks:
            run_logged(
                download_argv(lock, Path(unfinished), platform.machine()),
                log=cache / "logs" / "wheels.log",
                step=step,
                hint="Check that the Python package index can be reached, and run again.",
            )
        fresh = Path(unfinished) / "wheels"
        fresh.mkdir()
        for wheel in Path(unfinished).glob("*.whl"):
            wheel.replace(fresh / wheel.name)
        fresh.replace(target)
    for old in target.parent.iterdir():  # images hold the wheels; older folders serve nobody
        if old != target:
            shutil.rmtree(old)
    return target


def download_argv(lock: Path, folder: Path, machine: str) -> list[str]:
    """pip's command line: wheels for the image's Python, each checked against its hash."""
    tags = [f"manylinux_2_{minor}_{machine}" for minor in (36, 34, 31, 28, 27, 26, 24, 17, 12, 5)]
    tags += [f"manylinux2014_{machine}", f"linux_{machine}"]
    return [
        *[sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-input"],
        *["--require-hashes", "--only-binary", ":all:", "--requirement", str(lock), "--dest", str(folder)],
        *["--implementation", "cp", "--python-version", PYTHON, "--abi", f"cp{PYTHON.replace('.', '')}"],
        *["--abi", "abi3", "--abi", "none"],
        *(word for tag in tags for word in ("--platform", tag)),
    ]
