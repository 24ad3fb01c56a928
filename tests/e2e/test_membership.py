"""Changing a platform that is up: each edit of the settings touches what it says and nothing else."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from e2e.commands import ENVIRONMENT, ROOT, stack, state_folder

pytestmark = pytest.mark.e2e

FOURTH = {"name": "cluster-4", "apiPort": 6448, "httpPort": 84}
POLICY = {
    "cluster": "cluster-2", "namespace": "dapr-test", "name": "nodeapp", "lbType": "ActiveActive",
    "targets": [{"cluster": "cluster-1"}, {"cluster": "cluster-3"}],
}  # fmt: skip
NAMESPACE = "--namespace=dapr-test"
SYSTEM = ("-n", "multicluster-system")
IMPORTS = ("get", NAMESPACE, "serviceimports")
SERVICES = ("get", NAMESPACE, "services")
SLICES = ("get", NAMESPACE, "endpointslices")
SERVICE_NAME = "kubernetes.io/service-name"
Edit = Callable[[dict[str, Any]], None]


class Platform:
    """The environment, changed by plain `pulumi` with edited copies of its file; keeps all it printed."""

    def __init__(self, env: dict[str, str], folder: Path) -> None:
        self.env = env
        self.folder = folder
        self.printed: list[str] = []

    def pulumi(self, *arguments: str, edit: Edit | None = None) -> str:
        config = ["--config-file", str(self._file(edit))] if arguments[0] in ("up", "preview") else []
        done = subprocess.run(
            ["pulumi", *arguments, *config, "--non-interactive"],
            cwd=ROOT, env=self.env, capture_output=True, text=True, check=False, timeout=900,
        )  # fmt: skip
        self.printed += [done.stdout, done.stderr]
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def changes(self, edit: Edit | None = None) -> dict[str, set[str]]:
        """Names of the resources a preview would touch, by operation; components and outputs are left out."""
        steps = json.loads(self.pulumi("preview", "--json", edit=edit))["steps"]
        found: dict[str, set[str]] = {}
        for step in steps:
            kind, name = step["urn"].rsplit("::", 2)[1:]
            if (
                step["op"] not in ("same", "read", "refresh")
                and "multicluster-dapr:" not in kind.rpartition("$")[2]
            ):
                found.setdefault(step["op"], set()).add(name)
        return found

    def up(self, edit: Edit | None = None, *flags: str) -> dict[str, int]:
        """Change it; how many resources each operation touched."""
        self.pulumi("up", "--yes", "--skip-preview", "--diff", "--parallel", "32", *flags, edit=edit)
        history = json.loads(self.pulumi("stack", "history", "--json", "--page-size", "1"))
        return {op: n for op, n in history[0]["resourceChanges"].items() if op != "same"}

    def kubectl(self, cluster: str, *arguments: str) -> str:
        path = self.folder / cluster
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(self.secrets()["kubeconfigs"][cluster])
        return subprocess.run(
            ["kubectl", f"--kubeconfig={path}", *arguments], env=self.env, capture_output=True, text=True,
            check=True, timeout=60,
        ).stdout  # fmt: skip

    def apply(self, cluster: str, body: dict[str, Any]) -> None:
        """Over whatever is there, as the program does it in clusters of its own."""
        path = self.folder / "object.json"
        path.write_text(json.dumps(body))
        self.kubectl(cluster, "apply", "--server-side", "--force-conflicts", f"--filename={path}")

    def secrets(self) -> dict[str, Any]:
        """Outputs in clear; not part of what was printed for a person."""
        done = subprocess.run(
            ["pulumi", "stack", "output", "--json", "--show-secrets"],
            cwd=ROOT, env=self.env, capture_output=True, text=True, check=True,
        )  # fmt: skip
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def _file(self, edit: Edit | None) -> Path:
        document = yaml.safe_load((ROOT / f"Pulumi.{ENVIRONMENT}.yaml").read_text())
        prefix = "multicluster-dapr:"
        config = {key.removeprefix(prefix): value for key, value in document["config"].items()}
        if edit:
            edit(config)
        named = {key if ":" in key else prefix + key: value for key, value in config.items()}
        path = self.folder / f"Pulumi.{ENVIRONMENT}.yaml"
        path.write_text(yaml.safe_dump({"config": named}))
        return path


@pytest.fixture(scope="module")
def day(platform: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Platform:
    return Platform(platform, tmp_path_factory.mktemp("membership"))


def _answer(port: int) -> str:
    """What NodeApp says at the gateway on this port; a new gateway may need a moment to hear of it."""
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/nodeapp/ports", timeout=10) as answer:
                text: str = answer.read().decode()
                return text
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(1)


def _eventually(check: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _slices(events: Path) -> list[tuple[str, str]]:
    """Names of slices and what happened to them, as far as the watch has written whole events."""
    text, found, decoder = events.read_text().lstrip(), [], json.JSONDecoder()
    with contextlib.suppress(json.JSONDecodeError):
        while text:
            event, end = decoder.raw_decode(text)
            found.append((event["object"]["metadata"]["name"], event["type"]))
            text = text[end:].lstrip()
    return found


def _policy(**changed: Any) -> Edit:
    return lambda config: config.update(policies=[{**POLICY, **changed}])


def _fourth(config: dict[str, Any]) -> None:
    config["clusters"].append(dict(FOURTH))
    config["apps"][0]["clusters"].append("cluster-4")
    config["exports"][0]["clusters"].append("cluster-4")


def _fourth_elsewhere(config: dict[str, Any]) -> None:
    _fourth(config)
    config["clusters"][-1]["httpPort"] = 94


def _without_cluster_3(config: dict[str, Any]) -> None:
    config["apps"][0]["clusters"].remove("cluster-3")
    config["exports"][0]["clusters"].remove("cluster-3")


def test_a_policy_comes_changes_and_goes_alone(day: Platform) -> None:
    name = "cluster-2-dapr-test-nodeapp-policy-object"
    with_its_component = 2
    assert day.up(_policy()) == {"create": with_its_component}
    assert day.changes(_policy(lbType="FailOver")) == {"update": {name}}
    assert day.up(_policy(lbType="FailOver")) == {"update": 1}
    found = day.kubectl(
        "cluster-2", "get", "gtp", "nodeapp", "-n", "dapr-test", "-o", "jsonpath={.spec.lbType}"
    )
    assert found == "FailOver"
    assert day.up() == {"delete": with_its_component}
    assert not day.kubectl("cluster-2", "get", "gtp", "-A", "-o", "name")


def test_an_app_and_its_export_leave_the_cluster_and_come_back(day: Platform) -> None:
    objects = ("get", "deployment,service,serviceexport", "-n", "dapr-test", "-o", "name")
    before = {line for line in day.kubectl("cluster-3", *objects).split() if line.endswith("/nodeapp")}
    assert len(before) == 3
    day.up(_without_cluster_3)
    left = day.kubectl("cluster-3", "get", "deployment,serviceexport", "-n", "dapr-test", "-o", "name")
    assert "nodeapp" not in left
    day.up()
    assert before <= set(day.kubectl("cluster-3", *objects).split())
    assert _answer(83).endswith("from cluster: cluster-3")


def test_a_service_that_comes_after_its_import_keeps_the_slices_kubernetes_makes(day: Platform) -> None:
    """As in a member that joins: the hub's import is there before the application."""
    _exported(day, "later")
    try:
        _eventually(lambda: "later" in day.kubectl("cluster-2", *SERVICES))
        events = day.folder / "slices"
        watch = ["kubectl", f"--kubeconfig={day.folder / 'cluster-2'}", *SLICES, "--watch",
                 "--output-watch-events", "-o", "json", "-l", f"{SERVICE_NAME}=later"]  # fmt: skip
        with events.open("w") as out, subprocess.Popen(watch, env=day.env, stdout=out) as watching:
            try:
                _eventually(lambda: "later-imported" in events.read_text())
                day.apply("cluster-2", _service("later", "later"))
                _eventually(lambda: any("imported" not in name for name, _ in _slices(events)))
                _eventually(lambda: ("later-imported", "DELETED") in _slices(events))
                _exported(day, "another")  # the controller writes all there is to write at once
                _eventually(lambda: "another-imported" in day.kubectl("cluster-2", *SLICES))
            finally:
                watching.terminate()
        gone = [name for name, event in _slices(events) if event == "DELETED"]
        assert gone == ["later-imported"]
    finally:
        made = [f"{kind}/{name}" for name in ("later", "another") for kind in ("serviceexport", "service")]
        day.kubectl("cluster-1", "delete", NAMESPACE, *made, "--ignore-not-found")
        _eventually(lambda: "another" not in day.kubectl("cluster-2", *IMPORTS))
        day.kubectl("cluster-2", "delete", NAMESPACE, "service/later", "--ignore-not-found")


def _service(name: str, selected: str) -> dict[str, Any]:
    ports = [{"port": 3000, "protocol": "TCP", "targetPort": 3000}]
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "dapr-test"},
            "spec": {"selector": {"app": selected}, "ports": ports}}  # fmt: skip


def _exported(day: Platform, name: str) -> None:
    """Another name of the app in cluster-1, for the hub to import: it alone makes imports that count."""
    day.apply("cluster-1", _service(name, "node"))
    rule = {"portNumber": 3000, "path": f"/{name}", "pathType": "Prefix"}
    meta = {"name": name, "namespace": "dapr-test"}
    export = {"apiVersion": "flomesh.io/v1alpha1", "kind": "ServiceExport", "metadata": meta,
              "spec": {"rules": [rule]}}  # fmt: skip
    day.apply("cluster-1", export)


def test_an_import_that_the_hub_did_not_make_leads_nowhere(day: Platform) -> None:
    """Whoever may write ServiceImports in one namespace must not have gateways dial what he likes."""
    spec = json.loads(day.kubectl("cluster-2", *IMPORTS, "nodeapp", "-o", "json"))["spec"]
    spec["ports"][0]["endpoints"][0]["target"] |= {"host": "127.0.0.1", "ip": "127.0.0.1", "port": 9090}
    meta = {"name": "forged", "namespace": "dapr-test"}
    imported = {"apiVersion": "flomesh.io/v1alpha1", "kind": "ServiceImport", "metadata": meta, "spec": spec}
    day.apply("cluster-2", imported)
    try:
        _eventually(lambda: "NotFromHub" in day.kubectl("cluster-2", *IMPORTS, "forged", "-o", "yaml"))
        assert "forged" not in day.kubectl("cluster-2", *SERVICES)
    finally:
        day.kubectl("cluster-2", "delete", NAMESPACE, "serviceimport/forged")


def test_a_fourth_member_touches_nothing_else(day: Platform) -> None:
    changes = day.changes(_fourth)
    assert set(changes) == {"create"}
    assert all(name.startswith("cluster-4") for name in changes["create"]), changes
    assert set(day.up(_fourth)) <= {"create", "update"}
    assert _answer(84).endswith("from cluster: cluster-4")


def test_a_running_cluster_would_be_replaced_and_nothing_else(day: Platform) -> None:
    """The replacement itself is a documented command, run by test_documented."""
    changes = day.changes(_fourth_elsewhere)
    touched = set().union(*changes.values())
    assert "cluster-4-k3d" in changes["replace"], changes
    assert all(name.startswith("cluster-4") for name in touched), changes


def test_a_member_that_is_gone_already_can_leave(day: Platform) -> None:
    subprocess.run(["k3d", "cluster", "delete", "cluster-4"], env=day.env, check=True, capture_output=True)
    assert set(day.up()) == {"delete"}
    known = day.kubectl("control-plane", "get", "clusters.flomesh.io", "-o", "name").split()
    assert known == [f"cluster.flomesh.io/cluster-{number}" for number in (1, 2, 3)]


def test_the_hubs_credential_is_rotated_by_a_replacement(day: Platform) -> None:
    token = ("get", "secret", "cluster-1-hub-token", *SYSTEM, "-o", "jsonpath={.data.token}")
    begun = ("get", "secret", "-o", "name", *SYSTEM)
    before = day.kubectl("control-plane", *token)
    assert before, "the hub keeps its token there"
    assert "secret/multicluster-hub-bootstrap" not in day.kubectl("cluster-1", *begun).split(), "it is spent"
    replaced = day.up(None, "--replace", "**cluster-1-membership-bootstrap-token")
    assert replaced.get("update") == 1, "what the hub begins with"
    _eventually(lambda: day.kubectl("control-plane", *token) != before)
    _eventually(lambda: "multicluster-hub-bootstrap" not in day.kubectl("cluster-1", *begun))
    day.kubectl("control-plane", "wait", "cluster/cluster-1", "--for=condition=Managed", "--timeout=30s")


def test_up_brings_a_hub_back_whose_token_has_ended(day: Platform) -> None:
    """As after a night in which the machine slept."""
    account = ("serviceaccount/multicluster-hub", *SYSTEM)
    # A token is of one ServiceAccount, and ends with it.
    day.kubectl("cluster-1", "delete", *account)
    day.kubectl("cluster-1", "create", "serviceaccount", "multicluster-hub", *SYSTEM)
    day.kubectl(
        "control-plane", "wait", "cluster/cluster-1", "--for=condition=Managed=false", "--timeout=60s"
    )
    ended = {"status": {"token": {"expires": "2026-01-01T00:00:00Z"}}}
    patch = ("--subresource=status", "--type=merge", "-p", json.dumps(ended))
    day.kubectl("control-plane", "scale", "deployment/multicluster-hub", "--replicas=0", *SYSTEM)
    day.kubectl("control-plane", "patch", "cluster.flomesh.io/cluster-1", *patch)
    assert "the hub has no good token in cluster-1" in stack("up", ENVIRONMENT)
    day.kubectl("control-plane", "scale", "deployment/multicluster-hub", "--replicas=1", *SYSTEM)
    day.kubectl("control-plane", "wait", "cluster/cluster-1", "--for=condition=Managed", "--timeout=60s")


def test_a_cluster_gone_behind_the_engines_back_is_created_again(day: Platform) -> None:
    subprocess.run(["k3d", "cluster", "delete", "cluster-3"], env=day.env, check=True, capture_output=True)
    printed = stack("up", ENVIRONMENT)
    assert "cluster cluster-3 is gone; it is created again" in printed
    assert _answer(83).endswith("from cluster: cluster-3")
    day.printed.append(printed)


def test_no_secret_is_in_state_history_or_anything_printed(day: Platform) -> None:
    """Up to -v=2: from 3 on the engine's debugging log has the stack's outputs in clear, as README says."""
    day.pulumi(
        "preview", "--diff", "--show-sames", "--show-secrets=false", "-v=2", "--logtostderr", edit=_policy()
    )
    day.pulumi("stack", "output")
    day.pulumi("stack", "history")
    secrets = _secrets(day)
    texts = {"printed": "\n".join(day.printed)}
    for path in state_folder().rglob("*"):
        if path.is_file() and path.name != "passphrase":
            texts[str(path)] = path.read_text(errors="replace")
    assert len(texts) > 3, "state and history were read"
    found = [
        (name, where) for name, value in secrets.items() for where, text in texts.items() if value in text
    ]
    assert not found


def _secrets(day: Platform) -> dict[str, str]:
    """Name and value of every secret of the platform."""
    found = {}
    for name, kubeconfig in day.secrets()["kubeconfigs"].items():
        found[f"client key of {name}"] = re.findall(r"client-key-data: (\S+)", kubeconfig)[0]
    at = ("-n", "multicluster-system", "-o", "jsonpath={.data.token}")
    redis = ("get", "secret", "redis", "-n", "dapr-test", "-o", "jsonpath={.data.redis-password}")
    for name in ("cluster-1", "cluster-2"):
        encoded = day.kubectl("control-plane", "get", "secret", f"{name}-hub-token", *at)
        found[f"token of {name}"] = _decoded(encoded)
        found[f"token of {name}, encoded"] = encoded
    found["password of Redis"] = _decoded(day.kubectl("cluster-1", *redis))
    assert all(len(value) >= 8 for value in found.values()), "an empty text would be found nowhere"
    return found


def _decoded(text: str) -> str:
    return base64.b64decode(text).decode()
