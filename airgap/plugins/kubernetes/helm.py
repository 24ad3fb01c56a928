"""The real helm CLI: argument lists, a private kubeconfig per call, values by stdin and never by argv."""

import asyncio
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from airgap.plugins.base.guard import guarded

DEFAULT_SECONDS = 300


class HelmError(Exception):
    """helm said no; the text is helm's own, without its prefix."""


def chart_arguments(release: Mapping[str, Any]) -> list[str]:
    """Which chart, from where: what all commands that load a chart share."""
    arguments = [str(release["chart"])]
    if repository := (release.get("repositoryOpts") or {}).get("repo"):
        arguments += ["--repo", str(repository)]
    if release.get("version") and not Path(str(release["chart"])).exists():
        arguments += ["--version", str(release["version"])]
    return arguments


def deploy_arguments(command: str, release: Mapping[str, Any], namespace: str) -> list[str]:
    """The argument list of `helm install` or `helm upgrade`, values from stdin."""
    arguments = [command, str(release["name"]), *chart_arguments(release), "--namespace", namespace]
    arguments += ["--values", "-", "--output", "json", *_wait_arguments(release)]
    # No limit, as with the official plugin: helm's own default would forget the eleventh revision.
    return [*arguments, "--history-max", "0"] if command == "upgrade" else arguments


def uninstall_arguments(release: Mapping[str, Any]) -> list[str]:
    """The argument list of `helm uninstall`."""
    name, namespace = str(release["name"]), str(release["namespace"])
    return ["uninstall", name, "--namespace", namespace, *_wait_arguments(release)]


def _wait_arguments(release: Mapping[str, Any]) -> list[str]:
    wait = [] if release.get("skipAwait") else ["--wait"]
    return [*wait, "--timeout", f"{int(release.get('timeout') or DEFAULT_SECONDS)}s"]


class Helm:
    """Runs helm against one cluster."""

    def __init__(self, kubeconfig: Mapping[str, Any], cancelled: asyncio.Event) -> None:
        self._kubeconfig = json.dumps(kubeconfig)
        self._cancelled = cancelled

    async def run(self, arguments: list[str], stdin: str = "") -> str:
        """Run one helm command; answers stdout. Raises HelmError."""
        if shutil.which("helm") is None:
            raise HelmError("helm is not on PATH; run ./stack, which puts it there, or install helm 3")
        # Only we can read the file, and it is gone after the call.
        with tempfile.NamedTemporaryFile("w", prefix="helm-kubeconfig-") as kubeconfig:
            kubeconfig.write(self._kubeconfig)
            kubeconfig.flush()
            process = await asyncio.create_subprocess_exec(
                "helm",
                *arguments,
                env={**os.environ, "HELM_DRIVER": "secret", "KUBECONFIG": kubeconfig.name},
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                process_group=0,
            )
            # Interrupted, helm marks the release as failed, so that the next run can go on from there.
            watcher = asyncio.create_task(self._interrupt(process))
            try:
                with guarded(process.pid):
                    stdout, stderr = await process.communicate(stdin.encode())
            finally:
                watcher.cancel()
        if process.returncode != 0:
            raise HelmError(_message(stderr.decode(errors="replace")))
        return stdout.decode()

    async def status(self, name: str, namespace: str) -> dict[str, Any] | None:
        """helm's record of the newest revision with the chart's metadata, None when there is no release."""
        where = [name, "--namespace", namespace, "--output", "json"]
        try:
            record = json.loads(await self.run(["status", *where]))
            # The status leaves the chart out.
            return {**record, "chart": json.loads(await self.run(["get", "metadata", *where]))}
        except HelmError as error:
            if "not found" in str(error):
                return None
            raise

    async def _interrupt(self, process: asyncio.subprocess.Process) -> None:
        await self._cancelled.wait()
        if process.returncode is None:
            process.send_signal(signal.SIGINT)


def _message(stderr: str) -> str:
    """helm's last error line on, without "Error:" and the name of the command that failed."""
    _, found, tail = stderr.rpartition("Error: ")
    text = (tail if found else stderr).strip()
    for prefix in ("INSTALLATION FAILED: ", "UPGRADE FAILED: "):
        text = text.removeprefix(prefix)
    return text


def resource_names(manifest: str) -> dict[str, list[str]]:
    """Names of a release's objects by "<Kind[.group]>/<apiVersion>", with the namespace a manifest states."""
    found: dict[str, set[str]] = {}
    for one in yaml.load_all(manifest, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        if not isinstance(one, dict) or not one.get("kind"):
            continue
        group = one["apiVersion"].rpartition("/")[0]
        key = f"{one['kind']}{'.' + group if group else ''}/{one['apiVersion']}"
        meta = one.get("metadata") or {}
        prefix = f"{meta['namespace']}/" if meta.get("namespace") else ""
        found.setdefault(key, set()).add(f"{prefix}{meta.get('name', '')}")
    return {key: sorted(names) for key, names in found.items()}
