"""helm.sh/v3 Release: a Helm release as one resource."""

import asyncio
import json
from pathlib import Path
from typing import Any

import yaml

from airgap.plugins.base.diff import Diff, compare, without_ignored
from airgap.plugins.base.provider import Failure, InitFailedError, ProviderError, Request
from airgap.plugins.base.values import (
    UNKNOWN,
    Secret,
    copy_secrets,
    drop_nulls,
    has_unknown,
    plain,
    random_suffix,
)
from airgap.plugins.kubernetes.client import Client
from airgap.plugins.kubernetes.helm import (
    DEFAULT_SECONDS,
    Helm,
    HelmError,
    chart_arguments,
    deploy_arguments,
    merge,
    resource_names,
    uninstall_arguments,
)

RELEASE = "kubernetes:helm.sh/v3:Release"

# The whole argument set with its zero values, as the official plugin stores it.
_ZERO: dict[str, Any] = {
    "allowNullValues": False,
    "atomic": False,
    "chart": "",
    "cleanupOnFail": False,
    "createNamespace": False,
    "dependencyUpdate": False,
    "description": "",
    "devel": False,
    "disableCRDHooks": False,
    "disableOpenapiValidation": False,
    "disableWebhooks": False,
    "forceUpdate": False,
    "keyring": "",
    "lint": False,
    "name": "",
    "namespace": "",
    "postrender": "",
    "recreatePods": False,
    "renderSubchartNotes": False,
    "replace": False,
    "resetValues": False,
    "reuseValues": False,
    "skipAwait": False,
    "skipCrds": False,
    "timeout": 0,
    "values": {},
    "verify": False,
    "version": "",
    "waitForJobs": False,
}
_OTHER = ("maxHistory", "repositoryOpts", "takeOwnership")
_DROPPED = ("compat", "resourceNames", "valueYamlFiles", "status", "manifest", "checksum")
_REFUSED = ("lint", "recreatePods")
# What an interrupted or failed first install leaves in helm's records.
_STUCK = ("pending-install", "failed")


class Releases:
    """Releases of one cluster."""

    def __init__(
        self, client: Client, cancelled: asyncio.Event, default_namespace: str, settings: dict[str, Any]
    ) -> None:
        self._helm = Helm(client.access.kubeconfig, settings, cancelled)
        self._default_namespace = default_namespace

    async def check(self, request: Request) -> tuple[dict[str, Any], list[Failure]]:
        """Fill in name, namespace and every default; load the chart to pin its version."""
        given = drop_nulls(request.inputs)
        failures = [
            Failure(
                name, f"the closed network's kubernetes plugin has no Release argument {name!r}; leave it out"
            )
            for name in given
            if name not in (*_ZERO, *_OTHER, *_DROPPED) or (name in _REFUSED and plain(given[name]))
        ]
        bare = plain(given)
        if (bare.get("repositoryOpts") or {}).get("password"):
            reason = (
                "the closed network's kubernetes plugin takes no repository password; use `helm repo add`"
            )
            failures.append(Failure("repositoryOpts.password", reason))
        files = bare.get("valueYamlFiles") or []
        values: dict[str, Any] = {}
        for asset in files if isinstance(files, list) else []:
            values = merge(values, _yaml_asset(asset))
        given_values = bare.get("values") or {}
        merged: Any = given_values if given_values is UNKNOWN else merge(values, given_values)
        release = {
            **_ZERO,
            **{key: item for key, item in bare.items() if key not in _DROPPED},
            "values": merged,
        }
        if not release["name"]:
            old = plain(request.old_inputs.get("name"))
            release["name"] = old or f"{request.name}-{random_suffix(request.seed, 8)}"
        if not release["namespace"]:
            release["namespace"] = self._default_namespace
        if "timeout" not in bare and bare.get("skipAwait") is not UNKNOWN and not bare.get("skipAwait"):
            release["timeout"] = DEFAULT_SECONDS
        if not failures and not has_unknown(release):
            try:
                shown = await self._helm.run(["show", "chart", *chart_arguments(release)])
                release["version"] = str(yaml.safe_load(shown)["version"])
            except HelmError as error:
                failures.append(
                    Failure("chart", f"{error}; check the chart name and repository configuration.")
                )
        return copy_secrets(given, release), failures

    @staticmethod
    def diff(request: Request) -> Diff:
        """New inputs against the old ones; a new name or namespace makes a new release."""
        inputs = request.state.get("__inputs")
        old = plain(inputs) if inputs is not None else plain(request.old_inputs)
        old = {key: item for key, item in old.items() if key not in ("checksum", "resourceNames")}
        changes = without_ignored(compare(old, plain(request.inputs)), request.ignore_changes)
        return Diff(changes, {path for path in changes if path in (("name",), ("namespace",))})

    @staticmethod
    def preview(inputs: dict[str, Any]) -> dict[str, Any]:
        """Outputs of a release to be."""
        return {**inputs, "__inputs": Secret(plain(inputs)), "resourceNames": UNKNOWN, "status": UNKNOWN}

    async def create(self, request: Request) -> tuple[str, dict[str, Any]]:
        """helm install; a first install that was cut short before is cleared away first."""
        release = plain(request.inputs)
        id_ = f"{release['namespace']}/{release['name']}"
        await self._clear_stuck(request, release)
        try:
            arguments = deploy_arguments("install", release, release["namespace"])
            await self._helm.run(arguments, _values_text(release))
        except HelmError as error:
            live = await self._status(release["name"], release["namespace"])
            if live is None or "cannot re-use a name" in str(error):
                raise ProviderError(str(error)) from error
            request.log.warning(
                f'Helm release "{release["name"]}" was created but has a failed status. '
                f"Use the `helm` command to investigate the error, correct it, then retry. Reason: {error}"
            )
            message = (
                f'Helm release "{id_}" was created, but failed to initialize completely. '
                f"Use Helm CLI to investigate: {_failed(id_, error)}"
            )
            raise InitFailedError(
                id_, await self._outputs(request.inputs, live), None, [message], message
            ) from error
        return id_, await self._outputs(
            request.inputs, await self._status(release["name"], release["namespace"])
        )

    async def update(self, request: Request) -> dict[str, Any]:
        """helm upgrade, in the namespace the release lives in."""
        release = plain(request.inputs)
        namespace = plain(request.state.get("namespace")) or release["namespace"]
        id_ = f"{release['namespace']}/{release['name']}"
        try:
            await self._helm.run(deploy_arguments("upgrade", release, namespace), _values_text(release))
        except HelmError as error:
            live = await self._status(release["name"], namespace)
            if live is None or "has no deployed releases" in str(error):
                raise ProviderError(str(error)) from error
            message = (
                f'Helm release "{id_}" failed to initialize completely. '
                f"Use Helm CLI to investigate: error running update: {_failed(id_, error)}"
            )
            raise InitFailedError(
                id_, await self._outputs(request.inputs, live), None, [message], message
            ) from error
        return await self._outputs(request.inputs, await self._status(release["name"], namespace))

    async def delete(self, request: Request) -> None:
        """helm uninstall; a release that helm does not know is an error."""
        try:
            await self._helm.run(uninstall_arguments(plain(request.state)))
        except HelmError as error:
            raise ProviderError(str(error)) from error

    async def read(self, request: Request) -> tuple[str, dict[str, Any], dict[str, Any]]:
        """The release as helm records it."""
        namespace, _, name = request.id.rpartition("/")
        namespace = namespace or self._default_namespace
        live = await self._status(name, namespace)
        if live is None:
            return "", {}, {}
        inputs: Any = request.state.get("__inputs")
        inputs = inputs.value if isinstance(inputs, Secret) else inputs
        if inputs is None:
            chart = live["chart"]["metadata"]
            inputs = {
                **_ZERO,
                "name": name,
                "namespace": namespace,
                "chart": chart["name"],
                "version": chart["version"],
                "values": live.get("config") or {},
                "timeout": DEFAULT_SECONDS,
            }
        return request.id, await self._outputs(inputs, live), inputs

    async def _status(self, name: str, namespace: str) -> dict[str, Any] | None:
        """helm's record of the newest revision, None when there is no release."""
        try:
            record = json.loads(
                await self._helm.run(["status", name, "--namespace", namespace, "--output", "json"])
            )
        except HelmError as error:
            if "not found" in str(error):
                return None
            raise ProviderError(str(error)) from error
        if "chart" not in record:
            listing = ["get", "metadata", name, "--namespace", namespace, "--output", "json"]
            found = json.loads(await self._helm.run(listing))
            record["chart"] = {
                "metadata": {
                    "name": found["chart"],
                    "version": found["version"],
                    "appVersion": found.get("appVersion", ""),
                }
            }
        return dict(record)

    async def _clear_stuck(self, request: Request, release: dict[str, Any]) -> None:
        live = await self._status(release["name"], release["namespace"])
        if live is None or live.get("version") != 1 or live["info"]["status"] not in _STUCK:
            return
        request.log.warning(
            f'Helm release "{release["name"]}" was left {live["info"]["status"]} by an interrupted run; '
            "it is removed and installed again"
        )
        try:
            await self._helm.run(uninstall_arguments(release))
        except HelmError as error:
            raise ProviderError(str(error)) from error

    async def _outputs(self, inputs: dict[str, Any], live: dict[str, Any] | None) -> dict[str, Any]:
        if live is None:
            raise ProviderError(
                f"helm has no record of release {plain(inputs['name'])!r} right after it made it"
            )
        chart = live["chart"]["metadata"]
        release = plain(inputs)
        outputs = {
            **release,
            "values": merge(release.get("values") or {}, live.get("config") or {}),
            "version": chart["version"],
            "resourceNames": resource_names(live.get("manifest") or ""),
            "status": {
                "appVersion": str(chart.get("appVersion") or ""),
                "chart": chart["name"],
                "name": live["name"],
                "namespace": live["namespace"],
                "revision": live["version"],
                "status": live["info"]["status"],
                "version": chart["version"],
            },
        }
        return {**copy_secrets(inputs, outputs), "__inputs": Secret(release)}


def _values_text(release: dict[str, Any]) -> str:
    return json.dumps(release.get("values") or {})


def _failed(id_: str, error: HelmError) -> str:
    return f"failed to become available within allocated timeout. Error: Helm Release {id_}: {error}"


def _yaml_asset(asset: Any) -> dict[str, Any]:
    """The values in a YAML file asset."""
    if not isinstance(asset, dict):
        raise ProviderError(f"valueYamlFiles takes file or text assets, not {type(asset).__name__}")
    text = asset["text"] if "text" in asset else Path(asset["path"]).read_text()
    return yaml.safe_load(text) or {}
