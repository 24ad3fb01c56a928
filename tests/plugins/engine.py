"""Runs small Pulumi programs on the real engine, with our plugins or with whatever PULUMI_HOME is given.

MULTICLUSTER_DAPR_OFFICIAL_HOME points the same cases at a PULUMI_HOME with the official plugins; PATH must
then begin with the folder of a pulumi binary that has the official language host beside it.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airgap.gobuild import is_built, program_path
from airgap.plugins.install import (
    PYTHON_VARIABLE,
    SOURCE_VARIABLE,
    install_language_host,
    install_providers,
)
from airgap.programs import KUBERNETES_PROVIDER, programs
from airgap.versions import load_versions

REPOSITORY = Path(__file__).resolve().parents[2]
OFFICIAL = os.environ.get("MULTICLUSTER_DAPR_OFFICIAL_HOME", "")
_RUN_SECONDS = 300


def built_providers() -> dict[str, Path]:
    """The kubernetes provider that ./stack builds, from its cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "multicluster-dapr"
    program = programs(load_versions())[KUBERNETES_PROVIDER]
    if not is_built(cache, program):
        raise RuntimeError(f"no {program.name} {program.version} in {cache}: run ./stack up once")
    return {program.name: program_path(cache, program)}


@dataclass
class Engine:
    """The pulumi binary with its own home and state."""

    folder: Path
    environment: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        found = shutil.which("pulumi")
        if found is None:
            raise RuntimeError('no `pulumi` on PATH: run ./stack up once, then eval "$(./stack env)"')
        home, tools, state = (self.folder / name for name in ("home", "tools", "state"))
        state.mkdir(parents=True)
        path = os.environ["PATH"]
        if OFFICIAL:
            home = Path(OFFICIAL)
        else:
            tools.mkdir()
            real = Path(found).resolve()
            try:
                (tools / "pulumi").hardlink_to(real)
            except OSError:
                shutil.copy2(real, tools / "pulumi")
            install_providers(home, Path(sys.executable), REPOSITORY, built_providers())
            install_language_host(tools, Path(sys.executable), REPOSITORY)
            path = f"{tools}{os.pathsep}{path}"
        # A shell that `./stack env` prepared names a stack, a backend and a passphrase of its own.
        ours = {name: value for name, value in os.environ.items() if not name.startswith("PULUMI_")}
        self.environment = {
            **ours,
            "NO_COLOR": "1",
            "PATH": path,
            "PULUMI_BACKEND_URL": f"file://{state}",
            "PULUMI_CONFIG_PASSPHRASE": "test",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_HOME": str(home),
            "PULUMI_SKIP_UPDATE_CHECK": "1",
            PYTHON_VARIABLE: sys.executable,
            SOURCE_VARIABLE: str(REPOSITORY),
        }

    def stack(self, folder: Path, program: str) -> "Stack":
        """A new stack with this program."""
        folder.mkdir(parents=True, exist_ok=True)
        name = folder.name.replace("_", "-")
        (folder / "Pulumi.yaml").write_text(f"name: {name}\nruntime: python\n")
        stack = Stack(self, folder)
        stack.program(program)
        stack.run("stack", "init", "test")
        return stack


@dataclass
class Result:
    """What a pulumi command left."""

    status: int
    output: str  # stdout and stderr together


@dataclass
class Stack:
    """One stack of one program."""

    engine: Engine
    folder: Path

    def program(self, text: str) -> None:
        """Replace the program."""
        (self.folder / "__main__.py").write_text(textwrap.dedent(text))

    def command(self, *arguments: str) -> list[str]:
        """The argument list of a pulumi command in this stack."""
        return ["pulumi", *arguments, "--non-interactive"]

    def run(self, *arguments: str, check: bool = True, **environment: str) -> Result:
        """Run a pulumi command; with `check` a failure fails the test with its output."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env={**self.engine.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=_RUN_SECONDS,
            check=False,
        )
        if check:
            assert done.returncode == 0, f"pulumi {' '.join(arguments)} failed:\n{done.stdout}"
        return Result(done.returncode, done.stdout)

    def up(self, *arguments: str, check: bool = True, **environment: str) -> Result:
        """pulumi up without asking."""
        return self.run("up", "--yes", "--skip-preview", *arguments, check=check, **environment)

    def destroy(self, *arguments: str, check: bool = True, **environment: str) -> Result:
        """pulumi destroy without asking."""
        return self.run("destroy", "--yes", "--skip-preview", *arguments, check=check, **environment)

    def refresh(self) -> Result:
        """pulumi refresh without asking."""
        return self.run("refresh", "--yes", "--skip-preview")

    def interrupted_up(self, started: Callable[[], bool]) -> Result:
        """pulumi up, interrupted as soon as `started` is true."""
        with subprocess.Popen(
            self.command("up", "--yes", "--skip-preview"),
            cwd=self.folder,
            env=self.engine.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            deadline = time.monotonic() + _RUN_SECONDS / 2
            while not started() and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.2)
            process.send_signal(signal.SIGINT)
            output, _ = process.communicate(timeout=_RUN_SECONDS)
        return Result(process.returncode, output)

    def steps(self, *arguments: str) -> dict[str, dict[str, Any]]:
        """What a preview would do, by resource name: its operations and detailed diff."""
        text = self.run("preview", "--json", *arguments).output
        found: dict[str, dict[str, Any]] = {}
        for step in json.loads(text[text.index("{") :]).get("steps") or []:
            entry = found.setdefault(step["urn"].rpartition("::")[2], {"ops": [], "diff": {}})
            entry["ops"].append(step["op"])
            for path, change in (step.get("detailedDiff") or {}).items():
                entry["diff"][path] = change["kind"]
        return found

    def changed(self, *arguments: str) -> dict[str, list[str]]:
        """Operations of a preview that change something, by resource name."""
        steps = self.steps(*arguments).items()
        found = {name: [op for op in step["ops"] if op not in ("same", "refresh")] for name, step in steps}
        return {name: ops for name, ops in found.items() if ops}

    def resources(self) -> list[dict[str, Any]]:
        """All resources of the state, secrets encrypted."""
        state = Path(self.engine.environment["PULUMI_BACKEND_URL"].removeprefix("file://"))
        file = state / ".pulumi" / "stacks" / self.folder.name.replace("_", "-") / "test.json"
        latest = json.loads(file.read_text())["checkpoint"]["latest"] or {}
        return list(latest.get("resources") or [])

    def state(self, name: str) -> dict[str, Any]:
        """A resource in the state, secrets encrypted."""
        for resource in self.resources():
            if resource["urn"].rpartition("::")[2] == name:
                return resource
        raise KeyError(name)

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs, secrets encrypted."""
        found = (one for one in self.resources() if one["type"] == "pulumi:pulumi:Stack")
        return dict(next(found).get("outputs") or {})
