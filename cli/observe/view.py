"""One cluster as it was seen at one moment, and the questions asked of it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from stacks.config.model import ClusterSettings, Settings

SYSTEM = "multicluster-system"
DAPR = "dapr-system"
DAPR_ROOTS = "dapr-trust-bundle"
"""The ConfigMap in which Dapr says which roots its sidecars trust."""
GATEWAY = "gateway"
CONTROLLER = "controller"
HUB = "multicluster-hub"
SIDECAR = "daprd"

DEFAULT_WEIGHT = 100
"""Of a target whose policy gives it none."""

Object = Mapping[str, Any]
Key = tuple[str, str]
"""(namespace, name)."""
TOO_MANY = 429
"""What an API server that is overloaded answers."""


@dataclass(frozen=True)
class Unread:
    """Why objects could not be read. `status` is that of the answer, 0 when there was none."""

    reason: str
    status: int = 0

    def __str__(self) -> str:
        """In words, of what it is about."""
        return f"could not be read ({self.reason})"

    @property
    def is_refused(self) -> bool:
        """Whether the server answers and does not tell, so that it is of no use to ask again."""
        return 400 <= self.status < 500 and self.status != TOO_MANY


@dataclass(frozen=True, kw_only=True)
class GatewayView:
    """One gateway pod's own account. `peers`: of mutual TLS, where there is any."""

    pod: str
    config: Object | None = None
    peers: Object | None = None
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class ClusterView:
    """A cluster. `error` says why its API could not be asked.

    `unread`: what of it could not be had, by kind and namespace; that is empty where all are read at once.
    """

    environment: str
    settings: ClusterSettings
    dapr_namespace: str = DAPR
    error: str = ""
    version: str = ""
    objects: Mapping[str, tuple[Object, ...]] = field(default_factory=dict)
    gateways: tuple[GatewayView, ...] = ()
    unread: Mapping[tuple[str, str], Unread] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its name in the settings."""
        return self.settings.name

    @property
    def key(self) -> str:
        """Its cluster key."""
        return self.settings.key

    def all(self, kind: str, namespace: str | None = None) -> tuple[Object, ...]:
        """Objects of a kind, of one namespace or all."""
        found = self.objects.get(kind, ())
        return found if namespace is None else tuple(obj for obj in found if key_of(obj)[0] == namespace)

    def one(self, kind: str, namespace: str, name: str) -> Object | None:
        """One object; None when it is not there, or was not read: `unseen` tells."""
        return next((obj for obj in self.objects.get(kind, ()) if key_of(obj) == (namespace, name)), None)

    def unseen(self, kind: str, namespace: str | None = None) -> Unread | None:
        """Why there may be more objects of a kind, in one namespace or all; None when all were read."""
        if self.error:
            return Unread(self.error)
        return next(
            (
                why
                for (of, where), why in self.unread.items()
                if of == kind and (namespace is None or where in ("", namespace))
            ),
            None,
        )

    def lacks(self, kind: str, namespace: str, name: str) -> bool:
        """Whether it is known to have no such object."""
        return self.one(kind, namespace, name) is None and self.unseen(kind, namespace) is None

    def lacks_namespace(self, name: str) -> bool:
        """Whether it is known to have no such namespace."""
        found = self.objects.get("Namespace")
        return found is not None and all(key_of(one)[1] != name for one in found)

    @property
    def config(self) -> Object | None:
        """The routes of the first gateway pod that told them; replicas route alike."""
        return next((gateway.config for gateway in self.gateways if gateway.config is not None), None)

    def ready_pods(self, namespace: str, labels: Mapping[str, str]) -> list[Object]:
        """Pods with these labels that are ready."""
        return [pod for pod in self.pods(namespace, labels) if is_ready(pod)]

    def pods(self, namespace: str, labels: Mapping[str, str]) -> list[Object]:
        """Pods with these labels that are not ending."""
        return [
            pod
            for pod in self.all("Pod", namespace)
            if labels.items() <= labels_of(pod).items() and not meta(pod).get("deletionTimestamp")
        ]


@dataclass(frozen=True, kw_only=True)
class Platform:
    """An environment at one moment, `at` seconds since 1970.

    `containers` holds the state of its Docker containers by name; `docker` says whether a daemon could be
    asked for them. `drill` says what a drill has taken away and not put back; empty when nothing is.
    """

    environment: str
    settings: Settings
    clusters: tuple[ClusterView, ...]
    containers: Mapping[str, str] = field(default_factory=dict)
    docker: bool = True
    drill: str = ""
    at: float = 0.0

    def cluster(self, name: str) -> ClusterView:
        """The cluster of this name. Raises KeyError when there is none."""
        found = next((view for view in self.clusters if view.name == name), None)
        if found is None:
            raise KeyError(name)
        return found

    def by_key(self, key: str) -> ClusterView | None:
        """The cluster with this cluster key."""
        return next((view for view in self.clusters if view.key == key), None)

    @property
    def plane(self) -> ClusterView:
        """The control plane."""
        return self.cluster(self.settings.control_plane.name)

    def short(self, key: str) -> str:
        """A cluster key as its name where this environment has such a cluster."""
        known = self.by_key(key)
        return known.name if known else key


def meta(obj: Object) -> Object:
    """Its metadata."""
    return obj.get("metadata") or {}


def spec(obj: Object) -> Object:
    """Its spec."""
    return obj.get("spec") or {}


def status(obj: Object) -> Object:
    """Its status."""
    return obj.get("status") or {}


def key_of(obj: Object) -> Key:
    """Namespace and name."""
    return str(meta(obj).get("namespace") or ""), str(meta(obj).get("name") or "")


def labels_of(obj: Object) -> Mapping[str, str]:
    """Its labels."""
    labels: Mapping[str, str] = meta(obj).get("labels") or {}
    return labels


def annotations_of(obj: Object) -> Mapping[str, str]:
    """Its annotations."""
    annotations: Mapping[str, str] = meta(obj).get("annotations") or {}
    return annotations


def condition(obj: Object, kind: str) -> Object:
    """The condition of this type; empty when there is none."""
    return next((entry for entry in status(obj).get("conditions") or [] if entry.get("type") == kind), {})


def is_ready(pod: Object) -> bool:
    """Whether a pod's Ready condition holds."""
    return condition(pod, "Ready").get("status") == "True"


def container_states(pod: Object) -> Iterator[Object]:
    """Status of every container, a sidecar that is an init container included."""
    statuses = status(pod)
    yield from statuses.get("containerStatuses") or []
    yield from statuses.get("initContainerStatuses") or []


def admin_port(pod: Object) -> int:
    """The port a gateway or hub is asked at; 0 when the pod names none."""
    ports = [port for container in spec(pod).get("containers") or [] for port in container.get("ports") or []]
    return next((int(port["containerPort"]) for port in ports if port.get("name") == "admin"), 0)


def complaint(pod: Object) -> str:
    """Why a pod is not ready, in a few words."""
    for container in container_states(pod):
        state = container.get("state") or {}
        waiting = state.get("waiting") or {}
        ended = state.get("terminated") or {}
        if waiting.get("reason"):
            return f"{container['name']} waits: {waiting['reason']}"
        if ended and ended.get("exitCode"):
            return f"{container['name']} ended with {ended['exitCode']}"
    for kind in ("PodScheduled", "Initialized", "ContainersReady"):
        found = condition(pod, kind)
        if found.get("status") == "False":
            return str(found.get("message") or found.get("reason") or f"not {kind}")
    return str(status(pod).get("reason") or status(pod).get("phase") or "not ready")
