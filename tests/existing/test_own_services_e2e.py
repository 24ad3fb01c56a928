"""The newcomer's walk: two clusters that run, one with Dapr, and a service of their own in them.

Somebody installed Dapr by Helm and `checkout` by kubectl. The mesh comes, serves them, sends a canary its
part, is upgraded under load and goes, and leaves all of it as it was.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from e2e.commands import ROOT, engine_environment, stack
from e2e.load import Kubectl, Load

from existing import clusters as theirs
from existing import shop
from stacks.config.supply import VERSIONS_FILE

pytestmark = pytest.mark.e2e

ENVIRONMENT = "e2e-own"
FILE = ROOT / f"Pulumi.{ENVIRONMENT}.yaml"
DAPR = "dapr-system"
FOLLOWED_SECONDS = 30
CANARY = {"headers": [{"name": "x-canary", "value": "true"}]}
MARKED = {"X-Canary": "true"}
MANY = 400
"""Requests of which 5 % are counted. Each pod of a gateway counts its own, so a few more or less."""


def _settings(kubeconfig: Path) -> dict[str, Any]:
    return {
        **theirs.settings(kubeconfig),
        "dapr": {"mode": "existing"},
        "exports": [
            {
                "service": "checkout",
                "namespace": "shop",
                "clusters": ["east"],
                "rules": [{"portNumber": shop.PORT}, {"portNumber": shop.ADMIN_PORT}],
            }
        ],
        "policies": [
            {
                "cluster": "hub",
                "namespace": "shop",
                "name": "checkout",
                "lbType": "FailOver",
                "targets": [{"cluster": "east"}],
            }
        ],
    }


def _write(settings: dict[str, Any]) -> None:
    config = {f"multicluster-dapr:{key}": value for key, value in settings.items()}
    FILE.write_text(yaml.safe_dump({"config": {"pulumi:disable-default-providers": ["*"], **config}}))


@pytest.fixture(scope="module")
def hub(machine: theirs.Machine, kubeconfig: Path) -> Kubectl:
    return _of(machine, kubeconfig, "k3d-theirs-hub")


@pytest.fixture(scope="module")
def east(machine: theirs.Machine, kubeconfig: Path) -> Kubectl:
    return _of(machine, kubeconfig, "k3d-theirs-east")


def _of(machine: theirs.Machine, kubeconfig: Path, context: str) -> Kubectl:
    asked = ("kubectl", f"--kubeconfig={kubeconfig}", f"--context={context}", "config", "view")
    path = machine.folder / context
    path.touch(mode=0o600)
    path.write_text(machine.run(*asked, "--minify", "--flatten"))
    return Kubectl(dict(os.environ), path)


@pytest.fixture(scope="module", autouse=True)
def settings(
    machine: theirs.Machine, kubeconfig: Path, hub: Kubectl, east: Kubectl
) -> Iterator[dict[str, Any]]:
    """The environment's settings, written; what is theirs is in the clusters before."""
    shop.build(machine)
    _install_dapr(machine, east)
    for kubectl in (hub, east):
        if "namespace/shop" not in kubectl("get", "namespaces", "-o", "name").split():
            kubectl("create", "namespace", "shop")
    shop.deploy(east, "checkout", version="1", where="east")
    shop.deploy(east, "checkout-canary", version="2", where="east")
    shop.deploy(hub, "client", version="0", where="hub")
    settings = _settings(kubeconfig)
    _write(settings)
    try:
        yield settings
    finally:
        stack("destroy", ENVIRONMENT, "--yes")
        FILE.unlink()


def _install_dapr(machine: theirs.Machine, kubectl: Kubectl) -> None:
    """As its owners would, by Helm; from the same supply as all else here."""
    versions = yaml.safe_load(VERSIONS_FILE.read_text())
    supply = machine.supply
    values = ["--set=dapr_scheduler.cluster.storageClassName=local-path", "--set=global.mtls.enabled=false"]
    if supply:
        machine.run("k3d", "image", "import", "--cluster=theirs-east", supply["images"]["dapr"]["archive"])
        chart = [supply["charts"]["dapr"]["chart"]]
        tag = supply["images"]["dapr"]["tag"]
        values += [f"--set=global.tag={tag}", "--set=global.imagePullPolicy=IfNotPresent"]
    else:
        dapr = versions["charts"]["dapr"]
        chart = [dapr["name"], f"--repo={dapr['repository']}", f"--version={dapr['version']}"]
    machine.run(
        "helm", f"--kubeconfig={kubectl.kubeconfig}", "upgrade", "--install", "dapr", *chart,
        f"--namespace={DAPR}", "--create-namespace", "--wait", "--timeout=5m", *values,
    )  # fmt: skip


def _until(check: Any, what: str, seconds: float = FOLLOWED_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.5)


def test_up_brings_the_mesh_alone_and_uses_the_dapr_that_is_there(hub: Kubectl, east: Kubectl) -> None:
    before = east("-n", DAPR, "get", "deployments", "-o", "yaml")
    stack("up", ENVIRONMENT)
    assert east("-n", DAPR, "get", "deployments", "-o", "yaml") == before
    assert "dapr" not in hub("get", "namespaces", "-o", "name")


def test_both_ports_are_called_by_name_with_the_path_as_it_was(hub: Kubectl) -> None:
    for port in (shop.PORT, shop.ADMIN_PORT):
        expected = f"200 /a/b?c=d on {8080 if port == shop.PORT else port} by 1 of east"
        _until(
            lambda port=port, expected=expected: (
                shop.ask(hub, "checkout", "/a/b?c=d", port=port) == {expected: 1}
            ),
            f"port {port} of checkout is served",
        )


def test_status_and_doctor_find_nothing_wrong(hub: Kubectl) -> None:
    assert "shop/checkout" in stack("status", ENVIRONMENT)
    stack("doctor", ENVIRONMENT)


def test_a_canary_in_its_cluster_gets_five_of_a_hundred_and_what_is_marked(
    hub: Kubectl, settings: dict[str, Any]
) -> None:
    stable = {"name": "checkout", "weight": 95}
    canary = {"name": "checkout-canary", "weight": 5, "match": CANARY}
    settings["exports"][0]["backendRefs"] = [stable, canary]
    _write(settings)
    stack("up", ENVIRONMENT)
    _until(
        lambda: shop.ask(hub, "checkout", times=20, fields=MARKED) == {"200 / on 8080 by 2 of east": 20},
        "what is marked goes to the canary",
    )
    _is_divided(shop.ask(hub, "checkout", times=MANY), "by 1 of east", "by 2 of east")
    admin = shop.ask(hub, "checkout", port=shop.ADMIN_PORT, fields=MARKED)
    assert admin == {"200 / on 9000 by 2 of east": 1}, "it has all ports"


def _is_divided(answers: Counter[str], stable: str, canary: str) -> None:
    assert set(answers) == {f"200 / on 8080 {stable}", f"200 / on 8080 {canary}"}
    assert abs(answers[f"200 / on 8080 {canary}"] - MANY * 5 / 100) <= 3, answers


def test_a_changed_policy_is_one_pulumi_up_away(hub: Kubectl, settings: dict[str, Any], tell: Any) -> None:
    policy = settings["policies"][0]
    before = dict(policy)
    del policy["targets"]
    policy["lbType"] = "Locality"
    tell({"seconds": _plain_up(settings)})
    _until(
        lambda: not any(answer.startswith("200") for answer in shop.ask(hub, "checkout", times=5)),
        "calls stay in a cluster that has nobody",
    )
    policy |= before
    tell({"seconds": _plain_up(settings)})
    _until(
        lambda: all(answer.endswith(" of east") for answer in shop.ask(hub, "checkout", times=20)),
        "calls go to the other cluster again",
    )


def test_helm_takes_the_name_that_an_import_has_when_it_is_told_to(
    machine: theirs.Machine, hub: Kubectl
) -> None:
    chart = shop.write_chart(machine.folder, where="hub")
    install = [
        "helm", f"--kubeconfig={hub.kubeconfig}", "install", "checkout", str(chart),
        "--namespace=shop", "--wait", "--timeout=3m",
    ]  # fmt: skip
    refused = subprocess.run(
        install, env=dict(machine.env), capture_output=True, text=True, check=False, timeout=60
    )
    assert refused.returncode != 0
    assert "invalid ownership metadata" in refused.stderr, "as docs/existing-clusters.md says"
    assert shop.ask(hub, "checkout", fields=MARKED) == {"200 / on 8080 by 2 of east": 1}, (
        "it is served as before"
    )
    machine.run(*install, "--take-ownership")
    _until(
        lambda: shop.ask(hub, "checkout", times=20) == {"200 / on 8080 by 1 of hub": 20},
        "FailOver keeps calls in a cluster that has pods",
    )


def _plain_up(settings: dict[str, Any]) -> float:
    """Plain `pulumi up`, in a shell of `./stack env`; seconds."""
    _write(settings)
    began = time.monotonic()
    subprocess.run(
        ["pulumi", "up", "--yes", "--skip-preview"], cwd=ROOT, env=engine_environment(ENVIRONMENT),
        check=True, timeout=600,
    )  # fmt: skip
    return round(time.monotonic() - began, 1)


def test_the_gateways_are_upgraded_by_another_clone_and_no_call_fails(
    hub: Kubectl, east: Kubectl, tmp_path: Path, tell: Any
) -> None:
    """A colleague's clone has a newer gateway: the same environment, another image by its digest."""
    clone = tmp_path / "clone"
    shutil.copytree(ROOT, clone, ignore=shutil.ignore_patterns(".git", ".*_cache", "__pycache__", ".venv"))
    dockerfile = clone / "proxy" / "Dockerfile"
    dockerfile.write_text(dockerfile.read_text() + "LABEL newer=yes\n")  # nothing is compiled once more
    images = ("-n", "multicluster-system", "get", "pods", "-l", "app=gateway", "-o")
    before = [kubectl(*images, "jsonpath={.items[*].spec.containers[*].image}") for kubectl in (hub, east)]
    with Load(hub, "http://checkout.shop/under-load", fresh=True) as load:
        load.until(lambda: len([call for call in load.calls if call.ok]) > 50, "calls succeed")
        began = time.time()
        done = subprocess.run(
            [str(clone / "stack"), "up", ENVIRONMENT], capture_output=True, text=True, check=False,
            timeout=1200,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        time.sleep(5)
        report = load.report(began)
    tell(report)
    after = [kubectl(*images, "jsonpath={.items[*].spec.containers[*].image}") for kubectl in (hub, east)]
    assert all(set(one.split()).isdisjoint(two.split()) for one, two in zip(before, after, strict=True))
    assert report["failed"] == 0
    assert report["requests"] > 500


def asked_for(kubectl: Kubectl) -> list[Any]:
    """Dapr's Deployments without what changes by itself, such as when their pods were last ready."""
    found = json.loads(kubectl("-n", DAPR, "get", "deployments", "-o", "json"))["items"]
    for deployment in found:
        del deployment["status"], deployment["metadata"]["resourceVersion"]
    return list(found)


def test_destroy_leaves_the_shop_its_release_and_dapr(hub: Kubectl, east: Kubectl) -> None:
    dapr = asked_for(east)
    stack("destroy", ENVIRONMENT)
    assert asked_for(east) == dapr
    for kubectl in (hub, east):
        assert "multicluster" not in kubectl("get", "namespaces", "-o", "name")
        selector = kubectl("-n", "shop", "get", "service", "checkout", "-o", "jsonpath={.spec.selector.app}")
        assert selector == "checkout"
        kubectl("-n", "shop", "rollout", "status", "deployment/checkout", "--timeout=60s")
    assert shop.ask(hub, "checkout", times=5) == {"200 / on 8080 by 1 of hub": 5}
