"""The real helm CLI: argument lists, a private kubeconfig per call, values by stdin and never by argv."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

DEFAULT_SECONDS = 300
# Which flag of helm stands for which argument of a release, by command; true sets it.
_SWITCHES = {
    "install": {
        "atomic": "--atomic",
        "createNamespace": "--create-namespace",
        "dependencyUpdate": "--dependency-update",
        "devel": "--devel",
        "disableOpenapiValidation": "--disable-openapi-validation",
        "disableWebhooks": "--no-hooks",
        "renderSubchartNotes": "--render-subchart-notes",
        "replace": "--replace",
        "skipCrds": "--skip-crds",
        "takeOwnership": "--take-ownership",
        "verify": "--verify",
    },
    "upgrade": {
        "atomic": "--atomic",
        "cleanupOnFail": "--cleanup-on-fail",
        "dependencyUpdate": "--dependency-update",
        "devel": "--devel",
        "disableCRDHooks": "--no-hooks",
        "disableOpenapiValidation": "--disable-openapi-validation",
        "forceUpdate": "--force",
        "renderSubchartNotes": "--render-subchart-notes",
        "resetValues": "--reset-values",
        "reuseValues": "--reuse-values",
        "takeOwnership": "--take-ownership",
        "verify": "--verify",
    },
}


class HelmError(Exception):
    """helm said no; the text is helm's own, without its prefix."""


def chart_arguments(release: Mapping[str, Any]) -> list[str]:
    """Which chart, from where: the part that all commands that load a chart share. No password among them."""
    arguments = [str(release["chart"])]
    options = release.get("repositoryOpts") or {}
    for name, flag in (
        ("repo", "--repo"),
        ("caFile", "--ca-file"),
        ("certFile", "--cert-file"),
        ("keyFile", "--key-file"),
    ):
        if options.get(name):
            arguments += [flag, str(options[name])]
    if release.get("version") and not _is_folder(release):
        arguments += ["--version", str(release["version"])]
    if release.get("verify") and release.get("keyring"):
        arguments += ["--keyring", str(release["keyring"])]
    return arguments


def _is_folder(release: Mapping[str, Any]) -> bool:
    return Path(str(release["chart"])).exists()


def deploy_arguments(command: str, release: Mapping[str, Any], namespace: str) -> list[str]:
    """The whole argument list of `helm install` or `helm upgrade`, values from stdin, result as JSON."""
    arguments = [command, str(release["name"]), *chart_arguments(release)]
    arguments += ["--namespace", namespace, "--values", "-", "--output", "json"]
    arguments += [flag for name, flag in _SWITCHES[command].items() if release.get(name)]
    if not release.get("skipAwait"):
        arguments += ["--wait"] + (["--wait-for-jobs"] if release.get("waitForJobs") else [])
    arguments += ["--timeout", f"{int(release.get('timeout') or DEFAULT_SECONDS)}s"]
    for name, flag in (("description", "--description"), ("postrender", "--post-renderer")):
        if release.get(name):
            arguments += [flag, str(release[name])]
    if command == "upgrade":
        arguments += ["--history-max", str(int(release.get("maxHistory") or 0))]
    return arguments


def uninstall_arguments(release: Mapping[str, Any]) -> list[str]:
    """The argument list of `helm uninstall`."""
    arguments = ["uninstall", str(release["name"]), "--namespace", str(release["namespace"])]
    if release.get("atomic") or not release.get("skipAwait"):
        arguments += ["--wait", "--timeout", f"{int(release.get('timeout') or DEFAULT_SECONDS)}s"]
    return arguments


class Helm:
    """Runs helm against one cluster."""

    def __init__(
        self, kubeconfig: Mapping[str, Any], settings: Mapping[str, Any], cancelled: asyncio.Event
    ) -> None:
        self._kubeconfig = json.dumps(kubeconfig)
        self._cancelled = cancelled
        self._environment = {
            **os.environ,
            "HELM_DRIVER": str(settings.get("driver") or "secret"),
            **{
                variable: str(settings[name])
                for name, variable in (
                    ("pluginsPath", "HELM_PLUGINS"),
                    ("registryConfigPath", "HELM_REGISTRY_CONFIG"),
                    ("repositoryConfigPath", "HELM_REPOSITORY_CONFIG"),
                    ("repositoryCache", "HELM_REPOSITORY_CACHE"),
                )
                if settings.get(name)
            },
        }

    async def run(self, arguments: list[str], stdin: str = "") -> str:
        """Run one helm command; answers stdout. Raises HelmError."""
        if shutil.which("helm") is None:
            raise HelmError("helm is not on PATH; run ./stack, which puts it there, or install helm 3")
        with self._kubeconfig_file() as path:
            process = await asyncio.create_subprocess_exec(
                "helm",
                *arguments,
                env={**self._environment, "KUBECONFIG": path},
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            # Interrupted, helm marks the release as failed, so that the next run can go on from there.
            watcher = asyncio.create_task(self._interrupt(process))
            try:
                stdout, stderr = await process.communicate(stdin.encode())
            finally:
                watcher.cancel()
        if process.returncode != 0:
            raise HelmError(_message(stderr.decode(errors="replace")))
        return stdout.decode()

    async def _interrupt(self, process: asyncio.subprocess.Process) -> None:
        await self._cancelled.wait()
        if process.returncode is None:
            process.send_signal(signal.SIGINT)

    @contextlib.contextmanager
    def _kubeconfig_file(self) -> Iterator[str]:
        """A kubeconfig that only we can read, gone after the call."""
        with tempfile.NamedTemporaryFile("w", prefix="helm-kubeconfig-") as file:
            file.write(self._kubeconfig)
            file.flush()
            yield file.name


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


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Deep merge of values, `over` winning."""
    merged = dict(base)
    for key, item in over.items():
        both = isinstance(item, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], item) if both else item
    return merged
