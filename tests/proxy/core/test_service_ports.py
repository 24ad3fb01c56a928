"""A listening port stands for the one Service that the slices say, or for none."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.describe import describe
from gateway.core.objects import IMPORT_NAME, SERVICE_NAME, SERVICE_PORTS, SLICE_MANAGED_BY
from gateway.core.service_ports import LONGEST_ANNOTATION, service_ports
from gateway.core.snapshot import Compiled, compile_snapshot

HERE = "default/default/default/here"
LISTENING = range(20000, 20256)


def compiled(*objects: Any, listening: range = LISTENING) -> Compiled:
    return compile_snapshot(objects, HERE, listening=listening)


def served(found: Compiled) -> dict[int, str]:
    return {port: f"{route.service}:{route.port}" for port, route in found.snapshot.ports.items()}


def reasons(found: Compiled) -> list[tuple[str, str, str]]:
    return [(problem.kind, problem.name, problem.reason) for problem in found.problems]


def test_a_port_stands_for_the_service_port_that_its_slice_says(make: Any) -> None:
    imported = make.imported(c1=81)
    imported["spec"]["ports"].append({**imported["spec"]["ports"][0], "port": 80})
    found = compiled(imported, make.gateway_slice({"20017": 3000, "20018": 80}))
    assert served(found) == {20017: "demo/app:3000", 20018: "demo/app:80"}
    assert not found.problems
    east_west = describe(found.snapshot, 1, lambda *_: None, 0.0)["eastWest"]
    assert {route["port"]: route["servicePorts"] for route in east_west} == {80: [20018], 3000: [20017]}


def test_slices_of_one_service_may_name_the_same_port_or_others(make: Any) -> None:
    also = make.gateway_slice({"20017": 3000, "20019": 3000}, name="app-clusterset-imported")
    also["metadata"]["labels"][SERVICE_NAME] = "app-clusterset"
    found = compiled(make.imported(c1=81), make.gateway_slice({"20017": 3000}), also)
    assert served(found) == {20017: "demo/app:3000", 20019: "demo/app:3000"}
    assert not found.problems


def test_a_port_that_two_services_claim_stands_for_neither(make: Any) -> None:
    other = make.gateway_slice({"20017": 3000, "20018": 3000}, "other")
    found = compiled(
        make.imported(c1=81), make.imported("other", c1=81), make.gateway_slice({"20017": 3000}), other
    )
    assert served(found) == {20018: "demo/other:3000"}
    assert reasons(found) == [
        ("EndpointSlice", "app-imported", "PortConflict"),
        ("EndpointSlice", "other-imported", "PortConflict"),
    ]
    assert "demo/app:3000, demo/other:3000" in found.problems[0].message


def test_what_is_no_import_here_has_no_port(make: Any) -> None:
    """Its slice may outlive an import for a moment."""
    found = compiled(
        make.imported(c1=81), make.gateway_slice({"20017": 3000}, "gone"), make.gateway_slice({"20018": 1})
    )
    assert served(found) == {}
    assert not found.problems


def test_a_slice_speaks_for_its_own_namespace_only(make: Any) -> None:
    found = compiled(make.imported(c1=81), make.gateway_slice({"20017": 3000}, namespace="evil"))
    assert served(found) == {}


def test_slices_of_others_and_gateways_without_service_ports_have_none(make: Any) -> None:
    copied = make.gateway_slice({"20017": 3000})
    del copied["metadata"]["labels"][SLICE_MANAGED_BY]
    assert served(compiled(make.imported(c1=81), copied)) == {}
    plain = make.gateway_slice({})
    del plain["metadata"]["annotations"]
    assert not compiled(make.imported(c1=81), plain).problems
    found = compiled(make.imported(c1=81), make.gateway_slice("junk"), listening=range(0))
    assert (served(found), found.problems) == ({}, ())


JUNK = {
    "no JSON": "{",
    "no mapping": "[1]",
    "deep": "[" * 8000,
    "a long number": '{"20017": ' + "9" * 5000 + "}",
    "too long": json.dumps({"20017": "x" * LONGEST_ANNOTATION}),
    "a name for a port": '{"http": 3000}',
    "a long name for a port": '{"' + "2" * 5000 + '": 3000}',
    "other digits": '{"٢٠٠١٧": 3000}',
    "no number": '{"20017": "3000"}',
    "a truth": '{"20017": true}',
    "no port": '{"0": 3000}',
    "beyond all ports": '{"99999": 3000}',
    "a port its slice has not": '{"20099": 3000}',
    "the shared port": '{"15080": 3000}',
}


@pytest.mark.parametrize("text", JUNK.values(), ids=JUNK)
def test_a_faulty_slice_is_named_and_the_others_count(make: Any, text: str) -> None:
    bad = make.gateway_slice(text, name="bad")
    bad["ports"] = [{"port": port} for port in (20017, 15080, [])]
    found = compiled(make.imported(c1=81), make.gateway_slice({"20018": 3000}), bad)
    assert served(found) == {20018: "demo/app:3000"}
    assert [(kind, name) for kind, name, _ in reasons(found)] == [("EndpointSlice", "bad")]
    assert len(found.problems[0].message) < 2 * LONGEST_ANNOTATION


@pytest.mark.parametrize("label", ["", "App", "app.demo", "a" * 64])
def test_a_slice_that_names_no_service_is_named(make: Any, label: str) -> None:
    bad = make.gateway_slice({"20017": 3000})
    bad["metadata"]["labels"][IMPORT_NAME] = label
    assert reasons(compiled(make.imported(c1=81), bad)) == [("EndpointSlice", "app-imported", "InvalidName")]


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


@given(ANYTHING, ANYTHING, ANYTHING)
def test_nothing_in_a_slice_is_an_accident(annotation: object, label: object, ports: object) -> None:
    metadata = {
        "name": "x",
        "namespace": "demo",
        "annotations": {SERVICE_PORTS: annotation},
        "labels": {IMPORT_NAME: label},
    }
    found, problems = service_ports([{"metadata": metadata, "ports": ports}], [], LISTENING)
    assert found == {}
    assert len(problems) <= 1
