"""What a drill changes in an environment, as it is written down before: enough to put it back. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True)
class Stopped:
    """Containers of a k3d cluster that are killed, as by a power cut."""

    cluster: str
    containers: tuple[str, ...]
    kind: Literal["containers"] = "containers"

    @property
    def words(self) -> str:
        """For people."""
        return f"{', '.join(self.containers)} of {self.cluster}: killed"


@dataclass(frozen=True, kw_only=True)
class Scaled:
    """A workload without replicas. `pods` selects its pods by labels; `replicas` are to come back."""

    cluster: str
    namespace: str
    workload: str
    pods: str
    replicas: int
    kind: Literal["scale"] = "scale"

    @property
    def words(self) -> str:
        """For people."""
        return (
            f"{self.workload} of {self.namespace} in {self.cluster}: no replicas instead of {self.replicas}"
        )


@dataclass(frozen=True, kw_only=True)
class Filtered:
    """Packets from a k3d cluster's pods to another gateway, which its node drops without a word."""

    cluster: str
    container: str
    peer: str
    host: str
    ports: tuple[int, ...]
    kind: Literal["filter"] = "filter"

    @property
    def words(self) -> str:
        """For people."""
        return (
            f"packets from {self.cluster} to the gateway of {self.peer} at {self.host}: dropped by its node"
        )


@dataclass(frozen=True, kw_only=True)
class Denied:
    """Connections from a cluster's gateways to another gateway, which a NetworkPolicy does not allow."""

    cluster: str
    peer: str
    host: str
    ports: tuple[int, ...]
    kind: Literal["network-policy"] = "network-policy"

    @property
    def words(self) -> str:
        """For people."""
        return (
            f"connections from the gateways of {self.cluster} to {self.peer} at {self.host}: refused by the "
            f"NetworkPolicy {policy_name(self.peer)}"
        )


@dataclass(frozen=True, kw_only=True)
class Client:
    """The pod that calls, in one cluster."""

    cluster: str
    kind: Literal["client"] = "client"

    @property
    def words(self) -> str:
        """For people."""
        return f"the client pod in {self.cluster}"


Loss = Stopped | Scaled | Filtered | Denied | Client
LOSSES: Mapping[str, Callable[..., Loss]] = {
    "containers": Stopped, "scale": Scaled, "filter": Filtered, "network-policy": Denied, "client": Client,
}  # fmt: skip


def policy_name(peer: str) -> str:
    """Name of the NetworkPolicy that keeps gateways from this cluster's."""
    return f"drill-no-{peer}"


def as_json(loss: Loss) -> dict[str, Any]:
    """For the file."""
    return asdict(loss)


def read(raw: Mapping[str, Any]) -> Loss:
    """One of the file's. Raises ValueError for what no version of this has written."""
    try:
        made = LOSSES[str(raw["kind"])]
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in raw.items()
        }
        return made(**fields)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{raw!r} is nothing that a drill takes away") from error
