"""Launchers of the plugins, where the engine looks for them."""

import os
import shlex
import tempfile
from collections.abc import Mapping
from pathlib import Path

import yaml

# Set by ./stack, so that a launcher serves whichever clone of the project runs the engine.
SOURCE_VARIABLE = "MULTICLUSTER_DAPR_ROOT"
PYTHON_VARIABLE = "MULTICLUSTER_DAPR_PYTHON"


def install_providers(pulumi_home: Path, python: Path, source: Path, built: Mapping[str, Path]) -> None:
    """Make the launchers of all providers in PULUMI_HOME's plugin cache, unless they are right already.

    `python` is the interpreter with requirements.lock installed, `source` the repository's root: what serves
    when the variables above are not set. `built` are the providers that are programs, by name; all others are
    replacement plugins.
    """
    for name, version in plugin_versions(source).items():
        program, plugins = f"pulumi-resource-{name}", pulumi_home / "plugins"
        path = plugins / f"resource-{name}-v{version}" / program
        if program not in built:
            write_launcher(path, launcher(name, python, source))
            continue
        # A state names the version it was made with, and to destroy it the engine asks for that one.
        for one in {path, *plugins.glob(f"resource-{name}-v*/{program}")}:
            write_launcher(one, f'#!/bin/sh\nexec {shlex.quote(str(built[program]))} "$@"\n')


def install_quiet_home(home: Path, quiet: Path) -> None:
    """Make a PULUMI_HOME with the plugins of another, in which the engine keeps no log.

    The engine logs all that it and the plugins tell each other, which is half of its work. It has no option
    for that, but does without the log where it cannot make the folder for it.
    """
    quiet.mkdir(parents=True, exist_ok=True)
    (quiet / "logs").touch()
    if not (quiet / "plugins").is_symlink():
        (quiet / "plugins").symlink_to(os.path.relpath(home / "plugins", quiet))


def install_language_host(tool_dir: Path, python: Path, source: Path) -> None:
    """Make the language host's launcher in the folder of the real pulumi binary.

    A pulumi built from its Go module comes without one. Found on PATH instead, it costs a warning each run.
    """
    write_launcher(tool_dir / "pulumi-language-python", launcher("language", python, source))


def plugin_versions(source: Path) -> dict[str, str]:
    """Plugin versions by package: what the SDK packages of requirements.lock ask the engine for."""
    versions = yaml.safe_load((source / "stacks" / "config" / "versions.yaml").read_text())
    return dict(versions["plugins"])


def write_launcher(path: Path, text: str) -> None:
    """Write one executable launcher, in one step, unless it is there with the same text."""
    # Bytes, for what lies there may be a program.
    if path.exists() and path.read_bytes() == text.encode() and os.access(path, os.X_OK):
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
    """The launcher of a replacement plugin.

    `-I` keeps the user's PYTHON* variables and the project folder out of it.
    """
    code = (
        "import sys; sys.path.insert(0, sys.argv.pop(1)); "
        f"from airgap.plugins.start import main; main({name!r})"
    )
    return (
        "#!/bin/sh\n"
        f"python=${{{PYTHON_VARIABLE}:-{shlex.quote(str(python))}}}\n"
        f"source=${{{SOURCE_VARIABLE}:-{shlex.quote(str(source))}}}\n"
        f'exec "$python" -I -c {shlex.quote(code)} "$source" "$@"\n'
    )
