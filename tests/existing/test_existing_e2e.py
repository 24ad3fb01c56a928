"""The platform engineer's case: clusters and a registry that someone else made, and Redis inside a cluster.

The clusters are plain k3d ones that this module makes itself; to the program they are strangers.
"""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from e2e.commands import ROOT, engine_environment, stack

from existing import clusters as theirs
from existing.load import Load

pytestmark = pytest.mark.e2e

ENVIRONMENT = "e2e-existing"
FILE = ROOT / f"Pulumi.{ENVIRONMENT}.yaml"


def _settings(kubeconfig: Path) -> dict[str, object]:
    return {
        **theirs.settings(kubeconfig),
        "gateway": {"replicas": 2},
        "redis": {"mode": "statefulset", "host": theirs.GATEWAY, "port": theirs.REDIS_NODE_PORT},
        "apps": [{"app": "nodeapp", "clusters": ["east"], "namespace": "dapr-test"}],
        "exports": [
            {
                "service": "nodeapp",
                "namespace": "dapr-test",
                "clusters": ["east"],
                "pathRewrite": {"from": "^/nodeapp/?", "to": "/"},
                "rules": [{"portNumber": 3000, "path": "/nodeapp"}],
            },
            # Somebody else's namespace in `east`; in `hub` there is none, and it is made.
            {
                "service": "checkout",
                "namespace": "shop",
                "clusters": ["east"],
                "rules": [{"portNumber": 80, "path": "/checkout"}],
            },
        ],
    }


@pytest.fixture(scope="module", autouse=True)
def environment(machine: theirs.Machine, kubeconfig: Path) -> Iterator[None]:
    """Its settings, written; `east` has a namespace of somebody's."""
    config = {f"multicluster-dapr:{key}": value for key, value in _settings(kubeconfig).items()}
    FILE.write_text(yaml.safe_dump({"config": {"pulumi:disable-default-providers": ["*"], **config}}))
    _kubectl(machine, kubeconfig, "east", "create", "namespace", "shop")
    _put_into_shop(machine, kubeconfig, "east")
    try:
        yield
    finally:
        stack("destroy", ENVIRONMENT, "--yes")
        FILE.unlink()


def _kubectl(machine: theirs.Machine, kubeconfig: Path, context: str, *arguments: str) -> str:
    return machine.run("kubectl", f"--kubeconfig={kubeconfig}", f"--context=k3d-theirs-{context}", *arguments)


def _put_into_shop(machine: theirs.Machine, kubeconfig: Path, context: str) -> None:
    _kubectl(
        machine, kubeconfig, context, "create", "configmap", "theirs", "-n", "shop", "--from-literal=a=b"
    )


def _front_door(path: str, body: dict[str, object] | None = None) -> str:
    request = urllib.request.Request(
        f"http://{theirs.GATEWAY}:{theirs.http_port(0)}{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - an address of this test
        text: str = answer.read().decode()
    return text


def test_init_makes_what_secrets_need_and_leaves_the_file_alone(kubeconfig: Path) -> None:
    before = FILE.read_bytes()
    assert "Its settings are complete" in stack("init", ENVIRONMENT)
    env = engine_environment(ENVIRONMENT)
    set_once = ("pulumi", "config", "set", "--secret", "redisPassword", "a-password-of-this-test")
    subprocess.run(set_once, cwd=ROOT, env=env, check=True)
    assert FILE.read_bytes() == before, "salt and secret are kept beside the state"
    shown = subprocess.run(
        ["pulumi", "config"], cwd=ROOT, env=env, check=True, capture_output=True, text=True
    )
    assert "redisPassword" in shown.stdout


def test_up_puts_everything_into_clusters_that_were_there(machine: theirs.Machine, kubeconfig: Path) -> None:
    stack("up", ENVIRONMENT)
    of_ours = f"--filter=label=multicluster-dapr.environment={ENVIRONMENT}"
    assert not machine.run("docker", "ps", "--all", "--quiet", of_ours), "no cluster and no Redis beside them"
    pods = _kubectl(
        machine, kubeconfig, "east", "get", "pods", "-n", "dapr-test", "-o",
        "jsonpath={.items[*].spec.containers[*].image}",
    )  # fmt: skip
    registry = f"127.0.0.1:{theirs.REGISTRY_PORT}/multicluster"
    assert f"{registry}/nodeapp@sha256:" in pods, "pulled from the registry, by digest"


def test_the_front_door_of_the_hub_reaches_the_member(kubeconfig: Path) -> None:
    assert _front_door("/nodeapp/ports").endswith("from cluster: east")


def test_each_gateway_has_as_many_replicas_as_wanted(machine: theirs.Machine, kubeconfig: Path) -> None:
    for name in ("hub", "east"):
        pods = "-n", "multicluster-system", "-l", "app=gateway", "-o", "jsonpath={.items[*].metadata.name}"
        found = _kubectl(machine, kubeconfig, name, "get", "pods", *pods).split()
        assert len(found) == 2
        for pod in found:
            admin = f"/api/v1/namespaces/multicluster-system/pods/{pod}:9090/proxy"
            metrics = _kubectl(machine, kubeconfig, name, "get", "--raw", f"{admin}/metrics")
            assert "\ngateway_ready 1\n" in metrics


@pytest.mark.parametrize("app", ["gateway", "controller", "multicluster-hub"])
def test_pods_that_are_evicted_as_a_drain_does_cost_no_request(
    machine: theirs.Machine, kubeconfig: Path, app: str
) -> None:
    """`kubectl drain` evicts the pods of a node by the Eviction API; the budget lets one go at a time."""
    names = ("hub",) if app == "multicluster-hub" else ("hub", "east")
    with Load(f"http://{theirs.GATEWAY}:{theirs.http_port(0)}/nodeapp/ports") as load:
        for name in names:
            pods = _pods(machine, kubeconfig, name, app)
            assert len(pods) == 2
            for number, pod in enumerate(pods):
                assert _evict(machine, kubeconfig, name, pod) == ""
                if not number:
                    refused = _evict(machine, kubeconfig, name, pods[1])
                    assert "disruption budget" in refused, "both at once would leave nobody"
                where = ("-n", "multicluster-system")
                _kubectl(
                    machine, kubeconfig, name, *where, "wait", f"pod/{pod}", "--for=delete", "--timeout=90s"
                )
                status = ("rollout", "status", f"deployment/{app}", "--timeout=180s")
                _kubectl(machine, kubeconfig, name, *where, *status)
    assert load.failed == [], f"{len(load.failed)} of {load.answered + len(load.failed)} requests"
    assert load.answered > 50 * load.seconds, "requests came all the while"


def _pods(machine: theirs.Machine, kubeconfig: Path, name: str, app: str) -> list[str]:
    """Names of an app's pods of the mesh that are not ending."""
    listed = _kubectl(
        machine,
        kubeconfig,
        name,
        "-n",
        "multicluster-system",
        "get",
        "pods",
        "-l",
        f"app={app}",
        "-o",
        "json",
    )
    found = [pod["metadata"] for pod in json.loads(listed)["items"]]
    return [pod["name"] for pod in found if "deletionTimestamp" not in pod]


def _evict(machine: theirs.Machine, kubeconfig: Path, name: str, pod: str) -> str:
    """Ask for a pod's eviction; what the API server said against it."""
    where = {"name": pod, "namespace": "multicluster-system"}
    asked = json.dumps({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": where})
    path = f"/api/v1/namespaces/multicluster-system/pods/{pod}/eviction"
    cluster = (f"--kubeconfig={kubeconfig}", f"--context=k3d-theirs-{name}")
    done = subprocess.run(
        ["kubectl", *cluster, "create", "--raw", path, "-f", "-"],
        env=dict(machine.env), input=asked, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    return done.stderr if done.returncode else ""


def test_an_order_goes_through_dapr_into_redis_in_the_control_plane(kubeconfig: Path) -> None:
    assert "created order" in _front_door("/nodeapp/neworder", {"data": {"orderId": "42"}})
    assert '"orderId":"42"' in _front_door("/nodeapp/order").replace(" ", "")


def test_a_second_up_changes_nothing(machine: theirs.Machine, kubeconfig: Path) -> None:
    printed = stack("up", ENVIRONMENT)
    assert "unchanged" in printed[printed.rindex("Resources:") :]


def test_a_namespace_of_somebody_else_is_used_and_not_taken(
    machine: theirs.Machine, kubeconfig: Path
) -> None:
    by_us = "jsonpath={.metadata.labels.multicluster-dapr\\.environment}"
    assert _kubectl(machine, kubeconfig, "hub", "get", "namespace", "shop", "-o", by_us) == ENVIRONMENT
    assert not _kubectl(machine, kubeconfig, "east", "get", "namespace", "shop", "-o", by_us)
    assert _kubectl(
        machine, kubeconfig, "east", "get", "serviceexport", "checkout", "-n", "shop", "-o", "name"
    )


SHOP = {"namespace": "deployed", "clusters": ["east"]}
DEPLOY = "tests/existing/deploy"
PASSWORD_PATH = 'apps[1].chart.secretValues["auth.password"]'
DEPLOYED = [
    {"name": "greeting", **SHOP, "chart": {"path": f"{DEPLOY}/chart", "values": {"greeting": "hi"}}},
    {"name": "files", **SHOP, "manifests": {"files": [f"{DEPLOY}/objects/*.yaml"]}},
    {"name": "overlay", **SHOP, "manifests": {"kustomize": f"{DEPLOY}/overlay"}},
]
TRACING = {"name": "tracing", "namespace": "dapr-test", "spec": {"tracing": {"samplingRate": "0"}}}
PUBSUB = {
    "name": "orders", "namespace": "dapr-test", "type": "pubsub.in-memory", "scopes": ["nodeapp"],
    "metadata": {"cluster": {"cluster": "name"}},
}  # fmt: skip


def test_charts_files_and_resources_of_dapr_come_and_go(machine: theirs.Machine, kubeconfig: Path) -> None:
    before = FILE.read_text()
    document = yaml.safe_load(before)
    config = document["config"]
    nodeapp = config["multicluster-dapr:apps"][0]
    try:
        nodeapp["dapr"] = {"config": "tracing"}
        config["multicluster-dapr:apps"] = [nodeapp, *DEPLOYED]
        config["multicluster-dapr:dapr"] = {"components": [PUBSUB], "configurations": [TRACING]}
        FILE.write_text(yaml.safe_dump(document))
        secret = ("pulumi", "config", "set", "--secret", "--path", PASSWORD_PATH, "a-value-of-this-test")
        subprocess.run(secret, cwd=ROOT, env=engine_environment(ENVIRONMENT), check=True)
        stack("up", ENVIRONMENT)
        found = _kubectl(machine, kubeconfig, "east", "get", "configmaps", "-n", "deployed", "-o", "name")
        assert {
            f"configmap/{name}" for name in ("greeting", "from-a-file", "east-from-a-kustomization")
        } <= set(found.split())
        _kubectl(machine, kubeconfig, "east", "get", "clusterrole", "from-a-file")
        value = "jsonpath={.data.greeting}"
        assert (
            _kubectl(
                machine, kubeconfig, "east", "get", "configmap", "greeting", "-n", "deployed", "-o", value
            )
            == "hi"
        )
        state = subprocess.run(
            ["pulumi", "stack", "export"], cwd=ROOT, env=engine_environment(ENVIRONMENT), check=True,
            capture_output=True, text=True,
        ).stdout  # fmt: skip
        assert "a-value-of-this-test" not in state
        kinds = "components,configurations"
        made = _kubectl(machine, kubeconfig, "east", "get", kinds, "-n", "dapr-test", "-o", "name")
        assert {one.partition("/")[2] for one in made.split()} == {"statestore", "orders", "tracing"}
        pods = _started(machine, kubeconfig)
        document["config"]["multicluster-dapr:dapr"]["configurations"][0]["spec"] = {}
        FILE.write_text(yaml.safe_dump(document))
        stack("up", ENVIRONMENT)
        assert not pods & _started(machine, kubeconfig), "they read their Configuration at the start"
    finally:
        FILE.write_text(before)
    stack("up", ENVIRONMENT)
    namespaces = _kubectl(machine, kubeconfig, "east", "get", "namespaces", "-o", "name")
    assert "namespace/deployed" not in namespaces.split()
    assert _front_door("/nodeapp/ports").endswith("from cluster: east")


def _started(machine: theirs.Machine, kubeconfig: Path) -> set[str]:
    """Pods of the app, without those that are ending: `up` does not wait for their end."""
    pods = "get", "pods", "-n", "dapr-test", "-l", "app=node", "-o", "json"
    found = json.loads(_kubectl(machine, kubeconfig, "east", *pods))["items"]
    return {pod["metadata"]["name"] for pod in found if "deletionTimestamp" not in pod["metadata"]}


def test_destroy_asks_before_objects_of_others_go(machine: theirs.Machine, kubeconfig: Path) -> None:
    _put_into_shop(machine, kubeconfig, "hub")
    assert "ConfigMap shop/theirs in hub" in stack("destroy", ENVIRONMENT, code=1)
    _kubectl(machine, kubeconfig, "hub", "delete", "configmap", "theirs", "-n", "shop")


def test_destroy_leaves_the_clusters_and_the_data(machine: theirs.Machine, kubeconfig: Path) -> None:
    stack("destroy", ENVIRONMENT)
    for name in ("hub", "east"):
        assert "Ready" in _kubectl(machine, kubeconfig, name, "get", "nodes")
        namespaces = set(_kubectl(machine, kubeconfig, name, "get", "namespaces", "-o", "name").split())
        before = {"default", "kube-node-lease", "kube-public", "kube-system"}
        before |= {"shop"} if name == "east" else set()
        assert namespaces == {f"namespace/{left}" for left in before}
        assert "flomesh.io" not in _kubectl(machine, kubeconfig, name, "get", "crds", "-o", "name")
        roles = _kubectl(machine, kubeconfig, name, "get", "clusterroles,clusterrolebindings", "-o", "name")
        assert "multicluster" not in roles
    assert _kubectl(machine, kubeconfig, "east", "get", "configmap", "theirs", "-n", "shop", "-o", "name")
    claims = _kubectl(machine, kubeconfig, "hub", "get", "persistentvolumeclaims", "-o", "name")
    assert claims.split() == ["persistentvolumeclaim/data-multicluster-redis-0"], "orders are the user's data"
