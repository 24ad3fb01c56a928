"""What clusters that exist have already, and what is said when it does not fit."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from config.test_defaults import mesh

from stacks.config import present
from stacks.config.kubeconfigs import Kubeconfig
from stacks.config.model import Settings
from stacks.config.present import Answers, Present, PresentDapr, PresentNamespace
from stacks.config.problem import SettingsError

APPS = [{"app": "nodeapp", "clusters": ["east"], "namespace": "shop"}]
THERE = PresentDapr(namespace="dapr-system", version="1.17.2", mtls=True)


def settings(**dapr: Any) -> Settings:
    return mesh(apps=APPS, dapr={"mode": "existing", **dapr})


def found(dapr: PresentDapr | None) -> Answers:
    return Answers(found={"east": Present(namespaces={}, dapr=dapr)})


def said(wanted: Settings, dapr: PresentDapr | None) -> list[str]:
    try:
        present.check(wanted, found(dapr))
    except SettingsError as error:
        return [str(problem) for problem in error.problems]
    return []


def test_a_dapr_that_fits_is_used_as_it_is() -> None:
    assert said(settings(), THERE) == []
    assert said(settings(version="1.17.2", mtls=True), THERE) == []


def test_what_cannot_be_seen_is_not_held_against_it() -> None:
    unknown = PresentDapr(namespace="dapr-system", version="", mtls=False)
    assert said(settings(version="1.17.2"), unknown) == []


def test_a_cluster_that_did_not_answer_is_no_mistake() -> None:
    present.check(settings(), Answers(unanswered={"east": "no answer"}))


def test_a_dapr_that_is_installed_here_is_not_looked_at() -> None:
    assert said(mesh(apps=APPS), None) == []


def test_everything_that_does_not_fit_is_said_at_once() -> None:
    other = PresentDapr(namespace="dapr", version="1.12.5", mtls=False)
    assert said(settings(), None) == [
        "clusters[1].dapr = 'existing': no Dapr is in east. Install it there, or write install, or none."
    ]
    assert said(settings(mtls=True), other) == [
        "dapr.namespace = 'dapr-system': the Dapr of east is in namespace dapr. Write dapr.",
        (
            "clusters[1].dapr = 'existing': the Dapr of east is 1.12.5, and 1.16 or newer is needed. "
            "Upgrade it, or write none."
        ),
        (
            "dapr.mtls = True: the Dapr of east has its mTLS off, and is used as it is. "
            "Switch it on there, or leave this out."
        ),
    ]
    assert said(settings(version="1.18.2", namespace="dapr"), other) == [
        (
            "dapr.version = '1.18.2': the Dapr of east is 1.12.5, and is used as it is. "
            "Remove it, or upgrade that Dapr."
        )
    ]


def operator(*, image: str, labels: Mapping[str, str] | None = None) -> dict[str, Any]:
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"image": image}]}}
    return {"metadata": {"name": "dapr-operator", "namespace": "dapr"}, "spec": {"template": template}}


def configuration(name: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": spec}


def looked_at(operators: list[Any], configured: list[Any]) -> PresentDapr | None:
    lists = {"namespaces": [], "deployments.apps": operators, "configurations.dapr.io": configured}
    return present.present(lambda arguments: {"items": lists[arguments[0]]}, settings().clusters[1]).dapr


@pytest.mark.parametrize(
    ("seen", "version"),
    [
        ({"image": "ghcr.io/dapr/operator:1.17.2"}, "1.17.2"),
        ({"image": "registry:5000/operator:1.17.2@sha256:00"}, "1.17.2"),
        ({"image": "x/operator@sha256:00", "labels": {"app.kubernetes.io/version": "1.16.0"}}, "1.16.0"),
        ({"image": "x/operator:edge"}, ""),
        ({"image": "x/operator@sha256:00"}, ""),
    ],
)
def test_the_version_is_that_of_its_label_or_its_image(seen: Any, version: str) -> None:
    dapr = looked_at([operator(**seen)], [])
    assert dapr == PresentDapr(namespace="dapr", version=version, mtls=False)


@pytest.mark.parametrize(
    ("configured", "mtls"),
    [
        ([configuration("daprsystem", mtls={"enabled": True})], True),
        ([configuration("daprsystem", mtls={"enabled": False})], False),
        ([configuration("daprsystem"), configuration("mine", mtls={"enabled": True})], False),
    ],
)
def test_its_mtls_is_that_of_its_own_configuration(configured: list[Any], mtls: bool) -> None:
    dapr = looked_at([operator(image="x:1.17.2")], configured)
    assert dapr is not None
    assert dapr.mtls is mtls


def test_a_cluster_without_dapr_has_none() -> None:
    assert looked_at([], []) is None


MONITORED = {"gateway": {"metrics": {"podMonitor": True}}}


def test_a_pod_monitor_is_wanted_only_where_somebody_reads_it() -> None:
    wanted = mesh(**MONITORED)
    answers = Answers(
        found={"hub": Present(namespaces={}, pod_monitors=True), "east": Present(namespaces={})},
        unanswered={"west": "no answer"},
    )
    with pytest.raises(SettingsError) as refused:
        present.check(wanted, answers)
    assert [str(problem) for problem in refused.value.problems] == [
        (
            "gateway.metrics.podMonitor = True: the CRD podmonitors.monitoring.coreos.com is not in east. "
            "Install the Prometheus Operator there, or write false and let annotations name the pods."
        )
    ]
    present.check(mesh(), answers)


@pytest.mark.parametrize("found", [[], [{"metadata": {"name": present.POD_MONITORS}}]])
def test_the_crd_is_asked_for_by_name_and_only_if_it_is_wanted(found: list[Any]) -> None:
    asked_for: list[list[str]] = []

    def ask(arguments: list[str]) -> Mapping[str, Any]:
        asked_for.append(arguments)
        return {"items": found if arguments[0].startswith("customresourcedefinitions") else []}

    cluster = mesh().clusters[1]
    assert present.present(ask, cluster, monitored=True).pod_monitors is bool(found)
    assert f"--field-selector=metadata.name={present.POD_MONITORS}" in asked_for[-1]
    asked_for.clear()
    assert not present.present(ask, cluster).pod_monitors
    assert len(asked_for) == 1


KUBECTL = """#!/bin/sh
for word in "$@"; do case "$word" in --kubeconfig=*) file=${word#*=};; esac; done
case "$(cat "$file")" in
  broken) echo "connection refused" >&2; exit 1 ;;
  slow) sleep 5 ;;
esac
echo "$@" >> "$RECORD"
stat -c %a "$file" >> "$RECORD"
cat "$LISTED"
"""


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A kubectl that answers by the kubeconfig it gets; the path of its record."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "kubectl").write_text(KUBECTL)
    (tools / "kubectl").chmod(0o755)
    hands = {
        "shop": {},
        "by-label": {"labels": {"app.kubernetes.io/managed-by": "pulumi"}},
        "by-hand": {"managedFields": [{"manager": "pulumi-kubernetes", "operation": "Update"}]},
        "patched": {"managedFields": [{"manager": "pulumi-kubernetes-5a3f", "operation": "Apply"}]},
    }
    items = [{"metadata": {"name": name, **more}} for name, more in hands.items()]
    (tmp_path / "listed.json").write_text(json.dumps({"items": items}))
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    monkeypatch.setenv("LISTED", str(tmp_path / "listed.json"))
    monkeypatch.setenv("RECORD", str(tmp_path / "record"))
    return tmp_path / "record"


def asked(**kubeconfigs: str) -> Answers:
    return present.ask_all(
        mesh(), {name: Kubeconfig(text=text, server="https://x") for name, text in kubeconfigs.items()}
    )


def test_every_cluster_that_exists_is_asked_by_its_own_kubeconfig(kubectl: Path) -> None:
    answers = asked(east="one")
    assert answers.unanswered == {}
    assert set(answers.found) == {"east"}
    assert {name: one.by_pulumi for name, one in answers.found["east"].namespaces.items()} == {
        "shop": False, "by-label": True, "by-hand": True, "patched": False,
    }  # fmt: skip
    assert answers.found["east"].namespaces["shop"] == PresentNamespace()
    command, mode = kubectl.read_text().splitlines()
    assert command.endswith("--request-timeout=10s get namespaces --show-managed-fields --output=json")
    assert mode == "600"
    file = Path(command.split()[0].partition("=")[2])
    assert not file.exists(), "a credential does not outlive the question"


def test_a_cluster_that_does_not_answer_is_named_beside_those_that_do(
    kubectl: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(present, "KUBECTL_SECONDS", 0.5)
    answers = asked(hub="slow", east="broken")
    assert answers.unanswered == {"hub": "no answer within 0.5 s", "east": "connection refused"}


def test_without_kubectl_nobody_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert asked(east="one").unanswered == {"east": "kubectl is not on PATH"}
    with pytest.raises(FileNotFoundError):
        subprocess.run(["kubectl"], check=False)
