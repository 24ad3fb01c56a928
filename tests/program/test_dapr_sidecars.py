"""`dapr.invoke: sidecar`: the sidecars that gateways ask, and what they must be."""

from __future__ import annotations

from typing import Any

import pytest

from components.mesh import app_ids, dapr_sidecars, workload
from components.mesh.dapr_sidecars import deployment_spec, resiliency_spec, service_spec
from gateway import options
from gateway.core import sidecars

EXPORTERS = ("cluster-1", "cluster-3")


def on(config: dict[str, Any]) -> None:
    config["dapr"] = {"invoke": "sidecar"}


def test_by_default_there_is_nothing_of_it(run: Any) -> None:
    recorder = run("dev")
    assert not [r.name for r in recorder.registered if "sidecars" in r.name or "dapr-token" in r.name]
    export = recorder.find("cluster-1-dapr-test-nodeapp-export-object").inputs
    assert list(export["metadata"]["annotations"]) == [app_ids.APP_ID]


def test_members_that_export_get_them_after_dapr(run: Any) -> None:
    recorder = run("dev", on)
    made = [r.name for r in recorder.registered if r.name.endswith("dapr-sidecars")]
    assert sorted(made) == [f"{member}-dapr-sidecars" for member in EXPORTERS]
    for member in EXPORTERS:
        deployment = recorder.find(f"{member}-dapr-sidecars-deployment")
        assert f"{member}-dapr-sidecars-resiliency" in deployment.after
        # Before it is registered, nothing in it is.
        assert f"{member}-dapr-release" in recorder.find(f"{member}-dapr-sidecars").after
        assert deployment.inputs["metadata"]["namespace"] == workload.SYSTEM_NAMESPACE
        annotations = recorder.find(f"{member}-dapr-test-nodeapp-export-object").inputs["metadata"][
            "annotations"
        ]
        assert annotations == {app_ids.APP_ID: "nodeapp", **app_ids.INVOKE}
        values = recorder.find(f"{member}-dapr-release").inputs["values"]
        assert values["dapr_sidecar_injector"] == {"sidecarDropALLCapabilities": True}


def test_a_gateway_waits_for_nothing_of_dapr(run: Any) -> None:
    recorder = run("dev", on)
    for resource in recorder.registered:
        if resource.name in {"cluster-1-gateway-deployment", "cluster-1-gateway"}:
            assert not [name for name in resource.after if "dapr-release" in name or "sidecars" in name]
    containers = recorder.find("cluster-1-gateway-deployment").inputs["spec"]["template"]["spec"][
        "containers"
    ]
    assert [container["name"] for container in containers] == ["gateway"]


def test_gateways_and_sidecars_share_a_secret_that_nobody_sees(run: Any) -> None:
    recorder = run("dev", on)
    for name, has in (
        ("cluster-1", True),
        ("cluster-3", True),
        ("cluster-2", False),
        ("control-plane", False),
    ):
        env = recorder.find(f"{name}-gateway-deployment").inputs["spec"]["template"]["spec"]["containers"][0][
            "env"
        ]
        sources = [one["valueFrom"] for one in env if one["name"] == options.DAPR_TOKEN]
        assert sources == ([{"secretKeyRef": {"name": "dapr-api-token", "key": "token"}}] if has else [])
    secret = recorder.find("cluster-1-gateway-dapr-token")
    token = secret.inputs["stringData"]["token"]
    assert token
    assert "stringData" not in secret.in_clear or token not in str(secret.in_clear["stringData"])


def test_names_are_those_the_gateway_knows() -> None:
    assert sidecars.SIDECARS == (workload.SYSTEM_NAMESPACE, dapr_sidecars.NAME)
    assert {sidecars.INVOKE: "sidecar"} == app_ids.INVOKE
    (port,) = service_spec()["ports"]
    assert port["port"] == port["targetPort"] == sidecars.SIDECAR_PORT


def test_a_sidecar_serves_its_gateways_only_and_meets_the_restricted_standard() -> None:
    template = deployment_spec(replicas=2, image="image", restarts_with={"root": "1"})["template"]
    annotations = template["metadata"]["annotations"]
    assert annotations["dapr.io/api-token-secret"] == "dapr-api-token"
    assert annotations["dapr.io/disable-builtin-k8s-secret-store"] == "true"
    assert annotations["root"] == "1"
    assert "dapr.io/app-port" not in annotations
    spec = template["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["containers"][0]["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert spec["containers"][0]["securityContext"]["allowPrivilegeEscalation"] is False


@pytest.mark.parametrize("ids", [[], ["nodeapp", "orders"]])
def test_sidecars_never_send_a_request_again(ids: list[str]) -> None:
    spec = resiliency_spec(ids)
    assert spec["targets"]["apps"] == {app_id: {"retry": "never"} for app_id in ids}
    assert spec["policies"]["retries"]["never"]["maxRetries"] == 0
