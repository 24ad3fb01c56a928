"""helm.sh/v3 Release: a Helm release as one resource."""

import asyncio
import json
from typing import Any

import yaml

from airgap.plugins.base.diff import Diff, compare
from airgap.plugins.base.provider import Failure, InitFailedError, ProviderError, Request, refuse_unknown
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
    resource_names,
    uninstall_arguments,
)

RELEASE = "kubernetes:helm.sh/v3:Release"

_ARGUMENTS = ("chart", "name", "namespace", "repositoryOpts", "skipAwait", "timeout", "values", "version")
# The SDK sends this one by itself.
_DROPPED = ("compat",)
# The official plugin's whole argument set with its zero values: it is what the state keeps.
_FLAGS = """
    allowNullValues atomic cleanupOnFail createNamespace dependencyUpdate devel disableCRDHooks
    disableOpenapiValidation disableWebhooks forceUpdate lint recreatePods renderSubchartNotes replace
    resetValues reuseValues skipAwait skipCrds verify waitForJobs
"""
_TEXTS = "chart description keyring name namespace postrender version"
_ZERO: dict[str, Any] = {
    **dict.fromkeys(_FLAGS.split(), False),
    **dict.fromkeys(_TEXTS.split(), ""),
    "timeout": 0,
    "values": {},
}
# What an interrupted or failed first install leaves in helm's records.
_STUCK = ("pending-install", "failed")


class Releases:
    """Releases of one cluster."""

    def __init__(self, client: Client, cancelled: asyncio.Event, default_namespace: str) -> None:
        self._helm = Helm(client.access.kubeconfig, cancelled)
        self._default_namespace = default_namespace

    async def check(self, request: Request) -> tuple[dict[str, Any], list[Failure]]:
        """Fill in name, namespace and every default; load the chart to pin its version."""
        given = drop_nulls({key: item for key, item in request.inputs.items() if key not in _DROPPED})
        bare = plain(given)
        failures = refuse_unknown("kubernetes", RELEASE, given, _ARGUMENTS)
        options = bare.get("repositoryOpts")
        members = [f"repositoryOpts.{name}" for name in options] if isinstance(options, dict) else []
        failures += refuse_unknown("kubernetes", RELEASE, members, ["repositoryOpts.repo"])
        release = {**_ZERO, **bare}
        if not release["name"]:
            old = plain(request.old_inputs.get("name"))
            release["name"] = old or f"{request.name}-{random_suffix(request.seed, 8)}"
        if not release["namespace"]:
            release["namespace"] = self._default_namespace
        if "timeout" not in bare and not bare.get("skipAwait"):
            release["timeout"] = DEFAULT_SECONDS
        if not failures and not has_unknown(release):
            try:
                shown = await self._helm.run(["show", "chart", *chart_arguments(release)])
                release["version"] = str(yaml.safe_load(shown)["version"])
            except HelmError as error:
                hint = "check the chart name and repository configuration."
                failures.append(Failure("chart", f"{error}; {hint}"))
        return copy_secrets(given, release), failures

    @staticmethod
    def diff(request: Request) -> Diff:
        """New inputs against the old ones; a new name or namespace makes a new release."""
        old = plain(request.state.get("__inputs") or request.old_inputs)
        old = {key: item for key, item in old.items() if key not in ("checksum", "resourceNames")}
        changes = compare(old, plain(request.inputs))
        return Diff(changes, {path for path in changes if path in (("name",), ("namespace",))})

    @staticmethod
    def preview(inputs: dict[str, Any]) -> dict[str, Any]:
        """Outputs of a release to be."""
        return {**inputs, "__inputs": Secret(plain(inputs)), "resourceNames": UNKNOWN, "status": UNKNOWN}

    async def create(self, request: Request) -> tuple[str, dict[str, Any]]:
        """helm install; a first install that was cut short before is cleared away first."""
        release = plain(request.inputs)
        namespace, name = release["namespace"], release["name"]
        id_ = f"{namespace}/{name}"
        await self._clear_stuck(request, release)
        try:
            await self._helm.run(deploy_arguments("install", release, namespace), _values_text(release))
        except HelmError as error:
            live = await self._status(name, namespace)
            if live is None or "cannot re-use a name" in str(error):
                raise ProviderError(str(error)) from error
            request.log.warning(
                f'Helm release "{name}" was created but has a failed status. '
                f"Use the `helm` command to investigate the error, correct it, then retry. Reason: {error}"
            )
            message = (
                f'Helm release "{id_}" was created, but failed to initialize completely. '
                f"Use Helm CLI to investigate: {_failed(id_, error)}"
            )
            raise InitFailedError(id_, _outputs(request.inputs, live), [message]) from error
        return id_, await self._new_outputs(request, namespace)

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
            raise InitFailedError(id_, _outputs(request.inputs, live), [message]) from error
        return await self._new_outputs(request, namespace)

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
        found = request.state.get("__inputs")
        inputs: dict[str, Any] = (found.value if isinstance(found, Secret) else found) or {
            **_ZERO,
            "name": name,
            "namespace": namespace,
            "chart": live["chart"]["chart"],
            "version": live["chart"]["version"],
            "values": live.get("config") or {},
            "timeout": DEFAULT_SECONDS,
        }
        return request.id, _outputs(inputs, live), inputs

    async def _status(self, name: str, namespace: str) -> dict[str, Any] | None:
        try:
            return await self._helm.status(name, namespace)
        except HelmError as error:
            raise ProviderError(str(error)) from error

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

    async def _new_outputs(self, request: Request, namespace: str) -> dict[str, Any]:
        name = plain(request.inputs["name"])
        live = await self._status(name, namespace)
        if live is None:
            raise ProviderError(f"helm has no record of release {name!r} right after it made it")
        return _outputs(request.inputs, live)


def _outputs(inputs: dict[str, Any], live: dict[str, Any]) -> dict[str, Any]:
    """Inputs, and what helm recorded."""
    chart, release = live["chart"], plain(inputs)
    outputs = {
        **release,
        "values": live.get("config") or {},
        "version": chart["version"],
        "resourceNames": resource_names(live.get("manifest") or ""),
        "status": {
            "appVersion": str(chart.get("appVersion") or ""),
            "chart": chart["chart"],
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
