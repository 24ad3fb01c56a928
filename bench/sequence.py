"""The article's steps to the same environment: one after another, cluster by cluster, as its script goes.

The steps are made from the state of an environment that `up` has made, so that both ways create the very same
clusters, charts and objects and differ in nothing but the order and the tools.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

SECRET = "4dabf18193072939515e22adb298388d"  # noqa: S105  the key by which the engine marks a secret value
SYSTEM = "multicluster-system"
AROUND = {"Mesh"}
"""Components of components: what is in them has names of its own."""
MESH = (
    "Gateway", "Hub", "Controller", "AdminPolicy", "Admission", "PodMonitor", "DaprSidecars", "ClusterSetDns",
)  # fmt: skip
WAIT_SECONDS = 300


@dataclass(frozen=True, kw_only=True)
class Step:
    """One command of the script. `cluster`: whose kubeconfig it uses; `gives`: whose kubeconfig it prints."""

    title: str
    argv: tuple[str, ...]
    stdin: str = ""
    cluster: str = ""
    gives: str = ""


@dataclass(frozen=True, kw_only=True)
class Made:
    """One resource of the state: its component's and its own type, logical name, inputs in clear, cluster."""

    component: str
    type: str
    name: str
    inputs: Mapping[str, Any]
    cluster: str = ""

    @property
    def manifest(self) -> dict[str, Any]:
        return {key: value for key, value in self.inputs.items() if not key.startswith("__")}


def read_state(state: Mapping[str, Any]) -> list[Made]:
    """Resources of `pulumi stack export --show-secrets`, in the order they were made."""
    found = []
    for resource in state["deployment"]["resources"]:
        _, _, types, name = resource["urn"].split("::", 3)
        *around, kind = types.split("$")
        provider = resource.get("provider", "").split("::")
        cluster = provider[3].removesuffix("-kubernetes") if "providers:kubernetes" in str(provider) else ""
        names = (part.rpartition(":")[2] for part in around)
        component = next((name for name in names if name not in AROUND), "")
        inputs = in_clear(resource.get("inputs") or {})
        found.append(Made(component=component, type=kind, name=name, inputs=inputs, cluster=cluster))
    return found


def in_clear(value: Any) -> Any:
    """Values without the engine's marks."""
    if isinstance(value, dict):
        if SECRET in value:
            return in_clear(json.loads(value["plaintext"]))
        return {key: in_clear(item) for key, item in value.items()}
    return [in_clear(item) for item in value] if isinstance(value, list) else value


def before_joining(made: Sequence[Made], clusters: Sequence[str]) -> list[Step]:
    """Images, network, clusters, the mesh in each: everything until members can join."""
    steps = [_build(one) for one in made if one.type == "docker:index/image:Image"]
    steps += [_network(one) for one in made if one.type == "docker:index/network:Network"]
    commands = {one.name: one.inputs for one in made if one.type == "command:local:Command"}
    for name in clusters:
        create = commands[f"{name}-k3d"]
        argv = tuple(create["create"].split())
        steps.append(Step(title=f"create {name}", argv=argv, stdin=create["stdin"], gives=name))
        imported = tuple(commands[f"{name}-images-k3d"]["create"].split())
        steps.append(Step(title=f"images of {name}", argv=imported))
    for name in clusters:
        steps.append(_apply("CRDs", name, _of(made, name, "Crds")))
        steps.append(_wait(name, "condition=Established", "crd", "--all"))
        steps.append(_apply("mesh", name, _of(made, name, *MESH)))
        steps.append(_wait(name, "condition=available", "deployment", "--all", "-n", SYSTEM))
    return steps


def joining(made: Sequence[Made], member: str) -> list[Step]:
    """The hub's identity in one member, and what it begins with there."""
    return [_apply("identity", member, _of(made, member, "ClusterMembership"))]


def joined(made: Sequence[Made], plane: str, member: str, token: Mapping[str, str]) -> Step:
    """Secrets and Cluster of one member on the control plane, with the token that it has now."""
    mine = [one for one in _of(made, plane, "ClusterMembership") if one.name.startswith(f"{member}-")]
    manifests = [one.manifest for one in mine]
    for manifest in manifests:
        if "kubeconfig" in manifest.get("data", {}):
            config = yaml.safe_load(base64.b64decode(manifest["data"]["kubeconfig"]))
            config["clusters"][0]["cluster"]["certificate-authority-data"] = token["ca.crt"]
            config["users"][0]["user"]["token"] = base64.b64decode(token["token"]).decode()
            manifest["data"] = {"kubeconfig": base64.b64encode(yaml.safe_dump(config).encode()).decode()}
    return _apply_manifests(f"join {member}", plane, manifests)


def after_joining(made: Sequence[Made], plane: str, members: Sequence[str], redis_conf: str) -> list[Step]:
    """Dapr in each member, Redis, state stores, apps, exports. `redis_conf`: path of Redis's own file."""
    steps = []
    for name in members:
        steps.append(_apply("namespace of dapr", name, _of(made, name, "Dapr", kinds=("Namespace",))))
        steps += [_helm(one) for one in made if one.cluster == name and one.type.endswith(":Release")]
    steps += [_run(one, redis_conf) for one in made if one.type.endswith("container:Container")]
    for name in (plane, *members):
        steps.append(_apply("namespaces", name, _of(made, name, "")))
    for name in members:
        steps.append(_apply("state store", name, _of(made, name, "Component")))
    for name in members:
        apps = _of(made, name, "App")
        steps.append(_apply("apps", name, apps))
        steps += [
            _wait(name, "condition=available", f"deployment/{one.manifest['metadata']['name']}", "-n",
                  one.manifest["metadata"]["namespace"])
            for one in apps if one.manifest["kind"] == "Deployment"
        ]  # fmt: skip
    for name in members:
        steps.append(_apply("exports", name, _of(made, name, "ServiceExport", "GlobalTrafficPolicy")))
    return [step for step in steps if step.stdin != _list([])]


def left_out(made: Sequence[Made], steps: Sequence[Step]) -> list[str]:
    """Objects that `up` has made and no step applies: with fewer the steps would be compared unfairly."""
    applied = {
        (step.cluster, *_identity(manifest))
        for step in steps
        if step.argv[:2] == ("kubectl", "apply")
        for manifest in json.loads(step.stdin)["items"]
    }
    return [
        f"{one.name} in {one.cluster}"
        for one in made
        if one.cluster and "kind" in one.inputs and (one.cluster, *_identity(one.manifest)) not in applied
    ]


def _identity(manifest: Mapping[str, Any]) -> tuple[str, str, str]:
    metadata = manifest.get("metadata", {})
    return str(manifest.get("kind")), str(metadata.get("namespace", "")), str(metadata.get("name", ""))


def _of(made: Sequence[Made], cluster: str, *components: str, kinds: Sequence[str] = ()) -> list[Made]:
    """Objects of one cluster that these components made, in their order."""
    return [
        one
        for one in made
        if one.cluster == cluster and one.component in components and "kind" in one.inputs
        and (not kinds or one.inputs["kind"] in kinds)
    ]  # fmt: skip


def _list(manifests: Sequence[Mapping[str, Any]]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)})


def _apply(what: str, cluster: str, objects: Sequence[Made]) -> Step:
    return _apply_manifests(f"{what} in {cluster}", cluster, [one.manifest for one in objects])


def _apply_manifests(title: str, cluster: str, manifests: Sequence[Mapping[str, Any]]) -> Step:
    return Step(title=title, argv=("kubectl", "apply", "-f", "-"), stdin=_list(manifests), cluster=cluster)


def _wait(cluster: str, condition: str, *what: str) -> Step:
    argv = ("kubectl", "wait", f"--for={condition}", *what, f"--timeout={WAIT_SECONDS}s")
    return Step(title=f"wait for {what[0]} in {cluster}", argv=argv, cluster=cluster)


def _build(one: Made) -> Step:
    build = one.inputs["build"]
    arguments = [word for key, value in build["args"].items() for word in ("--build-arg", f"{key}={value}")]
    argv = ("docker", "build", "-q", "-t", one.inputs["imageName"], "-f", build["dockerfile"], *arguments)
    return Step(title=f"build {one.name}", argv=(*argv, build["context"]))


def _network(one: Made) -> Step:
    subnet = one.inputs["ipamConfigs"][0]
    argv = ("docker", "network", "create", "--subnet", subnet["subnet"], "--gateway", subnet["gateway"])
    return Step(title="network", argv=(*argv, *_labels(one), one.inputs["name"]))


def _labels(one: Made) -> list[str]:
    return [
        word for label in one.inputs["labels"] for word in ("--label", f"{label['label']}={label['value']}")
    ]


def _helm(one: Made) -> Step:
    chart = one.inputs
    argv = ("helm", "install", chart["name"], chart["chart"], "--namespace", chart["namespace"], "--wait")
    return Step(
        title=f"dapr in {one.cluster}",
        argv=(*argv, "--timeout", f"{WAIT_SECONDS}s", "-f", "-"),
        stdin=json.dumps(chart["values"]),
        cluster=one.cluster,
    )


def _run(one: Made, config: str) -> Step:
    name, network = one.inputs["name"], one.inputs["networksAdvanced"][0]["name"]
    ports = [
        word
        for port in one.inputs["ports"]
        for word in ("-p", f"{port['ip']}:{port['external']}:{port['internal']}")
    ]
    target = one.inputs["uploads"][0]["file"]
    argv = ("docker", "run", "-d", "--name", name, "--network", network, "-v", f"{config}:{target}:ro")
    return Step(
        title="redis", argv=(*argv, *_labels(one), *ports, one.inputs["image"], *one.inputs["command"])
    )
