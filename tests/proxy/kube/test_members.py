"""What one member can do to the others' plan: nothing that the control plane does not let it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from proxy.kube.test_plan import HOME, KEY, cluster, condition, export, member, rule, service, who

from gateway.core.objects import Key
from gateway.kube.cluster_view import ClusterView
from gateway.kube.plan import plan


def exporting(number: int, key: Key, **names: Any) -> ClusterView:
    raw, metadata = export(), {"namespace": key[0], "name": key[1]}
    view = member(number)
    exports = {key: {**raw, "metadata": {**raw["metadata"], **metadata, **names}}}
    return replace(view, exports=exports, services={key: {**service(), "metadata": metadata}})


@pytest.mark.parametrize("namespace", ["kube-system", "default", "org"])
def test_reserved_namespaces_are_never_imported(namespace: str) -> None:
    key = (namespace, "pypi")
    one = exporting(1, key)
    two = replace(member(2), namespaces=(namespace,))
    made = plan([HOME, one, two])
    assert made.imports[two.key] == {}
    status, message = condition(made, one, "Valid", key)
    assert status is False
    assert message.startswith(f"no other cluster imports it: namespace {namespace} is ")


def test_an_import_needs_its_namespace_and_does_not_bring_it_back() -> None:
    one, two = member(1, export()), replace(member(2), namespaces=("other",))
    made = plan([HOME, one, two])
    assert who(made, two) == {}
    assert who(made, HOME) == {3000: ["cluster-1"]}
    status, message = condition(made, one, "Valid")
    assert status is True
    assert message.endswith(f"not imported by {two.key}, which has no namespace dapr-test")


def test_a_member_exports_what_the_control_plane_lets_it() -> None:
    one, two, three = member(1, export()), member(2), member(3, export())
    made = plan([replace(one, may_export={"shop", "dapr-test"}), two, replace(three, may_export={"shop"})])
    assert who(made, two) == {3000: ["cluster-1"]}, "no part of the requests for a name it may not export"
    assert condition(made, one, "Valid")[0] is True
    assert condition(made, three, "Valid") == (
        False,
        "no other cluster imports it: the control plane lets this cluster export shop",
    )
    nothing = plan([replace(one, may_export=()), two])
    assert condition(nothing, one, "Valid")[1].endswith("lets this cluster export none")


def test_a_forged_creation_time_evicts_nobody() -> None:
    grpc = service({"name": "http", "port": 3000, "appProtocol": "grpc"})
    honest = replace(member(1, export()), first_seen={"dapr-test/nodeapp": "2026-01-01T00:00:00.000Z"})
    forged = member(3, export(created="1970-01-01T00:00:00Z"), grpc)
    forged = replace(forged, first_seen={"dapr-test/nodeapp": "2026-01-02T00:00:00.000Z"})
    made = plan([forged, member(2), honest])
    assert who(made, member(2)) == {3000: ["cluster-1"]}
    assert condition(made, forged, "Conflict")[0] is True
    assert condition(made, honest, "Conflict")[0] is False


def test_an_import_never_has_more_ports_than_the_crd_admits() -> None:
    numbers = range(4001, 4065)
    rules = [rule(number, f"/flood-{number}") for number in numbers]
    flood = service(*({"name": f"p{number}", "port": number} for number in numbers))
    one, three = member(1, export()), member(3, export(*rules, created="2026-01-02T00:00:00Z"), flood)
    made = plan([one, member(2), three])
    assert len(who(made, member(2))) == 64
    assert who(made, member(2))[3000] == ["cluster-1"]
    status, message = condition(made, three, "Conflict")
    assert (status, message) == (True, "port 4064 is left out: an import has 64, all of older exports")
    before = replace(member(2), imports=made.imports[member(2).key])
    left = plan([member(1), before, three])
    assert 3000 not in who(left, before), "its withdrawal arrives"
    dark = plan([one, before, replace(three, exports=None, services={})])
    assert len(who(dark, before)) == 64, "nor more than that when a member that is down keeps its own"
    more = member(
        1, export(rule(3000, "/a"), rule(3001, "/b")), service({"name": "a", "port": 3000}, {"port": 3001})
    )
    dark = plan([more, before, replace(three, exports=None, services={})])
    assert len(who(dark, before)) == 64


def test_an_import_never_has_more_exporters_than_the_crd_admits() -> None:
    views = [member(number, export()) for number in range(1, 259)]
    made = plan([HOME, *views])
    (port,) = who(made, HOME).values()
    assert len(port) == 256
    left_out = [view for view in views if condition(made, view, "Conflict")[0]]
    assert len(left_out) == 2
    assert (
        condition(made, left_out[0], "Conflict")[1] == "port 3000 is left out: 256 clusters export it already"
    )


def test_nonsense_of_a_member_is_named_and_costs_nobody_else() -> None:
    spoilt = exporting(1, ("../../v1/secrets", "x"))
    made = plan([HOME, spoilt, member(2, export())])
    assert who(made, HOME) == {3000: ["cluster-2"]}
    assert made.faults[spoilt.key].startswith(
        "it serves what no API server stores: metadata.namespace is '../../v1"
    )
    surrogate = member(1, export(targetClusters=["a/b/c/\ud800"]))
    made = plan([HOME, surrogate, member(2, export())])
    assert who(made, HOME) == {3000: ["cluster-2"]}
    assert "which no API server admits" in condition(made, surrogate, "Valid")[1]
    port = member(1, export(), service({"name": "\ud800", "port": 3000}))
    assert "which no API server admits" in condition(plan([HOME, port]), port, "Valid")[1]


def test_a_defect_met_by_one_member_leaves_its_imports_and_the_others_plan(monkeypatch: Any) -> None:
    one, two = member(1, export()), member(2)
    two = replace(two, imports=plan([one, two]).imports[two.key])

    def evaluate(exports: Any, services: Any, hosts: Any) -> Any:
        if exports and services[KEY].ports.keys() == {3000}:
            raise RuntimeError("a defect")
        return real(exports, services, hosts)

    from gateway.kube import exporters  # noqa: PLC0415

    real = exporters.evaluate_exports
    monkeypatch.setattr(exporters, "evaluate_exports", evaluate)
    three = member(3, export(rule(4000)), service({"name": "http", "port": 4000}))
    made = plan([HOME, one, two, three])
    assert who(made, HOME) == {4000: ["cluster-3"]}
    assert who(made, two) == {3000: ["cluster-1"], 4000: ["cluster-3"]}, "what it had there stays"
    assert made.faults == {cluster("cluster-1"): "its exports cannot be evaluated: RuntimeError"}
