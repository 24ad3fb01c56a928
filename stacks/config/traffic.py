"""What is said of traffic: exports, delegated paths and hosts, policies. They may name anybody's Services."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from stacks.config.values import (
    AccountName,
    AppId,
    ClusterKey,
    ClusterName,
    DnsLabel,
    Duration,
    Flag,
    GrantedHost,
    HeaderName,
    HeaderValue,
    HostName,
    Port,
    Section,
    ServiceName,
    Weight,
)


class PathRewrite(Section):
    """A rewrite of the request target on the exporter, all matches."""

    from_: str = Field(alias="from", min_length=1, max_length=1024, description="Regular expression.")
    to: str = Field(max_length=1024, description="Replacement; $1 is the first group.")


class HeaderMatch(Section):
    """A header that a request must have."""

    name: HeaderName = Field(description="Name of the header, in any case.")
    value: HeaderValue = Field(description="Its value, or a pattern (RE2) for all of it.")
    type: Literal["Exact", "RegularExpression"] = Field(
        default="Exact", description="How the value is compared."
    )


class RequestMatch(Section):
    """Requests that go to a target first, whatever its weight, in the words of Gateway API."""

    headers: Annotated[tuple[HeaderMatch, ...], Field(min_length=1, max_length=16)] = Field(
        description="What they all must have."
    )


class BackendRef(Section):
    """A Service that shares the requests of an export."""

    name: ServiceName = Field(description="Service of the same namespace, with the ports of the rules.")
    weight: Weight = Field(
        default=1, description="Its part among the others, 0 to 1000000; 0 for requests that match alone."
    )
    match: RequestMatch | None = Field(
        default=None, description="Requests that go to it first, whatever its weight."
    )


class ExportRule(Section):
    """One published path of an export."""

    port_number: Port = Field(description="Port of the Service.")
    path: Annotated[str, Field(pattern=r"^/[^\s?#]*$", max_length=1024)] | None = Field(
        default=None,
        description="Path on the exporter's gateway; default /namespace/service, which is taken off again.",
    )
    path_type: Literal["Exact", "Prefix"] = Field(default="Prefix", description="How the path is compared.")


class Timeouts(Section):
    """How long callers of an export wait at most, in the words of Gateway API; `0s` is as long as can be."""

    request: Duration | None = Field(
        default=None,
        description="From the request's arrival to the end of its answer, such as 30s; else an hour, and a "
        "minute to its beginning.",
    )
    backend_request: Duration | None = Field(
        default=None, description="For each of the endpoints that it is tried at, such as 5s."
    )


@dataclass(frozen=True, kw_only=True)
class PublishedPath:
    """A path rule of an export with nothing left to default."""

    port: int
    path: str
    path_type: Literal["Exact", "Prefix"]


class ExportSettings(Section):
    """A ServiceExport on each of its clusters, for a Service of `apps` or of anybody else."""

    service: ServiceName = Field(description="Service to export, whoever deploys it and when.")
    namespace: DnsLabel = Field(description="Its namespace.")
    clusters: Annotated[tuple[ClusterName, ...], Field(min_length=1)] = Field(
        description="Exporting members."
    )
    rules: Annotated[tuple[ExportRule, ...], Field(min_length=1, max_length=64)] = Field(
        description="Published paths."
    )
    backend_refs: tuple[BackendRef, ...] = Field(
        default=(),
        max_length=16,
        description="Services that share its requests by weight, such as its own and a canary; default its "
        "own alone (bundled mesh).",
    )
    published: Flag = Field(
        default=True,
        description="Served at its paths; false keeps it between clusters, called by name (bundled mesh).",
    )
    host: HostName | None = Field(
        default=None, description="Host under which alone they are published, such as shop.example.com."
    )
    path_rewrite: PathRewrite | None = Field(
        default=None, description="Rewrite before the Service sees the request."
    )
    service_account_name: AccountName = Field(
        default="*", description="Calling ServiceAccount allowed; * is any."
    )
    session_sticky: Flag = Field(default=False, description="Keep a caller on one pod.")
    load_balancer: Literal["RoundRobinLoadBalancer", "HashingLoadBalancer", "LeastWorkLoadBalancer"] = Field(
        default="RoundRobinLoadBalancer", description="Choice among the exporter's pods."
    )
    target_clusters: tuple[ClusterKey, ...] = Field(
        default=(),
        max_length=128,
        description="Keys of the clusters that import it, and over mutual TLS may call it, as "
        "`default/default/default/cluster-2`; empty is all.",
    )
    timeouts: Timeouts | None = Field(
        default=None, description="How long callers wait at most (bundled mesh)."
    )
    app_id: AppId | None = Field(
        default=None,
        description="Dapr app-id by which Dapr apps of other clusters call it; default that of its entry in "
        "`apps` (bundled mesh).",
    )

    @property
    def path_rules(self) -> tuple[PublishedPath, ...]:
        """Every rule with its path, whether it is published or not."""
        return tuple(self._path_rules())

    @property
    def rewrite(self) -> PathRewrite | None:
        """What is done to requests: what is said, or else a path by default is taken off."""
        defaults = sum(rule.path is None for rule in self.rules)
        if self.path_rewrite is not None or not defaults:
            return self.path_rewrite
        port = "(:[0-9]+)?" if defaults > 1 else ""
        return PathRewrite.model_validate({"from": f"^{self._own_path}{port}/?", "to": "/"})

    @property
    def _own_path(self) -> str:
        return f"/{self.namespace}/{self.service}"

    def _path_rules(self) -> Iterator[PublishedPath]:
        defaults = 0
        for rule in self.rules:
            # Of several not one below the other: the application there may have such a path.
            own = f"{self._own_path}:{rule.port_number}" if defaults else self._own_path
            defaults += rule.path is None
            yield PublishedPath(port=rule.port_number, path=rule.path or own, path_type=rule.path_type)


class PathSettings(Section):
    """A path of the front door that is delegated: nobody else gets one at or inside it."""

    prefix: Annotated[str, Field(pattern=r"^/[^\s?#]*$")] = Field(description="Path; / is the root alone.")
    namespaces: Annotated[tuple[DnsLabel, ...], Field(min_length=1)] = Field(
        description="Namespaces whose exports may have it."
    )
    clusters: tuple[ClusterName, ...] = Field(default=(), description="From these clusters; empty is any.")


class HostSettings(Section):
    """A host that exports of somebody else may have; those of `exports` have theirs anyway."""

    host: GrantedHost = Field(description="Name, or *.name: all below it, but for those that are listed.")
    namespaces: Annotated[tuple[DnsLabel, ...], Field(min_length=1)] = Field(
        description="Namespaces whose exports may have it."
    )
    clusters: tuple[ClusterName, ...] = Field(default=(), description="In these clusters; empty is any.")


class PolicyTarget(Section):
    """A cluster that traffic may go to."""

    cluster: ClusterName | None = Field(default=None, description="Name of an exporter of this environment.")
    cluster_key: ClusterKey | None = Field(
        default=None, description="Its key, region/zone/group/name, in place of its name in `cluster`."
    )
    weight: Weight | None = Field(default=None, description="0 to 1000000; 0 drains; default 100.")
    match: RequestMatch | None = Field(
        default=None, description="Requests that go there first, also with weight 0 (bundled mesh)."
    )


class PolicySettings(Section):
    """A GlobalTrafficPolicy: where calls of one cluster to one service may go."""

    cluster: ClusterName = Field(description="Cluster whose callers it is for.")
    namespace: DnsLabel = Field(description="Namespace of the service.")
    name: ServiceName = Field(description="Name of the service, whoever exports it.")
    lb_type: Literal["Locality", "FailOver", "ActiveActive"] = Field(
        default="Locality", description="Kind of policy."
    )
    targets: tuple[PolicyTarget, ...] = Field(
        default=(), max_length=128, description="Where to; empty is every exporter."
    )
    every_caller: Flag = Field(
        default=True,
        description="It holds for callers of a local Service's own name too: its endpoints become the "
        "gateways (bundled mesh).",
    )
