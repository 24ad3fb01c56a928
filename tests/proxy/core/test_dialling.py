"""Whom a gateway dials: no address that leads back into itself, however it is written."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.addresses import own_addresses
from gateway.core.dialling import Dialling, of_system
from gateway.core.fields import FieldError, address
from gateway.core.objects import HUB, MANAGED_BY
from gateway.core.snapshot import Compiled, compile_snapshot

HERE = "default/default/default/here"
CLUSTER = Dialling(own=frozenset({"10.42.0.10"}))
"""A gateway in a cluster."""
NEVER = {
    "127.0.0.1": "loopback", "127.8.8.8": "loopback", "::1": "loopback", "::ffff:127.0.0.1": "loopback",
    "::127.0.0.1": "loopback", "64:ff9b::127.0.0.1": "loopback", "2002:7f00:1::": "loopback",
    "2001:0:53aa:64c:0:0:80ff:fffe": "loopback",
    "169.254.169.254": "link-local", "fe80::1": "link-local", "::ffff:a9fe:a9fe": "link-local",
    "64:ff9b::a9fe:a9fe": "link-local", "fe80::1%eth0": "zone", "2001:db8::1%eth0": "zone", "::1%lo": "zone",
    "0.0.0.0": "unspecified", "0.1.2.3": "unspecified", "::": "unspecified", "::ffff:0.0.0.0": "unspecified",
    "224.0.0.1": "many hosts", "ff02::1": "many hosts", "255.255.255.255": "many hosts",
    "64:ff9b:1::7f00:1": "loopback", "::ffff:0:127.0.0.1": "loopback",
    "100.100.100.200": "cloud", "168.63.129.16": "cloud", "192.0.0.192": "cloud", "fd00:ec2::254": "cloud",
    "fd20:ce::254": "cloud", "::ffff:100.100.100.200": "cloud",
    "10.42.0.10": "address of this gateway", "::ffff:10.42.0.10": "address of this gateway",
    "10.42.0.7": "multicluster-system", "::ffff:10.42.0.7": "multicluster-system",
}  # fmt: skip


def imported(make: Any, ip: str, name: str = "app", hub: bool = True) -> Any:
    found = make.imported(name, c1=80, path=f"/{name}")
    found["spec"]["ports"][0]["endpoints"][0]["target"]["ip"] = ip
    if hub:
        found["metadata"]["labels"] = {MANAGED_BY: HUB}
    return found


def system_slice(make: Any, *addresses: str, name: str = "gateway", **conditions: Any) -> Any:
    found = make.slice(*addresses, name=name, port=8080, **conditions)
    found["metadata"]["namespace"] = "multicluster-system"
    return found


def endpoints(compiled: Compiled, host: bytes = b"app.demo:3000") -> list[str]:
    route = compiled.snapshot.hosts.find(host)
    assert route is not None
    return [str(endpoint) for cluster in route.clusters for endpoint in cluster.endpoints]


def told(compiled: Compiled) -> dict[tuple[str, str], str]:
    return {(one.kind, one.reason): one.message for one in compiled.problems}


@pytest.mark.parametrize(("form", "why"), NEVER.items())
def test_an_address_is_refused_in_every_form(form: str, why: str) -> None:
    assert why in CLUSTER.refusal(form, of_system(["10.42.0.7", "no address"]))


@pytest.mark.parametrize(
    "form", ["10.42.0.8", "172.28.0.1", "8.8.8.8", "2001:db8::1", "240.0.0.1", "fd00::1"]
)
def test_pods_and_hosts_elsewhere_are_dialled(form: str) -> None:
    assert not CLUSTER.refusal(form, of_system(["10.42.0.7"]))


@pytest.mark.parametrize(
    "form", ["2130706433", "0x7f.1", "127.1", "0177.0.0.1", "127.0.0.01", "localhost", " ::1"]
)
def test_forms_that_a_resolver_would_read_are_no_addresses(form: str) -> None:
    with pytest.raises(FieldError, match="give an IP address"):
        address(form, "ip")


@example(IPv4Address("192.0.0.192"), "::{}")
@given(st.ip_addresses(v=4), st.sampled_from(["{}", "::ffff:{}", "::{}", "64:ff9b::{}"]))
def test_what_is_said_of_an_address_holds_for_all_that_stand_for_it(found: IPv4Address, form: str) -> None:
    reason = CLUSTER.refusal(form.format(found))
    special = found.is_loopback or found.is_link_local or found.is_multicast
    special = special or int(found) >> 24 == 0 or str(found) == "255.255.255.255"
    special = special or NEVER.get(str(found)) == "cloud"
    assert bool(reason) == (special or (str(found) == "10.42.0.10" and form in {"{}", "::ffff:{}"}))


@given(st.ip_addresses(v=6))
def test_no_address_of_version_six_is_dialled_that_leads_home(found: IPv6Address) -> None:
    reason = CLUSTER.refusal(str(found))
    if found.is_loopback or found.is_link_local or found.is_multicast or found.is_unspecified:
        assert reason
    for inner in (found.ipv4_mapped, found.sixtofour, (found.teredo or (None, None))[1]):
        if inner is not None:
            assert bool(reason) == bool(CLUSTER.refusal(str(inner)))


@given(st.text(alphabet="0123456789abcdefx.:%/ ", max_size=24))
def test_text_is_an_address_or_is_not(text: str) -> None:
    try:
        form = address(text, "ip")
    except FieldError:
        return
    assert form == str(ip_address(text))
    CLUSTER.refusal(form)


def test_one_machine_dials_itself_where_that_is_said() -> None:
    allowed = Dialling(loopback=True, own=frozenset({"10.0.0.5"}))
    assert not allowed.refusal("127.0.0.1", of_system(["127.0.0.1"]))
    assert not allowed.refusal("::1")
    for form in ("169.254.169.254", "0.0.0.0", "10.0.0.5", "::1%lo"):
        assert allowed.refusal(form)


@pytest.mark.parametrize("bad", ["127.0.0.1", "169.254.169.254", "10.42.0.10", "10.42.0.7", "10.42.0.8"])
def test_a_slice_that_names_the_gateway_is_left_out_and_its_pods_go_on(make: Any, bad: str) -> None:
    objects = [
        make.service(), make.export(), make.slice("10.42.0.30", bad),
        system_slice(make, "10.42.0.7"), system_slice(make, "10.42.0.8", name="controller", ready=False),
    ]  # fmt: skip
    compiled = compile_snapshot(objects, HERE, dialling=CLUSTER)
    assert endpoints(compiled) == ["10.42.0.30:3000"]
    (message,) = told(compiled).values()
    assert list(told(compiled)) == [("ServiceExport", "AddressRefused")]
    assert f"{bad}:3000 is " in message
    assert "Service demo/app" in message
    assert "have its EndpointSlices list the application's pods" in message


def test_a_terminating_pod_is_looked_at_as_well(make: Any) -> None:
    going = make.slice("127.0.0.1", "10.42.0.30", serving=True, terminating=True)
    compiled = compile_snapshot([make.service(), make.export(), going], HERE, dialling=CLUSTER)
    assert endpoints(compiled) == ["10.42.0.30:3000"]


def test_of_many_refused_endpoints_some_are_named(make: Any) -> None:
    many = make.slice(*(f"127.0.0.{number}" for number in range(1, 9)))
    (message,) = told(
        compile_snapshot([make.service(), make.export(), many], HERE, dialling=CLUSTER)
    ).values()
    assert message.count("loopback") == 3
    assert " and 5 more;" in message


def test_the_virtual_address_of_the_gateways_is_no_endpoint(make: Any) -> None:
    gateway = make.service("gateway", clusterIP="10.43.0.9")
    gateway["metadata"]["namespace"] = "multicluster-system"
    compiled = compile_snapshot(
        [make.service(), make.export(), make.slice("10.43.0.9"), gateway], HERE, dialling=CLUSTER
    )
    assert not endpoints(compiled)
    assert "multicluster-system" in told(compiled)["ServiceExport", "AddressRefused"]


def test_the_systems_own_services_keep_their_pods(make: Any) -> None:
    """Dapr's sidecars stand there, and gateways ask them."""
    service, export = make.service("gateway"), make.export("gateway")
    for obj in (service, export):
        obj["metadata"]["namespace"] = "multicluster-system"
    compiled = compile_snapshot([service, export, system_slice(make, "10.42.0.7")], HERE, dialling=CLUSTER)
    assert endpoints(compiled, b"gateway.multicluster-system") == ["10.42.0.7:8080"]


def test_other_clusters_gateways_are_reached_by_imports_alone(make: Any) -> None:
    """On one machine they have the host's address, where everything else is published too."""
    objects = [make.service(), make.slice("172.28.0.1", "10.42.0.30"), imported(make, "172.28.0.1", "other")]
    compiled = compile_snapshot([*objects, make.export()], HERE, dialling=CLUSTER)
    assert endpoints(compiled) == ["10.42.0.30:3000"]
    assert "where another cluster's gateway is" in told(compiled)["ServiceExport", "AddressRefused"]
    policy = make.policy("ActiveActive", "other", c1=1)
    assert endpoints(compile_snapshot([*objects, policy], HERE, dialling=CLUSTER), b"other.demo:3000") == [
        "172.28.0.1:80"
    ]


@pytest.mark.parametrize(
    "bad", ["127.0.0.1", "::ffff:127.0.0.1", "169.254.169.254", "10.42.0.10", "10.42.0.7"]
)
def test_an_import_is_no_way_into_the_gateway(make: Any, bad: str) -> None:
    objects = [imported(make, bad), make.policy("ActiveActive"), system_slice(make, "10.42.0.7")]
    compiled = compile_snapshot(objects, HERE, dialling=CLUSTER)
    assert not endpoints(compiled)
    message = told(compiled)["ServiceImport", "AddressRefused"]
    assert "spec.ports[0].endpoints[0].target.ip" in message
    assert "give the other cluster's gateway" in message


def test_an_import_that_the_hub_did_not_make_does_not_count(make: Any) -> None:
    objects = [imported(make, "10.9.9.9", hub=False), make.policy("ActiveActive")]
    compiled = compile_snapshot(objects, HERE, dialling=CLUSTER)
    assert compiled.snapshot.hosts.find(b"app.demo") is None
    assert not compiled.snapshot.leaves_cluster(("demo", "app"))
    message = told(compiled)["ServiceImport", "NotFromHub"]
    assert "demo/app" in message
    assert "--foreign-imports" in message
    allowed = compile_snapshot(objects, HERE, dialling=Dialling(foreign_imports=True))
    assert endpoints(allowed) == ["10.9.9.9:80"]


def test_who_imports_and_who_has_an_export_are_both_told(make: Any) -> None:
    both = [make.service(), make.slice("127.0.0.1"), make.export(), imported(make, "10.9.9.9")]
    assert set(told(compile_snapshot(both, HERE, dialling=CLUSTER))) == {
        ("ServiceExport", "AddressRefused"), ("ServiceImport", "AddressRefused"),
    }  # fmt: skip
    neither = [make.service(), make.slice("127.0.0.1"), make.policy("Locality")]
    assert set(told(compile_snapshot(neither, HERE, dialling=CLUSTER))) == {
        ("EndpointSlice", "AddressRefused")
    }


def test_files_are_the_operators_own_word(make: Any) -> None:
    objects = [make.service(), make.slice("127.0.0.1"), make.export(), imported(make, "127.0.0.1", hub=False)]
    assert not compile_snapshot(objects, HERE).problems
    files = [make.service(), make.slice("169.254.169.254"), make.export()]
    assert ("ServiceExport", "AddressRefused") in told(compile_snapshot(files, HERE))


def test_the_own_addresses_are_those_of_the_interfaces_and_the_pods(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POD_IP", "10.42.0.10")
    assert own_addresses(tmp_path) == {"10.42.0.10"}
    (tmp_path / "fib_trie").write_text(
        "Main:\n  +-- 0.0.0.0/0 3 0 4\n     |-- 0.0.0.0\n        /0 universe UNICAST\n"
        "           |-- 172.28.0.0\n              /16 link UNICAST\n"
        "           |-- 172.28.0.7\n              /32 host LOCAL\n"
    )
    (tmp_path / "if_inet6").write_text("fd000000000000000000000000000002 04 40 00 82     eth0\n")
    assert own_addresses(tmp_path) == {"10.42.0.10", "172.28.0.7", "fd00::2"}
    monkeypatch.delenv("POD_IP")
    assert "127.0.0.1" in own_addresses()
