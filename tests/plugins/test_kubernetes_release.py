"""What helm is called with, and what of a release is covered; no cluster needed."""

import asyncio
from pathlib import Path
from typing import Any

from airgap.plugins.base.logs import Log
from airgap.plugins.base.provider import Request
from airgap.plugins.base.values import UNKNOWN, Secret
from airgap.plugins.kubernetes.helm import (
    _message,
    chart_arguments,
    deploy_arguments,
    resource_names,
    uninstall_arguments,
)
from airgap.plugins.kubernetes.release import Releases, diff_releases


def request(kind: str = "kubernetes:core/v1:ConfigMap", **fields: Any) -> Request:
    return Request(urn="urn:x", type=kind, name="made", log=Log(), seed=b"seed", **fields)


RELEASE = {
    "name": "dapr",
    "namespace": "dapr-system",
    "chart": "dapr",
    "version": "1.16.0",
    "repositoryOpts": {"repo": "https://charts.test"},
    "values": {"password": "hunter2"},
    "timeout": 600,
}


def test_helm_gets_its_flags_and_never_a_value() -> None:
    install = deploy_arguments("install", RELEASE, "dapr-system")
    assert install[:7] == ["install", "dapr", "dapr", "--repo", "https://charts.test", "--version", "1.16.0"]
    assert "hunter2" not in " ".join(install)
    assert install[install.index("--values") + 1] == "-"
    assert {"--wait", "600s"} <= set(install)
    upgrade = deploy_arguments("upgrade", {**RELEASE, "skipAwait": True}, "old-namespace")
    assert upgrade[upgrade.index("--namespace") + 1] == "old-namespace"
    assert "--wait" not in upgrade
    assert upgrade[-2:] == ["--history-max", "0"]


def test_a_chart_in_a_folder_takes_no_version(tmp_path: Path) -> None:
    assert chart_arguments({"chart": str(tmp_path), "version": "1"}) == [str(tmp_path)]


def test_uninstall_waits_unless_told_not_to() -> None:
    assert "--wait" in uninstall_arguments(RELEASE)
    assert "--wait" not in uninstall_arguments({**RELEASE, "skipAwait": True})


def test_helms_errors_lose_their_prefix() -> None:
    assert _message("WARN x\nError: INSTALLATION FAILED: cannot re-use a name") == "cannot re-use a name"


def test_resources_of_a_release_are_listed_by_kind() -> None:
    manifest = (
        "---\n# none\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: b, namespace: n}\n"
        "---\napiVersion: v1\nkind: Secret\nmetadata: {name: a}\n"
    )
    assert resource_names(manifest) == {"Deployment.apps/apps/v1": ["n/b"], "Secret/v1": ["a"]}


def test_a_release_is_replaced_only_for_its_name_or_namespace() -> None:
    state = {"__inputs": Secret({"name": "a", "namespace": "n", "values": {"x": 1}})}
    found = diff_releases(
        request(state=state, inputs={"name": "a", "namespace": "m", "values": {"x": UNKNOWN}})
    )
    assert found.changes == {("namespace",): "update", ("values", "x"): "update"}
    assert found.replaces == {("namespace",)}
    assert not found.delete_before_replace


async def test_release_arguments_outside_the_scope_are_refused(tmp_path: Path) -> None:
    releases = Releases({}, asyncio.Event(), "n")
    inputs = {"chart": "c", "atomic": True, "repositoryOpts": {"repo": "https://r.test", "password": "p"}}
    _, failures = await releases.check(request("kubernetes:helm.sh/v3:Release", inputs=inputs))
    assert [failure.property for failure in failures] == ["atomic", "repositoryOpts.password", "name"]
