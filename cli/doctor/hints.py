"""Commands a user can paste, for one cluster or container. Pure."""

from __future__ import annotations

from cli.observe.view import SYSTEM, ClusterView, Platform
from stacks.config.model import ClusterSettings


def kubectl(cluster: ClusterSettings, command: str) -> str:
    """kubectl on one cluster that leaves ~/.kube/config alone. Needs the PATH of `./stack env`."""
    if cluster.source == "existing":
        return f"kubectl --kubeconfig {cluster.kubeconfig} --context {cluster.context} {command}"
    return f"KUBECONFIG=$(k3d kubeconfig write {cluster.name}) kubectl {command}"


def scale(cluster: ClusterSettings, namespace: str, name: str, kind: str = "deployment") -> str:
    """Bring a workload back that was scaled to zero."""
    return kubectl(cluster, f"-n {namespace} scale {kind}/{name} --replicas=1")


def restart(cluster: ClusterSettings, namespace: str, deployment: str) -> str:
    """Replace a Deployment's pods."""
    return kubectl(cluster, f"-n {namespace} rollout restart deployment/{deployment}")


def logs(cluster: ClusterSettings, deployment: str, namespace: str = SYSTEM) -> str:
    """Read why."""
    return kubectl(cluster, f"-n {namespace} logs deployment/{deployment} --tail=50")


def describe(cluster: ClusterSettings, namespace: str, pod: str) -> str:
    """Read why a pod does not come up."""
    return kubectl(cluster, f"-n {namespace} describe pod {pod}")


def edit(cluster: ClusterSettings, kind: str, namespace: str, name: str) -> str:
    """Correct an object of somebody else."""
    return kubectl(cluster, f"-n {namespace} edit {kind.lower()} {name}")


def deploy(cluster: ClusterSettings, namespace: str, *, in_settings: bool) -> str:
    """Bring a Service to a cluster that exports it: the settings do not. `in_settings`: they export it."""
    by_hand = kubectl(cluster, f"-n {namespace} apply -f FILE")
    entry = f"take {cluster.name} out of its entry in `exports`"
    return (
        f"Deploy it there, as by {by_hand}, or {entry if in_settings else 'delete its ServiceExport there'}"
    )


def again(environment: str) -> str:
    """Bring back what is gone: without --refresh the engine trusts its state."""
    return f"./stack up {environment} --refresh"


def doctor_again(environment: str) -> str:
    """Look once more, at what could not be read."""
    return f"Run ./stack doctor {environment} again"


def begin_again(environment: str) -> str:
    """Have the hub begin again in members where its token has ended."""
    return f"./stack up {environment} issues a new credential, with which the hub begins again"


def node_container(cluster: ClusterSettings) -> str:
    """The Docker container that is the node of a k3d cluster."""
    return f"k3d-{cluster.name}-server-0"


def start(container: str, state: str) -> str:
    """Bring a container back from the state it is in."""
    return f"docker unpause {container}" if state == "paused" else f"docker start {container}"


def revive(platform: Platform, view: ClusterView) -> str:
    """Bring a cluster back that does not answer; where nobody asked Docker, the node's log tells why."""
    if view.settings.source == "existing":
        return f"Check the network and {kubectl(view.settings, 'version')}"
    name = node_container(view.settings)
    state = platform.containers.get(name)
    if state == "running" or not platform.docker:
        return f"docker logs --tail 50 {name}"
    return start(name, state) if state else again(view.environment)
