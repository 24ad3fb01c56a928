"""What clusters that exist already have: asked before anything is made, by kubectl.

kubectl knows every way a kubeconfig may authenticate. A cluster that does not answer is no mistake of the
settings: what is to change may be in another one.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stacks.config.kubeconfigs import Kubeconfig
from stacks.config.model import ClusterSettings, Settings
from stacks.config.problem import Problem, SettingsError

OPERATOR = "app=dapr-operator"
POD_MONITORS = "podmonitors.monitoring.coreos.com"
OLDEST_DAPR = (1, 16)
PROVIDER = "pulumi-kubernetes"
"""By this name the Kubernetes provider makes objects; patches it applies by others."""
ANSWER_SECONDS = 10
KUBECTL_SECONDS = 30

Ask = Callable[[list[str]], Mapping[str, Any]]
"""The list that `kubectl get` prints for these arguments. Raises UnansweredError."""


class UnansweredError(Exception):
    """Why a cluster could not be asked."""


@dataclass(frozen=True, kw_only=True)
class PresentDapr:
    """A Dapr that is there: its namespace, its version if that can be seen, and whether its mTLS is on."""

    namespace: str
    version: str
    mtls: bool


@dataclass(frozen=True, kw_only=True)
class PresentNamespace:
    """A namespace that is there, and whether Pulumi's Kubernetes provider made it."""

    labels: Mapping[str, str] = field(default_factory=dict)
    by_pulumi: bool = False


@dataclass(frozen=True, kw_only=True)
class Present:
    """What one cluster has: its namespaces by their name, its Dapr and the CRD of PodMonitors if wanted."""

    namespaces: Mapping[str, PresentNamespace]
    dapr: PresentDapr | None = None
    pod_monitors: bool = False


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What clusters have, by their name, and why others did not answer."""

    found: Mapping[str, Present] = field(default_factory=dict)
    unanswered: Mapping[str, str] = field(default_factory=dict)


def ask_all(settings: Settings, kubeconfigs: Mapping[str, Kubeconfig]) -> Answers:
    """Ask every cluster that exists, all at once."""
    clusters = [cluster for cluster in settings.clusters if cluster.name in kubeconfigs]
    with tempfile.TemporaryDirectory(prefix="multicluster-dapr-") as folder, ThreadPoolExecutor(16) as pool:
        asked = {
            cluster.name: pool.submit(
                present,
                _kubectl(Path(folder) / cluster.name, kubeconfigs[cluster.name].text),
                cluster,
                monitored=settings.gateway.metrics.pod_monitor,
            )
            for cluster in clusters
        }
        found: dict[str, Present] = {}
        unanswered: dict[str, str] = {}
        for name, answer in asked.items():
            try:
                found[name] = answer.result()
            except UnansweredError as error:
                unanswered[name] = str(error)
    return Answers(found=found, unanswered=unanswered)


def present(ask: Ask, cluster: ClusterSettings, *, monitored: bool = False) -> Present:
    """What a cluster has; of Dapr only where the settings say that it has one.

    `monitored`: it is to have a PodMonitor.
    """
    listed = ask(["namespaces", "--show-managed-fields"])["items"]
    namespaces = {item["metadata"]["name"]: _namespace(item["metadata"]) for item in listed}
    crd = ["customresourcedefinitions.apiextensions.k8s.io", f"--field-selector=metadata.name={POD_MONITORS}"]
    return Present(
        namespaces=namespaces,
        dapr=_present_dapr(ask) if cluster.dapr == "existing" else None,
        pod_monitors=monitored and bool(ask(crd)["items"]),
    )


def check(settings: Settings, answers: Answers) -> None:
    """Raise SettingsError where the Dapr that is to be used is not there, or is another one, or a PodMonitor
    would be nobody's."""
    problems = [
        problem
        for index, cluster in enumerate(settings.clusters)
        if cluster.dapr == "existing" and cluster.name in answers.found
        for problem in _unfit(settings, f"clusters[{index}].dapr", cluster, answers.found[cluster.name].dapr)
    ]
    without = [name for name, one in answers.found.items() if not one.pod_monitors]
    if settings.gateway.metrics.pod_monitor and without:
        reason = f"the CRD {POD_MONITORS} is not in {', '.join(without)}"
        hint = "Install the Prometheus Operator there, or write false and let annotations name the pods."
        problems.append(Problem("gateway.metrics.podMonitor", True, reason, hint))
    if problems:
        raise SettingsError(problems)


def _unfit(
    settings: Settings, where: str, cluster: ClusterSettings, dapr: PresentDapr | None
) -> Iterator[Problem]:
    wanted = settings.dapr
    if dapr is None:
        reason, hint = f"no Dapr is in {cluster.name}", "Install it there, or write install, or none."
        yield Problem(where, cluster.dapr, reason, hint)
        return
    if dapr.namespace != wanted.namespace:
        reason = f"the Dapr of {cluster.name} is in namespace {dapr.namespace}"
        yield Problem("dapr.namespace", wanted.namespace, reason, f"Write {dapr.namespace}.")
    if dapr.version and wanted.version and dapr.version != wanted.version:
        reason = f"the Dapr of {cluster.name} is {dapr.version}, and is used as it is"
        yield Problem("dapr.version", wanted.version, reason, "Remove it, or upgrade that Dapr.")
    elif dapr.version and _number(dapr.version) < OLDEST_DAPR:
        oldest = ".".join(map(str, OLDEST_DAPR))
        reason = f"the Dapr of {cluster.name} is {dapr.version}, and {oldest} or newer is needed"
        yield Problem(where, cluster.dapr, reason, "Upgrade it, or write none.")
    if wanted.mtls and not dapr.mtls:
        reason = f"the Dapr of {cluster.name} has its mTLS off, and is used as it is"
        yield Problem("dapr.mtls", wanted.mtls, reason, "Switch it on there, or leave this out.")


def _namespace(metadata: Mapping[str, Any]) -> PresentNamespace:
    """By label, and by whose hand its fields are: labels get lost, and with them would go the namespace."""
    labels = metadata.get("labels") or {}
    hands = metadata.get("managedFields") or []
    made = any(hand.get("manager") == PROVIDER and hand.get("operation") == "Update" for hand in hands)
    return PresentNamespace(
        labels=labels, by_pulumi=made or labels.get("app.kubernetes.io/managed-by") == "pulumi"
    )


def _present_dapr(ask: Ask) -> PresentDapr | None:
    operators = ask(["deployments.apps", "--all-namespaces", f"--selector={OPERATOR}"])["items"]
    if not operators:
        return None
    namespace = str(operators[0]["metadata"]["namespace"])
    return _dapr(
        namespace, operators[0], ask(["configurations.dapr.io", f"--namespace={namespace}"])["items"]
    )


def _dapr(namespace: str, operator: Mapping[str, Any], configured: list[Mapping[str, Any]]) -> PresentDapr:
    template = operator["spec"]["template"]
    labels = {**(operator["metadata"].get("labels") or {}), **(template["metadata"].get("labels") or {})}
    tag = str(template["spec"]["containers"][0]["image"]).partition("@")[0].rpartition(":")[2]
    version = str(labels.get("app.kubernetes.io/version") or tag)
    mtls = any(
        ((one.get("spec") or {}).get("mtls") or {}).get("enabled")
        for one in configured
        if one["metadata"]["name"] == "daprsystem"
    )
    return PresentDapr(namespace=namespace, version=version if _number(version) else "", mtls=mtls)


def _number(version: str) -> tuple[int, ...]:
    """Major and minor number of a version; nothing of a text that is none."""
    parts = version.split(".")
    return tuple(map(int, parts[:2])) if len(parts) > 1 and all(part.isdigit() for part in parts[:2]) else ()


def _kubectl(file: Path, kubeconfig: str) -> Ask:
    """Asks by a kubeconfig of one context, written to this file in a private folder."""
    file.touch(mode=0o600)
    file.write_text(kubeconfig)

    def ask(arguments: list[str]) -> Mapping[str, Any]:
        argv = ["kubectl", f"--kubeconfig={file}", f"--request-timeout={ANSWER_SECONDS}s"]
        argv += ["get", *arguments, "--output=json"]
        try:
            done = subprocess.run(
                argv, capture_output=True, text=True, timeout=KUBECTL_SECONDS, check=False,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip
        except FileNotFoundError as error:
            raise UnansweredError("kubectl is not on PATH") from error
        except subprocess.TimeoutExpired as error:
            raise UnansweredError(f"no answer within {KUBECTL_SECONDS} s") from error
        if done.returncode:
            raise UnansweredError(" ".join(done.stderr.split())[-300:])
        listed: Mapping[str, Any] = json.loads(done.stdout)
        return listed

    return ask
