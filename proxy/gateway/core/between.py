"""Between gateways: how those of this cluster and of others ask each other for a service, and are refused.

With mutual TLS a peer's certificate says who asks, and the field names the service alone; without, the field
is one that only who has the peers' key can make.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from gateway.core.exports import Rule
from gateway.core.fields import FieldError
from gateway.core.identity import BY_NAME, BY_PATH, NO_KEYS, PeersKeys, named
from gateway.core.objects import Key, Object
from gateway.core.own_routes import without_path
from gateway.core.peers import NO_PEERS, Caller, MutualTls, PeerTable, read_peers
from gateway.core.route import Route, WeightedCluster

Nowhere = tuple[int, str, str]
"""The answer to a request without a route: status, text and reason."""

NO_ANSWER: Nowhere = (0, "", "")
NO_SERVICE = (421, "gateways of other clusters say here which service a request is for", "no-identity")


@dataclass(frozen=True, slots=True)
class Between:
    """How the gateways of a cluster and those of others know each other."""

    own: str
    """Cluster key."""
    keys: PeersKeys = NO_KEYS
    mutual_tls: MutualTls = MutualTls.OFF
    table: PeerTable = NO_PEERS

    def knowing(
        self,
        peers: Mapping[Key, Object],
        report: Callable[[Key, FieldError], None],
        check_target: Callable[[str, str], None],
        *,
        tls_alone: bool = False,
    ) -> Between:
        """With the peers that these objects say, if there is mutual TLS at all.

        `tls_alone`: the gateways of all other clusters ask this one over TLS.
        """
        mode = self.mutual_tls
        if mode is MutualTls.OFF:
            return self
        closed = mode is MutualTls.STRICT or (tls_alone and mode is MutualTls.PERMISSIVE)
        return replace(self, table=read_peers(peers, self.own, report, check_target, closed=closed))

    def secure(
        self, ports: Mapping[int, list[WeightedCluster]], report: Callable[[FieldError], None]
    ) -> None:
        """Have the clusters of an import asked over TLS: those that listen for it, or with `strict` all."""
        if self.mutual_tls is MutualTls.OFF:
            return
        for clusters in ports.values():
            clusters[:] = [self._secured(cluster, report) for cluster in clusters]

    def _secured(self, cluster: WeightedCluster, report: Callable[[FieldError], None]) -> WeightedCluster:
        endpoint = self.table.endpoint(cluster.key)
        if endpoint is not None:
            return replace(cluster, endpoints=(endpoint,))
        if self.mutual_tls is not MutualTls.STRICT:
            return cluster
        message = (
            f"{cluster.key} is not asked: no Peer says where its gateways listen with mutual TLS, and here "
            "no cluster is asked without it"
        )
        report(FieldError("NoMutualTls", message))
        return replace(cluster, endpoints=())

    def identity(self, cluster: WeightedCluster, service: str, port: int, how: str) -> bytes:
        """What tells a cluster's gateway which service is meant; empty when only a path can."""
        if cluster.endpoints and cluster.endpoints[0].peer:
            return named(service, port, how)
        return self.keys.sign(cluster.key, service, port, how)

    def by_name(self, service: str, port: int, remotes: Sequence[WeightedCluster]) -> list[WeightedCluster]:
        """Other clusters as they are asked for a service by its name: not by a path, where they can tell."""
        identities = [self.identity(cluster, service, port, BY_NAME) for cluster in remotes]
        return [
            replace(cluster, prefix=b"", identity=identity) if identity else cluster
            for cluster, identity in zip(remotes, identities, strict=True)
        ]

    def accepted(self, own: Iterable[tuple[Rule, Route]]) -> tuple[dict[bytes, Route], dict[bytes, Route]]:
        """Where requests go that other gateways send here, whoever has which path by now: by values that
        only they can make, and by those that count over mutual TLS.

        The first Prefix of a port is what other clusters import of it.
        """
        by_value: dict[bytes, Route] = {}
        by_name: dict[bytes, Route] = {}
        keys = NO_KEYS if self.table.closed else self.keys
        for rule, route in own:
            if rule.exact:
                continue
            ways = {BY_NAME: without_path(rule, route)} | ({BY_PATH: route} if rule.published else {})
            for how, leads_to in ways.items():
                if self.mutual_tls is not MutualTls.OFF:
                    by_name.setdefault(named(route.service, rule.port, how), leads_to)
                for value in keys.accepted(self.own, route.service, rule.port, how):
                    by_value.setdefault(value, leads_to)
        return by_value, by_name


def asked_by(
    caller: Caller, value: bytes | None, named: Mapping[bytes, Route], callers: Mapping[str, frozenset[str]]
) -> tuple[Route | None, Nowhere]:
    """Where a request of a gateway leads that came over mutual TLS; if nowhere, what is answered to it.

    `named`: routes by the value of the field. `callers`: by service the clusters that may call it; any may
    call one that is not there.
    """
    if caller.reason:
        return None, (403, caller.message, caller.reason)
    if value is None:
        return None, NO_SERVICE
    route = named.get(value)
    if route is None:
        return None, (421, "this cluster exports no service of this name and port", "unknown-identity")
    allowed = callers.get(route.service)
    if allowed is not None and caller.key not in allowed:
        message = f"{caller.key} is none of the targetClusters of the export {route.service}"
        return None, (403, message, "not-a-target")
    return route, NO_ANSWER
