"""Rules about apps that come as a chart or as manifests."""

from __future__ import annotations

from collections.abc import Iterator

from stacks.config.apps import AppSettings, DaprAppSettings
from stacks.config.pods import PACKAGED
from stacks.config.problem import Problem
from stacks.config.values import Section

OF_EVERY_APP = {"app", "name", "clusters", "namespace", "dapr", "overrides", *PACKAGED}
OF_ITS_SIDECARS = {"app_id", "app_port"}
ONE = "Give exactly one of them."


def packages_are_whole(path: str, app: AppSettings) -> Iterator[Problem]:
    """A chart and manifests are somewhere, and say themselves what their pods are."""
    package = next((field for field in PACKAGED if getattr(app, field) is not None), "")
    for name, pod in app.overrides.items():
        unfit = pod.model_fields_set - {package} if package else pod.model_fields_set & {*PACKAGED}
        for key in sorted(unfit):
            reason = f"has no meaning for an app that is {_said(package)}"
            yield Problem(f"{path}.overrides.{name}.{_alias(pod, key)}", None, reason, "Remove it.")
    if not package:
        return
    for key in sorted(app.model_fields_set - OF_EVERY_APP):
        hint = "Remove it: it is said in the chart's values or in the files."
        yield Problem(f"{path}.{_alias(app, key)}", None, f"has no meaning for {_said(package)}", hint)
    sidecar = app.dapr or DaprAppSettings()
    for key in sorted(sidecar.model_fields_set - OF_ITS_SIDECARS):
        hint = "Keep appId and appPort, which say what annotations of its pods say."
        yield Problem(
            f"{path}.dapr.{_alias(sidecar, key)}", None, f"has no meaning for {_said(package)}", hint
        )
    yield from {str(problem): problem for problem in _sources(path, app)}.values()


def _sources(path: str, app: AppSettings) -> Iterator[Problem]:
    for pod in map(app.on, app.clusters):
        chart, manifests = pod.chart, pod.manifests
        if chart is not None:
            if (chart.path is None) == (chart.name is None):
                yield Problem(f"{path}.chart", None, "needs either path or name", ONE)
            elif chart.path is not None and chart.repository is not None:
                hint = "Remove it, or name the chart by `name`."
                yield Problem(f"{path}.chart.repository", chart.repository, "a folder has none", hint)
        if manifests is not None and bool(manifests.files) == (manifests.kustomize is not None):
            yield Problem(f"{path}.manifests", None, "needs either files or kustomize", ONE)


def _said(package: str) -> str:
    return {"chart": "a chart", "manifests": "manifests"}.get(package, "pods of an image")


def _alias(section: Section, key: str) -> str:
    return str(type(section).model_fields[key].alias)
