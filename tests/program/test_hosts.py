"""The host of an export reaches its object, and means there what the gateway takes it for."""

from __future__ import annotations

from typing import Any

from components.mesh.service_export import HOST
from gateway.core import export_hosts, reserved
from stacks.config.checks import hosts


def test_the_host_of_an_export_is_in_its_object(run: Any) -> None:
    recorder = run("dev", lambda config: config["exports"][0].update(host="shop.example.com"))
    for cluster in ("cluster-1", "cluster-3"):
        made = recorder.find(f"{cluster}-dapr-test-nodeapp-export-object").inputs["metadata"]
        assert made["annotations"][HOST] == "shop.example.com"
        assert len(made["annotations"]) > 1, "beside the app-id"
    without = run("dev").find("cluster-1-dapr-test-nodeapp-export-object").inputs["metadata"]
    assert HOST not in without["annotations"]


def test_program_and_gateway_mean_the_same_by_hosts() -> None:
    assert export_hosts.HOST == HOST
    assert reserved.DNS_PARTS == hosts.INSIDE
