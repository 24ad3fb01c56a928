"""The files a command leaves, as assets and archives."""

import hashlib
import os
import re
from pathlib import Path
from typing import Any

from airgap.plugins.base.values import ARCHIVE_SIGNATURE, ASSET_SIGNATURE, SIGNATURE


def collect(patterns: list[str], directory: str) -> dict[str, Path]:
    """Files below `directory` that the patterns choose, by relative path.

    `*` stops at a slash, `**` does not, a leading `!` takes files away again; the last match wins.
    """
    rules = [(not pattern.startswith("!"), _regex(pattern.removeprefix("!"))) for pattern in patterns]
    root = Path(directory or ".").resolve()
    chosen: dict[str, Path] = {}
    for folder, _, names in os.walk(root):
        for path in (Path(folder, name) for name in names):
            relative = path.relative_to(root).as_posix()
            matches = [include for include, regex in rules if regex.fullmatch(relative)]
            if matches and matches[-1]:
                chosen[relative] = path
    return dict(sorted(chosen.items()))


def _regex(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"(\*\*/?|\*|\?)", pattern.removeprefix("./"))
    known = {"**": ".*", "**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(known.get(part, re.escape(part)) for part in parts))


def outputs(inputs: dict[str, Any]) -> dict[str, Any]:
    """The outputs `assets` and `archive` of plain inputs, where these ask for them."""
    found: dict[str, Any] = {}
    folder = inputs.get("dir") or ""
    if inputs.get("assetPaths"):
        found["assets"] = _assets(collect(inputs["assetPaths"], folder))
    if inputs.get("archivePaths"):
        members = _assets(collect(inputs["archivePaths"], folder))
        found["archive"] = {SIGNATURE: ARCHIVE_SIGNATURE, "assets": members}
    return found


def _assets(files: dict[str, Path]) -> dict[str, Any]:
    """Files as the engine's asset values."""
    return {
        name: {
            SIGNATURE: ASSET_SIGNATURE,
            "path": str(path),
            "hash": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for name, path in files.items()
    }
