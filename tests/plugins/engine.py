"""Runs small Pulumi programs on the real engine, with the stand-ins or with whatever PULUMI_HOME is given.

MULTICLUSTER_DAPR_OFFICIAL_HOME points the same cases at a PULUMI_HOME with the official plugins; PATH must
then begin with the folder of a pulumi binary that has the official language host beside it.
"""

import json
import os
import shutil
import subprocess
import sys
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airgap.plugins.install import (
    PYTHON_VARIABLE,
    SOURCE_VARIABLE,
    install_language_host,
    install_providers,
)

REPOSITORY = Path(__file__).resolve().parents[2]
OFFICIAL = os.environ.get("MULTICLUSTER_DAPR_OFFICIAL_HOME", "")
_RUN_SECONDS = 300


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
            install_providers(home, Path(sys.executable), REPOSITORY)
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

    def refresh(self, *arguments: str, check: bool = True) -> Result:
        """pulumi refresh without asking."""
        return self.run("refresh", "--yes", "--skip-preview", *arguments, check=check)

    def steps(self) -> dict[str, dict[str, Any]]:
        """What a preview would do, by resource name: its operation and detailed diff."""
        text = self.run("preview", "--json").output
        steps = json.loads(text[text.index("{") :]).get("steps") or []
        found: dict[str, dict[str, Any]] = {}
        for step in steps:
            name = step["urn"].rpartition("::")[2]
            entry = found.setdefault(name, {"ops": [], "diff": {}})
            entry["ops"].append(step["op"])
            for path, change in (step.get("detailedDiff") or {}).items():
                entry["diff"][path] = change["kind"]
            entry["new"] = step.get("newState") or {}
        return found

    def changed(self) -> dict[str, list[str]]:
        """Operations of a preview other than "same", by resource name."""
        found = {name: [op for op in step["ops"] if op != "same"] for name, step in self.steps().items()}
        return {name: ops for name, ops in found.items() if ops}

    def state(self, name: str) -> dict[str, Any]:
        """A resource in the state, secrets in clear."""
        for resource in self.resources():
            if resource["urn"].rpartition("::")[2] == name:
                return resource
        raise KeyError(name)

    def resources(self, *, clear: bool = True) -> list[dict[str, Any]]:
        """All resources of the state."""
        flags = ["--show-secrets"] if clear else []
        text = self.run("stack", "export", *flags).output
        return list(json.loads(text)["deployment"].get("resources") or [])

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs, secrets in clear."""
        return dict(json.loads(self.run("stack", "output", "--json", "--show-secrets").output))
