"""Plain `pulumi` in a shell of an environment: each run starts from the environment's file as it is now.

Pulumi writes secrets, and the salt they need, into the file it reads. So a shell of `./stack env` has a
`pulumi` that first renews the effective copy, then becomes the real one, which reads and writes that copy.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

from cli import settings
from cli.errors import UserError
from cli.paths import Paths

FOLDER = "bin"
COLLECTING = {"GOGC": "400"}
"""For the engine, its providers and whatever else commands start, all of which live for seconds: Go looks for
garbage when what they hold is five times as much, not twice. A fifth of their work, for some 30 MiB each."""

SCRIPT = """#!/bin/sh
# Made by ./stack: the settings of {environment} as they are now, then the real pulumi.
XDG_STATE_HOME={state} PYTHONPATH={root} PYTHONSAFEPATH=1 {python} -m cli.plain {environment} || exit $?
GOGC="${{GOGC:-{collecting}}}" exec {pulumi} "$@"
"""


def install(paths: Paths, environment: str, search: str) -> None:
    """Write the `pulumi` of this environment's shells, for the real one on this search path."""
    folder = paths.environment(environment) / FOLDER
    real = shutil.which("pulumi", path=without_ours(paths, search))
    if real is None:
        raise UserError("pulumi is not installed or not on PATH; run ./stack up first.")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = folder / "pulumi.new"
    fresh.write_text(
        SCRIPT.format(
            environment=shlex.quote(environment), state=shlex.quote(str(paths.state.parent)),
            root=shlex.quote(str(paths.root)), python=shlex.quote(sys.executable), pulumi=shlex.quote(real),
            collecting=COLLECTING["GOGC"],
        )
    )  # fmt: skip
    fresh.chmod(0o700)
    fresh.replace(folder / "pulumi")


def search_path(paths: Paths, environment: str, search: str) -> str:
    """PATH of a shell of this environment, and of no other one that the shell may have read before."""
    return os.pathsep.join([str(paths.environment(environment) / FOLDER), without_ours(paths, search)])


def without_ours(paths: Paths, search: str) -> str:
    """A search path without folders of environments."""
    ours = paths.state / "environments"
    return os.pathsep.join(one for one in search.split(os.pathsep) if ours not in Path(one).parents)


def main() -> int:
    """Renew the effective copy of the environment that is named."""
    try:
        settings.refresh(Paths.here(), sys.argv[1])
    except UserError as error:
        print(f"pulumi: {error}", file=sys.stderr)
        return error.code
    return 0


if __name__ == "__main__":
    sys.exit(main())
