"""The newcomer's walk: two clusters that run, one with Dapr, and a service of their own in them.

Somebody installed Dapr by Helm and `checkout` by kubectl. The mesh comes, serves them, steers them, is
upgraded under load and goes, and leaves both as they were.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from e2e.commands import ROOT, stack
from e2e.load import Kubectl, Load
from existing import clusters as theirs
from existing import shop

from stacks.config.supply import VERSIONS_FILE

pytestmark = pytest.mark.e2e

ENVIRONMENT = "e2e-own"
FILE = ROOT / f"Pulumi.{ENVIRONMENT}.yaml"
DAPR = "dapr-system"
FOLLOWED_SECONDS = 30


def _settings(kubeconfig: Path) -> dict[str, Any]:
    clusters = [
        {
            "name": name.removeprefix("theirs-"),
            "role": role,
            "source": "existing",
            "kubeconfig": str(kubeconfig),
            "context": f"k3d-{name}",
            "gatewayHost": theirs.GATEWAY,
            "gatewayPort": theirs.http_port(number),
        }
        for number, (name, role) in enumerate(zip(theirs.NAMES, ("control-plane", "member"), strict=True))
    ]
    return {
        "clusters": clusters,
        "images": {"registry": f"127.0.0.1:{theirs.REGISTRY_PORT}/multicluster"},
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


def test_helm_takes_the_name_over_that_an_import_has(machine: theirs.Machine, hub: Kubectl) -> None:
    chart = shop.write_chart(machine.folder, where="hub")
    machine.run(
        "helm", f"--kubeconfig={hub.kubeconfig}", "upgrade", "--install", "checkout", str(chart),
        "--namespace=shop", "--wait", "--timeout=3m",
    )  # fmt: skip
    # The policy keeps sending all calls to `east`.
    _until(
        lambda: shop.ask(hub, "checkout", times=20) == {"200 / on 8080 by 1 of east": 20},
        "calls go where the policy says",
    )


def test_a_changed_policy_is_one_up_away(hub: Kubectl, settings: dict[str, Any], tell: Any) -> None:
    settings["policies"][0]["lbType"] = "Locality"
    del settings["policies"][0]["targets"]
    _write(settings)
    began = time.monotonic()
    stack("up", ENVIRONMENT)
    tell({"seconds": round(time.monotonic() - began, 1)})
    _until(
        lambda: shop.ask(hub, "checkout", times=20) == {"200 / on 8080 by 1 of hub": 20},
        "calls stay in their cluster",
    )


def test_destroy_leaves_the_shop_its_release_and_dapr(hub: Kubectl, east: Kubectl) -> None:
    dapr = east("-n", DAPR, "get", "deployments", "-o", "yaml")
    stack("destroy", ENVIRONMENT)
    assert east("-n", DAPR, "get", "deployments", "-o", "yaml") == dapr
    for kubectl in (hub, east):
        assert "multicluster" not in kubectl("get", "namespaces", "-o", "name")
        selector = kubectl("-n", "shop", "get", "service", "checkout", "-o", "jsonpath={.spec.selector.app}")
        assert selector == "checkout"
        kubectl("-n", "shop", "rollout", "status", "deployment/checkout", "--timeout=60s")
    assert shop.ask(hub, "checkout", times=5) == {"200 / on 8080 by 1 of hub": 5}
