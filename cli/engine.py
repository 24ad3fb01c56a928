"""The Pulumi engine, driven through its CLI on one environment."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml

from airgap.report import Report
from cli import docker_objects, own_backend, plain, process, settings
from cli.errors import UserError
from cli.paths import PROJECT
from cli.repair import repaired
from cli.toolchain import Toolchain
from stacks.outlook import handed

PARALLEL = "32"
DYING_SECONDS = 3.0


class Engine:
    """One environment (Pulumi stack) on a prepared machine."""

    def __init__(self, toolchain: Toolchain, environment: str, progress: Report) -> None:
        self.toolchain = toolchain
        self.environment = environment
        self.progress = progress
        self.folder = toolchain.paths.environment(environment)
        self._found = False
        self._asked: Future[dict[str, Any]] | None = None

    @property
    def passphrase_file(self) -> Path:
        """Holds the passphrase of this environment's secrets; mode 0600; made at the first `up`."""
        return self.folder / "passphrase"

    @property
    def backend(self) -> Path:
        """Pulumi's file backend of this environment alone, so that its history goes with it."""
        return self.folder / "backend"

    @property
    def of_shells(self) -> dict[str, str]:
        """What a shell needs for plain `pulumi` to act on this environment as its file is now."""
        paths, exports = self.toolchain.paths, self.exports
        return {
            **exports,
            "PATH": plain.search_path(paths, self.environment, exports.get("PATH") or os.environ["PATH"]),
            "PULUMI_OPTION_CONFIG_FILE": str(settings.effective_file(paths, self.environment)),
        }

    @property
    def exports(self) -> dict[str, str]:
        """What the engine needs to act on this environment, but for its effective configuration."""
        added = {
            "PULUMI_STACK": self.environment,
            "PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER": "true",
            "PULUMI_BACKEND_URL": self._users("PULUMI_BACKEND_URL") or f"file://{self.backend}",
        }
        if not (self._users("PULUMI_CONFIG_PASSPHRASE") or self._users("PULUMI_CONFIG_PASSPHRASE_FILE")):
            added["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(self.passphrase_file)
        return {**self.toolchain.exports, **added}

    def _users(self, variable: str) -> str:
        """A variable that the user has set; in a shell that read `./stack env`, ours are no choice of theirs.

        They may even be of another environment, or of one that is gone.
        """
        value = os.environ.get(variable, "")
        ours = str(self.toolchain.paths.state / "environments")
        return "" if value.removeprefix("file://").startswith(ours) else value

    @property
    def env(self) -> dict[str, str]:
        """Process environment for the engine under ./stack: with the effective configuration."""
        effective = settings.effective_file(self.toolchain.paths, self.environment)
        return {**self.toolchain.env, **self.exports, "PULUMI_OPTION_CONFIG_FILE": str(effective)}

    @property
    def shared(self) -> bool:
        """Whether the state is in a backend of the user's: others may have made the environment then."""
        return self.exports["PULUMI_BACKEND_URL"] != f"file://{self.backend}"

    def exists(self) -> bool:
        """Whether the backend knows this environment.

        One of ours is asked until it does: nobody else takes a stack away. Of a shared one others may.
        """
        if not self.shared and own_backend.has(self.backend, self.environment):
            return True
        if self.shared or (not self._found and self.backend.exists()):
            listed = json.loads(self._output(["stack", "ls", "--json"]))
            self._found = any(row["name"] == self.environment for row in listed)
        return self._found

    def ensure(self, overrides: dict[str, Any] | None = None) -> None:
        """Create the stack when it is not there, and write the effective configuration."""
        self._make_passphrase()
        effective = settings.refresh(self.toolchain.paths, self.environment, overrides)
        plain.install(self.toolchain.paths, self.environment, self.exports["PATH"])
        if not self.exists():
            # `stack init` writes its salt into the stack file beside Pulumi.yaml, so it runs in a folder of
            # ours with a project file of the same name: the repository stays clean.
            project = self.folder / "Pulumi.yaml"
            project.write_text(yaml.safe_dump({"name": PROJECT, "runtime": "python"}))
            self._output(["stack", "init", self.environment, "--no-select"], cwd=self.folder)
            if "encryptionsalt" not in settings.read(effective):
                raise UserError(
                    f"pulumi stack init left no encryptionsalt in {effective}; its secrets would be lost."
                )
            self._found = True

    def up(self, *, refresh: bool = False, replace: Sequence[str] = ()) -> None:
        """Bring the environment to what the configuration says, with the engine's own progress display.

        With `refresh` the engine first looks for what others have changed or deleted. `replace` are URNs of
        what is to be made again, `**` for any part of one. The engine keeps a log unless the last `up` has
        succeeded: of what is all there it tells little, at the price of half of its work.
        """
        flags = ["--yes", "--skip-preview", *self._recreate(self._repair())]
        for urn in replace:
            flags += ["--replace", urn]
        flags += ["--refresh"] if refresh else []
        hint = f"Run ./stack up {self.environment} again: it goes on where it stopped."
        succeeded = self.folder / "succeeded"
        more = {} if succeeded.exists() else self.toolchain.logging
        succeeded.unlink(missing_ok=True)
        self._operate("up", flags, hint, more)
        succeeded.touch()

    def up_quietly(self, *, repair: bool = False) -> None:
        """The same without display, for changes made on the way; output is shown only when it fails.

        `repair`: of what an interrupted one may have left.
        """
        if repair:
            self._repair()
        with process.patient():
            self._output(["up", "--yes", "--skip-preview", "--parallel", PARALLEL], timeout=600)

    def preview(self, resources: list[dict[str, Any]], *, diff: bool, told: Path) -> None:
        """Show what `up` would change of these resources of the state.

        The program writes to the file `told` what it asked the gateway (`stacks.outlook.handed`).
        """
        flags = [*(["--diff"] if diff else []), *self._recreate(resources)]
        self._operate("preview", flags, "", {handed.VARIABLE: str(told)})

    def destroy(self) -> None:
        """Remove every resource, then the stack and everything kept about it."""
        resources = self._repair()
        docker_objects.remove_orphan_clusters(self.toolchain.env, self.environment, resources, self.progress)
        hint = f"Run ./stack destroy {self.environment} again: it goes on where it stopped."
        self._operate("destroy", ["--yes", "--skip-preview"], hint, self.toolchain.logging)
        self._output(["stack", "rm", self.environment, "--yes", "--preserve-config"])
        self._found = False
        if self.passphrase_file.exists():
            settings.take_back_salt(self.toolchain.paths, self.environment)
        shutil.rmtree(self.folder, ignore_errors=True)

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs; secret ones stay hidden."""
        loaded: dict[str, Any] = json.loads(self._output(["stack", "output", "--json"]))
        return loaded

    def ask_ahead(self) -> None:
        """Begin to ask for `secret_outputs`, which takes half a second: the next call waits for it."""
        if self.folder.exists() or self.shared:
            self._asked = ThreadPoolExecutor(max_workers=1).submit(self._secret_outputs)

    def secret_outputs(self) -> dict[str, Any]:
        """All outputs in clear; for handing a kubeconfig to kubectl through a private file."""
        asked, self._asked = self._asked, None
        return asked.result() if asked is not None else self._secret_outputs()

    def _secret_outputs(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads(self._output(["stack", "output", "--json", "--show-secrets"]))
        return loaded

    def secret_output(self, name: str) -> Any:
        """One output in clear."""
        return self.secret_outputs()[name]

    def resources(self) -> list[dict[str, Any]]:
        """What the state holds; nothing where there is none."""
        return self.state()["deployment"].get("resources") or [] if self.exists() else []

    def state(self, *, show_secrets: bool = False) -> dict[str, Any]:
        """The stack's state; its secrets are encrypted unless they are asked for."""
        if not (show_secrets or self.shared) and (found := own_backend.state(self.backend, self.environment)):
            return found
        flags = ["--show-secrets"] if show_secrets else []
        loaded: dict[str, Any] = json.loads(self._output(["stack", "export", *flags]))
        return loaded

    def _operate(self, operation: str, flags: list[str], hint: str, more: Mapping[str, str]) -> None:
        # Most of the work is waiting for clusters: the default of four times the cores would queue it.
        argv = ["pulumi", operation, "--stack", self.environment, "--parallel", PARALLEL, *flags]
        argv.append("--suppress-permalink=true")
        scratch = self._emptied_scratch()
        env = {**self.env, "TMPDIR": str(scratch), **more}
        try:
            ended = process.foreground(argv, env=env, cwd=self.toolchain.paths.root)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)  # the kubernetes provider leaves kubeconfigs behind
        if ended.interrupted:
            raise UserError(f"interrupted during `{operation}`. {hint}", code=130)
        if ended.code:
            raise UserError(f"pulumi {operation} failed; its message is above. {hint}".strip())

    def _emptied_scratch(self) -> Path:
        """A folder for temporary files of one run, in which a killed one has left secrets."""
        folder = self.folder / "tmp"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        return folder

    def _output(self, arguments: list[str], cwd: Path | None = None, timeout: float = 120) -> str:
        scope = (
            []
            if arguments[:2] in (["stack", "ls"], ["stack", "init"], ["stack", "rm"])
            else ["--stack", self.environment]
        )
        argv = ["pulumi", *arguments, *scope, "--non-interactive"]
        return process.output(argv, env=self.env, cwd=cwd or self.toolchain.paths.root, timeout=timeout)

    def _make_passphrase(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.backend.mkdir(exist_ok=True)
        if "PULUMI_CONFIG_PASSPHRASE_FILE" in self.exports and not self.passphrase_file.exists():
            settings.refuse_lost_salt(self.toolchain.paths, self.environment, self.passphrase_file)
            descriptor = os.open(self.passphrase_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as handle:
                handle.write(secrets.token_urlsafe(32))

    def _repair(self) -> list[dict[str, Any]]:
        """Undo what a killed run left: its lock, its half-made resources. Returns the state's resources."""
        if not self.exists():
            return []
        self.refuse_working()
        state = self.state()
        deployment, wrong = repaired(state["deployment"])
        for one in wrong:
            self.progress.note(f"Repairing: {one}.")
        if wrong:
            self._import({**state, "deployment": deployment})
        resources: list[dict[str, Any]] = deployment.get("resources") or []
        docker_objects.remove_unknown(self.toolchain.env, self.environment, resources, self.progress)
        return resources

    def _recreate(self, resources: list[dict[str, Any]]) -> list[str]:
        """Flags for clusters that are gone behind the engine's back: it believes what its state says."""
        flags = []
        for urn, name in docker_objects.vanished_clusters(self.toolchain.env, resources).items():
            self.progress.note(
                f"Repairing: cluster {name} is gone; it is created again with all that was in it."
            )
            flags += ["--replace", urn]
        return flags

    def _import(self, state: dict[str, Any]) -> None:
        target = self.folder / "repaired-state.json"
        target.touch(mode=0o600)
        target.write_text(json.dumps(state))
        try:
            self._output(["stack", "import", "--file", str(target)])
        finally:
            target.unlink()

    def refuse_working(self) -> None:
        """Raise UserError while a pulumi works on the environment; the lock of one that is gone goes."""
        for path in (self.backend / ".pulumi" / "locks").rglob("*.json"):
            holder = json.loads(path.read_text()).get("pid")
            if holder and not self._ended(holder):
                raise UserError(
                    f"another pulumi (process {holder}) is working on {self.environment!r}; "
                    "wait for it to end."
                )
            self.progress.note(f"Repairing: removing the lock of a pulumi that is gone (process {holder}).")
            path.unlink(missing_ok=True)

    def _ended(self, holder: int) -> bool:
        """Whether the pulumi that took a lock is gone; one that was just killed needs a moment for it."""
        deadline = time.monotonic() + DYING_SECONDS
        while process.runs(holder, "pulumi"):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        return True
