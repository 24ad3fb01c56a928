"""How calls of a service are let out of a cluster whose policy keeps them in. Pure."""

from __future__ import annotations

from cli.doctor import hints, whose
from cli.doctor.path import LOCALITY, file_of, wanted_policy
from cli.doctor.reachability import import_addresses
from cli.observe.view import ClusterView, Key, Platform


def let_out(platform: Platform, view: ClusterView, service: Key) -> str:
    """Let calls of a service out of a cluster: by the settings, or by whoever exports it."""
    namespace, name = service
    if not whose.exports(platform.settings, service):
        by_hand = hints.kubectl(view.settings, f"-n {namespace} apply -f FILE")
        return f"To let calls out, make a GlobalTrafficPolicy {namespace}/{name} there, as by {by_hand}"
    up, file = f"./stack up {platform.environment}", file_of(platform)
    wanted = wanted_policy(platform, view, service)
    if wanted is not None and wanted.lb_type != LOCALITY:
        return f"{file} has {wanted.lb_type} for it, which is not there: {up} --refresh brings it back"
    if wanted is not None:
        return f"To let them out, change lbType and targets of its entry in `policies` in {file} and run {up}"
    imported = view.one("ServiceImport", *service) or {}
    targets = ", ".join(f"{{cluster: {platform.short(key)}}}" for key in import_addresses(imported))
    policy = f"lbType: FailOver, targets: [{targets}]"
    entry = f"{{cluster: {view.name}, namespace: {namespace}, name: {name}, {policy}}}"
    return f"To let them out, add {entry} to `policies` in {file} and run {up}"
