"""The hops in the serving cluster: its gateway and route, the app, Dapr's sidecar, the state store. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from cli.doctor import remedy
from cli.doctor.leg import Finding, Leg, fail, file_of, local_service, ok, refresh
from cli.doctor.platform import dapr, deployment, reachable, redis, why_not_ready
from cli.doctor.probe import import_addresses, store_address
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


def gateway(leg: Leg) -> Finding | None:
    """The serving cluster's gateway runs, and the callers' cluster reaches it."""
    if leg.is_local or leg.platform.settings.mesh != "bundled":
        return None
    address = import_addresses(leg.imported or {}).get(leg.target, "")
    silent = "" if leg.probe.trouble else leg.probe.gateways.get(address, "")
    return next(_gateway_faults(leg, address, silent), ok())


def _gateway_faults(leg: Leg, address: str, silent: str) -> Iterator[Finding]:
    view = leg.exporter
    if view is None:
        if silent:
            yield fail(f"{leg.target} at {address}: {silent}", "Look at that cluster's gateway")
        return
    if view.trouble:
        # An API that does not answer is the platform's check; calls fail only when its gateway is silent too.
        if silent or leg.probe.trouble:
            down = reachable(leg.platform, view)
            heard = f"; its gateway at {address}: {silent}" if silent else ""
            yield fail(f"{view.name} is down: {down.seen}{heard}", down.hint)
        return
    found = deployment(view, SYSTEM, GATEWAY, "gateway")
    if found.verdict == "fail":
        yield fail(f"in {view.name}: {found.seen}", found.hint)
    if silent:
        hint = remedy.kubectl(view.settings, f"-n {SYSTEM} get service {GATEWAY}")
        yield fail(
            f"{leg.importer.name} does not reach the gateway of {view.name} at {address}: {silent}",
            f"Its pods are ready, so check the network between them and {hint}",
        )


def route(leg: Leg) -> Finding | None:
    """The serving cluster's gateway has a route for the exported path."""
    view = leg.exporter
    if leg.is_local or view is None or view.config is None or leg.platform.settings.mesh != "bundled":
        return None
    if route_to(view.config, leg.service, "north-south") is not None:
        return ok()
    exported = view.one("ServiceExport", *leg.service)
    if exported is None:
        return fail(f"{view.name} has no ServiceExport {leg.text}", refresh(leg))
    why = next(
        (
            condition(exported, kind).get("message")
            for kind in ("Programmed", "Valid")
            if condition(exported, kind).get("status") == "False"
        ),
        "it does not say why",
    )
    return fail(
        f"the gateway of {view.name} has no route for its export {leg.text}: {why}",
        f"Read why: {remedy.logs(view.settings, GATEWAY)}",
    )


def app(leg: Leg) -> Finding | None:
    """The app has a pod that works, Dapr's sidecar aside."""
    view = leg.exporter
    if view is None or view.trouble:
        return None
    found = local_service(view, leg.service)
    if found is None:
        return fail(f"there is no Service {leg.text} in {view.name}", refresh(leg))
    pods = _pods(view, leg)
    if any(_works(pod) for pod in pods):
        return ok()
    return _no_pod(leg, view, pods)


def _pods(view: ClusterView, leg: Leg) -> list[Object]:
    labels = spec(local_service(view, leg.service) or {}).get("selector") or {}
    return view.pods(leg.service[0], labels) if labels else []


def _works(pod: Object) -> bool:
    """Whether all containers but the sidecar are ready."""
    wanted = {c["name"] for c in spec(pod).get("containers") or [] if c["name"] != SIDECAR}
    return wanted <= {c["name"] for c in container_states(pod) if c.get("ready")}


def _no_pod(leg: Leg, view: ClusterView, pods: list[Object]) -> Finding:
    namespace = leg.service[0]
    where = f"{leg.text} in {view.name}"
    selector = spec(local_service(view, leg.service) or {}).get("selector") or {}
    for workload in view.all("Deployment", namespace):
        labels = ((spec(workload).get("template") or {}).get("metadata") or {}).get("labels") or {}
        if not selector or not selector.items() <= labels.items():
            continue
        name = key_of(workload)[1]
        if not int(spec(workload).get("replicas", 1)):
            return fail(
                f"{where}: Deployment {name} is scaled to zero", remedy.scale(view.settings, namespace, name)
            )
        if not pods:
            seen, hint = why_not_ready(view, workload)
            return fail(f"{where} has no pod: {seen}", hint)
    if pods:
        pod = key_of(pods[0])[1]
        return fail(f"{where}: {pod}: {complaint(pods[0])}", remedy.describe(view.settings, namespace, pod))
    return fail(f"{where} has no pod: nothing matches its selector {dict(selector)}", refresh(leg))


def sidecar(leg: Leg) -> Finding | None:
    """A pod that asks for Dapr has its sidecar, and it is ready."""
    view = leg.exporter
    if view is None or view.trouble:
        return None
    asking = [pod for pod in _pods(view, leg) if _works(pod) and _asks_for_dapr(pod)]
    if not asking:
        return None
    states = [_sidecar(pod) for pod in asking]
    if any(state is not None and state.get("ready") for state in states):
        return ok()
    pod = key_of(asking[0])[1]
    where = f"{leg.text} in {view.name}: {pod}"
    if states[0] is None:
        health = dapr(view)
        if health.verdict == "fail":
            return fail(f"{where} has no sidecar, and {health.seen}", f"{health.hint}; then delete the pod")
        hint = remedy.kubectl(view.settings, f"-n {leg.service[0]} delete pod {pod}")
        return fail(f"{where} was made while Dapr's injector was away: it has no sidecar", hint)
    hint = remedy.kubectl(view.settings, f"-n {leg.service[0]} logs {pod} -c {SIDECAR} --tail=50")
    return fail(f"{where}: its sidecar is not ready: {complaint(asking[0])}", hint)


def _asks_for_dapr(pod: Object) -> bool:
    return (meta(pod).get("annotations") or {}).get("dapr.io/enabled") == "true"


def _sidecar(pod: Object) -> Object | None:
    return next((state for state in container_states(pod) if state.get("name") == SIDECAR), None)


def store(leg: Leg) -> Finding | None:
    """The state store of a Dapr app answers."""
    view = leg.exporter
    if view is None or view.trouble or not any(_asks_for_dapr(pod) for pod in _pods(view, leg)):
        return None
    for check in redis(leg.platform):
        if check.verdict == "fail":
            return fail(check.seen, check.hint)
    for component in view.all("Component", leg.service[0]):
        address = store_address(component)
        why = "" if leg.far_probe.trouble else leg.far_probe.stores.get(address, "")
        if why:
            return fail(
                f"{view.name} does not reach the store {key_of(component)[1]} at {address}: {why}",
                f"Start that Redis, or correct `redis` in {file_of(leg)}",
            )
    return ok()
