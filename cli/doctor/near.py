"""The hops in the callers' cluster: DNS, Service, EndpointSlice, gateway, route, policy. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from cli.doctor import remedy
from cli.doctor.imports import not_imported
from cli.doctor.leg import LOCALITY, Finding, Leg, fail, file_of, local_service, ok, refresh
from cli.doctor.platform import deployment, reachable
from cli.doctor.probe import SELF, import_addresses
from cli.observe.serving import RouteView, route_to
from cli.observe.view import GATEWAY, SYSTEM, condition, slice_addresses, spec, status


def cluster(leg: Leg) -> Finding | None:
    """The callers' cluster has to answer before anything can be told of it."""
    found = reachable(leg.platform, leg.importer)
    return ok() if found.verdict == "ok" else Finding(found.verdict, found.seen, found.hint)


def dns(leg: Leg) -> Finding | None:
    """A pod can resolve names. That this service has none is the Service's fault."""
    if leg.probe.trouble or SELF not in leg.probe.names:
        return None
    if why := leg.probe.names[SELF]:
        hint = remedy.kubectl(leg.importer.settings, "-n kube-system get pods,endpoints -l k8s-app=kube-dns")
        return fail(
            f"pods of {leg.importer.name} resolve no names: {SELF}: {why}",
            f"CoreDNS does not answer: restart it; see {hint}",
        )
    return ok()


def service(leg: Leg) -> Finding | None:
    """There is a Service to resolve."""
    if leg.importer.one("Service", *leg.service) is not None:
        return ok()
    where = f"there is no Service {leg.text} in {leg.importer.name}"
    if leg.is_local:
        return fail(where, refresh(leg))
    if leg.imported is None:
        return not_imported(leg, where)
    if (gateway_finding := gateway(leg)) and gateway_finding.verdict == "fail":
        seen = f"{where}: its gateway, which writes it, is down: {gateway_finding.seen}"
        return fail(seen, gateway_finding.hint)
    message = condition(leg.imported, "Programmed").get("message")
    return fail(
        f"{where} although it is imported: {message or 'the gateway could not write it'}",
        f"Read why: {remedy.logs(leg.importer.settings, GATEWAY)}",
    )


def endpoint_slice(leg: Leg) -> Finding | None:
    """The Service has the endpoints it should have: own pods, or the gateway's while calls may leave."""
    view = leg.importer
    if leg.is_local:
        return _local_slice(leg)
    route = route_to(view.config, leg.service)
    pods = view.ready_pods(SYSTEM, {"app": GATEWAY})
    if route is None or not pods:
        return None  # the gateway writes the slice: its own hop tells
    if local_service(view, leg.service) and slice_addresses(view, leg.service, imported=False):
        return ok("own pods are ready")
    listed = slice_addresses(view, leg.service, imported=True)
    ready = {str(status(pod).get("podIP")) for pod in pods}
    if not route.leaves:
        return ok("lists nobody, as the policy has it")
    if not listed & ready:
        seen = f"lists {', '.join(sorted(listed)) or 'nobody'}, not the gateway at {', '.join(sorted(ready))}"
        hint = remedy.logs(view.settings, GATEWAY)
        return fail(f"the EndpointSlice of {leg.text} {seen}", f"Read why: {hint}")
    return ok()


def _local_slice(leg: Leg) -> Finding | None:
    found = local_service(leg.importer, leg.service)
    labels = spec(found or {}).get("selector") or {}
    ready = leg.importer.ready_pods(leg.service[0], labels) if labels else []
    if ready and not slice_addresses(leg.importer, leg.service, imported=False):
        hint = remedy.kubectl(leg.importer.settings, f"-n {leg.service[0]} describe service {leg.service[1]}")
        return fail(f"no EndpointSlice of {leg.text} lists its {len(ready)} ready pods", hint)
    return ok()


def gateway(leg: Leg) -> Finding | None:
    """The callers' gateway runs."""
    if leg.platform.settings.mesh != "bundled" or leg.is_local:
        return None
    found = deployment(leg.importer, SYSTEM, GATEWAY, "gateway")
    if found.verdict == "fail":
        return fail(f"in {leg.importer.name}: {found.seen}", found.hint)
    return ok(found.seen)


def route(leg: Leg) -> Finding | None:
    """The callers' gateway has a route, and the serving cluster is in it."""
    view = leg.importer
    if leg.platform.settings.mesh != "bundled" or leg.is_local or view.config is None:
        return None
    if leg.imported is None:
        return not_imported(leg, f"{view.name} has no ServiceImport {leg.text}")
    found = door(leg)
    if found is None:
        why = condition(leg.imported, "Programmed").get("message") or "it does not say why"
        return fail(
            f"the gateway of {view.name} has no route for {leg.text}: {why}",
            f"Read why: {remedy.logs(view.settings, GATEWAY)}",
        )
    exports = leg.exported
    expected = exports is not None and leg.exporter is not None and leg.exporter.name in exports.clusters
    if expected and leg.target not in import_addresses(leg.imported):
        return not_imported(
            leg, f"the import {leg.text} in {view.name} does not list {leg.platform.short(leg.target)}"
        )
    return ok()


def door(leg: Leg) -> RouteView | None:
    """The route these callers use."""
    return route_to(leg.importer.config, leg.service, "north-south" if leg.front_door else "east-west")


def policy(leg: Leg) -> Finding | None:
    """The policy lets calls go to the serving cluster."""
    return None if leg.is_local or leg.front_door else next(_policy_faults(leg), ok())


def _policy_faults(leg: Leg) -> Iterator[Finding]:
    live, wanted, own = leg.policy, leg.wanted, leg.importer.key
    if live is None or not live.leaves(own):
        has = f"{leg.importer.name} has no policy for {leg.text}"
        now = f"the policy {leg.text} of {leg.importer.name} is {live.kind}" if live else has
        if wanted is not None and wanted.lb_type != LOCALITY:
            yield fail(f"{now}, but the settings have {wanted.lb_type}", refresh(leg))
        yield Finding("warn", f"{now}: calls stay in the cluster", _allow(leg))
        return
    known = set(import_addresses(leg.imported or {})) | {own}
    if leg.target and leg.target not in known:
        exporters = ", ".join(sorted(known - {own})) or "nobody"
        yield fail(
            f"the policy {leg.text} of {leg.importer.name} targets {leg.target}, which exports no {leg.text}",
            f"Correct its targets in {file_of(leg)}: exporters are {exporters}",
        )
    if leg.target and live.weight(leg.target) == 0:
        hint = "Give it a weight above 0 in `policies` to let calls go there"
        yield Finding("warn", f"{leg.platform.short(leg.target)} is drained (weight 0)", hint)
    found = door(leg)
    if found is not None and found.policy != live.kind:
        yield fail(
            f"the policy is {live.kind}, but {leg.importer.name}'s gateway still routes by {found.policy}",
            remedy.restart(leg.importer.settings, SYSTEM, GATEWAY),
        )


def _allow(leg: Leg) -> str:
    namespace, name = leg.service
    targets = ", ".join(
        f"{{cluster: {leg.platform.short(key)}}}" for key in import_addresses(leg.imported or {})
    )
    policy = f"lbType: FailOver, targets: [{targets}]"
    entry = f"{{cluster: {leg.importer.name}, namespace: {namespace}, name: {name}, {policy}}}"
    up = f"./stack up {leg.platform.environment}"
    return f"To let them out, add {entry} to `policies` in {file_of(leg)} and run {up}"
