"""The real helm CLI: argument lists, a private kubeconfig per call, values by stdin and never by argv."""

import asyncio
import json
import signal
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from airgap.plugins.base.process import run
from airgap.plugins.base.provider import ProviderError

DEFAULT_SECONDS = 300


class HelmError(ProviderError):
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
        # Only we can read the file, and it is gone after the call.
        with tempfile.NamedTemporaryFile("w", prefix="helm-kubeconfig-") as kubeconfig:
            kubeconfig.write(self._kubeconfig)
            kubeconfig.flush()
            try:
                done = await run(
                    ["helm", *arguments],
                    environment={"HELM_DRIVER": "secret", "KUBECONFIG": kubeconfig.name},
                    stdin=stdin,
                    stop=self._cancelled,
                    # Interrupted, helm marks the release as failed, so that the next run can go on.
                    stop_signal=signal.SIGINT,
                )
            except FileNotFoundError as error:
                raise HelmError(
                    "helm is not on PATH; run ./stack, which puts it there, or install helm 3"
                ) from error
        if done.status != 0:
            raise HelmError(_message(done.stderr.decode(errors="replace")))
        return done.stdout.decode()

    async def record(self, name: str, namespace: str) -> dict[str, Any]:
        """helm's record of the newest revision with the chart's metadata. Raises HelmError without one."""
        where = [name, "--namespace", namespace, "--output", "json"]
        found = json.loads(await self.run(["status", *where]))
        # The status leaves the chart out.
        return {**found, "chart": json.loads(await self.run(["get", "metadata", *where]))}

    async def find(self, name: str, namespace: str) -> dict[str, Any] | None:
        """helm's record, None when there is no release."""
        try:
            return await self.record(name, namespace)
        except HelmError as error:
            if "not found" in str(error):
                return None
            raise


def _message(stderr: str) -> str:
    """helm's last error line on, without "Error:" and the name of the command that failed."""
    _, found, tail = stderr.rpartition("Error: ")
    text = (tail if found else stderr).strip()
    return text.removeprefix("INSTALLATION FAILED: ").removeprefix("UPGRADE FAILED: ")


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
