"""The part of k3s's command line that this node understands."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

FLAGS_WITHOUT_VALUE = {"--cluster-init", "--disable-network-policy", "--disable-cloud-controller", "--debug"}


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """What `k3s server` was asked for. `ignored` is every argument that changes nothing here."""

    tls_sans: tuple[str, ...] = ()
    cluster_cidr: str = "10.42.0.0/16"
    service_cidr: str = "10.43.0.0/16"
    ignored: tuple[str, ...] = ()

    @property
    def pod_subnet(self) -> str:
        """The node's own share of the pod addresses: the first /24, as k3s hands it out."""
        network = ipaddress.ip_network(self.cluster_cidr)
        return str(next(network.subnets(new_prefix=24))) if network.prefixlen < 24 else str(network)

    @property
    def cluster_dns(self) -> str:
        """Address of the kube-dns Service: the tenth of the service range."""
        return str(ipaddress.ip_network(self.service_cidr)[10])


def parse_server_arguments(words: Iterable[str]) -> ServerOptions:
    """Read the words after `k3s server`; raises ValueError for an address range that is none."""
    sans: list[str] = []
    ranges = {"--cluster-cidr": "10.42.0.0/16", "--service-cidr": "10.43.0.0/16"}
    ignored: list[str] = []
    for flag, value in _pairs(words):
        if flag == "--tls-san" and value:
            sans.extend(name for name in value.split(",") if name and name not in sans)
        elif flag in ranges and value:
            ipaddress.ip_network(value)
            ranges[flag] = value
        else:
            ignored.append(flag if value is None else f"{flag}={value}")
    return ServerOptions(
        tls_sans=tuple(sans),
        cluster_cidr=ranges["--cluster-cidr"],
        service_cidr=ranges["--service-cidr"],
        ignored=tuple(ignored),
    )


def _pairs(words: Iterable[str]) -> Iterator[tuple[str, str | None]]:
    """(flag, value) for `--flag=value`, `--flag value`, a bare `--flag` and a stray word."""
    pending: str | None = None
    for word in words:
        if pending is not None:
            if not word.startswith("--"):
                yield pending, word
                pending = None
                continue
            yield pending, None
            pending = None
        flag, equals, value = word.partition("=")
        if not flag.startswith("--") or flag in FLAGS_WITHOUT_VALUE:
            yield word, None
        elif equals:
            yield flag, value
        else:
            pending = flag
    if pending is not None:
        yield pending, None
