"""Write the launchers through which the engine finds the stand-ins."""

import os
import shlex
import tempfile
from pathlib import Path

import yaml

# What the SDK packages of requirements.lock ask for; stacks/versions.yaml wins where it names a plugin.
VERSIONS = {"kubernetes": "4.34.2", "docker": "5.2.0", "command": "1.2.1"}


def install(pulumi_home: Path, tool_dir: Path, python: Path, source: Path) -> None:
    """Make the launchers of all stand-ins; running it again changes nothing that is already right.

    The providers go to PULUMI_HOME's plugin cache. The language host goes to `tool_dir`, which must be the
    folder of the real pulumi binary: found on PATH instead, it costs a warning in each run. `python` is the
    interpreter with requirements.lock installed, `source` the repository's root.
    """
    for name, version in plugin_versions(source).items():
        folder = pulumi_home / "plugins" / f"resource-{name}-v{version}"
        write_launcher(folder / f"pulumi-resource-{name}", name, python, source)
    write_launcher(tool_dir / "pulumi-language-python", "language", python, source)


def plugin_versions(source: Path) -> dict[str, str]:
    """Plugin versions by package, from stacks/versions.yaml's `plugins` where present."""
    path = source / "stacks" / "versions.yaml"
    named = (yaml.safe_load(path.read_text()) or {}).get("plugins", {}) if path.exists() else {}
    return {name: str(named.get(name, version)) for name, version in VERSIONS.items()}


def write_launcher(path: Path, name: str, python: Path, source: Path) -> None:
    """Write one executable launcher, in one step, unless it is there with the same text."""
    text = launcher(name, python, source)
    if path.exists() and path.read_text() == text and os.access(path, os.X_OK):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
        Path(temporary).chmod(0o755)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def launcher(name: str, python: Path, source: Path) -> str:
    """A launcher's text. `-I` keeps the user's PYTHON* variables and the project folder out of the plugin."""
    start = f"from airgap.plugins.start import main; main({name!r})"
    code = f"import sys; sys.path.insert(0, {str(source)!r}); {start}"
    return f'#!/bin/sh\nexec {shlex.quote(str(python))} -I -c {shlex.quote(code)} "$@"\n'
