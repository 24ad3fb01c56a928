"""The hops in the callers' cluster: DNS, Service, EndpointSlice, gateway, route, policy. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from cli.doctor import hints, whose
from cli.doctor.check import Finding, fail, ok
from cli.doctor.deployments import deployment
from cli.doctor.let_out import let_out
from cli.doctor.path import LOCALITY, CallPath, bring, export, refresh, unread
from cli.doctor.platform import reachable
from cli.doctor.reachability import SELF, import_addresses
from cli.observe.services import (
    gateway_addresses,
    is_taken_over,
    listed_addresses,
    local_service,
    own_addresses,
    pod_addresses,
    ports_without_endpoints,
    selector_of,
)
from cli.observe.serving import RouteView, route_to
from cli.observe.view import CONTROLLER, GATEWAY, HUB, SYSTEM, condition


def cluster(path: CallPath) -> Finding | None:
    """The callers' cluster has to answer before anything can be told of it, and all that is asked of it."""
    found = reachable(path.platform, path.importer)
    if found.result != "ok":
        return Finding(found.result, found.seen, found.hint)
    if missing := unread(path.importer, path.service):
        seen = f"not known: in {path.importer.name}, {missing}"
        return Finding("warn", seen, hints.doctor_again(path.platform.environment))
    return ok()


def dns(path: CallPath) -> Finding | None:
    """A pod can resolve names. That this service has none is the Service's fault."""
    if path.client_reach.error or SELF not in path.client_reach.names:
        return None
    if why := path.client_reach.names[SELF]:
        hint = hints.kubectl(path.importer.settings, "-n kube-system get pods,endpoints -l k8s-app=kube-dns")
        return fail(
            f"pods of {path.importer.name} resolve no names: {SELF}: {why}",
            f"CoreDNS does not answer: restart it; see {hint}",
        )
    return ok()


def service(path: CallPath) -> Finding | None:
    """There is a Service to resolve."""
    if path.importer.one("Service", *path.service) is not None:
        return ok()
    where = f"there is no Service {path.text} in {path.importer.name}"
    if path.is_local:
        return fail(where, bring(path, path.importer))
    if path.imported is None:
        return not_imported(path, where)
    message = condition(path.imported, "Programmed").get("message")
    return _not_written(path, f"{where} although it is imported", str(message or "it does not say why"))


def _not_written(path: CallPath, where: str, why: str = "") -> Finding:
    """Something of the controller's is missing or wrong: because it is down, or for the reason it gives."""
    controller = deployment(path.importer, SYSTEM, CONTROLLER, "controller")
    if controller.result == "fail":
        return fail(f"{where}: the controller, which writes it, is down: {controller.seen}", controller.hint)
    hint = f"Read why: {hints.logs(path.importer.settings, CONTROLLER)}"
    return fail(f"{where}: {why}" if why else where, hint)


def endpoint_slice(path: CallPath) -> Finding | None:
    """The Service has the endpoints it should have: own pods, or the gateways while calls may leave."""
    view, found = path.importer, local_service(path.importer, path.service)
    taken = found is not None and is_taken_over(found)
    if path.is_local:
        return _own_slice(path) or (_gateways_slice(path, in_place=True) if taken else ok())
    route = route_to(view.config, path.service)
    if route is None or not gateway_addresses(view):
        return None  # their own hop tells
    if found is not None and own_addresses(view, path.service):
        return ok("own pods are ready")
    if not route.leaves and not taken:
        return ok("lists nobody, as the policy has it")
    return _gateways_slice(path)


def _own_slice(path: CallPath) -> Finding | None:
    """A fault when Kubernetes lists none of the Service's ready pods."""
    view, (namespace, name) = path.importer, path.service
    labels = selector_of(local_service(view, path.service) or {})
    ready = view.ready_pods(namespace, labels) if labels else []
    if not ready or pod_addresses(view, path.service):
        return None
    hint = hints.kubectl(view.settings, f"-n {namespace} describe service {name}")
    return fail(f"no EndpointSlice of {path.text} lists its {len(ready)} ready pods", hint)


def _gateways_slice(path: CallPath, *, in_place: bool = False) -> Finding:
    """The controller's slice lists the gateways, or with `in_place` local pods while no gateway is ready."""
    view = path.importer
    listed, gateways = listed_addresses(view, path.service), gateway_addresses(view)
    wanted, who = gateways, "the gateway"
    if in_place and not gateways:
        wanted, who = pod_addresses(view, path.service), "the local pod, while no gateway is ready,"
    if not wanted:
        return ok()
    if listed & wanted:
        return _ports(path)
    seen = f"lists {', '.join(sorted(listed)) or 'nobody'}, not {who} at {', '.join(sorted(wanted))}"
    return _not_written(path, f"the EndpointSlice of {path.text} {seen}")


def _ports(path: CallPath) -> Finding:
    """Each port of a derived Service has its endpoints."""
    lost = ports_without_endpoints(path.importer, path.service)
    if not lost:
        return ok()
    which = ", ".join(repr(name) if name else "without a name" for name in lost)
    return _not_written(path, f"no EndpointSlice of {path.text} has the Service's port {which}")


def gateway(path: CallPath) -> Finding | None:
    """The callers' gateway runs."""
    if path.platform.settings.mesh != "bundled" or path.is_local:
        return None
    found = deployment(path.importer, SYSTEM, GATEWAY, "gateway")
    if found.result == "fail":
        return fail(f"in {path.importer.name}: {found.seen}", found.hint)
    return ok(found.seen)


def route(path: CallPath) -> Finding | None:
    """The callers' gateway has a route, and the serving cluster is in it."""
    view = path.importer
    if path.platform.settings.mesh != "bundled" or path.is_direct or view.config is None:
        return None
    if path.imported is None:
        return not_imported(path, f"{view.name} has no ServiceImport {path.text}")
    found = door(path)
    if found is None:
        why = condition(path.imported, "Programmed").get("message") or "it does not say why"
        return fail(
            f"the gateway of {view.name} has no route for {path.text}: {why}",
            f"Read why: {hints.logs(view.settings, GATEWAY)}",
        )
    exports = path.exported
    expected = exports is not None and path.exporter is not None and path.exporter.name in exports.clusters
    if expected and not path.is_local and path.target not in import_addresses(path.imported):
        return not_imported(
            path, f"the import {path.text} in {view.name} does not list {path.platform.short(path.target)}"
        )
    return ok()


def door(path: CallPath) -> RouteView | None:
    """The route these callers use."""
    return route_to(path.importer.config, path.service, "north-south" if path.front_door else "east-west")


def policy(path: CallPath) -> Finding | None:
    """The policy lets calls go to the serving cluster."""
    if path.is_direct or path.front_door:
        return None
    return next(_weights(path) if path.is_local else _policy_faults(path), ok())


def _policy_faults(path: CallPath) -> Iterator[Finding]:
    live, wanted, own = path.policy, path.wanted, path.importer.key
    if live is None or not live.leaves(own):
        has = f"{path.importer.name} has no policy for {path.text}"
        now = f"the policy {path.text} of {path.importer.name} is {live.lb_type}" if live else has
        if wanted is not None and wanted.lb_type != LOCALITY:
            yield fail(f"{now}, but the settings have {wanted.lb_type}", refresh(path))
        served = pod_addresses(path.importer, path.service)
        stay = "calls stay in the cluster" if served else "calls are refused, as nobody serves it there"
        if not whose.exports(path.platform.settings, path.service):
            yield ok(f"{now}, so {stay}")  # what somebody else exports is theirs to let out
            return
        yield Finding("warn", f"{now}: {stay}", let_out(path.platform, path.importer, path.service))
        return
    known = set(import_addresses(path.imported or {})) | {own}
    if path.target and path.target not in known:
        exporters = ", ".join(sorted(known - {own})) or "nobody"
        policy_text = f"the policy {path.text} of {path.importer.name}"
        found = path.importer.one("GlobalTrafficPolicy", *path.service) or {}
        correct = whose.correct(path.platform, path.importer, "GlobalTrafficPolicy", found)
        yield fail(
            f"{policy_text} targets {path.target}, which exports no {path.text}",
            f"{correct}: exporters are {exporters}",
        )
    yield from _weights(path)


def _weights(path: CallPath) -> Iterator[Finding]:
    live = path.policy
    if live is None:
        return
    if path.target and live.weight(path.target) == 0:
        hint = "Give it a weight above 0 in `policies` to let calls go there"
        yield Finding("warn", f"{path.platform.short(path.target)} is drained (weight 0)", hint)
    found = door(path)
    if found is not None and found.policy != live.lb_type:
        yield fail(
            f"the policy is {live.lb_type}, but {path.importer.name} still routes by {found.policy}",
            hints.restart(path.importer.settings, SYSTEM, GATEWAY),
        )


def not_imported(path: CallPath, where: str) -> Finding:
    """The first cause that is there, from the exporter to the importer. `where` says what is missing."""
    plane = path.platform.plane
    unknown = "the hub has not carried it", f"Read why: {hints.logs(plane.settings, HUB)}"
    seen, hint = [*_exporter(path), *_namespace(path), *_hub(path), *_memberships(path), unknown][0]
    return fail(f"{where}: {seen}", hint)


def _exporter(path: CallPath) -> Iterator[tuple[str, str]]:
    exporter = path.exporter
    if exporter is None or exporter.unseen("ServiceExport"):
        return
    exported = exporter.one("ServiceExport", *path.service)
    if exported is None:
        yield f"{exporter.name} has no ServiceExport {path.text}", export(path, exporter)
        return
    valid = condition(exported, "Valid")
    if valid.get("status") == "False":
        gone = local_service(exporter, path.service) is None
        correct = whose.correct(path.platform, exporter, "ServiceExport", exported)
        hint = bring(path, exporter) if gone else correct
        yield f"its export in {exporter.name} is not valid: {valid.get('message')}", hint


def _namespace(path: CallPath) -> Iterator[tuple[str, str]]:
    namespace = path.service[0]
    if path.importer.lacks_namespace(namespace):
        yield f"{path.importer.name} has no namespace {namespace}", refresh(path)


def _hub(path: CallPath) -> Iterator[tuple[str, str]]:
    plane = path.platform.plane
    if plane.error:
        yield (
            f"the hub's cluster is down: {plane.error}",
            hints.revive(path.platform, plane),
        )
        return
    hub = deployment(plane, SYSTEM, HUB, "hub")
    if hub.result == "fail":
        yield f"the hub, which carries exports, is down: {hub.seen}", hub.hint


def _memberships(path: CallPath) -> Iterator[tuple[str, str]]:
    plane = path.platform.plane
    ends = dict.fromkeys([path.exporter.name if path.exporter else path.importer.name, path.importer.name])
    for member in ends:
        if member == plane.name:
            continue
        joined = plane.one("Cluster", "", member)
        if plane.lacks("Cluster", "", member):
            yield f"{member} has not joined: there is no Cluster object", refresh(path)
        elif joined and condition(joined, "Managed").get("status") == "False":
            why = condition(joined, "Managed").get("message")
            yield f"the hub cannot manage {member}: {why}", hints.logs(plane.settings, HUB)
