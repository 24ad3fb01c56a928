"""The host of an export reaches its object, and means there what the gateway takes it for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from components.mesh.service_export import HOST
from gateway.core import export_hosts, reserved
from gateway.core.host_grants import HostGrant, read_host_grants
from stacks.config.checks import hosts


def test_the_host_of_an_export_is_in_its_object(run: Any) -> None:
    recorder = run("dev", lambda config: config["exports"][0].update(host="shop.example.com"))
    for cluster in ("cluster-1", "cluster-3"):
        made = recorder.find(f"{cluster}-dapr-test-nodeapp-export-object").inputs["metadata"]
        assert made["annotations"][HOST] == "shop.example.com"
        assert len(made["annotations"]) > 1, "beside the app-id"
    without = run("dev").find("cluster-1-dapr-test-nodeapp-export-object").inputs["metadata"]
    assert HOST not in without["annotations"]


def test_hosts_are_granted_where_their_exports_are_and_where_the_settings_say(run: Any) -> None:
    def change(config: Any) -> None:
        config["exports"][0].update(host="shop.example.com")
        everywhere = {"host": "*.apps.example.com", "namespaces": ["a", "b"]}
        config["hosts"] = [everywhere, {**everywhere, "host": "old.example.com", "clusters": ["cluster-2"]}]

    recorder = run("dev", change)

    def told(deployment: str) -> list[HostGrant]:
        spec = recorder.find(f"{deployment}-deployment").inputs["spec"]["template"]["spec"]
        (said,) = (text for text in spec["containers"][0]["args"] if text.startswith("--hosts="))
        return list(read_host_grants(said.removeprefix("--hosts=")))

    apps = HostGrant("*.apps.example.com", frozenset({"a", "b"}))
    shop = HostGrant("shop.example.com", frozenset({"dapr-test"}))
    old = replace(apps, host="old.example.com")
    for part in ("gateway", "controller"):
        assert told(f"control-plane-{part}") == [apps]
        assert told(f"cluster-1-{part}") == told(f"cluster-3-{part}") == [shop, apps]
        assert told(f"cluster-2-{part}") == [apps, old]
    one, two, three = (f"default/default/default/cluster-{number}" for number in (1, 2, 3))
    assert told("control-plane-hub") == [
        replace(shop, clusters=frozenset({one, three})), apps, replace(old, clusters=frozenset({two})),
    ]  # fmt: skip


def test_program_and_gateway_mean_the_same_by_hosts() -> None:
    assert export_hosts.HOST == HOST
    assert reserved.DNS_PARTS == hosts.INSIDE
