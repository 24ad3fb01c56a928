"""Whether the language registries answer, asked by their ordinary clients as the user configured them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

ASK_SECONDS = 20.0
"""Patience of one question; pip alone takes some seconds to start."""
GO_MODULE = "golang.org/x/mod@v0.24.0"
PYTHON_PACKAGE = "pyyaml"
APT_HELPER = "/usr/lib/apt/apt-helper"


def go_proxy() -> str:
    """Empty when the Go module proxy answers, else why not. Its usual cache would answer in its place."""
    with tempfile.TemporaryDirectory(prefix="multicluster-dapr-") as folder:
        fresh = {"GOMODCACHE": folder, "GOFLAGS": "-modcacherw", "GOWORK": "off"}
        return _ask(["go", "list", "-m", GO_MODULE], folder, fresh)


def pypi() -> str:
    """Empty when the package index of pip answers, else why not."""
    with tempfile.TemporaryDirectory(prefix="multicluster-dapr-") as folder:
        pip = [sys.executable, "-m", "pip", "--no-cache-dir", "--disable-pip-version-check", "--retries", "0"]
        return _ask([*pip, "index", "versions", PYTHON_PACKAGE], folder, {})


def debian() -> str:
    """Empty when the first of apt's repositories answers, else why not."""
    if shutil.which("apt-get") is None:
        return "there is no apt-get on this machine"
    listing = ["apt-get", "indextargets", "--format", "$(REPO_URI)dists/$(RELEASE)/InRelease"]
    try:
        listed = subprocess.run(listing, capture_output=True, text=True, timeout=ASK_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"apt did not name its repositories within {ASK_SECONDS:.0f} s"
    targets = listed.stdout.split()
    if not targets:
        return "apt has no repositories: /etc/apt/sources.list names none, or `apt-get update` never ran"
    with tempfile.TemporaryDirectory(prefix="multicluster-dapr-") as folder:
        Path(folder).chmod(0o755)  # apt fetches as a user of its own
        return _ask([APT_HELPER, "download-file", targets[0], f"{folder}/InRelease"], folder, {})


LANGUAGE_REGISTRIES: Mapping[str, Callable[[], str]] = {
    "Go module proxy": go_proxy,
    "Python package index": pypi,
    "Debian packages": debian,
}


def _ask(argv: Sequence[str], folder: str, added: Mapping[str, str]) -> str:
    try:
        done = subprocess.run(
            argv, cwd=folder, env={**os.environ, **added}, capture_output=True, text=True,
            timeout=ASK_SECONDS, check=False,
        )  # fmt: skip
    except FileNotFoundError:
        return f"{argv[0]} is not installed"
    except subprocess.TimeoutExpired:
        return f"no answer within {ASK_SECONDS:.0f} s"
    lines = (done.stderr or done.stdout).strip().splitlines()
    return "" if done.returncode == 0 else f"{argv[0]}: {lines[-1] if lines else 'failed'}"
