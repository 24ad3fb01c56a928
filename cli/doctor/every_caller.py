"""Whether policies hold for every caller, and what a takeover left behind that nobody follows. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator

from cli.doctor import hints, whose
from cli.doctor.check import Check
from cli.doctor.deployments import check, deployment
from cli.observe.callers import EVERY_CALLER as EVERY
from cli.observe.services import (
    SELECTOR,
    gateway_addresses,
    is_taken_over,
    listed_addresses,
    pod_addresses,
    selector_of,
)
from cli.observe.view import CONTROLLER, SYSTEM, ClusterView, Platform, condition, key_of

DOCUMENT = "docs/gateway.md, Every caller"
OTHER_NAMES = "have callers say {}.svc.clusterset.local or the app-id, which follow the policy"
REPAIRS = {
    "NotExported": "Add an entry for it to `exports`",
    "PortNotCarried": "Export that port too, or give it a Service of its own",
    "PathNotRestored": "Give each export of it the pathRewrite that the message names",
    "TrafficPolicyLocal": "Take that field off the Service",
    "NameTaken": "Rename one of the two Services",
    "SelectorContested": "Have that one leave spec.selector alone (Argo CD: ignoreDifferences), then change "
    "the policy or wait ten minutes",
}
"""What makes a takeover possible, by the reason of the condition."""


def not_for_every_caller(platform: Platform, view: ClusterView) -> Iterator[Check]:
    """Policies that ask to hold for every caller and cannot. All else of them does, so this is no fault."""
    for policy in view.all("GlobalTrafficPolicy"):
        found = condition(policy, "EveryCaller")
        if found.get("status") != "False":
            continue
        namespace, name = key_of(policy)
        repair = REPAIRS.get(str(found.get("reason")))
        ways = [*([repair] if repair else []), OTHER_NAMES.format(f"{name}.{namespace}")]
        in_settings = whose.has(platform.settings, view.name, "GlobalTrafficPolicy", (namespace, name))
        meant = "`everyCaller: false` in `policies`" if in_settings else f"taking its annotation {EVERY} off"
        hint = f"{', or '.join(ways)}; {meant} says that this is meant"
        seen = f"{found.get('reason')}: {found.get('message')}"
        yield check(view, f"every caller of {namespace}/{name}", "warn", seen, hint[:1].upper() + hint[1:])


def left_without_selector(view: ClusterView) -> Iterator[Check]:
    """Services that were taken over while no controller follows their pods and gateways."""
    controller = deployment(view, SYSTEM, CONTROLLER, "controller")
    if controller.result != "fail":
        return
    for service in view.all("Service"):
        if not is_taken_over(service):
            continue
        key = namespace, name = key_of(service)
        alive = listed_addresses(view, key) & (gateway_addresses(view) | pod_addresses(view, key))
        now = "callers reach those it lists still" if alive else "it lists nobody who is ready"
        seen = f"its selector was taken over and no controller follows its endpoints: {now}"
        patch = {
            "metadata": {"annotations": {SELECTOR: None}},
            "spec": {"selector": dict(selector_of(service))},
        }
        by_hand = hints.kubectl(
            view.settings, f"-n {namespace} patch service {name} --type merge --patch '{json.dumps(patch)}'"
        )
        yield check(
            view,
            f"Service {namespace}/{name}",
            "warn" if alive else "fail",
            seen,
            f"Start the controller: {controller.hint}; or put the selector back ({DOCUMENT}): {by_hand}",
        )
