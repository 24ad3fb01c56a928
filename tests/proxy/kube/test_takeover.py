"""Takeover of a local Service, step by step and in any order of events: it is never without endpoints.

The cluster here behaves as Kubernetes does, as far as Services go: its controllers keep slices and an
Endpoints object of every Service with a selector, mirror the Endpoints object of one without, and act late.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.core.every_caller import is_touched, selector_of
from gateway.kube.actions import Action
from gateway.kube.derived import reconcile
from gateway.kube.endpoints import ready_addresses
from gateway.kube.slices import Gateways

KEY = ("shop", "checkout")
LOCAL = ("shop", "checkout-local")
SELECTOR = {"app": "checkout"}
OTHER = {"app": "checkout", "track": "stable"}
NAME = "kubernetes.io/service-name"
WRITER = "endpointslice.kubernetes.io/managed-by"
IMPORT = {
    "metadata": {"namespace": "shop", "name": "checkout", "uid": "import"},
    "spec": {"ports": [{"name": "http", "port": 80, "endpoints": []}]},
}
KEPT = "multicluster.flomesh.io/selector"


class Cluster:
    """The objects, and what Kubernetes' controllers make of them when they get to it."""

    def __init__(self) -> None:
        self.version = 0
        self.pods = {"10.42.0.20"}
        self.gateways = ("10.42.0.10",)
        self.services: dict[Any, Any] = {}
        self.slices: dict[Any, Any] = {}
        self.endpoints: set[Any] = set()
        self.takes_over = False
        ports = [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}]
        self.put(
            self.services,
            KEY,
            {"spec": {"clusterIP": "10.43.0.7", "selector": dict(SELECTOR), "ports": ports}},
        )
        self.kubernetes(KEY)

    def put(self, store: dict[Any, Any], key: Any, body: dict[str, Any]) -> None:
        self.version += 1
        metadata = {"uid": f"uid-{key[1]}", **body.get("metadata", {}), "namespace": key[0], "name": key[1]}
        store[key] = {**body, "metadata": {**metadata, "resourceVersion": str(self.version)}}

    def kubernetes(self, key: Any) -> None:
        """What the endpoints and slice controllers do when they look at a Service."""
        made, mirrored = (key[0], f"{key[1]}-abcde"), (key[0], f"{key[1]}-mirrored")
        service = self.services.get(key)
        if service is None:
            self.slices.pop(made, None)
        elif service["spec"].get("selector"):
            self.endpoints.add(key)
            self.slices.pop(mirrored, None)
            writer = "endpointslice-controller.k8s.io"
            labels = {**service["metadata"].get("labels", {}), NAME: key[1], WRITER: writer}
            self._slice(made, labels, self.pods, 8080)
        elif key in self.endpoints:
            writer = "endpointslicemirroring-controller.k8s.io"
            self._slice(mirrored, {NAME: key[1], WRITER: writer}, self.pods, 8080)

    def _slice(self, key: Any, labels: dict[str, str], addresses: Iterable[str], port: int) -> None:
        endpoints = [{"addresses": [one], "conditions": {"ready": True}} for one in sorted(addresses)]
        ports = [{"name": "http", "port": port, "protocol": "TCP"}]
        body = {"metadata": {"labels": labels}, "addressType": "IPv4", "endpoints": endpoints, "ports": ports}
        self.put(self.slices, key, body)

    def round(self) -> list[Action]:
        """What the controller decides now for callers of the Service's own name."""
        actions = reconcile(
            {KEY: IMPORT},
            copy.deepcopy(self.services),
            copy.deepcopy(self.slices),
            Gateways(self.gateways, 15080, range(20000, 20010)),
            leaves=lambda _: True,
            takes_over=lambda _: self.takes_over,
        )
        return [action for action in actions if not action.key[1].endswith("-clusterset")]

    def write(self, action: Action) -> None:
        """What the API server does with it; a write that is out of date changes nothing."""
        if action.resource.kind == "Endpoints":
            self.endpoints.discard(action.key)
            return
        store = self.services if action.resource.kind == "Service" else self.slices
        existing = store.get(action.key)
        if action.verb == "create":
            if existing is None:
                self.put(store, action.key, dict(action.body))
        elif existing is None:
            return
        elif action.verb == "delete":
            if existing["metadata"]["uid"] == action.uid:
                del store[action.key]
                if store is self.services:
                    self.endpoints.discard(action.key)
        elif action.body["metadata"]["resourceVersion"] == existing["metadata"]["resourceVersion"]:
            self.put(store, action.key, merged(existing, action.body))

    def settle(self) -> None:
        """Everybody acts until nobody has anything to do."""
        for _ in range(20):
            before = self.version
            for key in list(self.services):
                self.kubernetes(key)
            actions = self.round()
            for action in actions:
                self.write(action)
            if not actions:
                return
            assert self.version > before or any(action.verb == "delete" for action in actions)
        raise AssertionError(f"it never rests: {actions}")

    @property
    def taken(self) -> bool:
        return "selector" not in self.service["spec"] and is_touched(self.service)

    def listed(self, key: Any = KEY) -> set[str]:
        """Where callers of a Service are sent."""
        return {
            address
            for one in self.slices.values()
            if one["metadata"]["labels"].get(NAME) == key[1]
            for address in ready_addresses(one)
        }

    @property
    def service(self) -> dict[str, Any]:
        return dict(self.services[KEY])


def merged(existing: Any, patch: Any) -> Any:
    """A JSON merge patch (RFC 7386)."""
    if not isinstance(patch, dict):
        return patch
    found = dict(existing) if isinstance(existing, dict) else {}
    for name, value in patch.items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = merged(found.get(name), value)
    return found


def test_a_service_is_taken_over_and_given_back() -> None:
    cluster = Cluster()
    before = cluster.service["spec"]
    cluster.takes_over = True
    cluster.settle()
    assert "selector" not in cluster.service["spec"]
    assert json.loads(cluster.service["metadata"]["annotations"][KEPT]) == SELECTOR
    assert cluster.listed() == {"10.42.0.10"}, "callers reach the gateway"
    assert cluster.listed(LOCAL) == {"10.42.0.20"}, "and the gateway knows the local pods"
    spec = cluster.services[LOCAL]["spec"]
    assert (spec["clusterIP"], spec["selector"]) == ("None", SELECTOR)
    assert spec["ports"] == before["ports"]
    cluster.takes_over = False
    cluster.settle()
    assert cluster.service["spec"] == before
    assert not is_touched(cluster.service)
    assert LOCAL not in cluster.services
    assert cluster.listed() == {"10.42.0.20"}


def test_the_first_step_takes_nothing_away() -> None:
    cluster = Cluster()
    cluster.takes_over = True
    assert [(a.verb, a.resource.kind, a.key[1]) for a in cluster.round()] == [
        ("create", "Service", "checkout-local"),
        ("create", "EndpointSlice", "checkout-imported"),
    ]


def test_the_selector_stays_until_the_local_pods_are_known_elsewhere() -> None:
    cluster = Cluster()
    cluster.takes_over = True
    for action in cluster.round():
        cluster.write(action)
    assert cluster.round() == [], "Kubernetes has not written the slices of checkout-local yet"
    cluster.kubernetes(LOCAL)
    (action,) = cluster.round()
    assert action.takes_over
    assert action.body["spec"] == {"selector": None}


def test_what_kubernetes_wrote_goes_only_after_a_moment() -> None:
    cluster = Cluster()
    cluster.takes_over = True
    for _ in range(2):
        for action in cluster.round():
            cluster.write(action)
        cluster.kubernetes(LOCAL)
    actions = cluster.round()
    assert [(a.verb, a.resource.kind, a.settled) for a in actions] == [
        ("delete", "Endpoints", True),
        ("delete", "EndpointSlice", True),
    ]


def test_without_a_ready_gateway_nothing_is_taken_over() -> None:
    cluster = Cluster()
    cluster.takes_over, cluster.gateways = True, ()
    cluster.settle()
    assert cluster.service["spec"]["selector"] == SELECTOR
    assert cluster.listed() == {"10.42.0.20"}


def test_local_pods_serve_directly_while_no_gateway_is_ready() -> None:
    cluster = Cluster()
    cluster.takes_over = True
    cluster.settle()
    cluster.gateways = ()
    cluster.settle()
    assert cluster.listed() == {"10.42.0.20"}
    ((key, one),) = [(key, one) for key, one in cluster.slices.items() if key[1] == "checkout-imported"]
    assert one["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}], "at the port of the pods"
    cluster.gateways = ("10.42.0.11",)
    cluster.settle()
    assert cluster.listed() == {"10.42.0.11"}
    assert cluster.slices[key]["ports"][0]["port"] == 20000


def test_a_service_that_is_applied_again_with_another_selector_is_followed() -> None:
    cluster = Cluster()
    cluster.takes_over = True
    cluster.settle()
    cluster.put(cluster.services, KEY, merged(cluster.service, {"spec": {"selector": OTHER}}))
    cluster.settle()
    assert cluster.taken
    assert selector_of(cluster.service) == OTHER
    assert cluster.services[LOCAL]["spec"]["selector"] == OTHER
    changed = {"spec": {"selector": {**SELECTOR, "track": None}}}
    cluster.put(cluster.services, KEY, merged(cluster.service, changed))
    cluster.settle()
    assert cluster.services[LOCAL]["spec"]["selector"] == SELECTOR, "a label that is gone is gone there too"


def test_a_port_that_loses_its_name_does_so_beside_it_too() -> None:
    """A patch names what is there; by the name that is left the local pods would not be found."""
    cluster = Cluster()
    cluster.takes_over = True
    cluster.settle()
    assert cluster.services[LOCAL]["spec"]["ports"][0]["name"] == "http"
    bare = [{"port": 80, "targetPort": 8080, "protocol": "TCP"}]
    cluster.put(cluster.services, KEY, merged(cluster.service, {"spec": {"ports": bare}}))
    cluster.settle()
    (port,) = cluster.services[LOCAL]["spec"]["ports"]
    assert not port.get("name")


def test_slices_of_somebody_else_stay() -> None:
    cluster = Cluster()
    cluster._slice(("shop", "by-hand"), {NAME: "checkout"}, ["10.9.9.9"], 8080)
    cluster.takes_over = True
    cluster.pods.add("10.9.9.9")
    cluster.settle()
    assert cluster.listed() == {"10.42.0.10", "10.9.9.9"}


class Takeover(RuleBasedStateMachine):
    """Any order of events, each actor as late as it likes."""

    @initialize()
    def start(self) -> None:
        self.cluster = Cluster()
        self.decided: list[Action] = []

    @rule(on=st.booleans())
    def policy(self, on: bool) -> None:
        self.cluster.takes_over = on

    @rule(which=st.sampled_from([KEY, LOCAL]))
    def kubernetes_looks(self, which: Any) -> None:
        self.cluster.kubernetes(which)

    @rule()
    def controller_decides(self) -> None:
        self.decided = self.cluster.round()

    @precondition(lambda self: self.decided)
    @rule(data=st.data())
    def one_write_arrives(self, data: Any) -> None:
        action = data.draw(st.sampled_from(self.decided))
        self.decided.remove(action)
        if action.settled:
            # What must settle is written only when Kubernetes has seen what came before.
            self.cluster.kubernetes(KEY)
            if action not in self.cluster.round():
                return
        self.cluster.write(action)

    @rule(selector=st.sampled_from([SELECTOR, OTHER]))
    def somebody_applies_the_service(self, selector: dict[str, str]) -> None:
        spec = {"selector": {"track": None, **selector}}
        self.cluster.put(self.cluster.services, KEY, merged(self.cluster.service, {"spec": spec}))

    @rule(address=st.sampled_from(["10.42.0.21", "10.42.0.22"]))
    def a_pod_comes(self, address: str) -> None:
        self.cluster.pods.add(address)

    @rule(gateways=st.sampled_from([("10.42.0.10",), ("10.42.0.10", "10.42.0.11"), ()]))
    def gateways_come_and_go(self, gateways: tuple[str, ...]) -> None:
        self.cluster.gateways = gateways

    @invariant()
    def callers_find_somebody(self) -> None:
        if hasattr(self, "cluster"):
            assert self.cluster.listed()

    def teardown(self) -> None:
        if not hasattr(self, "cluster"):
            return
        cluster = self.cluster
        cluster.gateways = ("10.42.0.10",)
        cluster.settle()
        if cluster.takes_over:
            assert cluster.taken
            assert cluster.listed() == {"10.42.0.10"}
            assert cluster.listed(LOCAL) == cluster.pods
        else:
            assert cluster.service["spec"]["selector"] == selector_of(cluster.service)
            assert not is_touched(cluster.service)
            assert cluster.listed() == cluster.pods
            assert set(cluster.services) == {KEY}


TestTakeover = Takeover.TestCase
TestTakeover.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
