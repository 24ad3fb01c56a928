"""Over what clusters call each other: what status shows of it, and what the doctor says of certificates."""

from __future__ import annotations

import io
from typing import Any

import pytest
from platforms.mutual_tls import DAYS, HOURS, Proofs
from platforms.world import World, key
from rich.console import Console

from cli.doctor.certificates import certificate_checks
from cli.doctor.check import Check, failed
from cli.doctor.lifetimes import span
from cli.observe.between import pairs
from cli.status.as_json import as_json
from cli.status.chosen import ALL, Chosen
from cli.status.tables import render

EXISTS = {
    "source": "existing", "kubeconfig": "/k", "context": "three",
    "gatewayHost": "192.0.2.3", "gatewayPort": 30080,
}  # fmt: skip
CERTIFICATE, ROOT = "cluster-1: gateways' certificate", "cluster-1: root"


def shown(world: World, chosen: Chosen = ALL) -> str:
    console = Console(file=io.StringIO(), width=240)
    console.print(render(world.platform(), chosen=chosen))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def rows(world: World) -> dict[tuple[str, str], list[str]]:
    """Of the table by caller and callee: mark, over, roots, until."""
    text = shown(world).partition("Between clusters")[2]
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines() if "│" in line]
    return {(one[1], one[2]): [one[0], *one[3:]] for one in cells if len(one) == 6}


def test_each_pair_that_calls_shows_its_roots_and_until_when_they_prove_it() -> None:
    world = World()
    proofs = Proofs(world)
    found = rows(world)
    callers = ("control-plane", "cluster-2")
    assert set(found) == {(one, other) for one in callers for other in ("cluster-1", "cluster-3")}
    roots = f"cluster-2 {proofs.root('cluster-2')}, cluster-1 {proofs.root('cluster-1')}"
    assert found["cluster-2", "cluster-1"] == ["✔", "mutual TLS", roots, f"in {HOURS} hours"]


def test_machines_get_the_same() -> None:
    world = World()
    proofs = Proofs(world)
    listed: list[dict[str, Any]] = as_json(world.platform())["between"]
    (pair,) = [
        one for one in listed if (one["caller"], one["callee"]) == (key("cluster-2"), key("cluster-1"))
    ]
    ends = world["cluster-1"].peers
    assert ends is not None
    assert pair == {
        "caller": key("cluster-2"),
        "callee": key("cluster-1"),
        "over": "mutual TLS",
        "roots": {key(name): [proofs.root(name)] for name in ("cluster-2", "cluster-1")},
        "until": ends["until"],
        "fault": "",
        "plain": False,
    }


def test_while_it_is_off_one_line_says_that_nothing_is_proved() -> None:
    world = World()
    assert "Between clusters: plain HTTP, gateway.mutualTls is off." in " ".join(shown(world).split())
    assert {pair.over for pair in pairs(world.platform())} == {"plain HTTP"}
    assert not [
        one for view in world.platform().clusters for one in certificate_checks(world.platform(), view)
    ]
    for cluster in world.clusters.values():
        cluster.config = {}
    assert "Between clusters" not in shown(world), "nobody calls another cluster"


def test_on_the_way_back_nobody_is_to_ask_over_tls_and_certificates_still_count() -> None:
    world = World()
    proofs = Proofs(world, "accept")
    proofs.listening.clear()
    proofs.tell()
    assert "Between clusters: plain HTTP, gateway.mutualTls is accept." in " ".join(shown(world).split())
    assert CERTIFICATE in world.checks()
    assert not [name for name in world.checks() if "calls to" in name]


def test_it_is_said_while_a_cluster_serves_gateways_over_plain_http_too() -> None:
    world = World()
    proofs = Proofs(world)
    proofs.open.add("cluster-1")
    proofs.tell()
    assert rows(world)["cluster-2", "cluster-1"][:2] == ["✔", "mutual TLS, and plain HTTP counts"]
    assert rows(world)["cluster-2", "cluster-3"][:2] == ["✔", "mutual TLS"]


def test_on_the_way_back_it_is_said_while_some_are_asked_over_tls() -> None:
    world = World()
    Proofs(world, "accept")
    assert {pair.over for pair in pairs(world.platform())} == {"both"}


def test_who_does_not_listen_yet_is_asked_over_plain_http_and_with_strict_not_at_all() -> None:
    world = World()
    proofs = Proofs(world)
    proofs.listening.remove("cluster-3")
    proofs.tell()
    fault = "cluster-3 does not listen for TLS"
    assert rows(world)["cluster-2", "cluster-3"][:2] == ["✗", f"plain HTTP: {fault}"]
    check = world.checks()["cluster-2: calls to cluster-3"]
    assert (check.result, check.seen) == ("warn", f"over plain HTTP: {fault}")
    assert "Wait a minute after ./stack up" in check.hint
    assert "without its port 8443" in check.hint
    assert "pulumi up --replace '**cluster-3-k3d'" in check.hint, "Docker publishes ports only then"
    assert "k3d kubeconfig write control-plane" in check.hint, "the hub says whom it does not reach"
    assert "k3d kubeconfig write cluster-3" in check.hint, "its own controller says why"
    assert world.checks()["cluster-2: calls to other clusters"].seen == "over mutual TLS to cluster-1"
    world.config["gateway"]["mutualTls"] = "strict"
    assert rows(world)["cluster-2", "cluster-3"][:2] == ["✗", f"nothing: {fault}"]
    check = world.checks()["cluster-2: calls to cluster-3"]
    assert (check.result, check.seen) == ("fail", f"cluster-3 is not asked: {fault}")
    world.config["gateway"]["mutualTls"] = "permissive"
    world.config["clusters"][3] = cluster_3 = {"name": "cluster-3", **EXISTS}
    world.config["images"] = {"registry": "registry.example.org/mesh"}
    hint = "Set `peersPort` of cluster-3, and run ./stack up dev"
    assert world.checks()["cluster-2: calls to cluster-3"].hint == hint
    cluster_3["peersPort"] = 30443
    assert "k3d'" not in world.checks()["cluster-2: calls to cluster-3"].hint


def test_a_member_that_nobody_can_ask_over_tls_is_named_with_what_to_set() -> None:
    world = World()
    assert "cluster-3: mutual TLS" not in world.checks(), "it is off, and could be on"
    world.config["clusters"][3] = {"name": "cluster-3", **EXISTS}
    world.config["images"] = {"registry": "registry.example.org/mesh"}
    del world.config["gateway"]
    text = " ".join(shown(world).split())
    assert "plain HTTP, gateway.mutualTls is off, and cluster-3 without peersPort." in text
    check = world.checks()["cluster-3: mutual TLS"]
    assert check.result == "warn"
    assert "Set `peersPort` of each member, and run ./stack up" in check.hint
    assert "cluster-1: mutual TLS" not in world.checks()


@pytest.mark.parametrize(
    ("lacking", "fault"),
    [
        ({"unknown": {("cluster-1", "cluster-2")}}, "cluster-1 knows no root of cluster-2"),
        ({"without": {"cluster-2"}}, "cluster-2 has no certificate that counts"),
        ({"without": {"cluster-1"}}, "cluster-1 has no certificate that counts"),
    ],
)
def test_what_keeps_a_pair_from_proving_itself_is_said(lacking: dict[str, Any], fault: str) -> None:
    world = World()
    proofs = Proofs(world)
    for name, value in lacking.items():
        setattr(proofs, name, value)
    proofs.tell()
    assert rows(world)["cluster-2", "cluster-1"][:2] == ["✗", f"mutual TLS: {fault}"]
    check = world.checks()["cluster-2: calls to cluster-1"]
    assert (check.result, check.seen) == ("fail", f"over mutual TLS: {fault}")


def test_a_caller_that_asks_over_tls_and_knows_no_root_is_told() -> None:
    world = World()
    Proofs(world)
    page = world["cluster-2"].peers
    assert page is not None
    page["peers"][key("cluster-1")] = []
    assert rows(world)["cluster-2", "cluster-1"][1] == "mutual TLS: cluster-2 knows no root of cluster-1"


def test_a_gateway_that_tells_nothing_is_not_taken_for_one_that_does_not_ask() -> None:
    world = World()
    Proofs(world)
    world["cluster-2"].peers = None
    assert rows(world)["cluster-2", "cluster-1"] == ["✗", "unknown: cluster-2 does not tell", "", "-"]
    assert not [name for name in world.checks() if name.startswith("cluster-2: calls")]
    world["cluster-2"].peers = {"certificate": True, "until": "2026-01-01T00:00:00+00:00", "peers": {}}
    assert rows(world)["cluster-2", "cluster-1"][1] == "unknown: cluster-2 does not tell", "an older version"


def test_an_end_that_is_over_is_said() -> None:
    world = World()
    Proofs(world)
    world.at += (HOURS + 3) * 3600
    assert rows(world)["cluster-2", "cluster-1"][-1] == "3 hours ago"


def aged(hours: float) -> tuple[World, dict[str, Check]]:
    world = World()
    Proofs(world)
    world.at += hours * 3600
    return world, world.checks()


@pytest.mark.parametrize(
    ("hours", "result", "seen"),
    [
        # They begin two hours before they are made.
        (1, "ok", "began 3 hours ago, ends in 23 hours"),
        (15, "ok", "began 17 hours ago, ends in 9 hours"),
        (16, "warn", "began 18 hours ago, ends in 8 hours"),
        (25, "fail", "began 27 hours ago, ended 60 minutes ago"),
        (-5, "fail", "begins in 3 hours: a clock is wrong, where it was made or here"),
    ],
)
def test_a_certificate_is_warned_of_at_a_third_of_its_time(hours: int, result: str, seen: str) -> None:
    _, checks = aged(hours)
    assert (checks[CERTIFICATE].result, checks[CERTIFICATE].seen) == (result, seen)
    if result != "ok":
        assert "logs deployment/controller" in checks[CERTIFICATE].hint


@pytest.mark.parametrize(
    ("days", "result", "seen"),
    [
        (3, "ok", "began 3 days ago, ends in 27 days"),
        (21, "warn", "began 21 days ago, ends in 9 days"),
        (31, "fail", "began 31 days ago, ended 24 hours ago"),
    ],
)
def test_so_is_a_root(days: int, result: str, seen: str) -> None:
    world = World()
    proofs = Proofs(world)
    world.at += days * 24 * 3600
    check = world.checks()[ROOT]
    assert (check.result, check.seen) == (result, f"{proofs.root('cluster-1')}, {seen}")
    assert days < DAYS or "logs deployment/controller" in check.hint


def test_a_certificate_that_is_not_there_yet_costs_calls_only_where_tls_alone_is_spoken() -> None:
    for mode, result in (("permissive", "warn"), ("strict", "fail")):
        world = World()
        proofs = Proofs(world, mode)
        proofs.listening.clear()
        proofs.without.add("cluster-1")
        proofs.tell()
        check = world.checks()[CERTIFICATE]
        assert (check.result, check.seen) == (result, "1 of 1 gateways have none yet")


def test_gateways_that_are_not_ready_have_no_certificate_to_look_at() -> None:
    world = World()
    Proofs(world)
    world["cluster-1"].scale_to_zero("gateway")
    assert CERTIFICATE not in world.checks()
    assert "cluster-1: gateway" in {check.name for check in failed(world.checks().values())}


def test_a_platform_with_good_certificates_is_healthy() -> None:
    for mode in ("permissive", "strict"):
        world = World()
        Proofs(world, mode)
        assert {check.result for check in world.checks().values()} == {"ok"}
        assert "✗" not in shown(world)


def test_times_are_said_as_people_say_them() -> None:
    said = [span(seconds) for seconds in (0, 60, 7199, 7200, 172799, 172800, 864000)]
    assert said == ["0 minutes", "1 minute", "120 minutes", "2 hours", "48 hours", "2 days", "10 days"]


@pytest.mark.parametrize(
    ("chosen", "is_shown"),
    [
        (Chosen(kinds=frozenset({"between"})), True),
        (Chosen(clusters=frozenset({"cluster-1"})), True),
        (Chosen(kinds=frozenset({"exports"})), False),
        (Chosen(services=("shop/checkout",)), False),
        (Chosen(namespaces=frozenset({"shop"})), False),
        (Chosen(wrong=True), False),
    ],
)
def test_who_asks_for_other_rows_is_not_shown_pairs(chosen: Chosen, is_shown: bool) -> None:
    world = World()
    Proofs(world)
    assert ("Between clusters" in shown(world, chosen)) is is_shown
    assert bool(as_json(world.platform(), chosen)["between"]) is is_shown
