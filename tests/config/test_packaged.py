"""Apps that come as a chart or as manifests: what an entry comes to, its mistakes, its files, its secrets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from config.environments import GONE, Config, changed, problems

from stacks.config import loading, packages
from stacks.config.problem import SettingsError

CHART: Config = {
    "name": "checkout", "namespace": "shop", "clusters": ["cluster-1", "cluster-2"],
    "chart": {
        "path": "deploy/checkout", "values": {"a": {"b": 1, "c": 2}}, "secretValues": {"auth.password": "p"},
    },
}  # fmt: skip
FILES: Config = {
    "name": "jobs", "namespace": "shop", "clusters": ["cluster-1"], "manifests": {"files": ["deploy/*.yaml"]},
}  # fmt: skip


def with_apps(dev: Config, changes: Config | None = None) -> Config:
    both = changed(dev, {"apps[2]": CHART, "apps[3]": FILES})
    return changed(both, changes or {})


def test_what_differs_in_a_cluster_is_laid_over_the_values(dev: Config) -> None:
    there = {"values": {"a": {"c": 3}}, "secretValues": {"token": "t"}, "name": "checkout", "version": "2"}
    app = loading.parse(with_apps(dev, {"apps[2].overrides": {"cluster-2": {"chart": there}}})).apps[2]
    assert app.is_packaged
    here, chart = app.on("cluster-1").chart, app.on("cluster-2").chart
    assert here is not None
    assert chart is not None
    assert (here.path, here.values) == ("deploy/checkout", {"a": {"b": 1, "c": 2}})
    assert (chart.path, chart.name, chart.version) == (None, "checkout", "2")
    assert chart.values == {"a": {"b": 1, "c": 3}}
    assert chart.secret_values.keys() == {"auth.password", "token"}
    only = {"cluster-2": {"chart": {"version": "3"}}}
    chart = loading.parse(with_apps(dev, {"apps[2].overrides": only})).apps[2].on("cluster-2").chart
    assert chart is not None
    assert (chart.path, chart.values) == ("deploy/checkout", {"a": {"b": 1, "c": 2}})


def test_manifests_may_be_others_in_a_cluster(dev: Config) -> None:
    other = {"cluster-1": {"manifests": {"kustomize": "deploy/overlay"}}}
    pod = loading.parse(with_apps(dev, {"apps[3].overrides": other})).apps[3].on("cluster-1")
    assert pod.manifests is not None
    assert (pod.manifests.files, pod.manifests.kustomize) == ((), "deploy/overlay")


# What is changed, and what is told of it.
# fmt: off
MISTAKES: dict[str, tuple[Config, list[str]]] = {
    "a chart of an image": (
        {"apps[2].image": "r/checkout:1"},
        ["apps[2]: needs either image, build, supplied, chart or manifests",
         "apps[2].image: has no meaning for a chart"]),
    "what only pods have": (
        {"apps[2].replicas": 2, "apps[3].ports": [{"port": 80}]},
        ["apps[2].replicas: has no meaning for a chart", "apps[3].ports: has no meaning for manifests"]),
    "what only annotations of pods say": (
        {"apps[2].dapr": {"appId": "pay", "appPort": 80, "config": "tracing"}},
        ["apps[2].dapr.config: has no meaning for a chart"]),
    "an override of what it is not": (
        {"apps[2].overrides": {"cluster-1": {"replicas": 2}},
         "apps[0].overrides": {"cluster-1": {"chart": {"path": "deploy/x"}}}},
        ["apps[0].overrides.cluster-1.chart: has no meaning for an app that is pods of an image",
         "apps[2].overrides.cluster-1.replicas: has no meaning for an app that is a chart"]),
    "a chart of two places": (
        {"apps[2].chart.name": "checkout"}, ["apps[2].chart: needs either path or name"]),
    "a chart of no place": (
        {"apps[2].chart.path": GONE}, ["apps[2].chart: needs either path or name"]),
    "a folder of a repository": (
        {"apps[2].chart.repository": "https://charts.example.org"},
        ["apps[2].chart.repository = 'https://charts.example.org': a folder has none"]),
    "manifests of nothing": (
        {"apps[3].manifests": {}}, ["apps[3].manifests: needs either files or kustomize"]),
    "manifests of both": (
        {"apps[3].manifests.kustomize": "deploy"},
        ["apps[3].manifests: needs either files or kustomize"]),
    "a path of one machine": (
        {"apps[2].chart.path": "/home/me/chart"},
        ["apps[2].chart.path = '/home/me/chart': does not have the form ^[^/~]"]),
    "a secret value that is no text": (
        {"apps[2].chart.secretValues": {"a": 5}}, ["apps[2].chart.secretValues.a = '(secret)': not a text"]),
}
# fmt: on


@pytest.mark.parametrize(("changes", "mistakes"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_named(dev: Config, changes: Config, mistakes: list[str]) -> None:
    assert [one.partition(". ")[0] for one in problems(with_apps(dev, changes))] == mistakes


def test_an_export_of_a_chart_goes_by_the_app_id_that_is_said(dev: Config) -> None:
    export = {"service": "checkout", "namespace": "shop", "clusters": ["cluster-1"],
              "rules": [{"portNumber": 80}]}  # fmt: skip
    said = {"apps[2].dapr": {"appId": "pay", "appPort": 80}, "exports[1]": export}
    settings = loading.parse(with_apps(dev, said))
    assert settings.app_id(settings.exports[1]) == "pay"


def test_what_is_not_there_is_named_at_once(dev: Config, tmp_path: Path) -> None:
    other = {"cluster-1": {"manifests": {"kustomize": "overlay"}}}
    more = {
        **FILES,
        "name": "more",
        "clusters": ["cluster-2"],
        "manifests": {"files": ["a.yaml", "b/*.yaml"]},
    }
    settings = loading.parse(with_apps(dev, {"apps[3].overrides": other, "apps[4]": more}))
    with pytest.raises(SettingsError) as caught:
        packages.check(settings, tmp_path)
    assert [(one.path, one.value, one.reason) for one in caught.value.problems] == [
        ("apps[2].chart.path", "deploy/checkout", "there is no chart"),
        ("apps[3].manifests.kustomize", "overlay", "there is no kustomization"),
        ("apps[4].manifests.files[0]", "a.yaml", "there is no such file"),
        ("apps[4].manifests.files[1]", "b/*.yaml", "there is no such file"),
    ]
    for name in ("deploy/checkout/Chart.yaml", "overlay/kustomization.yml", "a.yaml", "b/c.yaml"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("")
    packages.check(settings, tmp_path)


def test_the_content_of_a_folder_is_that_of_all_its_files(tmp_path: Path) -> None:
    (tmp_path / "chart" / "templates").mkdir(parents=True)
    file = tmp_path / "chart" / "templates" / "a.yaml"
    file.write_text("a")
    before = packages.content_id("chart", tmp_path)
    assert packages.content_id("chart", tmp_path) == before
    file.write_text("b")
    assert packages.content_id("chart", tmp_path) != before
    file.write_text("a")
    file.rename(file.with_name("b.yaml"))
    assert packages.content_id("chart", tmp_path) != before


def test_a_secret_value_in_clear_text_is_refused_without_being_shown(dev: Config) -> None:
    def read(value: Any) -> Any:
        config = with_apps(dev, {"apps[2].chart.secretValues": {"auth.password": value}})
        return loading.parse_stack_file({"config": {f"multicluster-dapr:{k}": v for k, v in config.items()}})

    path = 'apps[2].chart.secretValues["auth.password"]'
    with pytest.raises(SettingsError) as caught:
        read("hunter2")
    hint = f"Remove it and run `pulumi config set --secret --path '{path}'`."
    assert [str(one) for one in caught.value.problems] == [
        f"{path} = '(secret)': is in clear text in the stack's file. {hint}"
    ]
    assert read({"secure": "v1:abc"}).apps[2].chart.secret_values
