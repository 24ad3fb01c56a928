"""Apps that come as a chart or as manifests: what is registered for them."""

from __future__ import annotations

from typing import Any

from stacks.config import packages

CHART = "tests/program/charts/fsm"
SHOP: dict[str, Any] = {
    "name": "checkout", "namespace": "shop", "clusters": ["cluster-1", "cluster-2"],
    "chart": {
        "path": CHART, "values": {"replicas": 2, "auth": {"user": "shop"}},
        "secretValues": {"auth.password": "a-password-of-this-test"},
    },
    "overrides": {"cluster-2": {"chart": {"values": {"replicas": 1}}}},
}  # fmt: skip


def with_app(run: Any, app: dict[str, Any], environment: str = "dev") -> Any:
    return run(environment, lambda config: config["apps"].append(app))


def test_a_chart_is_a_release_with_what_differs_in_a_cluster(run: Any) -> None:
    recorder = with_app(run, SHOP)
    release = recorder.find("cluster-1-shop-checkout-release")
    assert {key: release.inputs[key] for key in ("name", "namespace", "chart", "timeout")} == {
        "name": "checkout", "namespace": "shop", "chart": CHART, "timeout": 300,
    }  # fmt: skip
    auth = {"user": "shop", "password": "a-password-of-this-test"}
    assert release.inputs["values"] == {"replicas": 2, "auth": auth}
    assert release.in_clear["values"] == "(secret)"
    assert release.inputs["description"] == f"chart of content {packages.content_id(CHART)}"
    assert release.deleted_with == "cluster-1-kubernetes"
    assert recorder.find("cluster-2-shop-checkout-release").inputs["values"]["replicas"] == 1
    assert "cluster-1-dapr-release" in recorder.find("cluster-1-shop-checkout").after


def test_a_chart_of_a_repository_has_its_version(run: Any) -> None:
    chart = {
        "name": "checkout",
        "repository": "https://charts.example.org",
        "version": "1.2.3",
        "release": "pay",
    }
    app = {"name": "checkout", "namespace": "shop", "clusters": ["cluster-1"], "chart": chart}
    release = with_app(run, app).find("cluster-1-shop-checkout-release").inputs
    assert (release["name"], release["chart"], release["version"]) == ("pay", "checkout", "1.2.3")
    assert release["repositoryOpts"] == {"repo": "https://charts.example.org"}
    assert "description" not in release


def test_objects_of_files_are_put_into_the_namespace(run: Any) -> None:
    app = {
        "name": "jobs",
        "namespace": "shop",
        "clusters": ["cluster-1"],
        "manifests": {"files": ["a/*.yaml"]},
    }
    recorder = with_app(run, app)
    group = recorder.find("cluster-1-shop-jobs-objects")
    assert (group.type, group.inputs["files"]) == ("kubernetes:yaml/v2:ConfigGroup", ["a/*.yaml"])
    assert group.deleted_with == "cluster-1-kubernetes"
    provider = recorder.find("cluster-1-shop-jobs-kubernetes")
    assert (provider.inputs["namespace"], provider.inputs["clusterIdentifier"]) == (
        "shop",
        "cluster-1-k3d-id",
    )
    assert provider.deleted_with == "cluster-1-kubernetes"


def test_a_kustomization_is_put_there_too(run: Any) -> None:
    app = {
        "name": "jobs",
        "namespace": "shop",
        "clusters": ["east"],
        "manifests": {"kustomize": "overlays/east"},
    }
    recorder = with_app(run, app, "existing")
    made = recorder.find("east-shop-jobs-objects")
    assert (made.type, made.inputs) == (
        "kubernetes:kustomize/v2:Directory", {"directory": "overlays/east", "namespace": "shop"}
    )  # fmt: skip


def test_files_in_a_cluster_of_someone_else_take_nothing_over(run: Any) -> None:
    app = {"name": "jobs", "namespace": "shop", "clusters": ["east"], "manifests": {"files": ["a.yaml"]}}
    provider = with_app(run, app, "existing").find("east-shop-jobs-kubernetes").inputs
    assert (provider["enableServerSideApply"], provider["context"]) == ("false", "east")
    assert provider["clusterIdentifier"] == "https://east.example.org:6443"
