"""The hops in the serving cluster: its gateway and route, the app, Dapr's sidecar. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cli.doctor import hints
from cli.doctor.check import Finding, fail, ok
from cli.doctor.deployments import deployment, why_not_ready
from cli.doctor.path import CallPath, bring, export, refresh, unread
from cli.doctor.platform import dapr, reachable
from cli.doctor.reachability import import_addresses
from cli.observe.services import SERVICE_NAME, local_service, pod_addresses, selector_of
from cli.observe.serving import route_to
from cli.observe.view import (
    GATEWAY,
    SIDECAR,
    SYSTEM,
    ClusterView,
    Object,
    complaint,
    condition,
    container_states,
    key_of,
    meta,
    spec,
)


def gateway(path: CallPath) -> Finding | None:
    """The serving cluster's gateway runs, and the callers' cluster reaches it."""
    if path.is_local or path.platform.settings.mesh != "bundled":
        return None
    address = import_addresses(path.imported or {}).get(path.target, "")
    silent = "" if path.client_reach.error else path.client_reach.gateways.get(address, "")
    return next(_gateway_faults(path, address, silent), ok())


def _gateway_faults(path: CallPath, address: str, silent: str) -> Iterator[Finding]:
    view = path.exporter
    if view is None:
        if silent:
            yield fail(f"{path.target} at {address}: {silent}", "Look at that cluster's gateway")
        return
    if view.error:
        # An API that does not answer is the platform's check; calls fail only when its gateway is silent too.
        if silent or path.client_reach.error:
            down = reachable(path.platform, view)
            heard = f"; its gateway at {address}: {silent}" if silent else ""
            yield fail(f"{view.name} is down: {down.seen}{heard}", down.hint)
        return
    found = deployment(view, SYSTEM, GATEWAY, "gateway")
    if found.result == "fail":
        yield fail(f"in {view.name}: {found.seen}", found.hint)
    if silent:
        hint = hints.kubectl(view.settings, f"-n {SYSTEM} get service {GATEWAY}")
        yield fail(
            f"{path.importer.name} does not reach the gateway of {view.name} at {address}: {silent}",
            f"Its pods are ready, so check the network between them and {hint}",
        )


def route(path: CallPath) -> Finding | None:
    """The serving cluster's gateway has a route for the exported path."""
    view = path.exporter
    if path.is_local or view is None or view.config is None or path.platform.settings.mesh != "bundled":
        return None
    mine, theirs = (list((config or {}).get("peers") or ()) for config in (path.importer.config, view.config))
    if mine and mine[0] not in theirs:
        return fail(
            f"the gateways of {path.importer.name} and {view.name} share no key, and so {view.name} refuses "
            f"what {path.importer.name} sends (421, unknown-identity)",
            f"A new key takes a minute to reach the pods; if it does not: {refresh(path)}",
        )
    if any(route_to(view.config, path.service, door) for door in ("north-south", "between-clusters")):
        return ok()
    exported = view.one("ServiceExport", *path.service)
    if exported is None and view.unseen("ServiceExport"):
        return None
    if exported is None:
        return fail(f"{view.name} has no ServiceExport {path.text}", export(path, view))
    why = next(
        (
            condition(exported, kind).get("message")
            for kind in ("Programmed", "Valid")
            if condition(exported, kind).get("status") == "False"
        ),
        "it does not say why",
    )
    return fail(
        f"the gateway of {view.name} has no route for its export {path.text}: {why}",
        f"Read why: {hints.logs(view.settings, GATEWAY)}",
    )


def app(path: CallPath) -> Finding | None:
    """The app has a pod that works, Dapr's sidecar aside."""
    view = path.exporter
    if view is None or unread(view, path.service):
        return None
    found = local_service(view, path.service)
    if found is None:
        return fail(f"there is no Service {path.text} in {view.name}", bring(path, view))
    if not selector_of(found):
        return _without_selector(path, view, found)
    pods = pods_of(view, path)
    if any(_works(pod) for pod in pods):
        return ok()
    return _no_pod(path, view, pods)


def _without_selector(path: CallPath, view: ClusterView, service: Object) -> Finding:
    """A Service whose endpoints somebody lists: machines beside the cluster, or another name."""
    if spec(service).get("type") == "ExternalName" or pod_addresses(view, path.service):
        return ok()
    namespace, name = path.service
    hint = hints.kubectl(view.settings, f"-n {namespace} get endpointslices -l {SERVICE_NAME}={name}")
    return fail(f"{path.text} in {view.name} has no selector, and no endpoint that is ready", f"See {hint}")


def pods_of(view: ClusterView, path: CallPath) -> list[Object]:
    """The pods of the service."""
    labels = selector_of(local_service(view, path.service) or {})
    return view.pods(path.service[0], labels) if labels else []


def _works(pod: Object) -> bool:
    """Whether all containers but the sidecar are ready."""
    wanted = {c["name"] for c in spec(pod).get("containers") or [] if c["name"] != SIDECAR}
    return wanted <= {c["name"] for c in container_states(pod) if c.get("ready")}


def _no_pod(path: CallPath, view: ClusterView, pods: list[Object]) -> Finding:
    namespace = path.service[0]
    where = f"{path.text} in {view.name}"
    selector = selector_of(local_service(view, path.service) or {})
    for kind, workload in _workloads(view, namespace, selector):
        name = key_of(workload)[1]
        if not int(spec(workload).get("replicas", 1)):
            hint = hints.scale(view.settings, namespace, name, kind.lower())
            return fail(f"{where}: {kind} {name} is scaled to zero", hint)
        if not pods:
            seen, hint = why_not_ready(view, workload)
            return fail(f"{where} has no pod: {seen}", hint)
    if pods:
        pod = key_of(pods[0])[1]
        return fail(f"{where}: {pod}: {complaint(pods[0])}", hints.describe(view.settings, namespace, pod))
    live = path.policy
    if path.is_local and live is not None and live.leaves(view.key) and not is_deployed(path, view):
        return ok(f"{view.name} has no pods of its own, and its policy lets calls out")
    return fail(f"{where} has no pod: nothing matches its selector {dict(selector)}", bring(path, view))


def _workloads(
    view: ClusterView, namespace: str, selector: Mapping[str, str]
) -> Iterator[tuple[str, Object]]:
    """Workloads whose pods a Service selects."""
    for kind in ("Deployment", "StatefulSet"):
        for workload in view.all(kind, namespace):
            labels = ((spec(workload).get("template") or {}).get("metadata") or {}).get("labels") or {}
            if selector.items() <= labels.items():
                yield kind, workload


def is_deployed(path: CallPath, view: ClusterView) -> bool:
    """Whether the settings deploy the service here."""
    return bool(path.platform.settings.ports_of(view.name, *path.service))


def sidecar(path: CallPath) -> Finding | None:
    """A pod that asks for Dapr has its sidecar, and it is ready."""
    view = path.exporter
    if view is None or unread(view, path.service):
        return None
    asking = [pod for pod in pods_of(view, path) if _works(pod) and asks_for_dapr(pod)]
    if not asking:
        return None
    states = [_sidecar(pod) for pod in asking]
    if any(state is not None and state.get("ready") for state in states):
        return ok()
    pod = key_of(asking[0])[1]
    where = f"{path.text} in {view.name}: {pod}"
    if states[0] is None:
        health = dapr(view)
        if health.result == "fail":
            return fail(f"{where} has no sidecar, and {health.seen}", f"{health.hint}; then delete the pod")
        hint = hints.kubectl(view.settings, f"-n {path.service[0]} delete pod {pod}")
        return fail(f"{where} was made while Dapr's injector was away: it has no sidecar", hint)
    hint = hints.kubectl(view.settings, f"-n {path.service[0]} logs {pod} -c {SIDECAR} --tail=50")
    return fail(f"{where}: its sidecar is not ready: {complaint(asking[0])}", hint)


def asks_for_dapr(pod: Object) -> bool:
    """Whether a pod wants Dapr's sidecar."""
    return (meta(pod).get("annotations") or {}).get("dapr.io/enabled") == "true"


def _sidecar(pod: Object) -> Object | None:
    return next((state for state in container_states(pod) if state.get("name") == SIDECAR), None)
