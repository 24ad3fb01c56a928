"""Every cluster on its own: reachable, its gateway, hub, Dapr, exports, imports, policies, Redis. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cli.doctor import hints, whose
from cli.doctor.certificates import certificate_checks
from cli.doctor.check import Check, Result
from cli.doctor.dapr_root import dapr_root_checks
from cli.doctor.deployments import check, deployment, why_not_ready
from cli.doctor.every_caller import left_without_selector, not_for_every_caller
from cli.doctor.path import NOBODY_ASKED
from cli.doctor.reachability import Reachability
from cli.doctor.sidecars import sidecar_checks
from cli.doctor.tokens import token_checks
from cli.hub_tokens import is_asked_for, token_of
from cli.observe.services import local_service
from cli.observe.view import (
    CONTROLLER,
    GATEWAY,
    HUB,
    SYSTEM,
    ClusterView,
    Object,
    Platform,
    Unread,
    condition,
    key_of,
    labels_of,
    spec,
    status,
)


def platform_checks(platform: Platform) -> list[Check]:
    """All of them, cluster by cluster."""
    checks = [check for view in platform.clusters for check in _cluster(platform, view)]
    return [*drill(platform), *checks, *redis(platform)]


def drill(platform: Platform) -> Iterator[Check]:
    """What a drill has taken away, before whatever is wrong because of it."""
    if platform.drill:
        hint = f"./stack drill {platform.environment} --undo puts it back, when no drill is at work"
        yield Check(group="platform", name="drill", result="fail", seen=platform.drill, hint=hint)


def unasked(platform: Platform, reached: Mapping[str, Reachability]) -> Iterator[Check]:
    """Clusters with a pod to ask from that did not tell: their paths pass without having been asked for."""
    for view in platform.clusters:
        error = reached.get(view.name, NOBODY_ASKED).error
        if error and view.ready_pods(SYSTEM, {"app": GATEWAY}):
            yield check(view, "what pods reach", "warn", error, hints.doctor_again(platform.environment))


def _cluster(platform: Platform, view: ClusterView) -> Iterator[Check]:
    bundled = platform.settings.mesh == "bundled"
    yield reachable(platform, view)
    if view.error:
        return
    if bundled:
        yield deployment(view, SYSTEM, GATEWAY, "gateway")
        yield deployment(view, SYSTEM, CONTROLLER, "controller")
        yield from silent_gateways(view)
        yield from certificate_checks(platform, view)
    if view.settings.role == "control-plane":
        if bundled:
            yield deployment(view, SYSTEM, HUB, "hub")
        yield from memberships(platform, view)
        yield from token_checks(platform, view)
    elif view.settings.dapr != "none":
        yield dapr(view)
        yield from dapr_root_checks(platform, view)
        mtls = platform.settings.dapr_mtls if view.settings.dapr == "install" else None
        yield from sidecar_checks(view, mtls=mtls)
    yield from objects(platform, view)
    yield from not_for_every_caller(platform, view)
    yield from left_without_selector(view)
    yield from unread(platform, view)


def reachable(platform: Platform, view: ClusterView) -> Check:
    """Whether the API server answers, and its nodes are ready."""
    if view.error:
        state = platform.containers.get(hints.node_container(view.settings))
        shown = f"; its node is {state}" if state and state != "running" else ""
        hint = hints.revive(platform, view)
        return check(view, "API server", "fail", f"{view.error}{shown}", hint)
    tired = [
        key_of(node)[1]
        for node in view.all("Node")
        if condition(node, "Ready").get("status") != "True"
    ]  # fmt: skip
    if tired:
        hint = hints.kubectl(view.settings, f"describe node {tired[0]}")
        return check(view, "API server", "fail", f"answers, but not ready: {', '.join(tired)}", hint)
    return check(view, "API server", "ok", f"Kubernetes {view.version} answers")


def silent_gateways(view: ClusterView) -> Iterator[Check]:
    """Gateway pods that are ready and do not tell their routes: a fault where no other one tells them."""
    result: Result = "fail" if view.config is None else "warn"
    for gateway in view.gateways:
        if gateway.error:
            hint = hints.logs(view.settings, GATEWAY)
            seen = f"could not be read ({gateway.error})"
            yield check(view, f"admin page of {gateway.pod}", result, seen, hint)


def memberships(platform: Platform, plane: ClusterView) -> Iterator[Check]:
    """Whether every member has joined and the hub can manage it."""
    for member in platform.settings.members:
        found = plane.one("Cluster", "", member.name)
        what = f"membership of {member.name}"
        if found is None and (unseen := plane.unseen("Cluster")):
            seen, hint = f"the Cluster object {unseen}", hints.doctor_again(platform.environment)
            yield check(plane, what, "warn", seen, hint)
            continue
        if found is None:
            yield check(plane, what, "fail", "there is no Cluster object", hints.again(platform.environment))
            continue
        managed = condition(found, "Managed")
        if managed.get("status") == "True":
            yield check(plane, what, "ok", str(managed.get("message") or "managed"))
        else:
            seen = str(managed.get("message") or "the hub has not looked at it yet")
            token = token_of(found) if is_asked_for(found) else None
            ended = token is not None and token.expires <= platform.at
            hint = hints.begin_again(platform.environment) if ended else hints.logs(plane.settings, HUB)
            yield check(plane, what, "fail", seen, hint)


def dapr(view: ClusterView) -> Check:
    """Whether every part of Dapr's control plane has a ready pod, and which version it is."""
    workloads = [*view.all("Deployment", view.dapr_namespace), *view.all("StatefulSet", view.dapr_namespace)]
    unseen = view.unseen("Deployment", view.dapr_namespace) or view.unseen("StatefulSet", view.dapr_namespace)
    if not workloads and not unseen:
        return check(
            view,
            "Dapr",
            "fail",
            f"nothing of Dapr is in {view.dapr_namespace}",
            hints.again(view.environment),
        )
    for workload in workloads:
        name = key_of(workload)[1]
        if not int(spec(workload).get("replicas", 1)):
            hint = hints.kubectl(
                view.settings, f"-n {view.dapr_namespace} scale {_kind(view, workload)}/{name} --replicas=1"
            )
            return check(view, "Dapr", "fail", f"{name} is scaled to zero", hint)
        if not status(workload).get("readyReplicas"):
            seen, hint = why_not_ready(view, workload)
            return check(view, "Dapr", "fail", f"{name} has no ready pod: {seen}", hint)
    if unseen:
        seen, hint = f"what is in {view.dapr_namespace} {unseen}", hints.doctor_again(view.environment)
        return check(view, "Dapr", "warn", seen, hint)
    return check(view, "Dapr", "ok", f"Dapr {dapr_version(view)}, {len(workloads)} parts ready")


def _kind(view: ClusterView, workload: Object) -> str:
    return "statefulset" if workload in view.all("StatefulSet", view.dapr_namespace) else "deployment"


def dapr_version(view: ClusterView) -> str:
    """The version Dapr's operator says it is; empty without one."""
    for workload in view.all("Deployment", view.dapr_namespace):
        for container in (spec(workload).get("template") or {}).get("spec", {}).get("containers") or []:
            if "operator" in str(container.get("name")):
                return str(labels_of(workload).get("app.kubernetes.io/version") or _tag(container["image"]))
    return ""


def _tag(image: str) -> str:
    return image.rpartition(":")[2]


def objects(platform: Platform, view: ClusterView) -> Iterator[Check]:
    """What exports, imports and policies say of themselves."""
    expected_conditions = (
        ("ServiceExport", "Valid"),
        ("ServiceExport", "Programmed"),
        ("ServiceImport", "Programmed"),
        ("GlobalTrafficPolicy", "Programmed"),
    )
    for kind, expected in expected_conditions:
        for obj in view.all(kind):
            found = condition(obj, expected)
            if found.get("status") == "False":
                seen = f"{found.get('reason')}: {found.get('message')}"
                yield _bad(view, kind, obj, seen, _fix(platform, view, kind, obj))
    for obj in view.all("ServiceExport"):
        if condition(obj, "Conflict").get("status") == "True":
            seen = str(condition(obj, "Conflict").get("message"))
            yield _bad(view, "ServiceExport", obj, seen, _correct(platform, view, "ServiceExport", obj))


def _bad(view: ClusterView, kind: str, obj: Object, seen: str, fix: str) -> Check:
    namespace, name = key_of(obj)
    look = hints.kubectl(view.settings, f"-n {namespace} describe {kind.lower()} {name}")
    return check(view, f"{kind} {namespace}/{name}", "fail", seen, f"{fix} see {look}")


def _fix(platform: Platform, view: ClusterView, kind: str, obj: Object) -> str:
    """What to do before one looks closer: an export of nothing waits for somebody to deploy it."""
    key = key_of(obj)
    gone = kind == "ServiceExport" and local_service(view, key) is None
    if gone and not platform.settings.ports_of(view.name, *key):
        in_settings = whose.has(platform.settings, view.name, kind, key)
        return f"{hints.deploy(view.settings, key[0], in_settings=in_settings)};"
    return _correct(platform, view, kind, obj)


def _correct(platform: Platform, view: ClusterView, kind: str, obj: Object) -> str:
    return f"{whose.correct(platform, view, kind, obj)};" if kind in whose.SECTIONS else "The hub wrote it;"


def unread(platform: Platform, view: ClusterView) -> Iterator[Check]:
    """Kinds whose objects could not be read: refused, or not in time, so that nobody knows what there is."""
    found: dict[tuple[str, Unread], list[str]] = {}
    for (kind, namespace), why in view.unread.items():
        found.setdefault((kind, why), []).append(namespace)
    for (kind, why), namespaces in found.items():
        where = f" in {', '.join(namespaces)}" if any(namespaces) else ""
        lacking = f"{hints.again(view.environment)} installs the CRDs; or the credential lacks rights"
        result: Result = "warn" if why.is_refused else "fail"
        hint = lacking if why.is_refused else hints.revive(platform, view)
        yield check(view, f"{kind} objects", result, f"{why}{where}", hint)


def redis(platform: Platform) -> Iterator[Check]:
    """The Redis container; Redis elsewhere is asked from a pod, on each path."""
    if platform.settings.redis.mode != "container" or not platform.docker:
        return
    name = _redis_container(platform.environment)
    state = platform.containers.get(name)
    result: Result = "ok" if state == "running" else "fail"
    hint = (
        "" if state == "running" else hints.start(name, state) if state else hints.again(platform.environment)
    )
    seen = f"container {name} is {state}" if state else f"there is no container {name}"
    yield Check(group="platform", name="Redis", result=result, seen=seen, hint=hint)


def _redis_container(environment: str) -> str:
    """What components/redis/redis.py calls it."""
    return f"multicluster-dapr-{environment}-redis"
