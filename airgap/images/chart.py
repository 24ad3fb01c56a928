"""Dapr's official Helm chart, which comes inside its Go module."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path

from airgap.leftovers import PREFIX
from airgap.programs import GO_FOLDER
from airgap.report import Report, SupplyError

MODULE = "github.com/dapr/dapr"


def ensure_dapr_chart(cache: Path, version: str, report: Report) -> Path:
    """Folder of the chart, copied out of the Go module cache once."""
    target = cache / "charts" / f"dapr-{version}"
    if target.is_dir():
        return target
    with report.step(f"Copying the Dapr chart {version}"):
        source = _module_folder(version) / "charts" / "dapr"
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=PREFIX) as folder:
            fresh = Path(folder) / "dapr"
            shutil.copytree(source, fresh)
            for path in (fresh, *fresh.rglob("*")):
                path.chmod(0o755 if path.is_dir() else 0o644)  # the module cache is read-only
            _set_version(fresh, version)
            fresh.replace(target)
    return target


def _set_version(chart: Path, version: str) -> None:
    """The chart in the module carries a placeholder version, filled in by Dapr's release build.

    Dependencies too: Helm silently drops a part whose version is not the one asked for.
    """
    for path in chart.rglob("Chart.yaml"):
        path.write_text(with_version(path.read_text(), version))


def with_version(text: str, version: str) -> str:
    """A Chart.yaml with the placeholder replaced."""
    return text.replace("'0.0.0'", f"'{version}'").replace('"0.0.0"', f'"{version}"')


def _module_folder(version: str) -> Path:
    done = subprocess.run(
        ["go", "mod", "download", "-json", f"{MODULE}@v{version}"],
        cwd=GO_FOLDER / "dapr",
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SupplyError(
            f"The Dapr chart {version} cannot be had from the Go module {MODULE}: "
            f"{(done.stdout + done.stderr).strip()}\n"
            "Check that the Go module proxy can be reached, and run again."
        )
    return Path(json.loads(done.stdout)["Dir"])
