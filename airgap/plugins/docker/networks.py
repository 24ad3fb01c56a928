"""docker.Network and docker.Volume; blocking calls."""

import time
from typing import Any

import docker
import docker.errors
import docker.types

from airgap.plugins.base.provider import ProviderError, Request
from airgap.plugins.docker.schema import bare, label_list, label_pairs

# A container that is going away keeps its endpoint for a moment.
_ENDPOINT_SECONDS = 30.0


def create_network(client: docker.APIClient, request: Request) -> tuple[str, dict[str, Any]]:
    """Make a network; its id is the Engine's."""
    inputs = bare(request.inputs)
    pools = [
        docker.types.IPAMPool(
            subnet=one.get("subnet"),
            gateway=one.get("gateway"),
            iprange=one.get("ipRange"),
            aux_addresses=one.get("auxAddress"),
        )
        for one in inputs.get("ipamConfigs") or []
    ]
    made = client.create_network(
        inputs["name"],
        driver=inputs.get("driver"),
        options=inputs.get("options"),
        ipam=docker.types.IPAMConfig(driver=inputs.get("ipamDriver", "default"), pool_configs=pools)
        if pools
        else None,
        check_duplicate=True,
        internal=bool(inputs.get("internal")),
        labels=label_pairs(inputs),
        enable_ipv6=bool(inputs.get("ipv6")),
        attachable=inputs.get("attachable"),
    )
    return made["Id"], network_outputs(request.inputs, client.inspect_network(made["Id"]))


def network_outputs(inputs: dict[str, Any], live: dict[str, Any]) -> dict[str, Any]:
    """Inputs and what the Engine filled in."""
    return {
        **_clean(inputs),
        "attachable": live.get("Attachable", False),
        "driver": live["Driver"],
        "ingress": live.get("Ingress", False),
        "internal": live.get("Internal", False),
        "ipamConfigs": [
            {
                "auxAddress": one.get("AuxiliaryAddresses") or {},
                "gateway": one.get("Gateway", ""),
                "ipRange": one.get("IPRange", ""),
                "subnet": one.get("Subnet", ""),
            }
            for one in live.get("IPAM", {}).get("Config") or []
        ],
        "ipamDriver": live.get("IPAM", {}).get("Driver", "default"),
        "ipv6": live.get("EnableIPv6", False),
        "labels": label_list((live.get("Labels") or {}).items()),
        "name": live["Name"],
        "options": live.get("Options") or {},
        "scope": live.get("Scope", "local"),
    }


def read_network(client: docker.APIClient, id_: str, inputs: dict[str, Any]) -> dict[str, Any] | None:
    """The live network, None when it is gone."""
    try:
        return network_outputs(inputs, client.inspect_network(id_))
    except docker.errors.NotFound:
        return None


def delete_network(client: docker.APIClient, id_: str) -> None:
    """Remove a network, waiting for endpoints that are just going away."""
    deadline = time.monotonic() + _ENDPOINT_SECONDS
    while True:
        try:
            client.remove_network(id_)
        except docker.errors.NotFound:
            return
        except docker.errors.APIError as error:
            if "active endpoints" in str(error) and time.monotonic() < deadline:
                time.sleep(0.5)
                continue
            raise ProviderError(f"Unable to remove network: {error.explanation}") from error
        return


def create_volume(client: docker.APIClient, request: Request) -> tuple[str, dict[str, Any]]:
    """Make a volume; its id is its name."""
    inputs = bare(request.inputs)
    live = client.create_volume(
        inputs["name"],
        driver=inputs.get("driver"),
        driver_opts=inputs.get("driverOpts"),
        labels=label_pairs(inputs),
    )
    return live["Name"], volume_outputs(request.inputs, live)


def volume_outputs(inputs: dict[str, Any], live: dict[str, Any]) -> dict[str, Any]:
    """Inputs and what the Engine filled in."""
    return {
        **_clean(inputs),
        "driver": live["Driver"],
        "labels": label_list((live.get("Labels") or {}).items()),
        "mountpoint": live.get("Mountpoint", ""),
        "name": live["Name"],
    }


def read_volume(client: docker.APIClient, id_: str, inputs: dict[str, Any]) -> dict[str, Any] | None:
    """The live volume, None when it is gone."""
    try:
        return volume_outputs(inputs, client.inspect_volume(id_))
    except docker.errors.NotFound:
        return None


def delete_volume(client: docker.APIClient, id_: str) -> None:
    """Remove a volume."""
    try:
        client.remove_volume(id_, force=True)
    except docker.errors.NotFound:
        return
    except docker.errors.APIError as error:
        raise ProviderError(f"Unable to remove volume: {error.explanation}") from error


def _clean(inputs: dict[str, Any]) -> dict[str, Any]:
    return {key: item for key, item in inputs.items() if key != "__defaults"}
