"""Real faults, one at a time: doctor names the first broken hop, and its hint, run as printed, repairs it."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e.commands import ENVIRONMENT, stack
from e2e.patient import SHOWN_SECONDS, Patient

pytestmark = pytest.mark.e2e

CALL = "cluster-2 → dapr-test/nodeapp at cluster-1"
OTHER = "cluster-2 → dapr-test/nodeapp at cluster-3"
DOOR = "front door → dapr-test/nodeapp at cluster-1"
HOME = "cluster-1 → dapr-test/nodeapp at cluster-1"
PATHS = (CALL, OTHER, DOOR, HOME)
STAY = "cluster-2 → dapr-test/nodeapp"
SYSTEM = ("-n", "multicluster-system")
APP = ("-n", "dapr-test")
POLICY: dict[str, Any] = {
    "apiVersion": "flomesh.io/v1alpha1",
    "kind": "GlobalTrafficPolicy",
    "metadata": {"name": "nodeapp", "namespace": "dapr-test"},
    "spec": {
        "lbType": "FailOver",
        "targets": [{"clusterKey": f"default/default/default/{name}"} for name in ("cluster-1", "cluster-3")],
    },
}


@pytest.fixture(scope="module")
def patient(platform: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Patient]:
    """Callers of cluster-2 are let out to both exporters, by a policy that is gone again at the end."""
    found = Patient(platform, tmp_path_factory.mktemp("doctor"))
    set_policy(found, POLICY["spec"])
    try:
        found.healthy(*PATHS)
        yield found
    finally:
        found.kubectl["cluster-2"](*APP, "delete", "globaltrafficpolicies.flomesh.io", "nodeapp")


@pytest.fixture(autouse=True)
def healthy_afterwards(patient: Patient) -> Iterator[None]:
    yield
    patient.healthy(*PATHS)


def set_policy(patient: Patient, spec: dict[str, Any]) -> None:
    patient.kubectl["cluster-2"]("apply", "-f", "-", stdin=json.dumps(POLICY | {"spec": spec}))


@contextlib.contextmanager
def changed_policy(patient: Patient, spec: dict[str, Any]) -> Iterator[None]:
    set_policy(patient, spec)
    try:
        yield
    finally:
        set_policy(patient, POLICY["spec"])


def test_an_app_scaled_to_zero(patient: Patient) -> None:
    with patient.without("cluster-1", APP, "nodeapp"):
        check = patient.shows(CALL, "app pod")
        assert "Deployment nodeapp is scaled to zero" in check.seen
        assert patient.shows(HOME, "app pod").hint == check.hint
        patient.heal(check)


def test_a_gateway_scaled_to_zero_in_the_importer(patient: Patient) -> None:
    with patient.without("cluster-2", SYSTEM, "gateway"):
        check = patient.shows(CALL, "gateway")
        assert "in cluster-2" in check.seen
        patient.heal(check)


def test_a_gateway_scaled_to_zero_in_the_exporter(patient: Patient) -> None:
    with patient.without("cluster-1", SYSTEM, "gateway"):
        check = patient.shows(CALL, "remote gateway")
        assert "in cluster-1" in check.seen
        assert patient.shows(DOOR, "remote gateway").hint == check.hint
        patient.heal(check)


def test_a_name_server_that_answers_nobody(patient: Patient) -> None:
    node = ("docker", "exec", "k3d-cluster-2-server-0", "pkill")
    patient.run(*node, "-STOP", "coredns")
    try:
        assert "CoreDNS" in patient.shows(CALL, "DNS").hint
    finally:
        patient.run(*node, "-CONT", "coredns")


def test_an_import_deleted_while_the_hub_is_down(patient: Patient) -> None:
    with patient.without("control-plane", SYSTEM, "multicluster-hub"):
        patient.kubectl["control-plane"](*SYSTEM, "wait", "--for=delete", "pod", "-l", "app=multicluster-hub")
        assert patient.examine()["control-plane: hub"].result == "fail"
        patient.kubectl["cluster-2"](*APP, "delete", "serviceimports.flomesh.io", "nodeapp")
        check = patient.shows(CALL, "Service")
        assert "the hub, which carries exports, is down" in check.seen
        patient.heal(check)


def test_a_policy_that_keeps_calls_at_home(patient: Patient) -> None:
    with changed_policy(patient, {"lbType": "Locality"}):
        check = patient.shows(STAY, "policy")
        assert "is Locality: calls are refused" in check.seen
        assert "lbType: FailOver" in check.hint


def test_a_policy_that_targets_an_unknown_cluster(patient: Patient) -> None:
    stranger = "default/default/default/cluster-9"
    good = POLICY["spec"]["targets"]
    with changed_policy(patient, {"lbType": "FailOver", "targets": [{"clusterKey": stranger}, *good]}):
        check = patient.shows(f"cluster-2 → dapr-test/nodeapp at {stranger}", "policy")
        assert f"targets {stranger}, which exports no dapr-test/nodeapp" in check.seen
        assert patient.examine()[CALL].result == "ok", "the good targets are still served"


def test_a_node_that_is_paused(patient: Patient) -> None:
    patient.run("docker", "pause", "k3d-cluster-1-server-0")
    try:
        check = patient.shows(CALL, "remote gateway")
        assert check.hint == "docker unpause k3d-cluster-1-server-0"
        assert "its node is paused" in check.seen
        patient.heal(check)
    except BaseException:
        patient.run("docker", "unpause", "k3d-cluster-1-server-0")
        raise


def test_an_app_made_while_the_injector_was_away(patient: Patient) -> None:
    cluster = patient.kubectl["cluster-1"]
    dapr = ("-n", "dapr-system")
    with patient.without("cluster-1", dapr, "dapr-sidecar-injector"):
        cluster(*dapr, "wait", "--for=delete", "pod", "-l", "app=dapr-sidecar-injector")
        cluster(*APP, "delete", "pod", "-l", "app=node")
        # Dapr's operator replaces such a pod every minute: whether it is ready between is a matter of luck.
        sidecars = "cluster-1: Dapr sidecars"
        found = patient.until(lambda seen: sidecars in seen and seen[sidecars].result == "fail", sidecars)
        assert "ask for a Dapr sidecar and have none: dapr-test/nodeapp" in found[sidecars].seen
        assert "dapr-sidecar-injector is scaled to zero" in found["cluster-1: Dapr"].seen
        cluster(*dapr, "scale", "deployment/dapr-sidecar-injector", "--replicas=1")
    cluster(*dapr, "rollout", "status", "deployment/dapr-sidecar-injector")
    cluster(*APP, "delete", "pod", "-l", "app=node")


def test_a_redis_that_is_stopped(patient: Patient) -> None:
    redis = f"multicluster-dapr-{ENVIRONMENT}-redis"
    patient.run("docker", "stop", "--time", "5", redis)
    try:
        check = patient.shows(CALL, "state store")
        assert check.hint == f"docker start {redis}"
        patient.heal(check)
    except BaseException:
        patient.run("docker", "start", redis)
        raise


def test_the_command_says_the_same_and_ends_with_one(patient: Patient) -> None:
    patient.until(lambda checks: all(check.result != "fail" for check in checks.values()), "all is well")
    assert json.loads(_json(stack("doctor", ENVIRONMENT, "--json")))["healthy"]
    with patient.without("cluster-2", SYSTEM, "gateway"):
        check = patient.shows(CALL, "gateway")
        said(
            lambda: stack("doctor", ENVIRONMENT, "--json", code=1),
            lambda text: check.as_json() in json.loads(_json(text))["checks"],
        )
        said(lambda: stack("status", ENVIRONMENT, code=1), lambda text: "✗ cluster-2: gateway" in text)
        patient.heal(check)


def said(command: Callable[[], str], wanted: Callable[[str], bool]) -> None:
    """A command says this of what is wrong, once the clusters answer it in time."""
    deadline = time.monotonic() + SHOWN_SECONDS
    while not wanted(text := command()):
        assert time.monotonic() < deadline, text


def _json(printed: str) -> str:
    """What is on standard output: the progress around it goes to standard error."""
    return printed[printed.index("\n{") : printed.rindex("\n}") + 2]


def test_an_archive_of_a_platform_that_is_half_down_tells_what_is_broken_and_no_secret(
    patient: Patient, tmp_path: Path
) -> None:
    secrets = _secrets(patient)
    assert len(secrets) >= 10, "keys of four clusters, tokens of three, two passwords"
    target = tmp_path / "report.tar.gz"
    patient.run("docker", "pause", "k3d-cluster-1-server-0")
    try:
        stack("gather", ENVIRONMENT, "--output", str(target))
    finally:
        patient.run("docker", "unpause", "k3d-cluster-1-server-0")
    files = unpacked(target)
    assert "- cluster cluster-1: does not answer within" in files["README.md"]
    assert not [name for name in files if name.startswith("clusters/cluster-1/")]
    checks = {check["name"]: check for check in json.loads(files["doctor.json"])["checks"]}
    assert checks[CALL]["broken"] == "remote gateway"
    assert {
        "state.json",
        "versions.txt",
        "settings/written.json",
        "docker/k3d-cluster-1-server-0.log",
        "clusters/cluster-2/objects/ServiceImport.json",
        "clusters/cluster-3/events/dapr-test.json",
    } <= set(files)
    assert [name for name in files if name.startswith("clusters/cluster-3/logs/dapr-test/nodeapp")]
    assert [name for name in files if name.endswith(".config.json")]
    for name, text in files.items():
        held = text + "".join(_decoded(run) for run in re.findall(r"[A-Za-z0-9+/_-]{16,}", text))
        assert not [secret[:4] for secret in secrets if secret in held], f"a secret stands in {name}"


def unpacked(archive: Path) -> dict[str, str]:
    """Text by path inside the archive's one folder."""
    with tarfile.open(archive) as tar:
        found = {entry.name.partition("/")[2]: tar.extractfile(entry) for entry in tar}
        return {name: file.read().decode() for name, file in found.items() if file is not None}


def _secrets(patient: Patient) -> set[str]:
    """Real ones, read where they are: kubeconfigs, the hub's tokens, Redis' password, the passphrase."""
    found = {patient.engine.passphrase_file.read_text().strip()}
    for config in patient.configs.values():
        found |= set(re.findall(r"client-key-data: (\S+)", config.kubeconfig))
    password = ("get", "secret", "redis", "-o", "jsonpath={.data.redis-password}")
    for name in ("cluster-1", "cluster-2", "cluster-3"):
        token = ("get", "secret", f"{name}-hub-token", "-o", "jsonpath={.data.token}")
        found.add(base64.b64decode(patient.kubectl["control-plane"](*SYSTEM, *token)).decode())
    found.add(base64.b64decode(patient.kubectl["cluster-1"](*APP, *password)).decode())
    return found | {base64.b64encode(secret.encode()).decode() for secret in found}


def _decoded(run: str) -> str:
    run = run.replace("+", "-").replace("/", "_")[: len(run) // 4 * 4]
    return base64.urlsafe_b64decode(run).decode("latin-1")
