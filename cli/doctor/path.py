"""One path of a request: from callers in one cluster to one service, served by one cluster. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cli.doctor import hints, whose
from cli.doctor.check import Check, Finding
from cli.doctor.reachability import Reachability
from cli.observe.services import is_taken_over, local_service
from cli.observe.view import DEFAULT_WEIGHT, SYSTEM, ClusterView, Key, Object, Platform, meta, spec
from stacks.config.traffic import ExportSettings, PolicySettings

LOCALITY = "Locality"
OF_SERVICE = (
    "ServiceExport", "ServiceImport", "GlobalTrafficPolicy",
    "Service", "EndpointSlice", "Pod", "Deployment", "StatefulSet",
)  # fmt: skip
NOBODY_ASKED = Reachability(error="not asked")


@dataclass(frozen=True, kw_only=True)
class Policy:
    """A policy in force: its type and the weight of each target; no targets means every exporter."""

    lb_type: str = LOCALITY
    targets: tuple[tuple[str, int], ...] = ()

    def leaves(self, own: str) -> bool:
        """Whether requests may leave the cluster with this key."""
        if self.lb_type == LOCALITY:
            return len(self.targets) == 1 and self.targets[0][0] != own
        return True

    def weight(self, key: str) -> int | None:
        """The weight of a cluster; None when the policy does not send to it."""
        return dict(self.targets).get(key) if self.targets else DEFAULT_WEIGHT


@dataclass(frozen=True, kw_only=True)
class CallPath:
    """Everything the hops of one path look at.

    `target` is the cluster key that should serve; empty when calls are not let out at all. `exporter` is its
    view, None when it is no cluster of this environment. `client_reach` and `server_reach` are what the pods
    of either cluster reach. `front_door`: the callers are outside, at the control plane.
    """

    platform: Platform
    importer: ClusterView
    service: Key
    target: str = ""
    exporter: ClusterView | None = None
    client_reach: Reachability = NOBODY_ASKED
    server_reach: Reachability = NOBODY_ASKED
    front_door: bool = False

    @property
    def text(self) -> str:
        """The service as people write it."""
        return "/".join(self.service)

    @property
    def is_local(self) -> bool:
        """Whether the callers' own cluster serves."""
        return self.target == self.importer.key and not self.front_door

    @property
    def is_direct(self) -> bool:
        """Whether the callers' own cluster serves, and they reach its pods past the gateways."""
        return self.is_local and not is_taken_over(local_service(self.importer, self.service) or {})

    @property
    def imported(self) -> Object | None:
        """The import in the callers' cluster."""
        return self.importer.one("ServiceImport", *self.service)

    @property
    def policy(self) -> Policy | None:
        """The policy in the callers' cluster."""
        return live_policy(self.importer, self.service)

    @property
    def wanted(self) -> PolicySettings | None:
        """The policy the settings have for these callers."""
        return wanted_policy(self.platform, self.importer, self.service)

    @property
    def exported(self) -> ExportSettings | None:
        """The export as the settings have it."""
        exports = self.platform.settings.exports
        return next((one for one in exports if (one.namespace, one.service) == self.service), None)


Hop = tuple[str, Callable[[CallPath], Finding | None]]
"""A name, and what looks at it: None when the hop does not apply or nothing is known of it."""


def walk(path: CallPath, name: str, hops: tuple[Hop, ...]) -> Check:
    """Follow the hops in order to the first that is not fine; when all are, the last may say something."""
    passed, said = 0, ""
    for hop, look in hops:
        finding = look(path)
        if finding is not None and finding.result != "ok":
            return Check(
                group="path", name=name, result=finding.result, seen=finding.seen, hint=finding.hint,
                broken=hop,
            )  # fmt: skip
        passed += finding is not None
        said = f": {finding.seen}" if finding is not None and finding.seen else ""
    return Check(group="path", name=name, result="ok", seen=f"{passed} hops fine{said}")


def unread(view: ClusterView, service: Key) -> str:
    """What could not be read of a cluster that a path with this service may hang on; empty when all was."""
    pages = [
        *((kind, service[0]) for kind in OF_SERVICE),
        *((kind, SYSTEM) for kind in ("Pod", "Deployment")),
    ]
    return next((f"{kind} objects {why}" for kind, at in pages if (why := view.unseen(kind, at))), "")


def file_of(platform: Platform) -> str:
    """Where the user's settings are."""
    return f"Pulumi.{platform.environment}.yaml"


def refresh(path: CallPath) -> str:
    """Bring back what somebody deleted or changed: without --refresh the engine trusts its state."""
    return hints.again(path.platform.environment)


def bring(path: CallPath, view: ClusterView) -> str:
    """Bring the service to a cluster where it should be: the settings do, or whoever deploys it."""
    settings = path.platform.settings
    if settings.ports_of(view.name, *path.service):
        return refresh(path)
    in_settings = whose.has(settings, view.name, "ServiceExport", path.service)
    return hints.deploy(view.settings, path.service[0], in_settings=in_settings)


def export(path: CallPath, view: ClusterView) -> str:
    """Bring back an export that is not there: the settings have it, or whoever made it."""
    if whose.has(path.platform.settings, view.name, "ServiceExport", path.service):
        return refresh(path)
    by_hand = hints.kubectl(view.settings, f"-n {path.service[0]} apply -f FILE")
    return f"Export it there, as by {by_hand}, or take {view.name} out of who it is called at"


def live_policy(view: ClusterView, service: Key) -> Policy | None:
    """The policy in force for a service in a cluster: one that is being deleted is none."""
    found = view.one("GlobalTrafficPolicy", *service)
    return None if found is None or meta(found).get("deletionTimestamp") else policy_of(found)


def policy_of(found: Object) -> Policy:
    """What a policy object says."""
    targets = [
        (str(target.get("clusterKey")), int(target.get("weight", DEFAULT_WEIGHT)))
        for target in spec(found).get("targets") or []
    ]
    return Policy(lb_type=str(spec(found).get("lbType") or LOCALITY), targets=tuple(targets))


def wanted_policy(platform: Platform, view: ClusterView, service: Key) -> PolicySettings | None:
    """The policy of a service in a cluster by the settings."""
    policies = platform.settings.policies
    return next(
        (one for one in policies if (one.cluster, one.namespace, one.name) == (view.name, *service)), None
    )
