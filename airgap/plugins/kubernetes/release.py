"""helm.sh/v3 Release: a Helm release as one resource."""

import asyncio
import json

import yaml

from airgap.plugins.base.diff import Diff, compare
from airgap.plugins.base.provider import (
    Failure,
    InitFailedError,
    Part,
    ProviderError,
    Request,
    Values,
    refuse_unknown,
)
from airgap.plugins.base.values import UNKNOWN, Secret, copy_secrets, drop_nulls, has_unknown, plain
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

ARGUMENTS = ("chart", "name", "namespace", "repositoryOpts", "skipAwait", "timeout", "values", "version")
# The SDK sends this one by itself.
_DROPPED = ("compat",)
# The official plugin's whole argument set with its zero values: it is what the state keeps.
_FLAGS = """
    allowNullValues atomic cleanupOnFail createNamespace dependencyUpdate devel disableCRDHooks
    disableOpenapiValidation disableWebhooks forceUpdate lint recreatePods renderSubchartNotes replace
    resetValues reuseValues skipAwait skipCrds verify waitForJobs
"""
_TEXTS = "chart description keyring name namespace postrender version"
_ZERO: Values = {
    **dict.fromkeys(_FLAGS.split(), False),
    **dict.fromkeys(_TEXTS.split(), ""),
    "timeout": 0,
    "values": {},
}
# What an interrupted or failed first install leaves in helm's records.
_STUCK = ("pending-install", "failed")
# helm's words when it has changed nothing.
_UNTOUCHED = ("cannot re-use a name", "has no deployed releases")


class Releases(Part):
    """Releases of one cluster."""

    def __init__(self, kubeconfig: Values, cancelled: asyncio.Event, default_namespace: str) -> None:
        self._helm = Helm(kubeconfig, cancelled)
        self._default_namespace = default_namespace

    async def check(self, request: Request) -> tuple[Values, list[Failure]]:
        """Fill in namespace and every default; load the chart to pin its version."""
        given = drop_nulls({key: item for key, item in request.inputs.items() if key not in _DROPPED})
        bare = plain(given)
        failures = refuse_unknown("kubernetes", RELEASE, given, ARGUMENTS)
        options = bare.get("repositoryOpts")
        members = [f"repositoryOpts.{name}" for name in options] if isinstance(options, dict) else []
        failures += refuse_unknown("kubernetes", RELEASE, members, ["repositoryOpts.repo"])
        if not bare.get("name"):
            reason = "the closed network's kubernetes plugin makes up no names of releases; give it one"
            failures.append(Failure("name", reason))
        timeout = 0 if bare.get("skipAwait") else DEFAULT_SECONDS
        release = {**_ZERO, "timeout": timeout, "namespace": self._default_namespace, **bare}
        if not failures and not has_unknown(release):
            try:
                shown = await self._helm.run(["show", "chart", *chart_arguments(release)])
                release["version"] = str(yaml.safe_load(shown)["version"])
            except HelmError as error:
                hint = "check the chart name and repository configuration."
                failures.append(Failure("chart", f"{error}; {hint}"))
        return copy_secrets(given, release), failures

    async def diff(self, request: Request) -> Diff:
        """See `diff_releases`."""
        return diff_releases(request)

    async def create(self, request: Request) -> tuple[str, Values]:
        """helm install; a first install that was cut short before is cleared away first."""
        if request.preview:
            return "", _expected(request.inputs)
        release = plain(request.inputs)
        namespace, name = release["namespace"], release["name"]
        live = await self._helm.find(name, namespace)
        if live and live.get("version") == 1 and live["info"]["status"] in _STUCK:
            await request.log.warning(
                f'Helm release "{name}" was left {live["info"]["status"]} by an interrupted run; '
                "it is removed and installed again"
            )
            await self._helm.run(uninstall_arguments(release))
        return f"{namespace}/{name}", await self._deploy(request, "install", namespace)

    async def update(self, request: Request) -> Values:
        """helm upgrade, in the namespace the release lives in."""
        if request.preview:
            return _expected(request.inputs)
        return await self._deploy(request, "upgrade", request.id.rpartition("/")[0])

    async def _deploy(self, request: Request, command: str, namespace: str) -> Values:
        release = plain(request.inputs)
        name, id_ = release["name"], f"{namespace}/{release['name']}"
        values = json.dumps(release.get("values") or {})
        try:
            await self._helm.run(deploy_arguments(command, release, namespace), values)
        except HelmError as error:
            live = await self._helm.find(name, namespace)
            if live is None or any(words in str(error) for words in _UNTOUCHED):
                raise
            what, doing = "failed to initialize completely", "error running update: "
            if command == "install":
                await request.log.warning(
                    f'Helm release "{name}" was created but has a failed status. '
                    f"Use the `helm` command to investigate the error, correct it, then retry. "
                    f"Reason: {error}"
                )
                what, doing = "was created, but failed to initialize completely", ""
            message = (
                f'Helm release "{id_}" {what}. Use Helm CLI to investigate: {doing}failed to become '
                f"available within allocated timeout. Error: Helm Release {id_}: {error}"
            )
            raise InitFailedError(id_, _outputs(request.inputs, live), [message]) from error
        return _outputs(request.inputs, await self._helm.record(name, namespace))

    async def delete(self, request: Request) -> None:
        """helm uninstall; a release that helm does not know is an error."""
        await self._helm.run(uninstall_arguments(plain(request.state)))

    async def read(self, request: Request) -> tuple[str, Values, Values]:
        """The release as helm records it."""
        if "__inputs" not in request.state:
            raise ProviderError(
                "the closed network's kubernetes plugin covers neither import nor get of releases"
            )
        namespace, _, name = request.id.rpartition("/")
        live = await self._helm.find(name, namespace)
        if live is None:
            return "", {}, {}
        found = request.state["__inputs"]
        inputs = found.value if isinstance(found, Secret) else found
        return request.id, _outputs(inputs, live), inputs


def diff_releases(request: Request) -> Diff:
    """New inputs against the old ones; a new name or namespace makes a new release."""
    old = plain(request.state.get("__inputs") or request.old_inputs)
    old = {key: item for key, item in old.items() if key not in ("checksum", "resourceNames")}
    changes = compare(old, plain(request.inputs))
    return Diff(changes, {path for path in changes if path in (("name",), ("namespace",))})


def _expected(inputs: Values) -> Values:
    """Outputs of a release to be."""
    return {**inputs, "__inputs": Secret(plain(inputs)), "resourceNames": UNKNOWN, "status": UNKNOWN}


def _outputs(inputs: Values, live: Values) -> Values:
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
